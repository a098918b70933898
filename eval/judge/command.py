"""`tessy judge`: a file of programs or answers in, the same file with verdicts out."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tessy.errors import UserError

if TYPE_CHECKING:
    from eval.judge.records import Judgement, Submission

_EXAMPLES = """\b
Examples:
  tessy judge --self-test
  tessy judge --format dmoj --problems OJBench_testdata --responses answers.jsonl --out verdicts.jsonl
  tessy judge --format lightcp --problems zips --responses code.jsonl --out verdicts.jsonl --mode fixed

\b
A row of the responses file has `problem_id`, `language` (cpp, python), and either `code`, judged as it is, or
`response`, from which code is extracted by the benchmark's rule; `sample_id` and anything else is kept.
"""
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

    Exits with 0 when judging ran, whatever the verdicts, and with 2 when something given is unusable.
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
    from eval.judge.run import judge
    from eval.sandbox import accounting

    rows = list(_rows(responses))
    submissions = [_submission(responses, number, row) for number, row in rows]
    show = _Progress()
    verdicts: Counter[str] = Counter()
    changes: Counter[str] = Counter()
    judged = judge(
        submissions,
        format=format_,
        problems=problems,
        workers=workers,
        mode=mode,
        on_progress=show.update,
        commit=commit,
    )
    partial = out.with_name(f".{out.name}.partial")
    try:
        with partial.open("w", encoding="utf-8") as stream:
            for (_, row), judgement in zip(rows, judged, strict=True):
                verdicts[judgement.verdict] += 1
                if judgement.fixed and judgement.fixed.verdict != judgement.verdict:
                    changes[f"{judgement.verdict} to {judgement.fixed.verdict}"] += 1
                stream.write(json.dumps({**row, **_result(judgement)}, ensure_ascii=False) + "\n")
                stream.flush()
        os.replace(partial, out)
    except OSError as error:
        raise UserError(f"out {out}: cannot be written: {error.strerror}; choose another place") from None
    show.end()
    how = f"{mode}, memory limited by {accounting().kind}"
    click.echo(f"{len(rows)} judged ({how}): {_counts(verdicts) or 'nothing to judge'} -> {out}", err=True)
    if mode == "both":
        click.echo(f"fixed differs in {changes.total()}: {_counts(changes) or 'nothing'}", err=True)
    if verdicts["IE"]:
        click.echo(f"warning: {verdicts['IE']} IE: not judged, by no fault of theirs; see `detail`", err=True)


def _counts(of: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(of.items()))


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        with path.open(encoding="utf-8") as stream:
            for number, line in enumerate(stream, start=1):
                if not line.strip():
                    continue
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise UserError(f"{path}, line {number}: holds {type(row).__name__}, not an object")
                yield number, row
    except FileNotFoundError:
        raise UserError(f"responses {path}: no such file; correct the path") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{path}, line {number}: not JSON ({error.msg}); write one object per line") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"responses {path}: cannot be read: {error}") from None


def _submission(path: Path, number: int, row: dict[str, Any]) -> Submission:
    from eval.judge.records import Submission

    where = f"{path}, line {number}"
    for field in ("problem_id", "language"):
        if not isinstance(row.get(field), str | int) or isinstance(row.get(field), bool):
            raise UserError(
                f"{where}: {field} is {row.get(field)!r}; it must be text (a problem_id may be a number)"
            )
    for field in ("code", "response"):
        if not isinstance(row.get(field), str | None):
            raise UserError(f"{where}: {field} is {type(row[field]).__name__}; it must be text")
    try:
        return Submission(
            problem_id=str(row["problem_id"]), language=str(row["language"]), code=row.get("code"),
            response=row.get("response"), sample_id=str(row.get("sample_id", number)),
        )  # fmt: skip
    except ValueError as error:
        raise UserError(f"{where}: {error}") from None


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
