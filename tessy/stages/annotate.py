"""The stage `annotate`: one model's thinking, cut into segments with their style marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tessy.artifacts import read_parquet, write_json, write_parquet
from tessy.boundary.agreement import cohens_kappa
from tessy.boundary.annotators import Annotated
from tessy.boundary.labels import token_labels
from tessy.boundary.segments import SEGMENTS, THINKINGS, Segment, segments
from tessy.chat import load_tokenizer
from tessy.errors import UserError
from tessy.pipeline.job import Job
from tessy.records import Problem, Role, Trajectory
from tessy.stages.marking import Task, mark
from tessy.stages.names import ANNOTATIONS
from tessy.stages.problems import FILE as PROBLEMS
from tessy.stages.writing import write_responses
from tessy.synthesis.drafts import samples_of
from tessy.synthesis.methods import METHODS


def run(job: Job) -> None:
    settings, role = job.config["predictors"], job.config["role"]
    responses = sampled_thinking(job)
    thinkings = {r.sample_id: "".join(s.text for s in r.spans if s.kind == "thinking") for r in responses}
    triples = [(r.sample_id, r.problem_id, thinkings[r.sample_id]) for r in responses]
    cut = segments(triples, settings["segment_words"], settings["segments"], job.config["seed"])
    annotated = mark(job, settings["annotator"], Task(cut, thinkings), "annotator")
    record: dict[str, Any] = {
        "segments": len(cut),
        "annotated": len(annotated.style),
        "outcomes": dict(annotated.outcomes),
        "agreement": agreement(job, annotated, Task(cut, thinkings)) if settings["agreement"] else None,
    }
    write_json(job.out / ANNOTATIONS, record)
    require_both_kinds(cut, annotated, role)
    rows = [
        row(segment, annotated.style[segment.segment_id])
        for segment in cut
        if segment.segment_id in annotated.style
    ]
    about = (
        f"Segments of the {role}'s thinking, style marked by an annotator: {settings['annotator']['kind']}."
    )
    write_parquet(job.out / SEGMENTS, rows, job.name, about)
    write_parquet(
        job.out / THINKINGS,
        [{"sample_id": sample, "problem_id": problem, "text": text} for sample, problem, text in triples],
        job.name,
        f"The {role}'s thinkings that segments were cut from.",
    )
    job.tracker.log(counts(record, rows))


def require_both_kinds(cut: Sequence[Segment], annotated: Annotated, role: Role) -> None:
    """Raise `UserError` where there is nothing to learn from: no style at all, or nothing else."""
    texts = {segment.segment_id: segment.text for segment in cut}
    marked = [(texts[key], style) for key, style in annotated.style.items()]
    style = sum(end - start for _, spans in marked for start, end in spans)
    what = "no style" if not style else "nothing but style"
    if not style or style == sum(len(text) for text, _ in marked):
        raise UserError(
            f"predictors.annotator: {what} marked in {len(cut)} segments of the {role}'s thinking, "
            f"{len(annotated.style)} of them annotated; outcomes: {dict(annotated.outcomes)}; use another "
            "lexicon, model or prompt"
        )


def counts(record: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """How the annotation went, as metrics; no kappa where there is none."""
    found = {"segments": len(rows), "style_spans": sum(len(row["style"]) for row in rows)}
    found |= {f"outcomes/{reason}": times for reason, times in record["outcomes"].items()}
    agreed = record["agreement"]
    return found | ({"kappa": agreed["kappa"]} if agreed and agreed["kappa"] is not None else {})


def sampled_thinking(job: Job) -> list[Trajectory]:
    """The model's own responses to the first problems."""
    settings, role = job.config["predictors"], job.config["role"]
    problems = list(read_parquet(job.inputs["problems"] / PROBLEMS, Problem))[: settings["problems"]]
    return write_responses(
        job,
        samples_of(problems),
        name=f"{role}-thinking",
        method=METHODS[f"{role}_only"],
        sampler=job.config["synthesis"]["sampler"],
        max_tokens=job.config["synthesis"]["max_tokens"],
        model_inputs={role: "model"},
        home=role,
    )


def row(segment: Segment, style: Sequence[tuple[int, int]]) -> dict[str, Any]:
    return {
        "segment_id": segment.segment_id,
        "sample_id": segment.sample_id,
        "problem_id": segment.problem_id,
        "start": segment.start,
        "text": segment.text,
        "style": [{"start": start, "end": end} for start, end in style],
    }


def agreement(job: Job, first: Annotated, task: Task) -> dict[str, Any]:
    """Annotate some segments again; kappa over the tokens of segments that both annotated."""
    settings = job.config["predictors"]["agreement"]
    chosen = Task(task.segments[: settings["segments"]], task.thinkings)
    second = mark(job, settings["annotator"], chosen, "second-annotator")
    tokenizer = load_tokenizer(*job.model())
    labels: tuple[list[int], list[int]] = ([], [])
    shared = [s for s in chosen.segments if s.segment_id in first.style and s.segment_id in second.style]
    for segment in shared:
        encoded = tokenizer(
            segment.text, add_special_tokens=False, return_offsets_mapping=True, split_special_tokens=True
        )
        for out, annotated in zip(labels, (first, second), strict=True):
            out += token_labels(encoded["offset_mapping"], annotated.style[segment.segment_id])
    return {
        "kappa": cohens_kappa(*labels),
        "tokens": len(labels[0]),
        "segments": len(shared),
        "outcomes": dict(second.outcomes),
    }
