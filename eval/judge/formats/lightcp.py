"""LiveCodeBench-Pro's test data: one LightCPVerifier zip (or folder) per problem.

`config.yaml` says how many cases there are and their limits, `testdata/` holds them, checker and interactor
are testlib programs. A limit given as a bare number is nanoseconds or bytes, as text it carries a unit.

The service is a JavaScript program, and takes what such a one takes: where a name, a limit or the type is
null, 0, false or empty, its default counts; `n_cases` may be text or a fraction, which is rounded up.

Not covered: `score`, which changes no verdict, and `filename`, which only fails if it is no C++ file's.
"""

from __future__ import annotations

import math
import posixpath
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from reprlib import repr as short
from typing import Any

import yaml

from eval.judge.archive import Archive, open_archive
from eval.judge.compile import testlib
from eval.judge.records import ANSWER, INPUT, MIB, OUTPUT, Case, Checker, Helper, JudgeProblem, Place, Source

_MOST_OUTPUT = 128 * MIB
_TIME = {"": 1.0, "s": 1.0, "ms": 1e-3}
_MEMORY = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def find(root: Path) -> dict[str, Place]:
    """Problem id to zip file or folder, for every problem in `root`."""
    zips = {path.stem: Place(path, path.stat().st_size) for path in sorted(root.glob("*.zip"))}
    folders = (path.parent for path in sorted(root.glob("*/config.yaml")))
    return zips | {path.name: Place(path, sum(f.stat().st_size for f in path.rglob("*"))) for path in folders}


def load(problem_id: str, place: Place) -> JudgeProblem:
    """Read the configuration and look up every file it implies. Raises `ValueError` naming what is wrong."""
    files = open_archive(place.path)
    where = f"{place.path}: config.yaml"
    config = _config(where, files)
    kind = config.get("type") or "default"
    if kind not in ("default", "interactive"):
        raise ValueError(f"{where}: type {short(kind)} is unknown; known are default, interactive")
    cases = tuple(_cases(where, config, files))
    if not cases:
        raise ValueError(f"{where}: its subtasks hold no cases; download the problem again")
    interactor = _helper(files, config, "interactor", "interactor.cc") if kind == "interactive" else None
    checker = Checker("testlib", program=None if interactor else _helper(files, config, "checker", "chk.cc"))
    return JudgeProblem(problem_id, cases, checker, interactor, wall_factor=2.0)


def _config(where: str, files: Archive) -> dict[str, Any]:
    try:
        text = files.stream("config.yaml").read().decode(errors="replace")
        config = yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"{where}: cannot be read: {error}") from None
    if not isinstance(config, dict):
        raise ValueError(f"{where}: holds {type(config).__name__}; it must map keys to values")
    return config


class _Loader(yaml.SafeLoader):
    """YAML 1.2 as the service reads it, not 1.1: `yes` is text, `1e9` a number, `010` ten, and a key that
    stands twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        twice = next((key for key, count in Counter(map(str, keys)).items() if count > 1), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(None, None, f"key {short(twice)} stands twice")
        return super().construct_mapping(node, deep)

    def whole(self, node: yaml.ScalarNode) -> int:
        text = self.construct_scalar(node).replace("_", "")
        return int(text, 0 if re.match("[-+]?0[box]", text) else 10)


_Loader.yaml_implicit_resolvers = {}
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.whole)
for _tag, _pattern in (
    ("null", r"~|null|Null|NULL|"),
    ("bool", r"true|True|TRUE|false|False|FALSE"),
    ("int", r"[-+]?(?:0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|[0-9](?:[0-9_]*[0-9])?)"),
    ("float", r"[-+]?[0-9][0-9_]*(?:\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)"),
    ("float", r"\.[0-9_]+(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"),
    ("merge", r"<<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})$"), None)


def _helper(files: Archive, config: Mapping[str, Any], key: str, default: str) -> Helper:
    name = config.get(key) or default
    if not isinstance(name, str):
        raise ValueError(f"{files.where}: {key} is {short(name)}; it must be the name of a file")
    code = files.stream(posixpath.normpath(name)).read()
    source = Source("cpp", {default: code, "testlib.h": testlib()})
    return Helper(source, (INPUT, OUTPUT, ANSWER))


def _cases(where: str, config: Mapping[str, Any], files: Archive) -> Iterator[Case]:
    subtasks = config.get("subtasks")
    if not isinstance(subtasks, list):
        raise ValueError(f"{where}: subtasks is {short(subtasks)}; it must be a list")
    number = 0
    for subtask in subtasks:
        if not isinstance(subtask, dict):
            raise ValueError(f"{where}: a subtask is {short(subtask)}; it must map `n_cases` or `cases`")
        if "n_cases" in subtask:  # which goes before cases, whatever it is
            for _ in range(_count(where, subtask["n_cases"])):
                number += 1
                given, expected = (
                    f"{config.get(f'{side}_prefix') or ''}{number}{config.get(f'{side}_suffix') or suffix}"
                    for side, suffix in (("input", ".in"), ("output", ".ans"))
                )
                yield _case(where, files, given, expected, (config, subtask))
        else:
            if not isinstance(subtask.get("cases"), list):
                raise ValueError(f"{where}: cases is {short(subtask.get('cases'))}; it must be a list")
            for entry in subtask["cases"]:
                texts = [entry.get(key) for key in ("input", "output")] if isinstance(entry, dict) else [None]
                if not all(isinstance(text, str) for text in texts):
                    raise ValueError(f"{where}: a case is {short(entry)}; it must name `input` and `output`")
                yield _case(where, files, entry["input"], entry["output"], (config, subtask, entry))


def _count(where: str, count: Any) -> int:
    try:
        cases = math.ceil(float(count or 0))
    except (TypeError, ValueError, OverflowError):
        cases = -1
    if not 0 <= cases <= 100_000:
        raise ValueError(f"{where}: n_cases is {short(count)}; it must be a number of cases")
    return cases


def _case(
    where: str, files: Archive, given: str, expected: str, levels: tuple[Mapping[str, Any], ...]
) -> Case:
    answers = [posixpath.normpath(f"testdata/{expected}")]
    if expected.endswith(".out"):
        answers.insert(0, f"{answers[0].removesuffix('.out')}.ans")
    answer = next((name for name in answers if name in files), answers[-1])
    return Case(
        name=given,
        input=files.stream(posixpath.normpath(f"testdata/{given}"), utf8=True),
        answer=files.stream(answer, utf8=True),
        time_s=_limit(where, levels, "time", "1s", _TIME, per_number=1e-9),
        memory=int(_limit(where, levels, "memory", "256m", _MEMORY, per_number=1)),
        output=_MOST_OUTPUT,
    )


def _limit(
    where: str, levels: tuple[Mapping[str, Any], ...], key: str, default: str, units: Mapping[str, float],
    per_number: float,
) -> float:  # fmt: skip
    """The innermost `<key>_limit` or `<key>`, in seconds or bytes; a case has no `<key>_limit`. Null and 0
    are no limit: what stands further out counts."""
    values = [level.get(name) for level in levels[:2] for name in (key, f"{key}_limit")]
    values += [level.get(key) for level in levels[2:]]
    value = next(filter(None, reversed(values)), default)
    if isinstance(value, int | float) and not isinstance(value, bool):
        whole = isinstance(value, int) or value.is_integer()  # go-judge takes no others
        amount = value * per_number if whole else 0
    else:
        match = re.fullmatch(r"([0-9]+\.?[0-9]*|\.[0-9]+)[0-9.]*\s*([a-z]*)", str(value).lower())
        amount = float(match[1]) * units[match[2]] if match and match[2] in units else 0
    if not 0 < amount <= 1 << 40:
        raise ValueError(f"{where}: {key} limit {short(value)} is no usable limit; write it like {default!r}")
    return amount
