"""How a recipe's switch becomes what decides, at synthesis, where an author's own text ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from tessy.boundary.lexicon import Lexicon
from tessy.boundary.predictor import BoundaryPredictor
from tessy.boundary.served import ServedPredictor
from tessy.boundary.switches import EveryWords, LexiconSwitch, Never
from tessy.boundary.uncertainty import Uncertainty
from tessy.engines.launch import Checkpoint, api_key, servers
from tessy.engines.settings import EngineSettings
from tessy.pipeline.job import Job
from tessy.predictors import EntropySwitch, EveryWordsSwitch, MarginSwitch, Switch
from tessy.predictors import LexiconSwitch as LexiconSettings
from tessy.records import Role
from tessy.synthesis.drafts import Predictor

TRAINED: Mapping[str, Any] = {"kind": "trained"}
SERVED: Mapping[str, str | int | float | bool] = {"runner": "pooling", "dtype": "float32"}
"""vLLM arguments of a predictor's server: in lower precision its labels would differ."""


def uncertainty(settings: Mapping[str, Any]) -> Uncertainty | None:
    """The switch that `settings` describe, where it is the active model's own uncertainty."""
    switch: Any = TypeAdapter(Switch).validate_python(settings)
    if isinstance(switch, EntropySwitch):
        return Uncertainty("entropy", switch.above)
    return Uncertainty("margin", switch.below) if isinstance(switch, MarginSwitch) else None


@asynccontextmanager
async def watching(job: Job, settings: Mapping[str, Any], role: Role, slots: int) -> AsyncIterator[Predictor]:
    """`open_switch`, or the trained predictor on the servers that the recipe's execution names for it."""
    where = EngineSettings.model_validate(job.execution["predictors"][role])
    if settings["kind"] != "trained" or where.kind == "embedded":
        yield open_switch(job, settings, role, slots)
        return
    source = str(job.inputs[f"predictor-{role}"] / "model")
    window_tokens, name = job.config["predictors"]["window_tokens"], f"{role}-predictor"
    async with AsyncExitStack() as stack:
        endpoints: Sequence[str] = where.endpoints
        if where.starts_servers:
            arguments = {**SERVED, **where.arguments}
            endpoints = await stack.enter_async_context(
                servers(
                    where.model_copy(update={"arguments": arguments}),
                    Checkpoint(source, None, window_tokens),
                    name,
                    job.work,
                    job.say,
                )
            )
        predictor = await ServedPredictor.connect(
            source,
            role,
            window_tokens,
            endpoints,
            model=where.model,
            timeout_s=where.token_timeout_s,
            api_key=api_key(where.api_key_env),
        )
        stack.push_async_callback(predictor.close)
        yield predictor


def open_switch(job: Job, settings: Mapping[str, Any], role: Role, slots: int) -> Predictor:
    """What `settings` describe, for `role`'s text and up to `slots` live samples: any switch that reads text.

    A trained predictor is the job's input `predictor-<role>`.
    """
    switch: Any = TypeAdapter(Switch).validate_python(settings)
    if isinstance(switch, LexiconSettings):
        return LexiconSwitch(role, Lexicon.load(switch.file))
    if isinstance(switch, EveryWordsSwitch):
        return EveryWords(role, switch.words)
    if switch.kind == "never":
        return Never()
    return BoundaryPredictor(
        str(job.inputs[f"predictor-{role}"] / "model"),
        role,
        job.config["predictors"]["window_tokens"],
        slots=slots,
    )


def title(settings: Mapping[str, Any]) -> str:
    """What a table calls the switch."""
    switch: Any = TypeAdapter(Switch).validate_python(settings)
    if isinstance(switch, LexiconSettings):
        return f"lexicon {Path(switch.lexicon).stem}"
    if isinstance(switch, EntropySwitch):
        return f"entropy above {switch.above:g}"
    if isinstance(switch, MarginSwitch):
        return f"margin below {switch.below:g}"
    return f"every {switch.words} words" if isinstance(switch, EveryWordsSwitch) else str(switch.kind)
