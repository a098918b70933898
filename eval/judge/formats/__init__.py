"""Loaders: each benchmark's test data on disk becomes `JudgeProblem`s, and what else differs by benchmark."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from eval.judge import compile as languages
from eval.judge.compile import Language
from eval.judge.extract import Format
from eval.judge.formats import asserts, dmoj, lcb, lightcp
from eval.judge.records import JudgeProblem, Mode, Place, Source


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Where problems are found, how one is read, and what it may be solved in.

    `find` maps a directory to places by `key` of the problem id; `layout` says what it expects there.
    `source` turns code into what is built. `skipped` problems are never judged officially; those in
    `errata` have tests that cannot tell a wrong answer. `commits` of the official code differ, newest first.
    """

    title: str
    layout: str
    find: Callable[[Path], dict[str, Place]]
    key: Callable[[str], str]
    load: Callable[[str, Place], JudgeProblem]
    languages: Mapping[str, Language]
    source: Callable[..., Source]
    skipped: frozenset[str] = frozenset()
    errata: frozenset[str] = frozenset()
    commits: tuple[str, ...] = ()

    def following(self, commit: str | None) -> Benchmark:
        """The same as of `commit`, by default the newest known. Raises `ValueError` if it is not known."""
        if commit is None:
            return self
        if commit not in self.commits:
            known = ", ".join(self.commits) or "none: its rules are one commit's"
            raise ValueError(f"{self.title}: rules of commit {commit!r} are not known; known are {known}")
        return replace(self, source=partial(self.source, commit=commit))


def as_is(problem: JudgeProblem, language: str, code: str, mode: Mode) -> Source:
    """The submission and nothing else."""
    return Source(language, {languages.MAIN[language]: code.encode(errors="replace")})


FORMATS: Mapping[Format, Benchmark] = {
    "dmoj": Benchmark(
        "OJBench (DMOJ)", "<ICPC|NOI>/<problem>/init.yml", dmoj.find, dmoj.key, dmoj.load,
        languages.DMOJ, dmoj.source, skipped=dmoj.SKIPPED,
    ),
    "lightcp": Benchmark(
        "LiveCodeBench-Pro (LightCPVerifier)", "<problem_id>.zip", lightcp.find, str, lightcp.load,
        languages.LIGHTCP, as_is,
    ),
    "lcb": Benchmark(
        "LiveCodeBench", "*.jsonl with question_id and tests", lcb.find, str, lcb.load,
        languages.LCB, lcb.source, errata=lcb.ERRATA, commits=tuple(lcb.COMMITS),
    ),
    "asserts": Benchmark(
        "HumanEval or MBPP", "a .jsonl, .jsonl.gz or .parquet file with task_id and tests", asserts.find, str,
        asserts.load, languages.LCB, asserts.source,
    ),
}  # fmt: skip
