"""What the options of `tessy bench` may be, and what is refused before anything is measured."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

import click
from click.core import ParameterSource

from tessy.errors import UserError

OF_SERVERS = (
    *("student", "teacher", "problems", "student_predictor", "teacher_predictor", "scheduler", "out"),
    *("window_tokens", "student_tokenizer", "teacher_tokenizer", "student_format", "teacher_format"),
    *("top_p", "top_k"),
)
"""Options of `synthesis` that have no effect with --sizes."""
OF_SIZES = ("dummy_weights", "server_arguments", "variants", "seconds", "predictor_rest", "boundary_every")
"""And those that have none without."""
OF_ENGINES = (
    *("predictor_ms", "predictor_us_per_token", "span_tokens", "begin_step_ms", "begin_request_ms"),
    *("ahead", "one_device", "predictors_beside", "predictor_rest", "real_clock"),
)
"""Options of `scheduling` that have no effect without --engine-ms."""


class Number(click.FloatRange):
    """A finite number in a range; click's own lets `nan` through."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


def arguments_of(ctx: click.Context, param: click.Parameter, text: str) -> dict[str, Any]:
    """vLLM's arguments as JSON, by the recipe's rules for them."""
    from tessy.config.engines import EngineSettings
    from tessy.config.load import check

    try:
        found = json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise click.BadParameter(f'{text!r} must map names to values, like {{"block_size": 32}}')
    settings = {"kind": "server", "devices": ["0"], "arguments": found}
    return dict(check(settings, "--server-arguments", EngineSettings).arguments)


def refuse(names: Iterable[str], why: str) -> None:
    """Refuse options that were given and have no effect."""
    ctx = click.get_current_context()
    given = [name for name in names if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    if given:
        raise click.UsageError(f"{flags(given)}: no effect {why}")


def flags(names: Iterable[str]) -> str:
    return ", ".join(f"--{name.replace('_', '-')}" for name in names)


def require_vllm(what: str, instead: str) -> None:
    """Raise `UserError` before anything is measured that would end where vLLM is needed."""
    from tessy.engines.command import installed_build

    try:
        installed_build()
    except UserError:
        raise UserError(f"{what} needs vLLM, which is not installed; run `make vllm`, or {instead}") from None
