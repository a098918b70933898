"""When a predictor that reads in passes is asked: never during a long pass or its rest, and then by all."""

from __future__ import annotations

import asyncio
import math
from contextlib import ExitStack

import pytest

from tessy.boundary.passes import LONG_S, Passes


def ended(passes: Passes, seconds: float, *, questions: int = 1, tokens: int = 8, more: bool = False) -> None:
    passes.ended(seconds, questions=questions, tokens=tokens, more=more)


def test_nobody_asks_during_a_long_pass_or_its_rest_and_then_all_do_at_once() -> None:
    async def told() -> list[int]:
        passes, order = Passes(rest=2.0), list[int]()

        async def ask(number: int) -> None:
            await passes.free()
            order.append(number)

        ended(passes, LONG_S)  # the last one was long
        await passes.free()
        passes.began()
        asking = [asyncio.create_task(ask(number)) for number in range(3)]
        await asyncio.sleep(LONG_S)
        assert not order, "while it reads"
        began = asyncio.get_running_loop().time()
        ended(passes, LONG_S)
        await asking[0]
        assert asyncio.get_running_loop().time() - began >= 2 * LONG_S * 0.99
        await asyncio.sleep(0)
        return order

    assert asyncio.run(told()) == [0, 1, 2]


def test_a_short_pass_is_not_waited_for() -> None:
    async def free() -> None:
        passes = Passes(rest=0.0)
        ended(passes, LONG_S / 2)
        passes.began()
        await asyncio.wait_for(passes.free(), 0.1)

    asyncio.run(free())


def test_a_question_that_needs_another_pass_keeps_others_waiting() -> None:
    async def free() -> bool:
        passes = Passes(rest=0.0)
        ended(passes, LONG_S)
        passes.began()
        ended(passes, LONG_S, more=True)
        waiting = asyncio.create_task(passes.free())
        await asyncio.sleep(0)
        still = not waiting.done()
        ended(passes, LONG_S)
        await asyncio.wait_for(waiting, 1)
        return still

    assert asyncio.run(free())


def test_a_long_pass_waits_for_half_of_those_who_write_and_no_longer() -> None:
    async def began() -> list[bool]:
        passes, seen = Passes(rest=0.0), list[bool]()
        ended(passes, LONG_S)
        with ExitStack() as writers:
            for _ in range(4):
                writers.enter_context(passes.writing())
            asking = [asyncio.create_task(passes.free())]
            await asyncio.sleep(0)
            seen.append(asking[0].done())
            asking.append(asyncio.create_task(passes.free()))
            await asyncio.wait(asking, timeout=1)
            seen.append(all(task.done() for task in asking))
            passes.began()
            ended(passes, LONG_S)
            alone = asyncio.create_task(passes.free())
            await asyncio.sleep(0)
            seen.append(alone.done())
        # The others have ended, and whoever is left waits for nobody.
        await asyncio.wait_for(alone, 1)
        return seen

    assert asyncio.run(began()) == [False, True, False]


def test_the_first_pass_waits_for_nobody() -> None:
    async def free() -> None:
        passes = Passes(rest=9.0)
        with passes.writing(), passes.writing(), passes.writing():
            await asyncio.wait_for(passes.free(), 1)

    asyncio.run(free())


@pytest.mark.parametrize(("fixed_s", "token_s"), [(0.004, 1e-5), (0.0, 1e-4), (0.05, 0.0)])
def test_what_a_pass_costs_is_told_from_what_its_tokens_do(fixed_s: float, token_s: float) -> None:
    async def told() -> float:
        passes = Passes(rest=0.0)
        assert passes.fixed_tokens == math.inf
        for number in range(100):
            tokens = 100 + 37 * number % 60
            ended(passes, fixed_s + token_s * tokens, questions=10, tokens=tokens)
        return passes.fixed_tokens

    expected = fixed_s / token_s / 10 if token_s else math.inf
    assert asyncio.run(told()) == pytest.approx(expected, abs=0.01)
