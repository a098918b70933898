"""OJBench's test data: DMOJ problem folders with an `init.yml`.

`<root>/<ICPC|NOI>/<problem>/init.yml`, or problem folders directly below the root. A child node inherits what
its parents say; a loose file beats the archive; without `test_cases` the cases are found by the names in the
archive; keys that say nothing here are ignored. OJBench judges everything with the same limits, whatever the
statement says.

Not covered, and refused by name: file input and output, and of code that comes with a problem what
`dmoj_programs` does not read.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections import ChainMap
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path
from reprlib import repr as short
from typing import Any, TypeAlias

import yaml

from eval.judge.archive import Archive, holds, open_archive
from eval.judge.checkers import DMOJ, Unfit
from eval.judge.compile import MAIN
from eval.judge.formats.dmoj_programs import Programs, called
from eval.judge.generated import Generated
from eval.judge.records import MIB, Case, Checker, Helper, JudgeProblem, Mode, Place, Source

TIME_S, MEMORY = 10.0, 1024 * MIB
"""OJBench's limits, for every problem."""
SKIPPED = frozenset({"nwerc2023_H", "swerc2023_L", "loj-3897"})
"""Problems OJBench never judges; they stay in the denominator."""
_MOST_OUTPUT = 25165824
_MOST_REPETITIONS, _LONGEST_NAME, _MOST_LINKS = 3, 200, 16
_STREAMS = {f"/dev/{name}": f"/proc/self/fd/{fd}" for fd, name in enumerate(("stdin", "stdout", "stderr"))}
_Name: TypeAlias = tuple[()] | tuple[int, int, str]

Node = MutableMapping[str, Any]
_UNSUPPORTED = {"grader", "file_io"}


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
    files = packed = open_archive(folder)
    if top.get("archive"):
        packed = open_archive(_inside(folder, str(top["archive"])))
        files = packed.joined(files)
    loader = _Loader(where, files, packed.names if top.get("archive") else ())
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
        links=loader.links(top),
        unbuffered=bool(top.get("unbuffered")),
        beside=loader.programs.signature(top["signature_grader"]) if top.get("signature_grader") else {},
    )


def source(problem: JudgeProblem, language: str, code: str, mode: Mode) -> Source:
    """The submission, or with what calls it. Python follows a byte order mark, so that another encoding than
    UTF-8 is an error. Raises `ValueError` where a submission in this language cannot be called."""
    if problem.beside:
        if language != "cpp":
            raise ValueError("the problem calls the submission's functions, which have to be in C++")
        return called(problem.beside, code)
    mark = "\ufeff" * (language == "python")
    return Source(language, {MAIN[language]: (mark + code).encode(errors="replace")})


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
    """`names` are those that cases are guessed from."""

    def __init__(self, where: Path, files: Archive, names: Sequence[str]) -> None:
        self.where, self.files, self.names = where, files, names
        self.programs = Programs(where, files)
        self.checkers: dict[int, Checker] = {}
        self.batches: set[_Name] = set()
        self.count = 0

    def wrong(self, what: str) -> ValueError:
        return ValueError(f"{self.where}: {what}")

    def number(self, node: Mapping[str, Any], key: str, default: float) -> float:
        value = node.get(key) or default
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1 << 40:
            raise self.wrong(f"{key} is {short(value)}; it must be a positive number")
        return value

    def listed(self, top: Node, key: str) -> list[Node]:
        """The test nodes under `key`, each inheriting from the top; guessed where the format is a pattern."""
        self.supported(top)
        value = top.get(key) or ({} if key == "test_cases" else [])
        if isinstance(value, dict):
            value = self.guessed(value)
        if not isinstance(value, list):
            raise self.wrong(f"{key} is {type(value).__name__}; it must be a list of cases")
        parents = {name: top[name] for name in top if name not in ("test_cases", "pretest_test_cases")}
        return [self.child(node, parents) for node in value]

    def child(self, node: Any, parent: Mapping[str, Any]) -> Node:
        if not isinstance(node, dict):
            raise self.wrong(f"a test case is {short(node)}; it must map `in` and `out` to file names")
        self.supported(node)
        return ChainMap(node, dict(parent))

    def supported(self, node: Mapping[str, Any]) -> None:
        for name in node:
            if (name in _UNSUPPORTED and node[name]) or str(name).endswith(
                "++"
            ):  # "++": is made by a program
                raise self.wrong(f"{short(name)} is not supported")

    def links(self, top: Mapping[str, Any]) -> dict[str, str]:
        """Symbolic links in the submission's folder; standard streams are where they lead."""
        links = top.get("symlinks") or {}
        if not isinstance(links, dict) or len(links) > _MOST_LINKS:
            raise self.wrong(f"symlinks is {short(links)}; it must map at most {_MOST_LINKS} names to paths")
        for name, target in links.items():
            if not (isinstance(target, str) and re.fullmatch(r"[\w.-]+", str(name)) and str(name).strip(".")):
                raise self.wrong(f"symlinks has {short(name)}: {short(target)}; it must map a name to a path")
        return {str(name): _STREAMS.get(str(target), str(target)) for name, target in links.items()}

    def cases(self, nodes: list[tuple[bool, Node]]) -> Iterator[Case]:
        batch = 0
        for pretest, node in nodes:
            if "batched" not in node:
                yield self.case(node, None, (), pretest)
                continue
            batch += 1
            needs = node.get("dependencies") or []
            if not isinstance(needs, list) or not all(type(number) is int for number in needs):
                raise self.wrong(f"dependencies is {short(needs)}; it must list numbers of batches")
            if not all(0 < number < batch for number in needs):
                raise self.wrong(
                    f"dependencies of batch {batch} are {short(needs)}; they must be earlier ones"
                )
            inner = node["batched"]
            if not isinstance(inner, list):
                raise self.wrong(f"batched is {type(inner).__name__}; it must be a list of cases")
            parent = {name: node[name] for name in node if name not in ("batched", "dependencies")}
            for child in inner:
                yield self.case(self.child(child, parent), batch, tuple(needs), pretest)

    def case(self, node: Node, batch: int | None, needs: tuple[int, ...], pretest: bool) -> Case:
        text = not node.get("binary_data", False)
        given, expected = node.get("in"), node.get("out")
        self.count += 1
        name = str(next((name for name in (given, expected) if name is not None), self.count))
        made = None
        if (given is None or expected is None) and node.get("generator"):
            generator = self.programs.generator(node["generator"], node.get("generator_args"))
            made = Generated(f"test {name} of {self.where.parent.name}", generator)
        files = [None if file is None else self.files.stream(str(file), text) for file in (given, expected)]
        return Case(
            name=name,
            input=made.input(text) if made else files[0],  # officially not even what `in` names
            answer=files[1] or (made.answer(text) if made else None),
            time_s=TIME_S,
            memory=MEMORY,
            output=int(self.number(node, "output_limit_length", _MOST_OUTPUT)),
            batch=batch,
            needs=needs,
            pretest=pretest,
            checker=self.checker(node),
            points=None if node.get("points") is None else self.points(node["points"]),
        )

    def points(self, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(f"points is {short(value)}; it must be a number")
        return float(value)

    def checker(self, node: Mapping[str, Any]) -> Checker:
        """The checker in force at `node`; one object for all the cases that share it."""
        value = node.get("checker") or "standard"
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
            return Checker(name, program=self.programs.bridged(options, interactive=False))
        if name.endswith(".py"):
            return Checker(name, program=self.programs.python_checker(name, options))
        if name not in DMOJ:
            known = ", ".join(sorted([*DMOJ, "bridged", "a file of Python"]))
            raise self.wrong(f"checker {short(name)} is not supported; known are {known}")
        try:
            with contextlib.suppress(Unfit):  # of this empty answer
                DMOJ[name](b"", b"", options)
        except (TypeError, ValueError) as error:
            raise self.wrong(f"checker {short(name)}: {error}") from None
        return Checker(name, options)

    def interactor(self, node: Mapping[str, Any]) -> Helper | None:
        options = node.get("interactive")
        if not options:
            return self.programs.custom_judge(node["custom_judge"]) if node.get("custom_judge") else None
        if not isinstance(options, dict):
            raise self.wrong(f"interactive is {short(options)}; it must map `files` and `type`")
        return self.programs.bridged(options, interactive=True)

    def guessed(self, pattern: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Pair the archive's inputs and outputs by the numbers in their names, or by given patterns. One may
        lack the other. A case without a batch is one of the batch of its number, where there is that."""
        inputs = self.numbered(pattern.get("input_format"), "in")
        outputs = self.numbered(pattern.get("output_format"), "out")
        groups: dict[_Name, list[dict[str, Any]]] = {}
        for at in sorted(inputs.keys() | outputs.keys()):
            groups.setdefault(at[0], []).append({"in": inputs.get(at), "out": outputs.get(at)})
        return [
            {"batched": cases} if number in self.batches else cases[0] for number, cases in groups.items()
        ]

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

    def numbered(self, pattern: Any, word: str) -> dict[tuple[_Name, _Name], str]:
        """(batch, case) of each file of one side; the case's number is the batch's where there is none."""
        found = {}
        named = None if pattern is None else self.pattern(str(pattern))
        for name in self.names:
            if named is not None:
                match = named.match(name[:_LONGEST_NAME])
                groups = match.groupdict() if match else {}
                batch, case = groups.get("batch"), groups.get("case")
            else:
                batch, case = _numbers(name, word)
            if case:
                found[_key(batch or case), _key(case)] = name
            if case and batch:
                self.batches.add(_key(batch))
        return found


def _key(name: str | None) -> _Name:
    """Sorts numbers by value and before words; nothing for no name."""
    if not name:
        return ()
    return (0, int(name), "") if name.isdecimal() else (1, 0, name)


def _numbers(name: str, word: str) -> tuple[str | None, str | None]:
    """The last two numbers of a name that begins with `word` (`in` or `out`) or holds it after a dot: batch,
    if any, and case. No blank follows either, and a batch's number no letter."""
    name = name.lower()
    if len(name) > _LONGEST_NAME or not (name.startswith(word) or f".{word}" in name):
        return None, None
    found = re.search(r"(?:(?<!\w)(\d+)[^\d\s]+)?(\d+)[^\d\s]*$", name)
    return (found[1], found[2]) if found else (None, None)
