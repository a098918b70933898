"""Loaders: each benchmark's test data on disk becomes `JudgeProblem`s, and what else differs by benchmark."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from eval.judge import compile as languages
from eval.judge.compile import Language
from eval.judge.extract import Format
from eval.judge.formats import dmoj, lcb, lightcp
from eval.judge.records import JudgeProblem, Mode, Place, Source


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Where problems are found, how one is read, and what it may be solved in.

    `find` maps a directory to places by `key` of the problem id; `layout` says what it expects there.
    `source` turns code into what is built. `skipped` problems are never judged officially; those in
    `errata` have tests that cannot tell a wrong answer.
    """

    title: str
    layout: str
    find: Callable[[Path], dict[str, Place]]
    key: Callable[[str], str]
    load: Callable[[str, Place], JudgeProblem]
    languages: Mapping[str, Language]
    source: Callable[[JudgeProblem, str, str, Mode], Source]
    skipped: frozenset[str] = frozenset()
    errata: frozenset[str] = frozenset()


def as_is(problem: JudgeProblem, language: str, code: str, mode: Mode) -> Source:
    """The submission and nothing else."""
    return Source(language, {languages.MAIN[language]: code.encode(errors="replace")})


def after_a_mark(problem: JudgeProblem, language: str, code: str, mode: Mode) -> Source:
    """As DMOJ does: Python follows a byte order mark, so that another encoding than UTF-8 is an error."""
    return as_is(problem, language, "\ufeff" * (language == "python") + code, mode)


FORMATS: Mapping[Format, Benchmark] = {
    "dmoj": Benchmark(
        "OJBench (DMOJ)", "<ICPC|NOI>/<problem>/init.yml", dmoj.find, dmoj.key, dmoj.load,
        languages.DMOJ, after_a_mark, skipped=dmoj.SKIPPED,
    ),
    "lightcp": Benchmark(
        "LiveCodeBench-Pro (LightCPVerifier)", "<problem_id>.zip", lightcp.find, str, lightcp.load,
        languages.LIGHTCP, as_is,
    ),
    "lcb": Benchmark(
        "LiveCodeBench", "*.jsonl with question_id and tests", lcb.find, str, lcb.load,
        languages.LCB, lcb.source, errata=lcb.ERRATA,
    ),
}  # fmt: skip
