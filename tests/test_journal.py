"""Journals: cut anywhere, drained by many, and whatever happens every sample once and without a hole."""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from scripted import assignment, samples, synthesize

from tessy.claims import LEASE_S
from tessy.errors import UserError
from tessy.records import Trajectory, from_row
from tessy.synthesis.cooperation import Turn
from tessy.synthesis.journal import Journal
from tessy.synthesis.meters import Meters
from tessy.synthesis.scheduler import Schedule, write_all

IDS = [sample.sample_id for sample in samples(5)]


def lines_of(folder: Path, kind: str) -> list[bytes]:
    """Whole lines; a killed process may leave half of one."""
    paths = sorted(folder.glob(f"{kind}-*.jsonl"))
    return [line for path in paths for line in path.read_bytes().split(b"\n")[:-1]]


def test_a_journal_cut_anywhere_gives_the_same_traces(tmp_path: Path) -> None:
    whole = asyncio.run(synthesize(tmp_path / "whole", 5, chunk_tokens=6))
    turns = b"\n".join(lines_of(tmp_path / "whole", "turns")) + b"\n"
    done = b"\n".join(lines_of(tmp_path / "whole", "done")) + b"\n"
    rng = random.Random(0)
    for cut_at in range(0, len(turns), 211):
        folder = tmp_path / f"cut-{cut_at}"
        folder.mkdir()
        (folder / "turns-dead.jsonl").write_bytes(turns[:cut_at])
        # A sample is done only after its last turn was written.
        (folder / "done-dead.jsonl").write_bytes(
            done[: rng.randrange(len(done))] if cut_at + 211 > len(turns) else b""
        )
        assert asyncio.run(synthesize(folder, 5, chunk_tokens=6)) == whole


def test_a_resumed_run_asks_for_nothing_that_is_written(tmp_path: Path) -> None:
    whole = asyncio.run(synthesize(tmp_path / "j", 3, chunk_tokens=6))

    async def again() -> list[Trajectory]:
        spec = assignment(6)
        for author in spec.authors.values():
            author.engine.open = None  # type: ignore[assignment, method-assign]
        with Journal(tmp_path / "j") as journal:
            await write_all(samples(3), spec, journal, Schedule(8), Meters())
            return [from_row(Trajectory, row) for row in journal.rows(s.sample_id for s in samples(3))]

    assert asyncio.run(again()) == whole


def test_a_damaged_journal_names_file_and_place(tmp_path: Path) -> None:
    asyncio.run(synthesize(tmp_path / "j", 1, chunk_tokens=6))
    (path,) = (tmp_path / "j").glob("turns-*.jsonl")
    (tmp_path / "j" / "done-x.jsonl").write_text("")
    for other in (tmp_path / "j").glob("done-*.jsonl"):
        other.unlink()
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], '{"number": 1}', *lines[2:]]) + "\n")
    with pytest.raises(UserError, match=f"{path.name}, byte {len(lines[0].encode()) + 1}"):
        asyncio.run(synthesize(tmp_path / "j", 1, chunk_tokens=6))


def test_two_owners_never_hold_the_same_sample(tmp_path: Path) -> None:
    with Journal(tmp_path) as one, Journal(tmp_path) as two:
        taken = [owner.claim(IDS) for _ in range(4) for owner in (one, two)]
        assert sorted(filter(None, taken)) == sorted(IDS)
        assert not one.is_complete(IDS)


def test_a_sample_of_a_dead_owner_goes_on_from_its_last_turn(tmp_path: Path) -> None:
    asyncio.run(synthesize(tmp_path, 1, chunk_tokens=6))
    for done in tmp_path.glob("done-*.jsonl"):
        done.unlink()
    with Journal(tmp_path) as journal:
        (sample_id,) = [s.sample_id for s in samples(1)]
        assert journal.claim([sample_id]) == sample_id
        turns = journal.turns(sample_id)
        assert turns[-1].ended_by == "end"
        assert "".join(turn.text for turn in turns if turn.part == "answer") == "print it."


def test_what_an_owner_finished_just_before_it_died_is_not_written_again(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        assert worker(tmp_path, 1).wait(60) == 0
        assert journal.claim(["p0#0"]) is None


def test_what_an_owner_wrote_after_losing_a_sample_is_void(tmp_path: Path) -> None:
    asyncio.run(synthesize(tmp_path, 1, chunk_tokens=6))
    for done in tmp_path.glob("done-*.jsonl"):
        done.unlink()
    rows = [json.loads(line) for line in lines_of(tmp_path, "turns")]
    later = [{**row, "claim": 2} for row in rows[2:4]]
    (tmp_path / "turns-later.jsonl").write_text("".join(json.dumps(row) + "\n" for row in later))
    with Journal(tmp_path) as journal:
        assert len(journal.turns(rows[0]["sample_id"])) == 4


def turn(text: str) -> Turn:
    return Turn("thinking", "student", text, (1,), (), 1, 0, "chunk")


def test_what_the_living_wrote_after_another_died_is_not_forgotten(tmp_path: Path) -> None:
    """Who takes over from one dead owner comes across the files of others, which are still at work."""
    with Journal(tmp_path) as last:
        with Journal(tmp_path) as second:
            assert second.claim(IDS[1:2]) == IDS[1]
            second.append(IDS[1], turn("one"))
            with Journal(tmp_path) as first:
                assert first.claim(IDS[:1]) == IDS[0]
                first.append(IDS[0], turn("zero"))
            assert last.claim(IDS[:2]) == IDS[0]
            assert [turn.text for turn in last.turns(IDS[0])] == ["zero"]
            second.append(IDS[1], turn(", two"))
        last._claims._life.forget()  # Answers are good for a second.
        assert last.claim(IDS[:2]) == IDS[1]
        assert [turn.text for turn in last.turns(IDS[1])] == ["one", ", two"]


@contextmanager
def full_disk(beyond: int) -> Iterator[None]:
    """Files cannot grow beyond so many bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (beyond, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("room", [0, 50])
def test_a_full_disk_is_named_and_spoils_nothing(tmp_path: Path, room: int) -> None:
    with Journal(tmp_path) as journal:
        assert journal.claim(IDS) == IDS[0]
        journal.append(IDS[0], turn("kept"))
        with (
            full_disk(journal_size(tmp_path) + room),
            pytest.raises(UserError, match="make room on its disk"),
        ):
            journal.append(IDS[0], turn("x" * 200))
        # Others of the same process may still have been at work.
        journal.append(IDS[1], turn("kept as well"))
    with Journal(tmp_path) as journal:
        assert [turn.text for turn in journal.turns(IDS[0])] == ["kept"]
        assert [turn.text for turn in journal.turns(IDS[1])] == ["kept as well"]


def test_a_disk_that_is_full_when_a_sample_is_claimed_is_named_and_the_sample_is_free(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        with full_disk(0), pytest.raises(UserError, match="make room on its disk"):
            journal.claim(IDS)
        assert not any(path.is_file() for path in (tmp_path / "claims").rglob("*"))
    with Journal(tmp_path) as journal:
        assert journal.claim(IDS) in IDS


def test_a_journal_that_was_taken_away_has_nothing_to_claim(tmp_path: Path) -> None:
    """Whoever helped may look for more just when everything has been put together."""
    with Journal(tmp_path / "j") as journal:
        shutil.rmtree(tmp_path / "j")
        assert journal.claim(IDS) is None
        assert journal.is_complete(IDS)


@pytest.mark.parametrize("elsewhere", [{"host": "another"}, {"boot": "b"}, {"processes": "pid:[1]"}])
def test_an_owner_on_another_machine_or_in_another_container_lives_for_as_long_as_it_shows_itself(
    tmp_path: Path, elsewhere: dict[str, str]
) -> None:
    with Journal(tmp_path) as far, Journal(tmp_path) as near:
        assert far.claim(IDS[:1]) == IDS[0]
        (path,) = tmp_path.glob(f"owner-{far._owner}.json")
        # Here, no process has its number.
        path.write_text(json.dumps({**json.loads(path.read_text()), "pid": 1 << 30, **elsewhere}))
        assert near.claim(IDS[:1]) is None
        os.utime(path, (0, time.time() - LEASE_S - 1))
        near._claims._life.forget()
        assert near.claim(IDS[:1]) == IDS[0]


WORKER = """
import asyncio, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from scripted import assignment, samples
from tessy.synthesis.cooperation import Turn
from tessy.synthesis.journal import Journal
from tessy.synthesis.meters import Meters
from tessy.synthesis.scheduler import Schedule, write_all

async def drain():
    with Journal(Path({folder!r})) as journal:
        await write_all(samples({count}), assignment(3), journal, Schedule(16, 30), Meters())

asyncio.run(drain())
"""


def worker(folder: Path, count: int) -> subprocess.Popen[bytes]:
    script = WORKER.format(tests=str(Path(__file__).parent), folder=str(folder), count=count)
    return subprocess.Popen([sys.executable, "-c", script])


def journal_size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("turns-*.jsonl"))


def check_every_sample_once_without_a_hole(folder: Path, ids: Sequence[str], expected: str) -> float:
    """Returns the share of journaled tokens that were written twice."""
    done = [json.loads(line) for line in lines_of(folder, "done")]
    assert sorted(row["sample_id"] for row in done) == sorted(ids)
    for row in done:
        assert "".join(span["text"] for span in row["row"]["spans"] if span["kind"] != "markup") == expected
    journaled = sum(len(json.loads(line)["ids"]) for line in lines_of(folder, "turns"))
    accepted = sum(len(row["row"]["student_token_ids"]) - row["row"]["prompt_tokens"] for row in done)
    return journaled / accepted - 1


@pytest.mark.crash
def test_twenty_kills_during_two_hundred_samples(tmp_path: Path) -> None:
    from scripted import ANSWER, THINKING

    count, rng = 200, random.Random(1)
    assert worker(tmp_path / "undisturbed", count).wait(60) == 0
    total = journal_size(tmp_path / "undisturbed")
    folder = tmp_path / "j"
    running = [worker(folder, count) for _ in range(2)]
    for size in sorted(rng.uniform(0.02, 0.9) * total for _ in range(20)):
        while journal_size(folder) < size:
            time.sleep(0.001)
        victim = rng.randrange(2)
        os.kill(running[victim].pid, signal.SIGKILL)
        running[victim].wait()
        assert len(lines_of(folder, "done")) < count, "killed too late to matter"
        running[victim] = worker(folder, count)
    assert [process.wait(60) for process in running] == [0, 0]
    ids = [sample.sample_id for sample in samples(count)]
    assert check_every_sample_once_without_a_hole(folder, ids, THINKING + ANSWER) < 0.02
