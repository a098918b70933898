"""A file of verdicts is written by one process or by several: each row judged once, in the rows' order."""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from eval.judge.results import BLOCK, Results
from tessy.claims import LEASE_S
from tessy.errors import UserError
from tests.judged_file import KEPT, asked, expected, rows_of

ROOT = Path(__file__).resolve().parents[2]


def put(results: Results, *verdicts: str) -> None:
    """Claim rows and judge them."""
    for verdict in verdicts:
        number = results.claim()
        assert number is not None
        results.put(number, {"verdict": verdict})


def write(results: Results) -> list[str]:
    """The verdicts in the file that this process writes."""
    assert results.is_complete()
    assert results.may_finish()
    with results.writing() as stream:
        for row in results.rows():
            stream.write(json.dumps(row).encode() + b"\n")
    return [json.loads(line)["verdict"] for line in results.out.read_text().splitlines()]


def test_results_are_kept_and_a_half_line_is_not(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with Results(out, ("a",), range(2)) as results:
        number = results.claim()
        assert number == 0
        results.put(number, {"verdict": "AC", "text": "\ud800 \u2028"})
        put(results, "WA")
    (done,) = tmp_path.glob(KEPT)
    done.write_bytes(done.read_bytes()[:-1])
    with Results(out, ("a",), range(2)) as results:
        assert results.kept == 1
        put(results, "TLE")
        assert next(results.rows()) == {"verdict": "AC", "text": "\ud800 \u2028"}
        assert write(results) == ["AC", "TLE"]
    assert os.listdir(tmp_path) == ["out.jsonl"]


def test_what_other_input_decided_is_not_kept(tmp_path: Path) -> None:
    (tmp_path / ".out.jsonl.2.0123456789abcdef.partial").mkdir()  # that of the file out.jsonl.2
    with Results(tmp_path / "out.jsonl", ("a",), range(2)) as results:
        put(results, "AC")
    with Results(tmp_path / "out.jsonl", ("b",), range(2)) as results:
        assert results.kept == 0
        assert len(list(tmp_path.glob(".*.partial"))) == 2


def test_two_kinds_of_judgement_do_not_share_a_file(tmp_path: Path) -> None:
    with Results(tmp_path / "out.jsonl", ("a",), range(2)) as results:
        with pytest.raises(UserError, match="another `tessy judge`, with other responses"):
            Results(tmp_path / "out.jsonl", ("b",), range(2)).__enter__()
        put(results, "AC", "AC")
        assert write(results) == ["AC", "AC"]


@pytest.mark.parametrize("out", [".", "no/such/folder.jsonl"])
def test_where_nothing_can_be_written_is_found_before_judging(tmp_path: Path, out: str) -> None:
    with pytest.raises(UserError, match="choose another place"):
        Results(tmp_path / out, ("a",), range(2)).__enter__()


def test_two_share_the_rows_and_one_writes_them(tmp_path: Path) -> None:
    wanted = [number for number in range(5 * BLOCK) if number != 3]
    with (
        Results(tmp_path / "out.jsonl", ("a",), wanted) as first,
        Results(tmp_path / "out.jsonl", ("a",), wanted) as second,
    ):
        by: dict[int, str] = {}
        while not first.is_complete():
            for name, one in (("WA", first), ("TLE", second)):
                if (number := one.claim()) is not None:
                    assert number not in by
                    by[number] = name
                    one.put(number, {"verdict": name})
        assert {first.judged, second.judged} != {0, len(wanted)}
        assert write(first) == [by[number] for number in wanted]
        assert second.is_complete()
        assert second.may_finish() is False
    with Results(tmp_path / "out.jsonl", ("a",), wanted) as late:
        assert late.over
    (tmp_path / "out.jsonl").write_text("changed\n")
    with Results(tmp_path / "out.jsonl", ("a",), wanted) as anew:
        assert (anew.over, anew.kept) == (False, 0)


def test_who_has_died_leaves_its_rows_to_others(tmp_path: Path) -> None:
    """Also the writing of the file: the process is elsewhere, and shows no life any more."""
    with Results(tmp_path / "out.jsonl", ("a",), range(2)) as dead:
        put(dead, "AC")
        assert dead.claim() == 1
        assert dead._claims is not None
        dead._claims._life._closed.set()
        (sign,) = dead.folder.glob("owner-*.json")
        sign.write_text(json.dumps(json.loads(sign.read_text()) | {"host": "another"}))
        long_ago = time.time() - LEASE_S - 1
        with Results(tmp_path / "out.jsonl", ("a",), range(2)) as heir:
            assert heir.claim() is None
            os.utime(sign, (long_ago, long_ago))
            assert heir._claims is not None
            heir._claims._life.forget()
            assert heir.claim() == 1
            heir.put(1, {"verdict": "WA"})
            dead.put(1, {"verdict": "TLE"})  # void
            assert write(heir) == ["AC", "WA"]


def test_a_helper_begins_nothing(tmp_path: Path) -> None:
    with Results(tmp_path / "out.jsonl", ("a",), range(2), helper=True) as helper:
        assert helper.over
    assert not list(tmp_path.iterdir())
    with Results(tmp_path / "out.jsonl", ("a",), range(2)) as first:
        put(first, "AC")
        with Results(tmp_path / "out.jsonl", ("a",), range(2), helper=True) as helper:
            assert not helper.over
    with Results(tmp_path / "out.jsonl", ("a",), range(2), helper=True) as helper:
        assert helper.over  # nobody is at work: what there is stays for the command itself
    with Results(tmp_path / "out.jsonl", ("a",), range(2)) as second:
        assert second.kept == 1


@contextmanager
def started(command: list[str], count: int) -> Iterator[list[subprocess.Popen[str]]]:
    running = [
        subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True)
        for _ in range(count)
    ]
    try:
        yield running
    finally:
        for one in running:
            one.kill()
            one.wait()


def judged(tmp_path: Path, kept: Path) -> list[Counter[str]]:
    """How often each row is judged, by process; links to their files outlive the folder."""
    for path in tmp_path.glob(KEPT):
        if not (kept / path.name).exists():
            os.link(path, kept / path.name)
    files = [path.read_bytes().split(b"\n")[:-1] for path in sorted(kept.iterdir())]
    return [Counter(json.loads(line)["sample_id"] for line in lines) for lines in files]


@pytest.mark.sandbox
def test_three_processes_judge_one_file_and_one_of_them_is_killed(tmp_path: Path) -> None:
    count, kept = 500, tmp_path / "kept"
    kept.mkdir()
    with started(asked(tmp_path, count), 3) as running:
        deadline = time.monotonic() + 60
        while sum(len(one) > 20 for one in judged(tmp_path, kept)) < 3:
            assert time.monotonic() < deadline, [one.poll() for one in running]
            time.sleep(0.01)
        running[0].send_signal(signal.SIGKILL)
        running[0].wait()
        while any(one.poll() is None for one in running):
            assert time.monotonic() < deadline + 60
            found = sum(judged(tmp_path, kept), Counter())
            time.sleep(0.01)
        said = [one.stderr.read() for one in running[1:] if one.stderr]
    assert [one.returncode for one in running] == [-signal.SIGKILL, 0, 0]
    assert set(found.values()) == {1}
    assert sum("another process wrote" in text for text in said) == 1
    rows = rows_of(tmp_path / "out.jsonl")
    assert [row["verdict"] for row in rows] == expected(count)
    assert [row.get("number", number) for number, row in enumerate(rows)] == list(range(count))
    late = subprocess.run(asked(tmp_path, count), cwd=ROOT, capture_output=True, text=True)
    assert late.returncode == 0
    assert "has the verdicts already" in late.stderr
    helper = subprocess.run([*asked(tmp_path, count), "--join"], cwd=ROOT, capture_output=True, text=True)
    assert "nothing to help with" in helper.stderr


@pytest.mark.sandbox
def test_placed_workers_judge_what_one_process_does(tmp_path: Path) -> None:
    alone = subprocess.run(asked(tmp_path, 100, "alone.jsonl"), cwd=ROOT, capture_output=True, text=True)
    assert alone.returncode == 0, alone.stderr
    command = [*asked(tmp_path, 100), "--on=local", "--processes=2"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert rows_of(tmp_path / "out.jsonl") == rows_of(tmp_path / "alone.jsonl")
    assert not list(tmp_path.glob(".*"))


@pytest.mark.sandbox
def test_workers_that_cannot_isolate_programs_refuse_and_the_command_says_so(tmp_path: Path) -> None:
    command = [*asked(tmp_path, 8), "--on=local", "--processes=2"]
    hidden = 'mount --bind /dev/null /usr/bin/bwrap && exec "$@"'
    without = ["unshare", "--map-root-user", "--mount", "sh", "-c", hidden, "-"]
    done = subprocess.run([*without, *command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert f"error: {platform.node()}: sandbox: /usr/bin/bwrap is missing" in done.stderr
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--on=slurm", "--join"], "--on: needs --workers"),
        (["--on={kind: cloud}"], "--on '{kind: cloud}': cluster: kind is none of local, ray, slurm"),
        (["--on={kind: slurm, partitoin: a}"], "did you mean 'partition'"),
        (["--on=["], "not valid YAML"),
    ],
)
def test_where_it_cannot_be_placed_the_option_is_named(tmp_path: Path, options: list[str], said: str) -> None:
    done = subprocess.run([*asked(tmp_path, 1), *options], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert said in done.stderr, done.stderr
