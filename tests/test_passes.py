"""When a predictor that reads in passes is asked: never during a long pass or its rest, and then by all."""

from __future__ import annotations

import asyncio

from tessy.boundary.passes import LONG_S, Passes


def test_nobody_asks_during_a_long_pass_or_its_rest_and_then_all_do_at_once() -> None:
    async def told() -> list[int]:
        passes, order = Passes(rest=2.0), list[int]()

        async def ask(number: int) -> None:
            await passes.free()
            order.append(number)

        passes.ended(LONG_S, more=False)  # the last one was long
        await passes.free()
        passes.began()
        asking = [asyncio.create_task(ask(number)) for number in range(3)]
        await asyncio.sleep(LONG_S)
        assert not order, "while it reads"
        began = asyncio.get_running_loop().time()
        passes.ended(LONG_S, more=False)
        await asking[0]
        assert asyncio.get_running_loop().time() - began >= 2 * LONG_S * 0.99
        await asyncio.sleep(0)
        return order

    assert asyncio.run(told()) == [0, 1, 2]


def test_a_short_pass_is_not_waited_for() -> None:
    async def free() -> None:
        passes = Passes(rest=0.0)
        passes.ended(LONG_S / 2, more=False)
        passes.began()
        await asyncio.wait_for(passes.free(), 0.1)

    asyncio.run(free())


def test_a_question_that_needs_another_pass_keeps_others_waiting() -> None:
    async def free() -> bool:
        passes = Passes(rest=0.0)
        passes.ended(LONG_S, more=False)
        passes.began()
        passes.ended(LONG_S, more=True)
        waiting = asyncio.create_task(passes.free())
        await asyncio.sleep(0)
        still = not waiting.done()
        passes.ended(LONG_S, more=False)
        await asyncio.wait_for(waiting, 1)
        return still

    assert asyncio.run(free())
