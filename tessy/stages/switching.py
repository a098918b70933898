"""How a recipe's switch becomes what decides, at synthesis, where an author's own text ends."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from tessy.boundary.lexicon import Lexicon
from tessy.boundary.predictor import BoundaryPredictor
from tessy.boundary.switches import EveryWords, LexiconSwitch, Never
from tessy.pipeline.job import Job
from tessy.predictors import EveryWordsSwitch, Switch
from tessy.predictors import LexiconSwitch as LexiconSettings
from tessy.records import Role
from tessy.synthesis.drafts import Predictor

TRAINED: Mapping[str, Any] = {"kind": "trained"}


def open_switch(job: Job, settings: Mapping[str, Any], role: Role, slots: int) -> Predictor:
    """What `settings` describe, for `role`'s text and up to `slots` live samples.

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
    return f"every {switch.words} words" if isinstance(switch, EveryWordsSwitch) else str(switch.kind)
