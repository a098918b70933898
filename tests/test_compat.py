"""The release's behaviour, switch by switch: each does what it says, and the recipe knows them."""

from __future__ import annotations

import asyncio
from pathlib import Path

from scripted import assignment, samples

from tessy.recipe import load
from tessy.records import Trajectory, from_row
from tessy.synthesis.drafts import Compat
from tessy.synthesis.journal import Journal
from tessy.synthesis.meters import Meters
from tessy.synthesis.scheduler import Schedule, write_all
from tessy.synthesis.settings import OFFICIAL

ROOT = Path(__file__).parent.parent


def synthesize(folder: Path, compat: Compat, chunk_tokens: int = 7) -> list[tuple[str, str]]:
    from dataclasses import replace

    spec = replace(assignment(chunk_tokens), compat=compat)

    async def run() -> Trajectory:
        with Journal(folder) as journal:
            await write_all(samples(1), spec, journal, Schedule(1, None), Meters())
            (row,) = journal.rows(sample.sample_id for sample in samples(1))
            return from_row(Trajectory, row)

    return [
        (span.author, span.text) for span in asyncio.run(run()).spans if span.kind in ("style", "capability")
    ]


def test_by_name_everything_is_as_in_the_release() -> None:
    recipe = load(ROOT / "recipes" / "mini.yaml", ["synthesis.compat=official"])
    assert recipe.synthesis.compat == OFFICIAL


def test_one_number_is_for_both_authors_or_each_has_its_own() -> None:
    one = load(ROOT / "recipes" / "mini.yaml", ["synthesis.chunk_tokens=20"]).synthesis.chunk_tokens
    assert (one.student, one.teacher) == (20, 20)
    both = load(ROOT / "recipes" / "mini.yaml", ["synthesis.chunk_tokens={student: 5, teacher: 10}"])
    assert (both.synthesis.chunk_tokens.student, both.synthesis.chunk_tokens.teacher) == (5, 10)


def test_extending_keeps_the_word_the_boundary_falls_into(tmp_path: Path) -> None:
    paper = synthesize(tmp_path / "paper", Compat())
    release = synthesize(tmp_path / "release", Compat(hand_over="extend"))
    assert paper[0] == ("student", "okay then.")
    assert release[0] == ("student", "okay then. X")


def test_the_first_token_of_a_chunk_is_no_boundary(tmp_path: Path) -> None:
    """Chunks of one token are then never looked at: the student writes all of it."""
    paper = synthesize(tmp_path / "paper", Compat(), chunk_tokens=1)
    release = synthesize(tmp_path / "release", Compat(first_token=False), chunk_tokens=1)
    assert len(paper) == 5
    assert "X" not in paper[0][1]
    assert "X" in release[0][1]


def test_spelled_ends_end_the_thinking(tmp_path: Path) -> None:
    spelled = synthesize(tmp_path / "j", Compat(end_spellings=("hmm",)))
    assert "hmm" not in "".join(text for _, text in spelled)
