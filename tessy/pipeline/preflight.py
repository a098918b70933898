"""Checks before anything starts: files a recipe names, tests, folders, disk, sandbox.

Whatever is found missing is said at once, with the remedy; nothing but an empty run folder is made.
"""

from __future__ import annotations

import importlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tessy.artifacts import read_json
from tessy.boundary.annotators import load_prompt
from tessy.boundary.lexicon import Lexicon
from tessy.boundary.operating_point import operating_point
from tessy.errors import UserError
from tessy.evaluation import MINIATURE_TASK
from tessy.pipeline.estimate import require_fit
from tessy.pipeline.plan import Plan
from tessy.pipeline.reuse import decide
from tessy.predictors import PredictorCheckpoint
from tessy.recipe import Recipe
from tessy.records import ROLES
from tessy.sections import MINIATURE, MINIATURE_CONTEXT

DISK_NEEDED = 1 << 30
"""Bytes that must be free before a run starts: what a miniature run leaves, twice over."""


def preflight(planned: Plan, runs_dir: Path, disk_needed: int = DISK_NEEDED) -> None:
    """Raise `UserError` naming everything that would stop `planned` later."""
    require_fit(planned.recipe)
    faults = [*_sources(planned.recipe), *_windows(planned.recipe), *_devices(planned.recipe)]
    todo = {d.stage.kind for d in decide(planned, runs_dir / planned.recipe.name) if d.action != "reuse"}
    if todo & {"evaluate", "instrument", "switch_verdicts"}:
        faults += _judging(planned.recipe)
    if "lm_eval" in todo and not faults:
        faults += _tasks(planned.recipe)
    if "synthesize" in todo:
        faults += _engines(planned.recipe)
    if not faults and todo:
        faults += _folder(runs_dir / planned.recipe.name, disk_needed)
    if faults:
        raise UserError("\n       ".join(faults))


def _sources(recipe: Recipe) -> Iterator[str]:
    source = recipe.problems.source
    if source != MINIATURE and not Path(source).is_file():
        yield f"problems.source {source!r}: no such file; give an existing one or 'miniature'"
    for annotator in recipe.predictors.annotators if recipe.predictors else ():
        if not annotator.file.is_file():
            yield f"predictors: {annotator.kind} annotator: '{annotator.file}': no such file or shipped name"
        else:
            yield from _fault(Lexicon.load if annotator.kind == "lexicon" else load_prompt, annotator.file)
    for field, prompt in _prompts(recipe):
        if not prompt.is_file():
            yield f"synthesis.{field}.prompt: '{prompt}': no such file or shipped name"
    compared = recipe.predictors.comparison.switches if recipe.predictors else ()
    for switch in (recipe.synthesis.switch, *compared):
        if switch.kind == "lexicon":
            if switch.file.is_file():
                yield from _fault(Lexicon.load, switch.file)
            else:
                yield f"switch: lexicon '{switch.file}': no such file or shipped name"
        for one in switch.both if switch.kind == "checkpoints" else ():
            if is_missing(one.source):
                yield f"switch: predictor {one.source!r}: no checkpoint there (config.json is missing)"
            elif Path(one.source).is_dir():
                yield from _predictor(one, switch.window_tokens)
    for lm_eval in recipe.evaluate.lm_eval:
        for file in lm_eval.files:
            if not Path(file).is_file():
                yield f"benchmark {lm_eval.name}: {file!r}: no such file; give an existing .jsonl"
    models = {"models.student": recipe.models.student, "models.teacher": recipe.models.teacher}
    base = recipe.predictors.base if recipe.predictors else None
    for field, model in {**models, "predictors.base": base, "train.start": recipe.train.start}.items():
        if model is not None and is_missing(model.source):
            yield f"{field}.source {model.source!r}: no checkpoint there (config.json is missing)"


def _windows(recipe: Recipe) -> Iterator[str]:
    """Models to train predictors from that hold no whole window, where it is known here what they hold."""
    if recipe.predictors is None:
        return
    window, base = recipe.predictors.window_tokens, recipe.predictors.base
    watched = {f"models.{role}": getattr(recipe.models, role) for role in ROLES}
    for field, model in ({"predictors.base": base} if base else watched).items():
        longest = _context(model.source)
        if longest is not None and window > longest:
            held = f"{field} {model.source!r} holds {longest} tokens"
            yield f"predictors.window_tokens {window}: {held}; lower it"


def _context(source: str) -> int | None:
    """Tokens a model can read at once; None where only the hub knows."""
    if source == MINIATURE:
        return MINIATURE_CONTEXT
    config = Path(source) / "config.json"
    return read_json(config).get("max_position_embeddings") if config.is_file() else None


def _fault(check: Callable[..., object], *arguments: object) -> Iterator[str]:
    try:
        check(*arguments)
    except UserError as error:
        yield str(error)


def _predictor(checkpoint: PredictorCheckpoint, window_tokens: int | None) -> Iterator[str]:
    """What stops a folder from being used as a boundary predictor."""
    try:
        point = operating_point(checkpoint.source, window_tokens, threshold=checkpoint.threshold)
        # Whoever names no checkpoint need not wait for PyTorch here.
        from tessy.boundary.predictor import classifier_tokenizer

        classifier_tokenizer(checkpoint.source, point.window_tokens)
    except UserError as error:
        yield str(error)


def _devices(recipe: Recipe) -> Iterator[str]:
    devices = {getattr(recipe.execution.predictors, role).device for role in ROLES} - {"cpu"}
    if devices:
        # Whoever computes on the CPU only need not wait for PyTorch here.
        from tessy.boundary.predictor import require_device
    for device in sorted(devices):
        yield from _fault(require_device, device)


def _engines(recipe: Recipe) -> Iterator[str]:
    """Keys that are not set, and vLLM where it is not installed."""
    execution = recipe.execution
    for field, section in (("engines", execution.engines), ("predictors", execution.predictors)):
        for role in ROLES:
            one = getattr(section, role)
            if one.kind == "embedded":
                continue
            # Whoever asks no server and no vLLM need not wait for aiohttp here.
            from tessy.engines.launch import api_key, installed_build

            faults = [*_fault(api_key, one.api_key_env), *([] if one.endpoints else _fault(installed_build))]
            yield from (f"execution.{field}.{role}: {fault}" for fault in faults)


def is_missing(source: str) -> bool:
    """Whether a checkpoint is named by its folder, and is not there."""
    return source.startswith((".", "/", "~")) and not (Path(source) / "config.json").is_file()


def _prompts(recipe: Recipe) -> Iterator[tuple[str, Path]]:
    """Prompt files of the recipe's methods, and the sections that name them."""
    synthesis = recipe.synthesis
    if "teacher_reference" in synthesis.methods:
        yield "teacher_reference", synthesis.teacher_reference.file
    if "teacher_score" in synthesis.methods and synthesis.teacher_score is not None:
        scorer = synthesis.teacher_score.scorer
        if scorer.kind == "grade":
            yield "teacher_score.scorer", scorer.file


def _folder(folder: Path, disk_needed: int) -> Iterator[str]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        free = shutil.disk_usage(folder).free
    except OSError as error:
        yield f"--runs-dir: cannot write in {folder} ({error.strerror}); choose another folder"
        return
    if free < disk_needed:
        megabytes = f"{free >> 20} MiB free, {disk_needed >> 20} needed"
        yield f"--runs-dir: {folder} has {megabytes}; free some or choose another disk"


def _tasks(recipe: Recipe) -> Iterator[str]:
    """What stops lm-eval's tasks; the miniature's own needs neither packages nor examples."""
    try:
        for benchmark in recipe.evaluate.lm_eval:
            if benchmark.task != MINIATURE_TASK:
                yield from _fault(importlib.import_module("eval.lm_tasks").check, benchmark)
    except ModuleNotFoundError as error:
        yield f"evaluate.benchmarks: {error.name} is not installed: pip install -e '.[eval]'"


def _judging(recipe: Recipe) -> Iterator[str]:
    # By name: `tessy` does not import `eval`; only whoever asks for an evaluation reaches it.
    try:
        importlib.import_module("eval.sandbox").require()
        for benchmark in recipe.evaluate.code:
            if benchmark.source != MINIATURE:
                importlib.import_module("eval.benchmarks").check(benchmark)
    except ValueError as error:
        yield str(error)
