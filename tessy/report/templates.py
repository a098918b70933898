"""The pages' templates: everything is escaped, and a missing value is an error."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

HERE = Path(__file__).parent


def template(name: str) -> jinja2.Template:
    """The template in that file."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": _percent, "duration": _duration, "plain": _plain, "listed": _listed}
    return environment.get_template(name)


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.1f} s"


def _plain(value: bool | int | float | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _listed(value: Any) -> str:
    """A plain value of a protocol as text: lists shortened, mappings as `key value`."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {inner}" for key, inner in value.items())
    if isinstance(value, list):
        return f"{len(value)}: " + ", ".join(map(str, value[:20])) + (", …" if len(value) > 20 else "")
    return str(value)
