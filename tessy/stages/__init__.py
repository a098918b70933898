"""The kinds of stages, one module each: typed configuration, revision, files and inputs, how a recipe plans
it, its preflight checks, and its work (for training and evaluation: where the work is found).

Importing these modules loads no library that runs models; only their work does.
"""

from __future__ import annotations

from typing import Any

from tessy.runtime.stage import Kind, found_at

KINDS: tuple[str, ...] = (
    "tessy.stages.world:KIND",
    "tessy.stages.pretrain:KIND",
    "tessy.stages.problems:KIND",
    "tessy.stages.curation:KIND",
    "tessy.stages.given:KIND",
    "tessy.stages.annotate:KIND",
    "tessy.stages.predictor:KIND",
    "tessy.stages.synthesize:KIND",
    "tessy.stages.teacher_mix:KIND",
    "tessy.stages.teacher_reference:KIND",
    "tessy.stages.teacher_score:KIND",
    "tessy.stages.sft:KIND",
    "tessy.stages.evaluate:KIND",
    "tessy.stages.lm_eval:KIND",
    "tessy.stages.instrument:KIND",
    "tessy.stages.switches:KIND",
    "tessy.stages.switch_verdicts:KIND",
    "tessy.stages.report:KIND",
)
"""Where each kind is declared."""


def kinds() -> list[Kind[Any]]:
    """All kinds of stages."""
    return [found_at(place) for place in KINDS]
