"""How a recipe's switch becomes what decides, at synthesis, where an author's own text ends."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from tessy.boundary.lexicon import Lexicon
from tessy.boundary.predictor import BoundaryPredictor
from tessy.boundary.switches import EveryWords, LexiconSwitch, Never
from tessy.boundary.uncertainty import Uncertainty
from tessy.pipeline.job import Job
from tessy.predictors import EntropySwitch, EveryWordsSwitch, MarginSwitch, Switch
from tessy.predictors import LexiconSwitch as LexiconSettings
from tessy.records import Role
from tessy.synthesis.drafts import Predictor

TRAINED: Mapping[str, Any] = {"kind": "trained"}


def uncertainty(settings: Mapping[str, Any]) -> Uncertainty | None:
    """The switch that `settings` describe, where it is the active model's own uncertainty."""
    switch: Any = TypeAdapter(Switch).validate_python(settings)
    if isinstance(switch, EntropySwitch):
        return Uncertainty("entropy", switch.above)
    return Uncertainty("margin", switch.below) if isinstance(switch, MarginSwitch) else None


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
