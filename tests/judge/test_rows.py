"""One bad row never takes the job, and the same command goes on where it stopped."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from eval.judge.command import judge_command
from eval.judge.rows import read_rows
from eval.judge.selftest import _write_dmoj
from tests.judged_file import KEPT

ROOT = Path(__file__).resolve().parents[2]
GOOD = {"problem_id": "sum", "language": "python", "code": "print(sum(map(int, input().split())))"}


def lines(*rows: object) -> bytes:
    return b"".join((row if isinstance(row, bytes) else json.dumps(row).encode()) + b"\n" for row in rows)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"{", "line 2: not JSON"),
        (b"\xff", "line 2: not UTF-8 at byte 0"),
        (b"[" * 100_000, "line 2: nested too deeply"),
        (b"[1]", "line 2: holds list"),
        (b'{"language": "cpp", "code": ""}', "line 2: problem_id is None"),
        (b'{"problem_id": "p", "code": ""}', "line 2: language is None"),
        (b'{"problem_id": "p", "language": "cpp"}', "line 2: submission for problem 'p': needs exactly one"),
        (b'{"problem_id": "p", "language": "cpp", "code": []}', "line 2: code is list"),
    ],
)
def test_a_bad_row_is_told_by_its_line_and_takes_no_other_with_it(
    tmp_path: Path, line: bytes, says: str
) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(lines(GOOD, line, b"", b"  \t", GOOD))
    first, bad, last = read_rows(path)
    assert (first.content, last.content) == (GOOD, GOOD)
    assert last.submission is not None
    assert last.submission.sample_id == "5"
    assert bad.submission is None
    assert says in bad.trouble


def test_a_byte_order_mark_and_odd_line_ends_are_no_trouble(tmp_path: Path) -> None:
    odd = {**GOOD, "model": "a\u2028b\u0085c"}
    text = json.dumps(odd, ensure_ascii=False).encode()
    (tmp_path / "in.jsonl").write_bytes(b"\xef\xbb\xbf" + text + b"\r\n" + text)
    assert [row.content for row in read_rows(tmp_path / "in.jsonl")] == [odd, odd]


def command(tmp_path: Path, *options: str) -> list[str]:
    problems = tmp_path / "problems"
    if not problems.exists():
        _write_dmoj(problems)
    files = ["--responses", str(tmp_path / "in.jsonl"), "--out", str(tmp_path / "out.jsonl")]
    return ["--format", "dmoj", "--problems", str(problems), *files, *options]


def judged(tmp_path: Path, content: bytes, *options: str) -> tuple[Result, list[dict[str, Any]]]:
    (tmp_path / "in.jsonl").write_bytes(content)
    result = CliRunner().invoke(judge_command, command(tmp_path, *options))
    assert result.exit_code == 0, result.output
    return result, [json.loads(line) for line in (tmp_path / "out.jsonl").read_bytes().split(b"\n") if line]


@pytest.mark.sandbox
@pytest.mark.parametrize("mode", ["strict", "both"])
def test_every_bad_row_is_a_row_of_the_verdicts(tmp_path: Path, mode: str) -> None:
    answer = {
        "problem_id": "sum",
        "language": "python",
        "response": f"\ud800\n```python\n{GOOD['code']}\n```",
    }
    content = lines(
        GOOD, answer, {**GOOD, "code": "\udfff"}, b"{", {**GOOD, "language": "Python"},
        {**GOOD, "problem_id": "none"}, {**GOOD, "problem_id": "generated"}, GOOD,
    )  # fmt: skip
    _write_dmoj(tmp_path / "problems")
    folder = tmp_path / "problems" / "ICPC" / "generated"
    folder.mkdir()
    (folder / "init.yml").write_text("generator: g.cpp\n")
    result, rows = judged(tmp_path, content, "--mode", mode)
    assert [row["verdict"] for row in rows] == ["AC", "AC", "CE", "IE", "IE", "IE", "IE", "AC"]
    assert all(row["fixed"]["verdict"] == row["verdict"] for row in rows if "fixed" in row)
    for row, says in zip(
        rows[3:7], ("line 4: not JSON", "'Python'", "no tests", "no test cases"), strict=True
    ):
        assert says in row["detail"]
    assert "4 IE" in result.output


@pytest.mark.sandbox
def test_an_interrupt_ends_at_once_and_the_same_command_goes_on(tmp_path: Path) -> None:
    sleeper = {**GOOD, "code": "while True: pass"}
    (tmp_path / "in.jsonl").write_bytes(lines(*[GOOD] * 40, *[sleeper] * 4))
    line = [sys.executable, "-c", "from eval.judge.command import judge_command as run; run()"]
    process = subprocess.Popen(
        [*line, *command(tmp_path, "--workers", "2")],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        # What a shell starts in the background ignores Ctrl-C, and so would what that starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if sum(path.read_bytes().count(b"\n") for path in tmp_path.glob(KEPT)) >= 40:
            break
        time.sleep(0.05)
    start = time.monotonic()
    process.send_signal(signal.SIGINT)
    said = process.communicate()[1]
    assert time.monotonic() - start < 2, "a second, and one for a busy machine"
    assert process.returncode == 130
    assert "interrupted: 40 of 44 are judged and kept; the same command goes on from there" in said
    (partial,) = tmp_path.glob(KEPT)
    kept = [json.loads(line) for line in partial.read_bytes().splitlines()]
    partial.write_bytes(lines(*({**line, "row": {**line["row"], "mark": True}} for line in kept)))
    result, rows = judged(tmp_path, (tmp_path / "in.jsonl").read_bytes(), "--workers", "2")
    assert [row.get("mark", False) for row in rows] == [True] * 40 + [False] * 4
    assert [row["verdict"] for row in rows] == ["AC"] * 40 + ["TLE"] * 4
    assert "44 judged, 40 of them before" in result.output


@pytest.mark.sandbox
def test_what_went_wrong_is_told_as_if_the_program_ran_by_itself(tmp_path: Path) -> None:
    """No frame of the interpreter that waits, nor its descriptors: details are the same each time."""
    _write_dmoj(tmp_path / "problems")
    programs = ["def f():\n    return 1 / 0\nf()", "raise ValueError('x')", "this is no program"]
    _, rows = judged(tmp_path, lines(*({**GOOD, "code": code} for code in programs)))
    for row, last in zip(rows, ("ZeroDivisionError: division by zero", "ValueError: x", ""), strict=True):
        assert "/proc/" not in row["detail"]
        assert "harness" not in row["detail"]
        assert row["detail"].endswith(last)
    assert rows[0]["detail"].count("File ") == 2
