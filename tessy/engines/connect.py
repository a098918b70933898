"""The engine of a recipe's servers, started by the run or by somebody else."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from tessy.config.base import Sampler
from tessy.config.engines import EngineSettings
from tessy.engines.codec import Codec
from tessy.engines.server import ServerEngine
from tessy.errors import UserError


@asynccontextmanager
async def connected(
    settings: EngineSettings,
    endpoints: Sequence[str],
    max_length: int,
    sampling: Sampler,
    *,
    codec: Codec,
    vocabulary: int,
    name: str,
    report: Callable[[str], None],
    logprobs: int = 0,
) -> AsyncIterator[ServerEngine]:
    """The engine of the servers at `endpoints`, which `settings` describe; closed at the end.

    `logprobs` is the most a request will ask for; `name` (a role) is in lines given to `report`.
    Raises `UserError` where a server cannot be used, or has a shorter context than `max_length`.
    """
    engine = await ServerEngine.connect(
        endpoints,
        sampling,
        timeout_s=settings.token_timeout_s,
        model=settings.model,
        api_key=api_key(settings.api_key_env),
        codec=codec,
        vocabulary=vocabulary,
        logprobs=logprobs,
    )
    try:
        if engine.max_length < max_length:
            raise UserError(
                f"engines.{name}: {max_length} tokens wanted, the servers' context holds "
                f"{engine.max_length}; lower synthesis.max_tokens or serve a longer context"
            )
        ways = ", ".join(f"{access.url} ({access.way})" for access in engine.accesses)
        report(f"{name}: {engine.model} at {ways}")
        yield engine
    finally:
        await engine.close()


def api_key(variable: str | None) -> str | None:
    """The key in the environment variable of that name; raises `UserError` where it is not set."""
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise UserError(f"api_key_env {variable}: this environment variable is not set; set it to the key")
    return key
