"""The release's behaviour, switch by switch: each does what it says, and the recipe knows them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import training_stage
from jobs import MODELS, job_at
from scripted import assignment, samples

from tessy.artifacts import read_parquet, write_parquet
from tessy.chat import Renderer
from tessy.config.base import Sampler
from tessy.config.load import load
from tessy.config.switches import EveryTokensSwitch
from tessy.config.synthesis import OFFICIAL, ChunkTokens, Compatibility, Cooperation
from tessy.layout import TRAJECTORIES
from tessy.records import Problem, Trajectory, from_row
from tessy.stages import synthesize
from tessy.synthesis.journal import Journal
from tessy.synthesis.meters import Meters
from tessy.synthesis.official import samples_by_prompt
from tessy.synthesis.scheduler import Schedule, write_all
from tessy.tracking import read_metrics

ROOT = Path(__file__).parent.parent


def scripted_spans(folder: Path, compat: Compatibility, chunk_tokens: int = 7) -> list[tuple[str, str]]:
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
    paper = scripted_spans(tmp_path / "paper", Compatibility())
    release = scripted_spans(tmp_path / "release", Compatibility(hand_over="extend"))
    assert paper[0] == ("student", "okay then.")
    assert release[0] == ("student", "okay then. X")


def test_the_first_token_of_a_chunk_is_no_boundary(tmp_path: Path) -> None:
    """Chunks of one token are then never looked at: the student writes all of it."""
    paper = scripted_spans(tmp_path / "paper", Compatibility(), chunk_tokens=1)
    release = scripted_spans(tmp_path / "release", Compatibility(first_token=False), chunk_tokens=1)
    assert len(paper) == 5
    assert "X" not in paper[0][1]
    assert "X" in release[0][1]


def test_spelled_ends_end_the_thinking(tmp_path: Path) -> None:
    spelled = scripted_spans(tmp_path / "j", Compatibility(end_spellings=("hmm",)))
    assert "hmm" not in "".join(text for _, text in spelled)


def test_every_release_switch_is_off_by_default_and_in_the_guide() -> None:
    guide = (ROOT / "tessy" / "synthesis" / "README.md").read_text()
    for name in Compatibility.model_fields:
        assert getattr(OFFICIAL, name) != getattr(Compatibility(), name)
        assert f"`{name}`" in guide


def test_problems_asked_for_again_are_left_out() -> None:
    problems = [Problem("a", "one"), Problem("b", "two"), Problem("a", "one"), Problem("c", "one")]
    found = samples_by_prompt(problems)
    assert [sample.problem.problem_id for sample in found] == ["a", "b"]
    assert samples_by_prompt(problems[::-1])[0].sample_id == found[0].sample_id


@pytest.mark.slow
def test_a_whole_set_by_the_release(tmp_path: Path) -> None:
    """Each prompt once, written behind the release's prompt, kept behind the template's."""
    training_stage.make_inputs(tmp_path)
    problems = [Problem(f"p{number}", "so then" if number > 2 else f"one {number}") for number in range(5)]
    write_parquet(tmp_path / "problems-x" / "problems.parquet", problems, "t", "t")
    compat = Compatibility(prompt_newline=False, samples="prompts", teacher_tokens="student")
    inputs = {"problems": "problems-x", "student": "model-student-x", "teacher": "model-student-x"}
    found: dict[str, list[Trajectory]] = {}
    for name, switches in (("paper", Compatibility()), ("release", compat)):
        settings = Cooperation(
            max_tokens=40,
            sampler=Sampler(temperature=1.0),
            chunk_tokens=ChunkTokens(student=4, teacher=4),
            compat=switches,
            switch=EveryTokensSwitch(kind="every_tokens", tokens=3),
        )
        config = synthesize.SynthesizeStage(
            method="tessy", models=MODELS, engines={}, synthesis=settings, seed=0
        )
        job = job_at(tmp_path, "tessy", config, inputs, probe_tokens=4)
        synthesize.run(job)
        assert read_metrics(job.out)[0]["tessy/share_of_limit"] > 0
        found[name] = list(read_parquet(job.out / TRAJECTORIES, Trajectory))
    assert [t.problem_id for t in found["paper"]] == ["p0", "p1", "p2", "p3", "p4"]
    assert [t.problem_id for t in found["release"]] == ["p0", "p1", "p2", "p3"]
    student = Renderer(training_stage.tokenizer(), "qwen3")
    assert [t.text for t in found["paper"][:4]] != [t.text for t in found["release"]]
    for t in found["release"]:
        assert t.student_token_ids[: t.prompt_tokens] == student.prompt_ids(t.prompt)
        for span in t.spans:
            assert span.author == "student" or span.tokens == len(student.encode(span.text))
