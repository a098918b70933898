"""Preflight checks that several kinds of stages share."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from tessy.boundary.lexicon import Lexicon
from tessy.boundary.operating_point import operating_point
from tessy.config.base import MINIATURE
from tessy.config.engines import EngineSettings
from tessy.config.execution import Execution
from tessy.config.models import ModelReference
from tessy.config.sources import Source
from tessy.config.switches import PredictorCheckpoint, Switch
from tessy.config.train import Training
from tessy.errors import UserError
from tessy.records import Role
from tessy.sources import layout_of, open_table


def local(sources: Iterable[str]) -> list[str]:
    """Sources that may be local files or folders: all except the miniature."""
    return [source for source in sources if source != MINIATURE]


def fault(check: Callable[..., object], *arguments: object) -> Iterator[str]:
    """The `UserError` that `check` raises, if any, as a fault."""
    try:
        check(*arguments)
    except UserError as error:
        yield str(error)


def is_missing(source: str) -> bool:
    """Whether a checkpoint is given as a folder that does not exist."""
    return source.startswith((".", "/", "~")) and not (Path(source) / "config.json").is_file()


def model_faults(field: str, source: str) -> Iterator[str]:
    """The fault of a checkpoint that `field` gives as a folder that does not exist."""
    if is_missing(source):
        yield f"{field}.source {source!r}: no checkpoint there (config.json is missing)"


def models_faults(models: dict[Role, ModelReference]) -> Iterator[str]:
    """The same for the recipe's own models, and chat formats that cannot be found in local ones."""
    for role, model in models.items():
        missing = list(model_faults(f"models.{role}", model.source))
        yield from missing
        if not missing and model.format == "auto" and Path(model.source).is_dir():
            yield from (f"models.{role}: {said}" for said in _format_faults(model.model_dump_json()))


@cache
def _format_faults(model: str) -> tuple[str, ...]:
    """What keeps `format: auto` from working for a model given as JSON; many stages ask."""
    # Imported here so that recipes whose formats are written out are checked without loading transformers.
    from tessy.chat import load_renderer

    reference = ModelReference.model_validate_json(model)
    return tuple(fault(load_renderer, reference.source, reference.revision, reference))


def engine_faults(execution: Execution, roles: Iterable[Role]) -> Iterator[str]:
    """API keys that are not set, and vLLM if it is needed and not installed, for the roles' models."""
    for role in roles:
        yield from _serving(f"execution.engines.{role}", execution.engines.of(role))


def predictor_engine_faults(execution: Execution, roles: Iterable[Role]) -> Iterator[str]:
    """The same for the roles' predictors, and devices that do not exist."""
    for role in roles:
        engine = execution.predictors.of(role)
        yield from _serving(f"execution.predictors.{role}", engine)
        if engine.device != "cpu":
            # Imported here so that recipes that use only the CPU are checked without loading PyTorch.
            from tessy.boundary.predictor import require_device

            yield from fault(require_device, engine.device)


def _serving(field: str, engine: EngineSettings) -> Iterator[str]:
    if engine.kind == "transformers":
        return
    # Imported here so that recipes without servers or vLLM are checked without loading aiohttp.
    from tessy.engines.command import installed_build
    from tessy.engines.connect import api_key

    found = [*fault(api_key, engine.api_key_env), *([] if engine.endpoints else fault(installed_build))]
    yield from (f"{field}: {one}" for one in found)


def training_package_faults(execution: Execution, train: Training) -> Iterator[str]:
    """Packages for GPUs that training asks for and that are not installed."""
    if execution.train.kernels == "liger" and find_spec("liger_kernel") is None:
        remedy = "pip install -e '.[gpu]' (it needs a GPU), or use 'torch'"
        yield f"execution.train.kernels 'liger': liger-kernel is not installed: {remedy}"
    if train.optimizer == "adamw_8bit" and find_spec("bitsandbytes") is None:
        yield "train.optimizer 'adamw_8bit': bitsandbytes is not installed: pip install -e '.[gpu]'"


def switch_faults(switch: Switch) -> Iterator[str]:
    """Files named by a switch that are missing or cannot be used."""
    if switch.kind == "lexicon":
        if switch.file.is_file():
            yield from fault(Lexicon.load, switch.file)
        else:
            yield f"switch: lexicon '{switch.file}': no such file or shipped name"
    if switch.kind != "checkpoints":
        return
    for checkpoint in switch.both:
        if is_missing(checkpoint.source):
            yield f"switch: predictor {checkpoint.source!r}: no checkpoint there (config.json is missing)"
        elif Path(checkpoint.source).is_dir():
            yield from fault(_require_predictor, checkpoint, switch.window_tokens)


def _require_predictor(checkpoint: PredictorCheckpoint, window_tokens: int | None) -> None:
    point = operating_point(checkpoint.source, window_tokens, threshold=checkpoint.threshold)
    # Imported here so that recipes without checkpoints are checked without loading PyTorch.
    from tessy.boundary.predictor import classifier_tokenizer

    classifier_tokenizer(checkpoint.source, point.window_tokens)


def table_faults(source: Source, field: str) -> Iterator[str]:
    """What is wrong with a local table: none there, or columns that are not what the recipe says."""
    if source.is_local:
        yield from fault(_require_columns, source, field)


def _require_columns(source: Source, field: str) -> None:
    rows = open_table(source, field).first_rows()
    layout_of(source.columns, (row.values for row in rows), field)


def sandbox_faults() -> Iterator[str]:
    """What the sandbox lacks on this machine."""
    # Loaded by name, because `tessy` does not import `eval`.
    try:
        importlib.import_module("eval.sandbox").require()
    except ValueError as error:
        yield str(error)
