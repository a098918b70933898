"""The stage `annotate`: one model's thinking, cut into segments with their style marked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tessy.artifacts import read_parquet, write_parquet
from tessy.boundary.labels import within
from tessy.boundary.lexicon import Lexicon
from tessy.boundary.segments import SEGMENTS, THINKINGS, segments
from tessy.errors import UserError
from tessy.pipeline.job import Job
from tessy.records import Problem
from tessy.sections import MINIATURE
from tessy.stages.problems import FILE as PROBLEMS
from tessy.stages.synthesize import write_responses
from tessy.synthesis.methods import METHODS
from tessy.synthesis.scheduler import samples_of

MINIATURE_LEXICON = Path(__file__).parents[1] / "miniature" / "lexicon.txt"


def run(job: Job) -> None:
    settings, role = job.config["predictors"], job.config["role"]
    lexicon = Lexicon.load(
        MINIATURE_LEXICON if settings["lexicon"] == MINIATURE else Path(settings["lexicon"])
    )
    problems = list(read_parquet(job.inputs["problems"] / PROBLEMS, Problem))[: settings["problems"]]
    responses = write_responses(
        job,
        samples_of(problems),
        name=f"{role}-thinking",
        method=METHODS[f"{role}_only"],
        sampler=job.config["synthesis"]["sampler"],
        max_tokens=job.config["synthesis"]["max_tokens"],
        model_inputs={role: "model"},
        home=role,
    )
    thinkings = {r.sample_id: "".join(s.text for s in r.spans if s.kind == "thinking") for r in responses}
    triples = [(r.sample_id, r.problem_id, thinkings[r.sample_id]) for r in responses]
    # The lexicon reads whole thinkings: a segment may begin in the middle of a phrase.
    style = {sample_id: lexicon.style_spans(text) for sample_id, text in thinkings.items()}
    rows: list[dict[str, Any]] = [
        {
            "segment_id": segment.segment_id,
            "sample_id": segment.sample_id,
            "problem_id": segment.problem_id,
            "start": segment.start,
            "text": segment.text,
            "style": [
                {"start": start, "end": end}
                for start, end in within(
                    style[segment.sample_id], segment.start, segment.start + len(segment.text)
                )
            ],
        }
        for segment in segments(triples, settings["segment_words"], settings["segments"], job.config["seed"])
    ]
    if not any(row["style"] for row in rows):
        raise UserError(
            f"predictors.lexicon {settings['lexicon']}: matches nothing in {len(rows)} segments "
            f"of the {role}'s thinking"
        )
    write_parquet(
        job.out / SEGMENTS,
        rows,
        job.name,
        f"Segments of the {role}'s thinking with style marked by the lexicon.",
    )
    write_parquet(
        job.out / THINKINGS,
        [{"sample_id": sample, "problem_id": problem, "text": text} for sample, problem, text in triples],
        job.name,
        f"The {role}'s thinkings that segments were cut from.",
    )
    job.tracker.log({"segments": len(rows), "style_spans": sum(len(row["style"]) for row in rows)})
