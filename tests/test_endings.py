"""How traces end, by real markers and through the real scheduler: what is kept, and what the outcome is."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from scripted import assignment, samples
from vocabularies import renderer

from tessy.config.methods import METHODS
from tessy.engines.scripted import ScriptedEngine
from tessy.records import Role, Trajectory, from_row
from tessy.stages.synthesize import Summary
from tessy.synthesis.journal import Journal
from tessy.synthesis.meters import Meters
from tessy.synthesis.rollouts import Assignment, Author
from tessy.synthesis.scheduler import Schedule, write, write_all

FORMS: dict[Role, str] = {"student": "qwen3", "teacher": "gpt_oss"}
THOUGHT, ANSWER = "We add them.", "print(2)"


def written_by(method: str, thinking_end: str, answer_end: str) -> Assignment:
    """Authors that think `THOUGHT` and answer `ANSWER`, and end them by these markers."""
    forms = {role: renderer(form) for role, form in FORMS.items()}

    def author(role: Role) -> Author:
        form = forms[role]
        opening, closing = form.open_thinking_ids(), form.close_thinking_ids(THOUGHT)

        def ids_of(text: str, marker: str) -> list[int]:
            return [*form.encode(text), form.tokenizer.convert_tokens_to_ids(marker), *form.encode(" more")]

        def script(ids: Sequence[int]) -> list[int]:
            thinks = list(ids[-len(opening) :]) == opening
            assert thinks or list(ids[-len(closing) :]) == closing
            return ids_of(THOUGHT, thinking_end) if thinks else ids_of(ANSWER, answer_end)

        return Author(role, ScriptedEngine(script))

    spec = METHODS[method]
    authors = {role: author(role) for role in spec.authors}
    return Assignment(method, spec, authors, forms, "student", 1000, 0, {})  # type: ignore[arg-type]


def trajectory(folder: Path, spec: Assignment, reach: int | None = 512) -> Trajectory:
    with Journal(folder) as journal:
        return asyncio.run(write(samples(1)[0], spec, journal, Schedule(1, reach), Meters()))


@pytest.mark.parametrize(
    ("method", "end"),
    [("teacher_think", end) for end in ("<|end|>", "<|channel|>", "<|start|>", "<|call|>", "<|return|>")]
    + [("student_only", end) for end in ("</think>", "<|im_end|>", "<|endoftext|>", "<think>")],
)
def test_any_marker_in_the_thinking_ends_it_and_the_answer_follows(
    tmp_path: Path, method: str, end: str
) -> None:
    """An end of analysis, another channel, a tool call: nothing of it gets into the trace."""
    spec = written_by(method, end, "<|im_end|>")
    found = trajectory(tmp_path, spec)
    assert found.stop_reason == "finished"
    assert found.text == f"{THOUGHT}\n</think>\n\n{ANSWER}"
    student = renderer("qwen3")
    response = student.open_thinking_ids() + student.encode(THOUGHT) + student.close_thinking_ids(THOUGHT)
    response += student.encode(ANSWER) + student.close_answer_ids()
    assert found.student_token_ids[found.prompt_tokens :] == response


@pytest.mark.parametrize(
    ("method", "end", "reason"),
    [("teacher_only", end, "stray") for end in ("<|call|>", "<|channel|>", "<|start|>", "<|message|>")]
    + [("teacher_only", end, "finished") for end in ("<|return|>", "<|end|>", "<|endoftext|>")]
    + [("student_only", end, "stray") for end in ("</think>", "<think>", "<|im_start|>")],
)
def test_a_marker_that_does_not_end_an_answer_is_an_outcome_of_its_own(
    tmp_path: Path, method: str, end: str, reason: str
) -> None:
    spec = written_by(method, "</think>" if method == "student_only" else "<|end|>", end)
    found = trajectory(tmp_path, spec)
    assert found.stop_reason == reason
    assert found.spans[-1].text == ANSWER
    assert found.spans[-1].ended_by == ("stray" if reason == "stray" else "end_of_answer")


@pytest.mark.parametrize("reach", [None, 512])
@pytest.mark.parametrize("chunk_tokens", [1, 7, 100])
def test_a_trace_that_repeats_itself_is_stopped_within_a_chunk(
    tmp_path: Path, chunk_tokens: int, reach: int | None
) -> None:
    run = "wait, let me check that. "
    spec = assignment(chunk_tokens, thinking="okay then. " + run * 40)
    found = trajectory(tmp_path, spec, reach)
    assert found.stop_reason == "repetitive"
    assert found.spans[-1].ended_by == "repetition"
    past = len(found.text) - len("okay then. " + run * 8)
    assert -1 <= past <= chunk_tokens + len(run)


def test_every_outcome_is_counted(tmp_path: Path) -> None:
    thinking = {
        "problem 0": "so it goes " * 20,
        "problem 1": " ",
        "problem 2": "okay.",
        "problem 3": "x" * 900,
    }
    spec = assignment(20, max_tokens=600)

    def script(ids: Sequence[int]) -> list[int]:
        prompt, _, _ = "".join(map(chr, (token for token in ids if token < 0x110000))).partition("|")
        whole = [*map(ord, thinking[prompt]), 0x110000, *map(ord, "print it."), 0x110000]
        return whole[len(ids) - len(prompt) - 1 :]

    engine = ScriptedEngine(script)
    spec = replace(spec, authors={role: replace(one, engine=engine) for role, one in spec.authors.items()})
    with Journal(tmp_path) as journal:
        asyncio.run(write_all(samples(4), spec, journal, Schedule(2), Meters()))
        done = [from_row(Trajectory, row) for row in journal.rows(s.sample_id for s in samples(4))]
    summary = Summary()
    assert len(list(summary.watch(done))) == 4
    assert summary.values()["stop_reasons"] == {"repetitive": 1, "empty": 1, "finished": 1, "length": 1}
    assert summary.values()["failed"] == 3
