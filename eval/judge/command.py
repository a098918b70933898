"""`tessy judge`: a file of programs or answers in, the same file with verdicts out."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tessy.errors import UserError

if TYPE_CHECKING:
    from eval.judge.records import Judgement

_EXAMPLES = """\b
Examples:
  tessy judge --self-test
  tessy judge --format dmoj --problems OJBench_testdata --responses answers.jsonl --out verdicts.jsonl
  tessy judge --format lightcp --problems zips --responses code.jsonl --out verdicts.jsonl --mode fixed

\b
A row of the responses file has `problem_id`, `language` (cpp, python), and either `code`, judged as it is, or
`response`, from which code is extracted by the benchmark's rule; `sample_id` and anything else is kept. A row
that cannot be judged gets IE and its line in `detail`. The same command goes on where it was interrupted.
"""
_INTERRUPTED = 130
_PLAIN_EVERY_S = 10.0


@click.command("judge", epilog=_EXAMPLES)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["dmoj", "lightcp", "lcb", "asserts"]),
    help="Whose rules and data.",
)
@click.option(
    "--problems", type=click.Path(path_type=Path), help="Directory (lcb: also a file) of test data."
)
@click.option("--responses", type=click.Path(path_type=Path), help="JSONL file of what to judge.")
@click.option("--out", type=click.Path(path_type=Path), help="JSONL file to write, one row per row read.")
@click.option("--workers", type=click.IntRange(min=1), help="Programs at once.  [default: physical cores]")
@click.option(
    "--mode", type=click.Choice(["strict", "fixed", "both"]), default="strict", show_default=True,
    help="As the official judge decides, or with its known faults repaired. With both, a row is the strict "
    "judgement and holds the fixed one under `fixed`; programs run once where that serves both.",
)  # fmt: skip
@click.option(
    "--commit", help="lcb: the commit of its code that strict follows.  [default: the newest known]"
)
@click.option("--self-test", is_flag=True, help="Judge programs of known verdict on this machine instead.")
def judge_command(
    format_: Any, problems: Path | None, responses: Path | None, out: Path | None,
    workers: int | None, mode: Any, commit: str | None, self_test: bool,
) -> None:  # fmt: skip
    """Judge programs in a sandbox by a benchmark's official rules.

    Exits with 0 when judging ran, whatever the verdicts, with 2 when something given is unusable (of the
    rows: all of them), and with 130 when it was interrupted.
    """
    try:
        if self_test:
            from eval.judge.selftest import self_test as run_self_test

            sys.exit(0 if run_self_test(workers) else 1)
        if format_ is None or problems is None or responses is None or out is None:
            raise UserError("judge: needs --format, --problems, --responses and --out (or --self-test)")
        _judge_file(format_, problems, responses, out, workers, mode, commit)
    except UserError:
        raise
    except ValueError as error:
        raise UserError(str(error)) from None


def _judge_file(
    format_: Any,
    problems: Path,
    responses: Path,
    out: Path,
    workers: int | None,
    mode: Any,
    commit: str | None,
) -> None:
    from eval.judge.rows import Results, digest, read_rows
    from eval.judge.run import judge
    from eval.sandbox import accounting

    decided_by = (format_, mode, commit or "", str(problems.resolve()), digest(responses))
    rows = list(read_rows(responses))
    if format_ == "lcb":
        _say_what_is_missing()
    show, tally = _Progress(), _Tally()
    with Results(out, decided_by) as results:
        for before in results.kept:
            tally.count(before)
        submissions = [row.submission for row in rows if row.submission]
        if rows and not submissions:
            raise UserError(rows[0].trouble)
        kept, left = rows[: len(results.kept)], rows[len(results.kept) :]
        done = sum(row.submission is not None for row in kept)
        judged = judge(
            submissions,
            format=format_,
            problems=problems,
            workers=workers,
            mode=mode,
            done=done,
            on_progress=show.update,
            commit=commit,
        )
        try:
            with contextlib.closing(judged):
                for row in left:
                    result = (
                        _result(next(judged)) if row.submission else _unusable(format_, mode, row.trouble)
                    )
                    results.put(row.content | result)
                    tally.count(result)
        except KeyboardInterrupt:
            show.end()
            kept_now = f"{tally.total} of {len(rows)} are judged and kept"
            click.echo(f"interrupted: {kept_now}; the same command goes on from there", err=True)
            sys.exit(_INTERRUPTED)
        results.finish()
    show.end()
    tally.report(f"{mode}, memory limited by {accounting().kind}", len(results.kept), out, mode == "both")


def _say_what_is_missing() -> None:
    from eval.judge.interpreter import missing
    from eval.sandbox import require

    require()
    if reasons := missing():
        listed = ", ".join(f"{name} ({why})" for name, why in reasons.items())
        click.echo(f"warning: submissions do not find what is there officially: {listed}", err=True)


class _Tally:
    """What came of the rows, in a few words."""

    def __init__(self) -> None:
        self.verdicts: Counter[str] = Counter()
        self.changes: Counter[str] = Counter()
        self.troubles: list[str] = []

    @property
    def total(self) -> int:
        return self.verdicts.total()

    def count(self, row: Mapping[str, Any]) -> None:
        self.verdicts[row["verdict"]] += 1
        if row["verdict"] == "IE":
            self.troubles.append(row["detail"])
        fixed = row.get("fixed")
        if fixed and fixed["verdict"] != row["verdict"]:
            self.changes[f"{row['verdict']} to {fixed['verdict']}"] += 1

    def report(self, how: str, kept: int, out: Path, both: bool) -> None:
        before = f", {kept} of them before" if kept else ""
        found = _counts(self.verdicts) or "nothing to judge"
        click.echo(f"{self.total} judged{before} ({how}): {found} -> {out}", err=True)
        if both:
            changes = _counts(self.changes) or "nothing"
            click.echo(f"fixed differs in {self.changes.total()}: {changes}", err=True)
        if self.troubles:
            count, first = len(self.troubles), self.troubles[0]
            click.echo(
                f"warning: {count} IE: not judged, by no fault of theirs; the first: {first}", err=True
            )


def _counts(of: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(of.items()))


def _unusable(format_: Any, mode: str, trouble: str) -> dict[str, Any]:
    from eval.judge.verdicts import WORDS

    row = {"verdict": "IE", "official": WORDS[format_]["IE"], "tests": [], "detail": trouble}
    return row | {"fixed": row} if mode == "both" else row


def _result(judgement: Judgement) -> dict[str, Any]:
    row = {
        "verdict": judgement.verdict,
        "official": judgement.official,
        "tests": [asdict(test) for test in judgement.tests],
        "detail": judgement.detail,
    }
    return row | {"fixed": _result(judgement.fixed)} if judgement.fixed else row


class _Progress:
    """A line that moves in a terminal, and one now and then where output is piped."""

    def __init__(self) -> None:
        self._start = self._shown = time.monotonic()
        self._moving = sys.stderr.isatty()

    def update(self, done: int, total: int) -> None:
        now = time.monotonic()
        if not self._moving and done < total and now - self._shown < _PLAIN_EVERY_S:
            return
        self._shown = now
        rate = done / max(now - self._start, 1e-9)
        left = time.strftime("%H:%M:%S", time.gmtime((total - done) / rate))
        text = f"judged {done}/{total}, {rate:.1f}/s, {left} left"
        click.echo(f"\r\x1b[K{text}" if self._moving else text, err=True, nl=not self._moving)

    def end(self) -> None:
        if self._moving:
            click.echo("", err=True)
