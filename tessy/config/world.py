"""The recipe's section `world`: sizes and dials of the miniature contest."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tessy.config.base import Section, Share

MOST_CONCEPTS = {"filters": 42, "maps": 64, "folds": 24}
"""Expressions of each kind that compute different things (`tessy.miniature.world`)."""


class WorldConfig(Section):
    """Sizes and dials of the world. Counts are per world, shares are fractions of one."""

    filters: Annotated[int, Field(ge=2, le=MOST_CONCEPTS["filters"])]
    """Concepts that select integers."""
    maps: Annotated[int, Field(ge=2, le=MOST_CONCEPTS["maps"])]
    """Concepts that change each integer."""
    folds: Annotated[int, Field(ge=2, le=MOST_CONCEPTS["folds"])]
    """Concepts that combine the integers into the printed result."""
    known: Share
    """Share of each kind of concept that the student knows."""
    train_problems: Annotated[int, Field(ge=2)]
    """Prompts for synthesis; each has at least one concept that only the teacher knows."""
    eval_problems: Annotated[int, Field(ge=2)]
    """Problems of each contest, half of known concepts only, half with a new one."""
    ood_problems: Annotated[int, Field(ge=2)]
    """Problems of the out-of-domain test."""
    exposure: Share
    """Share of the student's pre-training that is in the teacher's dialect (known concepts only)."""
    one_off: Share
    """Share of concepts in pre-training that are words met once; they teach copying from thinking."""
    ood_share: Share
    """Share of pre-training documents that are about the out-of-domain task."""
    mixed: Share
    """Share of the teacher's pre-training thoughts whose style phrases come from mixed authors."""
