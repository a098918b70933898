"""LiveCodeBench's test data: JSON lines, one problem each, public and private tests inside.

A file, or a directory of `*.jsonl`. Lines reach a hundred megabytes, so they are indexed by offset and read
one at a time. Private tests may be a pickle from a stranger: it may hold text and nothing else.

Errata lists problems whose tests cannot decide a wrong answer; `fixed` mode then decides nothing.
Not covered: which problems a version or a date window holds (the benchmark's definition).
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import pickle
import re
import zlib
from functools import partial
from pathlib import Path
from typing import Any

from eval.judge.records import MIB, Case, Checker, JudgeProblem, Mode, Place, Source, Stream

TIME_S = 6.0
MEMORY = 4096 * MIB
"""The official judge has no memory limit; this one protects the machine."""
OUTPUT = 64 * MIB
MAX_TESTS = 1 << 30
"""Largest private tests accepted, in bytes after decompression."""
ERRATA = frozenset(
    {
        "abc311_c", "abc326_d", "abc327_b", "abc333_e", "abc343_e", "abc362_c", "abc343_a", "arc185_c",
        "abc337_e", "abc355_e", "abc350_c", "arc189_a",
    }
)  # fmt: skip
"""Several right answers, interactive, or broken tests."""
_ID = re.compile(rb'(?<!\\)"question_id"\s*:\s*"([^"\\]+)"')
_HARNESS = Path(__file__).parents[1] / "lcb_harness.py"


def find(root: Path) -> dict[str, Place]:
    """Question id to the line it stands in."""
    files = [root] if root.is_file() else sorted(root.glob("*.jsonl"))
    found = {}
    for path in files:
        offset = 0
        with path.open("rb") as stream:
            for line in stream:
                if match := _ID.search(line):
                    found[match[1].decode(errors="replace")] = Place(path, len(line), offset)
                offset += len(line)
    return found


def load(problem_id: str, place: Place) -> JudgeProblem:
    """Decode the tests of one problem. Raises `ValueError` naming what is wrong."""
    where = f"{place.path}: problem {problem_id}"
    with place.path.open("rb") as stream:
        stream.seek(place.offset)
        line = stream.readline()
    try:
        row = json.loads(line)
        tests = [
            *_tests(row.get("public_test_cases") or "[]"),
            *_tests(row.get("private_test_cases") or "[]"),
        ]
        function = json.loads(row.get("metadata") or "{}").get("func_name")
        cases = tuple(_case(number, test) for number, test in enumerate(tests, start=1))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"{where}: its tests cannot be read ({error}); download the file again") from None
    if not cases:
        raise ValueError(f"{where}: has no tests; download the file again")
    functional = tests[0].get("testtype") == "functional"
    if functional and not isinstance(function, str):
        raise ValueError(f"{where}: tests call a function, and metadata has no func_name")
    checker = Checker("json" if functional else "livecodebench")
    return JudgeProblem(problem_id, cases, checker, functional=function if functional else None)


def source(problem: JudgeProblem, language: str, code: str, mode: Mode) -> Source:
    """The submission under the harness that runs it as the mode wants."""
    files = {"main.py": code.encode(errors="replace"), "harness.py": _HARNESS.read_bytes()}
    return Source(language, files, start="harness.py", arguments=(mode, problem.functional or "-"))


def _case(number: int, test: dict[str, Any]) -> Case:
    given, expected = test["input"].encode(), test["output"].encode()
    return Case(
        name=str(number),
        input=Stream(f"{number}.in", partial(io.BytesIO, given)),
        answer=Stream(f"{number}.out", partial(io.BytesIO, expected)),
        time_s=TIME_S,
        memory=MEMORY,
        output=OUTPUT,
    )


def _tests(encoded: str) -> list[dict[str, Any]]:
    """JSON, or base64 of zlib of a pickled JSON text."""
    try:
        tests = json.loads(encoded)
    except json.JSONDecodeError:
        tests = json.loads(_text_of_pickle(_inflate(encoded)))
    if not isinstance(tests, list):
        raise ValueError(f"tests are {type(tests).__name__}, not a list")
    return tests


def _inflate(encoded: str) -> bytes:
    try:
        inflater = zlib.decompressobj()
        data = inflater.decompress(base64.b64decode(encoded, validate=True), MAX_TESTS)
    except (binascii.Error, zlib.error) as error:
        raise ValueError(str(error)) from None
    if inflater.unconsumed_tail:
        raise ValueError(f"they unpack to more than {MAX_TESTS} bytes")
    return data


class _TextOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        raise ValueError(f"the pickle asks for {module}.{name}; only text is accepted")

    def persistent_load(self, pid: Any) -> Any:
        raise ValueError("the pickle refers to something outside; only text is accepted")


def _text_of_pickle(data: bytes) -> str:
    try:
        value = _TextOnly(io.BytesIO(data)).load()
    except ValueError:
        raise
    except Exception as error:  # a broken pickle raises whatever its bytes lead to
        raise ValueError(f"not a pickled text: {error}") from None
    if not isinstance(value, str | bytes):
        raise ValueError(f"the pickle holds {type(value).__name__}; only text is accepted")
    return value if isinstance(value, str) else value.decode()
