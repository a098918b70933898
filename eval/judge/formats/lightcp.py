"""LiveCodeBench-Pro's test data: one LightCPVerifier zip (or folder) per problem.

`config.yaml` says how many cases there are and their limits, `testdata/` holds them, checker and interactor
are testlib programs. A limit given as a bare number is nanoseconds or bytes, as text it carries a unit.

Not covered: `score` and `filename`, which do not change a verdict.
"""

from __future__ import annotations

import re
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
    kind = config.get("type", "default")
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
        config = yaml.safe_load(files.stream("config.yaml").read())
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"{where}: cannot be read: {error}") from None
    if not isinstance(config, dict):
        raise ValueError(f"{where}: holds {type(config).__name__}; it must map keys to values")
    return config


def _helper(files: Archive, config: Mapping[str, Any], key: str, default: str) -> Helper:
    name = str(config.get(key) or default)
    source = Source("cpp", {Path(name).name: files.stream(name).read(), "testlib.h": testlib()})
    return Helper(source, (INPUT, OUTPUT, ANSWER))


def _cases(where: str, config: Mapping[str, Any], files: Archive) -> Iterator[Case]:
    subtasks = config.get("subtasks")
    if not isinstance(subtasks, list):
        raise ValueError(f"{where}: subtasks is {short(subtasks)}; it must be a list")
    number = 0
    for subtask in subtasks:
        if not isinstance(subtask, dict):
            raise ValueError(f"{where}: a subtask is {short(subtask)}; it must map `n_cases` or `cases`")
        count = subtask.get("n_cases")  # which goes before cases, unless it is 0
        if not count and subtask.get("cases"):
            if not isinstance(subtask["cases"], list):
                raise ValueError(f"{where}: cases is {short(subtask['cases'])}; it must be a list")
            for entry in subtask["cases"]:
                if not isinstance(entry, dict) or "input" not in entry or "output" not in entry:
                    raise ValueError(f"{where}: a case is {short(entry)}; it must name `input` and `output`")
                yield _case(where, files, str(entry["input"]), str(entry["output"]), (config, subtask, entry))
            continue
        if not isinstance(count, int) or not 0 <= count <= 100_000:
            raise ValueError(f"{where}: n_cases is {short(count)}; it must be a number of cases")
        for _ in range(count):
            number += 1
            given = f"{config.get('input_prefix', '')}{number}{config.get('input_suffix', '.in')}"
            expected = f"{config.get('output_prefix', '')}{number}{config.get('output_suffix', '.ans')}"
            yield _case(where, files, given, expected, (config, subtask))


def _case(
    where: str, files: Archive, given: str, expected: str, levels: tuple[Mapping[str, Any], ...]
) -> Case:
    answers = [f"testdata/{expected}"]
    if expected.endswith(".out"):
        answers.insert(0, f"testdata/{expected.removesuffix('.out')}.ans")
    answer = next((name for name in answers if name in files), answers[-1])
    return Case(
        name=given,
        input=files.stream(f"testdata/{given}"),
        answer=files.stream(answer),
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
        amount = value * per_number
    else:
        match = re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*([a-z]*?)b?\s*", str(value).lower())
        amount = float(match[1]) * units[match[2]] if match and match[2] in units else 0
    if not 0 < amount < 1 << 40:
        raise ValueError(f"{where}: {key} limit {short(value)} is no usable limit; write it like {default!r}")
    return amount
