"""OJBench's test data: DMOJ problem folders with an `init.yml`.

`<root>/<ICPC|NOI>/<problem>/init.yml`, or problem folders directly below the root. A child node inherits what
its parents say; a loose file beats the archive; without `test_cases` the cases are the archive's
numbered names. OJBench judges everything with the same limits, whatever the statement says.

Not covered, and refused by name: generators, Python checkers and judges, graders, file input and output.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections import ChainMap
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from reprlib import repr as short
from typing import Any

import yaml

from eval.judge.archive import Archive, holds, open_archive
from eval.judge.checkers import DMOJ
from eval.judge.compile import testlib
from eval.judge.records import MIB, Case, Checker, JudgeProblem, Place, Source

TIME_S, MEMORY = 10.0, 1024 * MIB
"""OJBench's limits, for every problem."""
SKIPPED = frozenset({"nwerc2023_H", "swerc2023_L", "loj-3897"})
"""Problems OJBench never judges; they stay in the denominator."""
OUTPUT = 25165824
_MOST_REPETITIONS, _LONGEST_NAME = 3, 200

Node = MutableMapping[str, Any]
_CASE_KEYS = {"in", "out", "points", "checker", "output_limit_length", "output_prefix_length", "binary_data"}
_KNOWN = _CASE_KEYS | {
    "archive", "test_cases", "pretest_test_cases", "interactive", "wall_time_factor", "batched",
    "dependencies",
}  # fmt: skip
_HARMLESS = {"hints", "meta", "symlinks", "unbuffered", "nobigmath"}
_UNSUPPORTED = {"generator", "generator_args", "custom_judge", "grader", "signature_grader", "file_io"}


def find(root: Path) -> dict[str, Place]:
    """Problem id to folder, for every problem below `root`."""
    folders = sorted(path.parent for path in (*root.glob("*/init.yml"), *root.glob("*/*/init.yml")))
    return {
        folder.name: Place(folder, sum(file.stat().st_size for file in folder.iterdir()))
        for folder in folders
    }


def key(problem_id: str) -> str:
    """The folder of a problem id: NOI ids are numbers, their folders `loj-<number>`."""
    return f"loj-{problem_id}" if problem_id.isdigit() else problem_id


def load(problem_id: str, place: Place) -> JudgeProblem:
    """Read `init.yml` and look up every file it names. Raises `ValueError` naming what is wrong."""
    folder = place.path
    where = folder / "init.yml"
    top = _read(where)
    files = open_archive(folder)
    if "archive" in top:
        files = open_archive(_inside(folder, str(top["archive"]))).joined(files)
    loader = _Loader(where, files)
    nodes = [(True, node) for node in loader.listed(top, "pretest_test_cases")]
    nodes += [(False, node) for node in loader.listed(top, "test_cases")]
    cases = tuple(loader.cases(nodes))
    if not cases:
        raise ValueError(f"{where}: no test cases; download the problem's data again")
    return JudgeProblem(
        problem_id=problem_id,
        cases=cases,
        checker=loader.checker(top),
        interactor=loader.interactor(top),
        wall_factor=loader.number(top, "wall_time_factor", 3),
    )


def _inside(folder: Path, name: str) -> Path:
    archive = folder / name
    with contextlib.suppress(ValueError, OSError):  # of a name that no file can have
        archive.exists()
        if holds(folder, archive):
            return archive
    raise ValueError(f"{folder / 'init.yml'}: archive {short(name)} leads out of the problem's folder")


def _read(where: Path) -> Node:
    try:
        content = _parsed(where.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{where}: no such file; download the problem's data") from None
    except (yaml.YAMLError, ValueError, RecursionError, OSError) as error:
        raise ValueError(f"{where}: cannot be read: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{where}: holds {type(content).__name__}; it must map keys to values")
    return content


@functools.lru_cache(maxsize=256)
def _parsed(text: str) -> Any:
    """Kept, as every submission reads it anew and that takes longer than several of its runs."""
    return yaml.safe_load(text)


class _Loader:
    def __init__(self, where: Path, files: Archive) -> None:
        self.where, self.files = where, files
        self.checkers: dict[int, Checker] = {}

    def wrong(self, what: str) -> ValueError:
        return ValueError(f"{self.where}: {what}")

    def number(self, node: Mapping[str, Any], key: str, default: float) -> float:
        value = node.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1 << 40:
            raise self.wrong(f"{key} is {short(value)}; it must be a positive number")
        return value

    def listed(self, top: Node, key: str) -> list[Node]:
        """The test nodes under `key`, each inheriting from the top; guessed where the format is a pattern."""
        self.known(top)
        value = top.get(key, {} if key == "test_cases" else [])
        if isinstance(value, dict):
            value = self.guessed(value)
        if not isinstance(value, list):
            raise self.wrong(f"{key} is {type(value).__name__}; it must be a list of cases")
        parents = {name: top[name] for name in top if name not in ("test_cases", "pretest_test_cases")}
        return [self.child(node, parents) for node in value]

    def child(self, node: Any, parent: Mapping[str, Any]) -> Node:
        if not isinstance(node, dict):
            raise self.wrong(f"a test case is {short(node)}; it must map `in` and `out` to file names")
        self.known(node)
        return ChainMap(node, dict(parent))

    def known(self, node: Mapping[str, Any]) -> None:
        for name in node:
            if name in _UNSUPPORTED:
                raise self.wrong(f"{short(name)} is not supported: the problem judges by code of its own")
            if name not in _KNOWN | _HARMLESS:
                raise self.wrong(f"unknown key {short(name)}; known are {', '.join(sorted(_KNOWN))}")

    def cases(self, nodes: list[tuple[bool, Node]]) -> Iterator[Case]:
        batch = 0
        for pretest, node in nodes:
            if "batched" not in node:
                yield self.case(node, None, (), pretest)
                continue
            batch += 1
            needs = node.get("dependencies", [])
            if not isinstance(needs, list) or not all(type(number) is int for number in needs):
                raise self.wrong(f"dependencies is {short(needs)}; it must list numbers of batches")
            inner = node["batched"]
            if not isinstance(inner, list):
                raise self.wrong(f"batched is {type(inner).__name__}; it must be a list of cases")
            parent = {name: node[name] for name in node if name not in ("batched", "dependencies")}
            for child in inner:
                yield self.case(self.child(child, parent), batch, tuple(needs), pretest)

    def case(self, node: Node, batch: int | None, needs: tuple[int, ...], pretest: bool) -> Case:
        text = not node.get("binary_data", False)
        given, expected = node.get("in"), node.get("out")
        if given is None and expected is None:
            raise self.wrong(f"test case {short(dict(node))} names neither `in` nor `out`")
        return Case(
            name=str(given if given is not None else expected),
            input=None if given is None else self.files.stream(str(given), text),
            answer=None if expected is None else self.files.stream(str(expected), text),
            time_s=TIME_S,
            memory=MEMORY,
            output=int(self.number(node, "output_limit_length", OUTPUT)),
            batch=batch,
            needs=needs,
            pretest=pretest,
            checker=self.checker(node),
        )

    def checker(self, node: Mapping[str, Any]) -> Checker:
        """The checker in force at `node`; one object for all the cases that share it."""
        value = node.get("checker", "standard")
        if id(value) not in self.checkers:
            self.checkers[id(value)] = self.read_checker(value)
        return self.checkers[id(value)]

    def read_checker(self, value: Any) -> Checker:
        if isinstance(value, str):
            value = {"name": value}
        if not isinstance(value, dict) or not isinstance(value.get("name"), str):
            raise self.wrong(f"checker {short(value)} must be a name, or map `name` and `args`")
        name, options = value["name"], value.get("args") or {}
        if not isinstance(options, dict):
            raise self.wrong(
                f"checker {short(name)} has args {short(options)}; they must map names to values"
            )
        if name == "bridged":
            return Checker("testlib", program=self.bridged(options))
        if name not in DMOJ:
            known = ", ".join(sorted([*DMOJ, "bridged"]))
            raise self.wrong(f"checker {short(name)} is not supported; known are {known}")
        try:
            DMOJ[name](b"", b"", options)
        except (TypeError, ValueError) as error:
            raise self.wrong(f"checker {short(name)}: {error}") from None
        return Checker(name, options)

    def interactor(self, node: Mapping[str, Any]) -> Source | None:
        options = node.get("interactive")
        if options is None:
            return None
        if not isinstance(options, dict):
            raise self.wrong(f"interactive is {short(options)}; it must map `files` and `type`")
        return self.bridged(options)

    def bridged(self, options: Mapping[str, Any]) -> Source:
        kind = options.get("type", "default")
        if kind not in ("default", "testlib"):
            raise self.wrong(
                f"checker or interactor type {short(kind)} is not supported; known are default, testlib"
            )
        names = options.get("files")
        names = [names] if isinstance(names, str) else names
        if not isinstance(names, list) or not names:
            raise self.wrong(
                f"a checker or interactor has files {short(names)}; it must name its source files"
            )
        if not re.fullmatch(r"(?i)CPP\d*|C\+\+\d*|AUTO", str(options.get("lang", "AUTO"))):
            raise self.wrong(f"a checker or interactor is in {short(options['lang'])}; only C++ is supported")
        files = {Path(str(name)).name: self.files.stream(str(name)).read() for name in names}
        return Source("cpp", {**files, "testlib.h": testlib()})

    def guessed(self, pattern: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Pair the archive's inputs and outputs by the numbers in their names, or by given patterns."""
        inputs = self.numbered(pattern.get("input_format"), "in")
        outputs = self.numbered(pattern.get("output_format"), "out")
        plain: list[dict[str, Any]] = []
        batches: dict[int, list[dict[str, Any]]] = {}
        for number in sorted(inputs.keys() & outputs.keys()):
            case = {"in": inputs[number], "out": outputs[number]}
            if number[0] < 0:
                plain.append(case)
            else:
                batches.setdefault(number[0], []).append(case)
        return plain + [{"batched": cases} for _, cases in sorted(batches.items())]

    def pattern(self, text: str) -> re.Pattern[str]:
        """A pattern of file names that cannot take for ever, as one of repeated repetitions can."""
        if re.search(r"\)[*+{]", text) or len(re.findall(r"[*+{]", text)) > _MOST_REPETITIONS:
            raise self.wrong(
                f"the pattern {short(text)} repeats a group, or more than {_MOST_REPETITIONS} things; "
                "simplify it"
            )
        try:
            return re.compile(text)
        except (re.error, OverflowError, RecursionError) as error:
            raise self.wrong(f"the pattern {short(text)} is no regular expression: {error}") from None

    def numbered(self, pattern: Any, word: str) -> dict[tuple[int, int], str]:
        """(batch or -1, case) of each file of one side."""
        found = {}
        named = None if pattern is None else self.pattern(str(pattern))
        for name in self.files.names:
            if named is not None:
                match = named.match(name[:_LONGEST_NAME])
                groups = match.groupdict() if match else {}
                batch, case = groups.get("batch"), groups.get("case")
            else:
                batch, case = _numbers(name, word)
            if case is not None and case.isdigit():
                found[int(batch) if batch else -1, int(case)] = name
        return found


def _numbers(name: str, word: str) -> tuple[str | None, str | None]:
    """The last two numbers of a name that contains `word` (`in` or `out`): batch, if any, and case."""
    base = name.rpartition("/")[2].lower()
    if not re.search(rf"(?<![a-z]){word}(?:put)?(?![a-z])", base):
        return None, None
    numbers = re.findall(r"\d+", base)
    return (numbers[-2] if len(numbers) > 1 else None), (numbers[-1] if numbers else None)
