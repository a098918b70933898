"""LiveCodeBench's test data: JSON lines, one problem each, public and private tests inside.

A file, or a directory of `*.jsonl`. Lines reach a hundred megabytes, nearly all of it private tests, plain or
packed; these unpack to several times as much. So lines are indexed by offset and read in pieces, and tests go
one at a time to a `Spool` on disk, from which they are read when they are run.

Errata lists problems whose tests cannot decide a wrong answer; `fixed` mode then decides nothing.
Not covered: which problems a version or a date window holds (the benchmark's definition).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import IO, Any

from eval.judge.formats import lines
from eval.judge.formats.packed import elements, unpacked
from eval.judge.records import MIB, Case, Checker, JudgeProblem, Mode, Place, Source, Stream
from eval.judge.spool import Spool

TIME_S = 6.0
MEMORY = 4096 * MIB
"""The official judge has no memory limit; this one protects the machine."""
OUTPUT = 64 * MIB
MAX_TESTS = 100_000
"""Most tests accepted in a problem."""
ERRATA = frozenset(
    {
        "abc311_c", "abc326_d", "abc327_b", "abc333_e", "abc343_e", "abc362_c", "abc343_a", "arc185_c",
        "abc337_e", "abc355_e", "abc350_c", "arc189_a",
    }
)  # fmt: skip
"""Several right answers, interactive, or broken tests."""
COMMITS: Mapping[str, str] = {
    "28fef95ea8c9f7a547c8329f2cd3d32b92c1fa24": "exit,buffer",
    "16de2a1ef5c07342f6b9782a415cc29cee9ce6e4": "exit,buffer",
    "15808c76fbd459a73ce6b60d111e56860ab45f6d": "exit",
    "5f46490ed5200733e9712e715d8454210e8318c1": "",
}
"""The newest commit of the official repository that is known, and those that changed its `testing_util.py`,
down to the one that wrote it anew; and what programs have had since: `exit`, `sys.stdin.buffer`."""
_FIELDS = ("public_test_cases", "private_test_cases")
_LONGEST_ID = 1000
_ID = re.compile(rb'"([^"\\]+)"')
_PACKED = re.compile(rb"[A-Za-z0-9+/]")


def find(root: Path) -> dict[str, Place]:
    """Question id to the line it stands in."""
    files = [root] if root.is_file() else sorted(root.glob("*.jsonl"))
    found = {}
    for path in files:
        with path.open("rb") as stream:
            for start, end in lines.spans(stream):
                named = lines.value(stream, "question_id", start, end)
                if match := _ID.match(lines.read(stream, named, min(named + _LONGEST_ID, end))):
                    found[match[1].decode(errors="replace")] = Place(path, end - start, start)
    return found


def load(problem_id: str, place: Place) -> JudgeProblem:
    """Unpack the tests of one problem to disk. Raises `ValueError` naming what is wrong."""
    where = f"{place.path}: problem {problem_id}"
    spool, cases, functional = Spool(), [], False
    try:
        with place.path.open("rb") as stream:
            function = json.loads(b"".join(_text(stream, place, "metadata")) or b"{}").get("func_name")
            tests = (_tests(_text(stream, place, field)) for field in _FIELDS)
            for number, test in enumerate(chain.from_iterable(tests), start=1):
                functional = functional or (number == 1 and test.get("testtype") == "functional")
                cases.append(_case(number, test, spool))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"{where}: its tests cannot be read ({error}); download the file again") from None
    if not cases:
        raise ValueError(f"{where}: has no tests; download the file again")
    if functional and not isinstance(function, str):
        raise ValueError(f"{where}: tests call a function, and metadata has no func_name")
    checker = Checker("value", {"lenient": True}) if functional else Checker("livecodebench")
    return JudgeProblem(problem_id, tuple(cases), checker, functional=function if functional else None)


def source(
    problem: JudgeProblem, language: str, code: str, mode: Mode, commit: str = next(iter(COMMITS))
) -> Source:
    """The submission, and how `eval.judge.harness` runs it as the mode wants."""
    if mode == "strict":
        traits, function = COMMITS[commit], problem.functional or ""
        as_it_is = {"main.py": code.encode(errors="surrogatepass")}
        return Source(language, as_it_is, ("official", traits, function), together=True)
    files = {"main.py": code.encode(errors="replace")}
    return Source(language, files, ("call", problem.functional) if problem.functional else ("program",))


def _text(stream: IO[bytes], place: Place, field: str) -> Iterator[bytes]:
    return lines.text(stream, field, place.offset, place.offset + place.size)


def _tests(text: Iterator[bytes]) -> Iterator[dict[str, Any]]:
    if first := next(text, None):
        read = unpacked if _PACKED.match(first) else elements
        yield from map(json.loads, read(chain([first], text)))


def _case(number: int, test: Mapping[str, Any], spool: Spool) -> Case:
    if number > MAX_TESTS:
        raise ValueError(f"there are more than {MAX_TESTS}")
    # Half of a surrogate pair has no bytes: the program sees a question mark.
    given, expected = test["input"].encode(errors="replace"), test["output"].encode(errors="replace")
    return Case(
        name=str(number),
        input=Stream(f"{number}.in", spool.put(given)),
        answer=Stream(f"{number}.out", spool.put(expected)),
        time_s=TIME_S,
        memory=MEMORY,
        output=OUTPUT,
    )
