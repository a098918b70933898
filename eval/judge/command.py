"""`tessy judge`: a file of programs or answers in, the same file with verdicts out."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tessy.cluster.worker import refuse
from tessy.errors import UserError
from tessy.processes import PARENT, die_with_parent, end_in_order

if TYPE_CHECKING:
    from eval.judge.results import Results
    from eval.judge.rows import Row
    from eval.judge.sharing import Asked, Judging

_EXAMPLES = """\b
Examples:
  tessy judge --self-test
  tessy judge --format dmoj --problems OJBench_testdata --responses answers.jsonl --out verdicts.jsonl
  tessy judge --format lightcp --problems zips --responses code.jsonl --out verdicts.jsonl --mode fixed

\b
A row of the responses file has `problem_id`, `language` (cpp, python), and either `code`, judged as it is, or
`response`, from which code is extracted by the benchmark's rule; `sample_id` and anything else is kept. A row
that cannot be judged gets IE and its line in `detail`. The same command goes on where it was interrupted, and
on several machines at once it shares the work:

\b
  tessy judge ... --out shared/verdicts.jsonl                           # on each of them, or:
  tessy judge ... --out shared/verdicts.jsonl --on slurm --processes 8 --workers 16
  tessy judge ... --on '{kind: ray, address: "node0:6379"}' --processes 8 --workers 16
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
@click.option(
    "--on", "cluster", metavar="CLUSTER",
    help="Have others judge: slurm, ray, or a recipe's execution.cluster ('{kind: slurm, partition: cpu}').",
)  # fmt: skip
@click.option(
    "--processes", type=click.IntRange(min=1), default=1, show_default=True,
    help="How many --on places; each runs --workers programs at once, and gets as many cores.",
)  # fmt: skip
@click.option(
    "--join", is_flag=True,
    help="Only help the same command where it is at work; it writes the file. Ends where it is not at work.",
)  # fmt: skip
def judge_command(
    format_: Any, problems: Path | None, responses: Path | None, out: Path | None,
    workers: int | None, mode: Any, commit: str | None, self_test: bool,
    cluster: str | None, processes: int, join: bool,
) -> None:  # fmt: skip
    """Judge programs in a sandbox by a benchmark's official rules.

    Started on several machines that share the folder of --out, the same command shares the work, and one of
    them writes the file.

    Exits with 0 when judging ran, whatever the verdicts, with 2 when something given is unusable (of the
    rows: all of them), and with 130 when it was interrupted.
    """
    from eval.judge.sharing import Asked

    try:
        if self_test:
            from eval.judge.selftest import self_test as run_self_test

            sys.exit(0 if run_self_test(workers) else 1)
        if format_ is None or problems is None or responses is None or out is None:
            raise UserError("judge: needs --format, --problems, --responses and --out (or --self-test)")
        if cluster is not None and (workers is None or join):
            raise UserError("--on: needs --workers, the programs at once on each machine, and no --join")
        asked = Asked(format_, problems, responses, out, workers, mode, commit)
        _judge_file(asked, cluster, processes, join)
    except ValueError as error:  # a UserError is one, too
        refuse(f"{platform.node()}: {error}")
        raise error if isinstance(error, UserError) else UserError(str(error)) from None


def _judge_file(asked: Asked, cluster: str | None, processes: int, join: bool) -> None:
    from eval.judge.results import Results
    from eval.judge.rows import read_rows

    judge = _judging(asked, cluster, processes)
    if PARENT in os.environ:
        die_with_parent()
        end_in_order()
    rows = list(read_rows(asked.responses))
    if asked.format == "lcb" and cluster is None:
        _say_what_is_missing()
    submissions = {number: row.submission for number, row in enumerate(rows) if row.submission}
    if rows and not submissions:
        raise UserError(rows[0].trouble)
    with Results(asked.out, asked.decided_by, list(submissions), join) as results:
        if results.over:
            click.echo(_nothing_to_do(asked.out, join), err=True)
            return
        show = _Progress(results.kept)
        try:
            judge(submissions, results, show.update)
            show.end()
            if not join:
                _finish(asked, rows, results)
        except KeyboardInterrupt:
            show.end()
            kept = results.done() + len(rows) - len(submissions)
            said = f"interrupted: {kept} of {len(rows)} are judged and kept"
            click.echo(f"{said}; the same command goes on from there", err=True)
            sys.exit(_INTERRUPTED)


def _judging(asked: Asked, cluster: str | None, processes: int) -> Judging:
    """What sees to it that all is judged. Importing what places workers takes a while."""
    if cluster is None:
        from eval.judge.sharing import judge_here

        return partial(judge_here, asked)
    from eval.judge.placing import judge_elsewhere, placement

    return partial(judge_elsewhere, asked, placement(cluster), processes)


def _finish(asked: Asked, rows: Sequence[Row], results: Results) -> None:
    """Write the file, or wait until another process has."""
    from eval.judge.conditions import MEMORY
    from eval.judge.sharing import POLL_S, merged

    while (mine := results.may_finish()) is None:
        time.sleep(POLL_S)
    if not mine:
        click.echo(f"judged {results.judged} of {len(rows)}; another process wrote {asked.out}", err=True)
        return
    tally, limited = _Tally(), results.conditions.get(MEMORY)
    with results.writing() as stream:
        for row, result in merged(rows, results, asked.format, asked.mode):
            # Half characters and odd line ends are written as JSON's escapes.
            stream.write(json.dumps(row.content | result).encode() + b"\n")
            tally.count(result)
    how = [asked.mode, f"{MEMORY} {limited}"] if limited else [asked.mode]
    tally.report(", ".join(how), results.kept, asked.out, asked.mode == "both")


def _nothing_to_do(out: Path, join: bool) -> str:
    if join:
        return f"nothing to help with: no `tessy judge` of these responses and options is writing {out}"
    return f"{out} has the verdicts already, by several processes; to judge anew, delete it"


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


class _Progress:
    """A line that moves in a terminal, and one now and then where output is piped."""

    def __init__(self, before: int) -> None:
        self._start = self._shown = time.monotonic()
        self._before = before
        self._moving = sys.stderr.isatty()

    def update(self, done: int, total: int, who: str) -> None:
        now = time.monotonic()
        if not self._moving and done < total and now - self._shown < _PLAIN_EVERY_S:
            return
        self._shown = now
        rate = (done - self._before) / max(now - self._start, 1e-9)
        left = time.strftime("%H:%M:%S", time.gmtime((total - done) / rate)) if rate else "?"
        text = f"judged {done}/{total}, {rate:.1f}/s, {left} left" + f", {who}" * bool(who)
        click.echo(f"\r\x1b[K{text}" if self._moving else text, err=True, nl=not self._moving)

    def end(self) -> None:
        if self._moving:
            click.echo("", err=True)
