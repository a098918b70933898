"""How a recipe's switch becomes what decides, at synthesis, where an author's own text ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import TypeAdapter

from tessy.boundary import Predictor
from tessy.boundary.apart import apart
from tessy.boundary.lexicon import Lexicon
from tessy.boundary.operating_point import DEFAULT_THRESHOLD, operating_point
from tessy.boundary.predictor import BoundaryPredictor, classifier_tokenizer
from tessy.boundary.served import ServedPredictor
from tessy.boundary.switches import EveryTokens, LexiconSwitch, Never
from tessy.boundary.uncertainty import Uncertainty
from tessy.engines.launch import Checkpoint, api_key, servers
from tessy.engines.turns import Turns
from tessy.pipeline.job import Job
from tessy.predictors import (
    CheckpointsSwitch,
    EntropySwitch,
    EveryTokensSwitch,
    MarginSwitch,
    PredictorEngine,
    Switch,
)
from tessy.predictors import LexiconSwitch as LexiconSettings
from tessy.records import ROLES, Role

TRAINED: Mapping[str, Any] = {"kind": "trained"}
SERVED: Mapping[str, str | int | float | bool] = {"runner": "pooling", "dtype": "float32"}
"""vLLM arguments of a predictor's server: in lower precision its labels would differ."""


def token_rule(settings: Mapping[str, Any]) -> Uncertainty | EveryTokens | None:
    """The switch that `settings` describe, where it goes by the active model's tokens and reads no text."""
    switch: Any = TypeAdapter(Switch).validate_python(settings)
    if isinstance(switch, EntropySwitch):
        return Uncertainty("entropy", switch.above)
    if isinstance(switch, MarginSwitch):
        return Uncertainty("margin", switch.below)
    return EveryTokens(switch.tokens) if isinstance(switch, EveryTokensSwitch) else None


@dataclass(frozen=True, slots=True)
class Trained:
    """Where a trained predictor is, and how it is used (`tessy.boundary.operating_point`)."""

    source: str
    revision: str | None
    window_tokens: int
    threshold: float


def trained(job: Job, settings: Mapping[str, Any], role: Role, *, sliding: bool = False) -> Trained | None:
    """The predictor of `role` that `settings` describe, where they do: the job's input `predictor-<role>`, or
    one the recipe names; how it is used goes on record. In `sliding` windows it cuts at a half, as the
    release does. Raises `UserError` where nobody says how to use it."""
    switch: Any = TypeAdapter(Switch).validate_python(settings)
    if isinstance(switch, CheckpointsSwitch):
        named = switch.student if role == "student" else switch.teacher
        source, revision = job.pinned(named.source, named.revision)
        window_tokens, threshold = switch.window_tokens, named.threshold
    elif switch.kind == "trained":
        source, revision = str(job.inputs[f"predictor-{role}"] / "model"), None
        window_tokens, threshold = job.config["predictors"]["window_tokens"], None
    else:
        return None
    point = operating_point(source, window_tokens, revision=revision, threshold=threshold)
    found = Trained(source, revision, point.window_tokens, DEFAULT_THRESHOLD if sliding else point.threshold)
    record = {"threshold": found.threshold, "window_tokens": found.window_tokens}
    job.used.setdefault("predictors", {}).setdefault(switch.title, {})[role] = record
    return found


def require_usable(job: Job, settings: Mapping[str, Any], *, sliding: bool = False) -> None:
    """Raise `UserError` where `settings` describe predictors that cannot be used, before any model loads."""
    for role in ROLES:
        one = trained(job, settings, role, sliding=sliding)
        if one is not None:
            classifier_tokenizer(one.source, one.window_tokens, one.revision)


def engine_of(job: Job, role: Role) -> PredictorEngine:
    """What the recipe's execution names for the predictor of `role`."""
    return PredictorEngine.model_validate(job.execution["predictors"][role])


@asynccontextmanager
async def watching(
    job: Job, settings: Mapping[str, Any], role: Role, slots: int, turns: Turns
) -> AsyncIterator[Predictor]:
    """`open_switch`, or the trained predictor on the servers that the recipe's execution names for it."""
    where = engine_of(job, role)
    predictor = trained(job, settings, role)
    if predictor is None or where.kind == "embedded":
        if predictor is not None and where.device != "cpu":
            async with apart(
                *(predictor.source, role, predictor.window_tokens),
                slots=slots,
                device=where.device,
                dtype="bfloat16",
                rest=1.0,
                revision=predictor.revision,
                threshold=predictor.threshold,
            ) as beside:
                yield beside
        else:
            yield open_switch(job, settings, role, slots, turns)
        return
    async with AsyncExitStack() as stack:
        endpoints: Sequence[str] = where.endpoints
        if where.starts_servers:
            arguments = {**SERVED, **where.arguments}
            endpoints = await stack.enter_async_context(
                servers(
                    where.model_copy(update={"arguments": arguments}),
                    Checkpoint(predictor.source, predictor.revision, predictor.window_tokens),
                    f"{role}-predictor",
                    job.out,
                    job.say,
                )
            )
        served = await ServedPredictor.connect(
            predictor.source,
            role,
            predictor.window_tokens,
            endpoints,
            revision=predictor.revision,
            threshold=predictor.threshold,
            model=where.model,
            timeout_s=where.token_timeout_s,
            api_key=api_key(where.api_key_env),
        )
        stack.push_async_callback(served.close)
        yield served


def open_switch(
    job: Job, settings: Mapping[str, Any], role: Role, slots: int, turns: Turns | None = None
) -> Predictor:
    """What `settings` describe, for `role`'s text and up to `slots` live samples: switches that read text.

    `turns` are those of the models beside it in this process, where there are any."""
    predictor = trained(job, settings, role)
    if predictor is not None:
        # Only where models write the same whatever shares their batches is it worth twice the time that
        # what watches them does, too.
        engine = job.execution["engines"][role]
        exact = engine["kind"] == "embedded" and engine["dtype"] != "float32"
        return BoundaryPredictor(
            predictor.source,
            role,
            predictor.window_tokens,
            slots=slots,
            revision=predictor.revision,
            threshold=predictor.threshold,
            dtype=torch.float64 if exact else torch.float32,
            device=engine_of(job, role).device,
            turns=turns,
        )
    switch: Any = TypeAdapter(Switch).validate_python(settings)
    if isinstance(switch, LexiconSettings):
        return LexiconSwitch(role, Lexicon.load(switch.file))
    return Never()


def title(settings: Mapping[str, Any]) -> str:
    """What a table calls the switch."""
    switch: Any = TypeAdapter(Switch).validate_python(settings)
    return str(switch.title)
