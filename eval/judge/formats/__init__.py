"""Loaders: each benchmark's test data on disk becomes `JudgeProblem`s, and what else differs by benchmark."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from eval.judge import compile as languages
from eval.judge.compile import Language
from eval.judge.extract import Format
from eval.judge.formats import dmoj, lightcp
from eval.judge.records import JudgeProblem


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Where problems are found, how one is read, and what it may be solved in.

    `find` maps a directory to places by `key` of the problem id; `layout` says what it expects there.
    """

    title: str
    layout: str
    find: Callable[[Path], dict[str, Path]]
    key: Callable[[str], str]
    load: Callable[[str, Path], JudgeProblem]
    languages: Mapping[str, Language]
    skipped: frozenset[str] = frozenset()


FORMATS: Mapping[Format, Benchmark] = {
    "dmoj": Benchmark(
        "OJBench (DMOJ)", "<ICPC|NOI>/<problem>/init.yml", dmoj.find, dmoj.key, dmoj.load,
        languages.DMOJ, dmoj.SKIPPED,
    ),
    "lightcp": Benchmark(
        "LiveCodeBench-Pro (LightCPVerifier)", "<problem_id>.zip", lightcp.find, str, lightcp.load,
        languages.LIGHTCP,
    ),
}  # fmt: skip
