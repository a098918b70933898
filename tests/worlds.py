"""Worlds for tests: the miniature recipe's, with changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tessy.config.load import load
from tessy.config.world import WorldConfig

MINI = Path(__file__).parents[1] / "recipes" / "mini.yaml"


def world_config(**changes: Any) -> WorldConfig:
    config = load(MINI).world
    assert config is not None
    return WorldConfig(**{**dict(config), **changes})
