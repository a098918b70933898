"""The stage `best` (Teacher-Score): of several responses by the student, the one the teacher scores highest.

The teacher scores in one of two ways. `grade`: it is asked for a number, like any question, and its
answer is read tolerantly. `likelihood`: the mean log-probability it gives to the response, in its own
chat format; that needs no instruction to be understood, so any model can do it. What cannot be read is
counted. Both are journaled: a stage that was killed goes on where it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from tessy.artifacts import read_parquet, write_json
from tessy.boundary.annotators import AnswerJournal
from tessy.chat import Renderer
from tessy.pipeline.job import Job
from tessy.records import Problem, Trajectory
from tessy.stages.names import TRAJECTORIES
from tessy.stages.synthesize import write_set
from tessy.stages.writing import renderer_of, responses
from tessy.synthesis.drafts import Sample
from tessy.synthesis.methods import METHODS
from tessy.synthesis.prompts import Template
from tessy.synthesis.scoring import best_of, read_grade
from tessy.synthesis.settings import prompt_file

SCORES = "scores.json"
"""The score of every candidate by sample id; null where none could be read."""


def run(job: Job) -> None:
    scores = grades(job) if job.config["scorer"]["kind"] == "grade" else likelihoods(job)
    write_json(job.out / SCORES, scores)
    unread = sum(score is None for score in scores.values())
    kept = (
        replace(best_of(group, scores), method=job.config["method"])
        for group in grouped(_candidates(job), job.config["candidates"])
    )
    write_set(job, kept, lambda: {"candidates_scored": len(scores) - unread, "candidates_unreadable": unread})


def grouped(trajectories: Iterator[Trajectory], size: int) -> Iterator[list[Trajectory]]:
    """Candidates of one sample after the other: they were written in this order."""
    while group := list(islice(trajectories, size)):
        yield group


def grades(job: Job) -> dict[str, float | None]:
    """Every finished candidate's grade."""
    scorer = job.config["scorer"]
    template = Template(
        prompt_file(scorer["prompt"]), "synthesis.teacher_score.scorer.prompt", {"problem", "response"}
    )
    questions = [question(t, template) for t in _finished(job)]
    out: dict[str, float | None] = {}
    for response in responses(
        job,
        questions,
        name="grades",
        method=METHODS["teacher_only"],
        sampler=scorer["sampler"],
        max_tokens=scorer["max_tokens"],
        home="teacher",
        must_finish=True,
    ):
        answer = "".join(span.text for span in response.spans if span.kind == "answer")
        out[response.problem_id] = read_grade(answer)
    return out


def question(candidate: Trajectory, template: Template) -> Sample:
    """Asks for the grade of `candidate`, which stands in the problem's place."""
    asked = template.fill(problem=candidate.prompt, response=candidate.text)
    return Sample(f"grade/{candidate.sample_id}", Problem(candidate.sample_id, asked))


def likelihoods(job: Job) -> dict[str, float | None]:
    """Every finished candidate's mean log-probability under the teacher."""
    from tessy.engines.likelihood import LikelihoodReader

    reader, renderer = LikelihoodReader(*job.model("teacher")), renderer_of(job, "teacher")
    candidates, out = list(_finished(job)), dict[str, float | None]()
    with AnswerJournal(job.work / "likelihoods.jsonl") as read:
        for number, candidate in enumerate(candidates, start=1):
            name = candidate.sample_id
            if name not in read.answers:
                read.append(name, repr(reader.mean_log_probability(*as_written_by(renderer, candidate))))
            out[name] = float(read.answers[name][0])
            job.progress(number, len(candidates), "candidates read")
    return out


def as_written_by(renderer: Renderer, candidate: Trajectory) -> tuple[list[int], int]:
    """The ids of a finished candidate as if the renderer's model had written it, and how many are prompt."""
    thinking, answer = (_text(candidate, kind) for kind in ("thinking", "answer"))
    prompt = [*renderer.prompt_ids(candidate.prompt), *renderer.open_thinking_ids()]
    thought = [*renderer.encode(thinking), *renderer.close_thinking_ids(thinking)]
    return [*prompt, *thought, *renderer.encode(answer), *renderer.close_answer_ids()], len(prompt)


def _text(trajectory: Trajectory, kind: str) -> str:
    return "".join(span.text for span in trajectory.spans if span.kind == kind)


def _candidates(job: Job) -> Iterator[Trajectory]:
    return read_parquet(job.inputs["candidates"] / TRAJECTORIES, Trajectory)


def _finished(job: Job) -> Iterator[Trajectory]:
    return (t for t in _candidates(job) if t.stop_reason == "finished")
