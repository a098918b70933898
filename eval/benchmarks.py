"""Code benchmarks: their problems, the prompt around each, and which of them can be judged.

Official layouts only. OJBench is a folder with `prompts/full.jsonl` next to the problems' DMOJ folders;
LiveCodeBench-Pro is statements (Parquet splits, or one `statements.jsonl`) and a folder of test zips;
LiveCodeBench is `test.jsonl`, `test2.jsonl`, ... in which problems and tests are one. Where a recipe pins
a revision, the same files are fetched from the hub first.

A problem without published tests is never dropped silently: the official denominators count it as failed, so
`strict` does, too, and every result reports how many there were. What cannot be read or is not supported here
is left out, by name and with the reason, unless the recipe refuses that (`unusable_problems`).

Not covered: prompts (`eval.prompts`), judging (`eval.judge`), and where a model's training data ends; the
released dates are given so that a reader can compare.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from eval import humaneval
from eval.judge import Format, unusable
from eval.judge.formats import FORMATS, lines
from eval.prompts import BARE, Asking, asking
from eval.spoiled import Spoiled
from tessy.config.base import MINIATURE
from tessy.config.evaluate import CodeBenchmark
from tessy.errors import UserError
from tessy.hub import snapshot
from tessy.records import Problem


@dataclass(frozen=True, slots=True)
class Kind:
    """What all recipes' benchmarks of a kind share.

    `paper_problems` is the denominator that the paper's scores imply, if any. `breakdown` names the tags by
    which results are broken down, the first of them first.
    """

    title: str
    format: Format
    paper_problems: int | None
    breakdown: tuple[str, ...]
    extraction: str


_OJBENCH = Kind(
    "OJBench", "dmoj", 464, ("difficulty", "dataset", "language"),
    "after the last fence of the prompt's language, up to the next",
)  # fmt: skip
_PRO = Kind(
    "LiveCodeBench-Pro", "lightcp", 706, ("difficulty", "platform", "split"),
    "the last cpp fence with an #include, else what stands around the last main",
)  # fmt: skip
_LCB = (("difficulty", "platform", "month"), "between the last two lines with a fence")
KINDS: Mapping[str, Kind] = {
    "ojbench": _OJBENCH,
    "livecodebench_pro": _PRO,
    "livecodebench_v5": Kind("LiveCodeBench v5", "lcb", 167, *_LCB),
    "livecodebench_v6": Kind("LiveCodeBench v6", "lcb", 175, *_LCB),
    **{
        name: Kind(title, "asserts", None, ("set",), "the last Python block, else the whole answer")
        for name, title in humaneval.TITLES.items()
    },
}
Prompt = Callable[[str, str], str]
"""A statement and its starter code, if any, to what a model is asked."""
JUDGE_FORMAT: Mapping[str, Format] = {name: kind.format for name, kind in KINDS.items()}


@dataclass(frozen=True, slots=True)
class Contest:
    """A loaded benchmark: `problems` in file order, and `tests` for the judge.

    `asked` tells which prompt is around each statement. `missing` problems have no published tests,
    `undecidable` ones have tests that the benchmark's authors skip or that cannot tell a right answer;
    `unusable` are those that are left out for want of readable, supported tests, and rows that are no
    problem, with the reasons. `released` are the first and last contest dates, where there are any.
    """

    problems: tuple[Problem, ...]
    tests: Path
    asked: str
    missing: frozenset[str]
    undecidable: frozenset[str]
    released: tuple[str, str] | None
    unusable: Mapping[str, str]

    def judgeable(self, problem_id: str) -> bool:
        return problem_id not in self.missing | self.undecidable and problem_id not in self.unusable

    def counts(self, problem_id: str) -> bool:
        """Whether it is in the denominator of mode `strict`."""
        return problem_id not in self.unusable


def load(benchmark: CodeBenchmark, miniature: Path | None = None) -> Contest:
    """The problems of `benchmark`, fetched if it is on the hub; raises `UserError` naming file and line where
    none is left.

    `miniature` is the folder of the miniature's contest of this kind, if that is the source. Tests are looked
    for, not read: `examined` does that.
    """
    return _asked(benchmark, miniature, asking(benchmark))


def _asked(benchmark: CodeBenchmark, miniature: Path | None, how: Asking) -> Contest:
    spoiled = Spoiled()
    problems, tests = _READERS[benchmark.kind](benchmark, miniature, how.prompt, spoiled)
    problems = problems[: benchmark.limit]
    if not problems:
        why = f"; {next(iter(spoiled.values()))}" if spoiled else ""
        raise UserError(
            f"benchmark {benchmark.name}: no problems are left; check its source, window and splits{why}"
        )
    rules = FORMATS[KINDS[benchmark.kind].format]
    there = rules.find(tests) if tests.exists() else {}
    ids = {problem.problem_id for problem in problems}
    skipped = {name for name in ids if rules.key(name) in rules.skipped}
    without = sorted(name for name in ids - skipped if rules.key(name) not in there)
    if benchmark.kind != "livecodebench_pro":  # of the others all tests are published
        spoiled.update((name, f"problem {name!r}: no tests in {tests}; download them") for name in without)
        without = []
    dates = sorted(problem.tags["date"] for problem in problems if "date" in problem.tags)
    return Contest(
        tuple(problems),
        tests,
        asked=how.words,
        missing=frozenset(without),
        undecidable=frozenset(skipped | (ids & rules.errata if benchmark.mode == "fixed" else set())),
        released=(dates[0], dates[-1]) if dates else None,
        unusable=spoiled,
    )


def statements_of(benchmark: CodeBenchmark, miniature: Path | None = None) -> list[Problem]:
    """The problems of `benchmark` with their bare statements as prompts; neither tests nor prompts are
    needed."""
    return _READERS[benchmark.kind](benchmark, miniature, BARE.prompt, Spoiled())[0]


def examined(benchmark: CodeBenchmark, contest: Contest) -> Contest:
    """`contest` with all tests read once, so that `unusable` names every problem that cannot be judged.

    Raises `UserError` if none is left, or if there is one and the recipe refuses that.
    """
    wanted = dict.fromkeys(p.problem_id for p in contest.problems if contest.judgeable(p.problem_id))
    try:
        found = unusable(KINDS[benchmark.kind].format, contest.tests, wanted or contest.missing)
    except ValueError as error:
        raise UserError(f"benchmark {benchmark.name}: {error}") from None
    if contest.missing and not wanted:
        raise UserError(f"benchmark {benchmark.name}: {next(iter(found.values()))}")
    contest = replace(contest, unusable={**contest.unusable, **found})
    left = sum(contest.judgeable(name) for name in wanted)
    if contest.unusable and (not left or benchmark.unusable_problems == "refuse"):
        remedy = "" if not left else "; `unusable_problems: leave_out` goes on without them"
        raise UserError(f"benchmark {benchmark.name}: {summary(contest)}{remedy}")
    return contest


def summary(contest: Contest) -> str:
    """How many problems are left out, and why the first is."""
    first = next(iter(contest.unusable.values()), "")
    asked = len({problem.problem_id for problem in contest.problems})
    rows = len(set(contest.unusable) - {problem.problem_id for problem in contest.problems})
    return f"{len(contest.unusable)} of {asked + rows} problems cannot be used, the first because of: {first}"


def check(benchmark: CodeBenchmark) -> None:
    """Raise `UserError` unless `benchmark` can be judged; what is on the hub is fetched for that."""
    for fault in faults(benchmark):
        raise UserError(fault)


def faults(benchmark: CodeBenchmark) -> Iterator[str]:
    """What keeps `benchmark` from being judged: its prompt, and whether or not that can be had, its
    problems."""
    how = BARE
    try:
        how = asking(benchmark)
    except UserError as error:
        yield str(error)
    try:
        FORMATS[KINDS[benchmark.kind].format].following(benchmark.judge_commit)
        examined(benchmark, _asked(benchmark, None, how))
    except UserError as error:
        yield str(error)
    except ValueError as error:
        yield f"benchmark {benchmark.name}: {error}"


# OJBench ------------------------------------------------------------------------------------------


def _ojbench(
    benchmark: CodeBenchmark, miniature: Path | None, prompt: Prompt, spoiled: Spoiled
) -> tuple[list[Problem], Path]:
    folder = miniature or _folder(benchmark.source, benchmark.revision, "source")
    path = _needed(folder / "prompts" / "full.jsonl", "a folder of OJBench needs it beside its tests")
    fields = ("id", "prompt", "dataset", "language", "difficulty")
    return [_ojbench_problem(row, prompt) for row in _rows(path, fields, spoiled)], folder


def _ojbench_problem(row: Mapping[str, Any], prompt: Prompt) -> Problem:
    # NOI ids are numbers and their folders `loj-<id>`; the same problem is asked in two languages.
    judged = f"loj-{row['id']}" if isinstance(row["id"], int) else str(row["id"])
    tags = {key: row[key] for key in ("difficulty", "dataset", "language")}
    return Problem(judged, prompt(row["prompt"], ""), row["language"], tags)


# LiveCodeBench-Pro --------------------------------------------------------------------------------


def _pro(
    benchmark: CodeBenchmark, miniature: Path | None, prompt: Prompt, spoiled: Spoiled
) -> tuple[list[Problem], Path]:
    rows = _once(_pro_splits(benchmark, miniature, spoiled))
    problems = [_pro_problem(row, split, prompt) for row, split in rows]
    if miniature:
        return problems, miniature
    zips = [f"{problem.problem_id}.zip" for problem in problems]
    if benchmark.tests is not None:
        return problems, _folder(benchmark.tests, benchmark.tests_revision, "tests", zips)
    return problems, _folder(benchmark.source, benchmark.revision, "source", zips)


def _pro_splits(
    benchmark: CodeBenchmark, miniature: Path | None, spoiled: Spoiled
) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    """(name, rows) of the chosen splits; a `statements.jsonl` has none and is one whole."""
    fields = ("problem_id", "difficulty", "platform", "problem_statement")
    local = miniature or Path(benchmark.source)
    if (local / "statements.jsonl").is_file() and benchmark.revision is None:
        if benchmark.splits:
            raise UserError(
                f"benchmark {benchmark.name}: {local}/statements.jsonl has no splits; remove them"
            )
        yield "", list(_rows(local / "statements.jsonl", fields, spoiled))
        return
    if benchmark.revision is None and not any(local.rglob("*.parquet")):
        raise UserError(
            f"benchmark {benchmark.name}: {local} has neither statements.jsonl nor Parquet splits; download "
            "the dataset, or give its hub id and `revision`"
        )
    if benchmark.revision is not None:
        local = snapshot(benchmark.source, benchmark.revision, ("*.parquet", "README.md"))
    from datasets import load_dataset

    published = load_dataset(str(local))
    for split in benchmark.splits or published:
        if split not in published:
            raise UserError(
                f"benchmark {benchmark.name}: no split {split!r}; there are {', '.join(map(str, published))}"
            )
        yield str(split), list(published[split])


def _once(
    splits: Iterable[tuple[str, list[Mapping[str, Any]]]],
) -> list[tuple[Mapping[str, Any], str]]:
    """Every problem once, under the smallest of the splits that hold it: half-years repeat quarters."""
    found: dict[str, tuple[Mapping[str, Any], str]] = {}
    for split, rows in sorted(splits, key=lambda one: (len(one[1]), one[0])):
        for row in rows:
            found.setdefault(str(row["problem_id"]), (row, split))
    return list(found.values())


def _pro_problem(row: Mapping[str, Any], split: str, prompt: Prompt) -> Problem:
    tags = {"difficulty": row["difficulty"], "platform": row["platform"]}
    if split:
        tags["split"] = split
    return Problem(str(row["problem_id"]), prompt(row["problem_statement"], ""), "cpp", tags)


# LiveCodeBench ------------------------------------------------------------------------------------


def _livecodebench(
    benchmark: CodeBenchmark, _: Path | None, prompt: Prompt, spoiled: Spoiled
) -> tuple[list[Problem], Path]:
    """The tag vN is file N alone; a date window selects from all files up to N."""
    version = int(benchmark.kind.removeprefix("livecodebench_v"))
    windowed = benchmark.released_from or benchmark.released_to
    names = [_lcb_file(number) for number in range(1 if windowed else version, version + 1)]
    folder = _folder(benchmark.source, benchmark.revision, "source", names)
    first, end = benchmark.released_from or date.min, benchmark.released_to or date.max
    problems = [
        problem
        for name in names
        for problem in _lcb_problems(_needed(folder / name, f"{benchmark.kind} reads it"), prompt, spoiled)
        if first <= date.fromisoformat(problem.tags["date"]) < end
    ]
    return problems, folder if windowed else folder / names[0]


def _lcb_file(number: int) -> str:
    return f"test{number}.jsonl" if number > 1 else "test.jsonl"


def _lcb_problems(path: Path, prompt: Prompt, spoiled: Spoiled) -> Iterator[Problem]:
    for where, row in _lcb_rows(path, spoiled):
        with spoiled.unless(where):
            day = date.fromisoformat(row["contest_date"][:10]).isoformat()
            tags = {
                "difficulty": row["difficulty"],
                "platform": row["platform"],
                "month": day[:7],
                "date": day,
            }
            asked = prompt(row["question_content"], row["starter_code"])
            yield Problem(row["question_id"], asked, "python", tags)


def _lcb_rows(path: Path, spoiled: Spoiled) -> Iterator[tuple[str, Mapping[str, str]]]:
    """The lines without their tests, which can have hundreds of megabytes and are not kept in memory."""
    fields = ("question_id", "question_content", "platform", "contest_date", "difficulty")
    with path.open("rb") as stream:
        for number, (start, end) in enumerate(lines.spans(stream), start=1):
            where = f"{path.name}, line {number}"
            try:
                row = {
                    field: b"".join(lines.text(stream, field, start, end)).decode("utf-8", "surrogatepass")
                    for field in (*fields, "starter_code")
                }
            except (ValueError, RecursionError) as error:
                spoiled[where] = f"{path}, line {number}: not JSON: {error}"
                continue
            if missing := [field for field in fields if not row[field]]:
                spoiled[where] = _lacks(path, number, missing, fields)
                continue
            yield where, row


def _small(
    benchmark: CodeBenchmark, _: Path | None, prompt: Prompt, spoiled: Spoiled
) -> tuple[list[Problem], Path]:
    """HumanEval, MBPP and EvalPlus' extensions of them."""
    if benchmark.source == humaneval.PACKAGE and benchmark.kind == "humaneval":
        tests = humaneval.installed()
    else:
        tests = _folder(benchmark.source, benchmark.revision, "source")
    return humaneval.problems(benchmark.kind, tests, prompt, spoiled), tests


_READERS: Mapping[
    str, Callable[[CodeBenchmark, Path | None, Prompt, Spoiled], tuple[list[Problem], Path]]
] = {
    "ojbench": _ojbench,
    "livecodebench_pro": _pro,
    "livecodebench_v5": _livecodebench,
    "livecodebench_v6": _livecodebench,
    **dict.fromkeys(humaneval.TITLES, _small),
}


# Files --------------------------------------------------------------------------------------------


def _folder(source: str, revision: str | None, field: str, files: list[str] | None = None) -> Path:
    """A local folder, or with a revision the hub dataset's snapshot, of which `files` are fetched."""
    if source == MINIATURE:
        raise UserError("source 'miniature': needs a recipe with a `world`")
    if revision is not None:
        return snapshot(source, revision, files)
    if not Path(source).is_dir():
        raise UserError(
            f"{field} {source}: no such folder; give an existing one, or a hub dataset with its revision"
        )
    return Path(source)


def _needed(path: Path, why: str) -> Path:
    if not path.is_file():
        raise UserError(f"{path}: no such file; {why}")
    return path


def _rows(path: Path, fields: tuple[str, ...], spoiled: Spoiled) -> Iterator[Mapping[str, Any]]:
    """Rows of a JSONL file with all of `fields`; the others go to `spoiled`. Blank lines are none."""
    with path.open(encoding="utf-8", errors="replace") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            where = f"{path.name}, line {number}"
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                spoiled[where] = f"{path}, line {number}: not JSON: {error}"
                continue
            known = row if isinstance(row, dict) else {}
            if missing := [field for field in fields if not isinstance(known.get(field), str | int)]:
                spoiled[where] = _lacks(path, number, missing, fields)
            else:
                yield row


def _lacks(path: Path, number: int, missing: list[str], fields: tuple[str, ...]) -> str:
    return f"{path}, line {number}: no {', '.join(missing)}; each row needs {', '.join(fields)}"
