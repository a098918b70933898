"""Models on one thread take turns by how much waits for them."""

from __future__ import annotations

import asyncio

from tessy.engines.turns import Turns


class Counter:
    """Takes in all that waits, and notes it."""

    def __init__(self, log: list[tuple[str, int]], name: str) -> None:
        self.log, self.name, self.waiting, self.fails = log, name, 0, False

    def step(self) -> None:
        self.log.append((self.name, self.waiting))
        self.waiting = 0
        if self.fails:
            raise RuntimeError("broken")


def harness() -> tuple[Turns, list[tuple[str, int]], Counter, Counter]:
    turns, log = Turns(), list[tuple[str, int]]()
    few, many = Counter(log, "few"), Counter(log, "many")
    turns.join(few)
    turns.join(many)
    return turns, log, few, many


async def settle() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


def test_whoever_has_most_waiting_goes_first_and_nobody_is_left_waiting() -> None:
    async def play() -> list[tuple[str, int]]:
        turns, log, few, many = harness()
        few.waiting, many.waiting = 2, 5
        turns.call()
        await settle()
        few.waiting = 1
        turns.call()
        await settle()
        return log

    assert asyncio.run(play()) == [("many", 5), ("few", 2), ("few", 1)]


def test_one_that_fails_does_not_take_the_turn_of_others() -> None:
    async def play() -> list[tuple[str, int]]:
        turns, log, few, many = harness()
        few.waiting, many.waiting, many.fails = 1, 5, True
        turns.call()
        await settle()
        return log

    assert asyncio.run(play()) == [("many", 5), ("few", 1)]
