"""What plain requests give: both models write at any time, and spans are what is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from tessy.bench.harness import Harness, Models
from tessy.bench.simulation import TimedEngine
from tessy.chat import Renderer
from tessy.engines import Request
from tessy.records import ROLES, Role


class Letters:
    """A renderer whose ids are code points."""

    def prompt_ids(self, prompt: str) -> list[int]:
        return list(map(ord, prompt))

    def open_thinking_ids(self) -> list[int]:
        return []


class Watched(TimedEngine):
    """An engine that notes what is asked of it, and when."""

    def __init__(self) -> None:
        super().__init__(lambda ids: range(1000, 2000), 1.0)
        self.asked: list[tuple[float, Request]] = []

    def open(self, request: Request) -> Any:
        self.asked.append((asyncio.get_running_loop().time(), request))
        return super().open(request)


def asked(
    share: float, tokens: int, span: int | None = None, roles: Sequence[Role] = ROLES
) -> tuple[dict[Role, Watched], int]:
    empty = cast(Any, dict.fromkeys(ROLES, ""))
    problems = [(f"p{n}", "abc") for n in range(8)]
    models = Models(empty, empty, empty, problems, 8, 8, {}, 8, 8, 8)
    engines: dict[Role, Watched] = {role: Watched() for role in ROLES}
    harness = Harness(models, engines, cast(Any, dict.fromkeys(ROLES, cast(Renderer, Letters()))))
    written, _ = asyncio.run(harness.plain(share, tokens, span, roles))
    return engines, written


@pytest.mark.parametrize(("share", "at_once"), [(0.5, (4, 4)), (0.75, (2, 6))])
def test_both_models_are_asked_at_once_in_their_share(share: float, at_once: tuple[int, int]) -> None:
    engines, written = asked(share, 20)
    firsts = [min(time for time, _ in engines[role].asked) for role in ROLES]
    assert firsts == pytest.approx([firsts[0]] * 2, abs=0.01)
    early = tuple(sum(time < firsts[0] + 0.01 for time, _ in engines[role].asked) for role in ROLES)
    assert early == at_once, "of the eight that are in flight"
    assert written == 20 * sum(len(engine.asked) for engine in engines.values())


def test_in_spans_prompts_grow_by_what_both_wrote() -> None:
    engines, written = asked(0.5, 10, 4, ["student"])
    assert written == 8 * 10
    assert not engines["teacher"].asked
    lengths = [(len(request.token_ids), request.max_tokens) for _, request in engines["student"].asked]
    assert sorted(set(lengths)) == [(3, 4), (11, 4), (19, 2)]
