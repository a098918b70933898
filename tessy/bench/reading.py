"""A boundary predictor of a real size at work: tokens read per second, milliseconds of a pass, and what its
precision does to its labels.

Traces are random words, read along a few at a time; two groups of traces take turns, so that one is prepared
while the other's pass runs, as in `tessy.boundary.apart`. Not covered: engines beside it on the device.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from tessy.bench.sizes import random_text
from tessy.boundary.apart import Desk
from tessy.boundary.graphs import GraphReader
from tessy.boundary.predictor import SlotReader, load_classifier
from tessy.boundary.reading import Reader, Readings

WINDOW = 200
QUANTILE_TEXTS, QUANTILE_TOKENS = 32, 256
ROWS, PASSES = (8, 32, 96, 192), 20


def measure_reading(
    folder: Path, size: str, device: str, traces: int = 96, tokens: int = 8, rounds: int = 40
) -> dict[str, Any]:
    """Figures of the predictor in `folder`, with `tokens` new ones of each of `traces` traces in a pass."""
    dtype = torch.bfloat16 if device != "cpu" else torch.float32
    tokenizer, reader = _reader(folder, device, dtype, 2 * traces, GraphReader)
    desk = Desk(Readings(tokenizer, WINDOW, 2 * traces), reader, lambda style: style > 0.5)
    texts = [random_text(size, tokens * rounds, seed).split(" ")[1:] for seed in range(2 * traces)]
    groups = [range(traces), range(traces, 2 * traces)]

    def orders(group: Sequence[int], number: int) -> list[list[Any]]:
        def piece(n: int, at: int) -> str:
            return "".join(f" {word}" for word in texts[n][at * tokens : (at + 1) * tokens] if at >= 0)

        return [[n, f"{n}", piece(n, number - 1), piece(n, number)] for n in group]

    alone = []
    for number in range(rounds // 2):
        given, began = orders(groups[0], number), time.perf_counter()
        desk.take(given)
        _finish(desk)
        alone.append(time.perf_counter() - began)
    firsts = (rounds // 2, 0)
    turns = [
        orders(group, first + n)
        for n in range(rounds // 2)
        for group, first in zip(groups, firsts, strict=True)
    ]
    read, began, busy_s = desk.tokens_read, time.perf_counter(), desk.busy_s
    _by_turns(desk, turns)
    seconds = time.perf_counter() - began
    return {
        "traces": traces,
        "new_tokens_per_trace": tokens,
        "look_ms_median": 1e3 * statistics.median(alone),
        "tokens_read_per_s": (desk.tokens_read - read) / seconds,
        "tokens_judged_per_s": tokens * traces * 2 * (rounds // 2) / seconds,
        "busy_share": (desk.busy_s - busy_s) / seconds,
        "pass_ms": {
            f"{rows} x {tokens}": launch_ms(reader, rows, tokens) for rows in ROWS if rows <= 2 * traces
        },
    }


def launch_ms(reader: Reader, rows: int, tokens: int) -> float:
    """Milliseconds of a pass over `tokens` new ids in each of `rows` rows that hold most of a window."""
    took = []
    for _ in range(PASSES):
        began = time.perf_counter()
        reader.launch(range(rows), [WINDOW - tokens - 8] * rows, [[5] * tokens] * rows).land()
        took.append(time.perf_counter() - began)
    return 1e3 * statistics.median(took)


def before_ms(folder: Path, device: str, rows: int, tokens: int) -> float:
    """The same without fixed shapes, in float32: how predictors computed on a GPU before."""
    return launch_ms(_reader(folder, device, torch.float32, rows, SlotReader)[1], rows, tokens)


def _finish(desk: Desk) -> None:
    while not desk.idle:
        desk.turn(lambda: None)


def _by_turns(desk: Desk, all_orders: Sequence[list[list[Any]]]) -> None:
    """Every pass's orders arrive while the one before runs."""
    left = list(all_orders)[::-1]
    while left or not desk.idle:
        fed = False

        def feed() -> None:
            nonlocal fed
            if left and not fed:
                fed = True
                desk.take(left.pop())

        desk.turn(feed)
        feed()


def styles(folder: Path, size: str, device: str, dtype: torch.dtype, *, graphs: bool) -> list[float]:
    """The probability of style behind every token of random texts."""
    kind = GraphReader if graphs else SlotReader
    tokenizer, reader = _reader(folder, device, dtype, QUANTILE_TEXTS, kind)
    readings = Readings(tokenizer, WINDOW, QUANTILE_TEXTS)
    questions = [
        readings.ask(f"{n}", "", random_text(size, QUANTILE_TOKENS, n)) for n in range(QUANTILE_TEXTS)
    ]
    while left := [question for question in questions if question.stretches]:
        _, take_down = readings.launch(reader, left)
        take_down()
    return [style for question in questions for _, style in question.answer()]


def label_differences(exact: Sequence[float], other: Sequence[float], threshold: float) -> dict[str, float]:
    """How labels at `threshold` differ: their share, and the largest distance from it where they do."""
    differ = [
        abs(a - threshold) for a, b in zip(exact, other, strict=True) if (a > threshold) != (b > threshold)
    ]
    return {
        "tokens": len(exact),
        "labels_that_differ": len(differ) / len(exact),
        "farthest_from_threshold": max(differ, default=0.0),
        "largest_difference": max(abs(a - b) for a, b in zip(exact, other, strict=True)),
    }


def _reader(
    folder: Path, device: str, dtype: torch.dtype, slots: int, kind: type[GraphReader] | type[SlotReader]
) -> tuple[Any, Reader]:
    """Tokenizer and reader of the predictor in `folder`."""
    tokenizer, model = load_classifier(str(folder), WINDOW, None, dtype, device)
    return tokenizer, kind(model, slots, WINDOW)
