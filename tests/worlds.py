"""Worlds for tests: the miniature recipe's, with changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from tessy.miniature.world import WorldConfig
from tessy.recipe import load

MINI = Path(__file__).parents[1] / "recipes" / "mini.yaml"


def world_config(**changes: Any) -> WorldConfig:
    config = load(MINI).world
    assert config is not None
    return replace(config, **changes)
