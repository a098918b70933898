"""The stage `annotate`: segments of one model's thinking with their style spans."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tessy.artifacts import read_parquet, write_json, write_parquet
from tessy.boundary.agreement import cohens_kappa
from tessy.boundary.annotators import Annotated, load_prompt
from tessy.boundary.labels import token_labels
from tessy.boundary.lexicon import Lexicon
from tessy.boundary.segments import SEGMENTS, THINKINGS, Segment, segments
from tessy.cluster import Resources
from tessy.config.base import Generation, Seed, part
from tessy.config.engines import Numerics
from tessy.config.execution import Execution
from tessy.config.methods import METHODS
from tessy.config.models import ModelReference, reference
from tessy.config.predictors import Agreement, Annotation
from tessy.config.recipe import Recipe
from tessy.errors import UserError
from tessy.layout import ANNOTATIONS, PROBLEMS
from tessy.records import ROLES, Problem, Role, Trajectory
from tessy.runtime.job import Job
from tessy.runtime.plan import Graph, by_name
from tessy.runtime.stage import Kind, StageConfig
from tessy.stages.checks import engine_faults, fault, local, models_faults
from tessy.stages.serving import needed, of_models

if TYPE_CHECKING:
    from tessy.generation.annotation import Segments
    from tessy.generation.asking import Asking


class AnnotateStage(StageConfig):
    """Which model's thinking is sampled, how, and by which annotator. `models` and `engines` are those of
    `role` and of the recipe's own annotators."""

    role: Role
    models: dict[Role, ModelReference]
    engines: dict[Role, Numerics]
    synthesis: Generation
    predictors: Annotation
    seed: Seed

    @property
    def files(self) -> list[str]:
        sources = [source for model in self.models.values() for source in model.files]
        return [*local(sources), *(str(annotator.file) for annotator in self.predictors.annotators)]

    def faults(self, execution: Execution) -> Iterator[str]:
        for annotator in self.predictors.annotators:
            if not annotator.file.is_file():
                named = f"'{annotator.file}': no such file or shipped name"
                yield f"predictors: {annotator.kind} annotator: {named}"
            else:
                load = Lexicon.load if annotator.kind == "lexicon" else load_prompt
                yield from fault(load, annotator.file)
        yield from models_faults(self.models)
        yield from engine_faults(execution, self.models)

    def resources(self, execution: Execution) -> Resources:
        return needed(execution, [execution.engines.of(role) for role in self.models])

    def servers(self, execution: Execution, inputs: Mapping[str, Path]) -> Iterator[str]:
        yield from of_models(execution, inputs, self.models)


KIND = Kind(
    "annotate",
    AnnotateStage,
    revision=3,
    declared=f"{__name__}:KIND",
    run=f"{__name__}:run",
    join=f"{__name__}:join",
    preload=("tessy.generation.annotation",),
    needs=("models",),
)


def plan(recipe: Recipe, graph: Graph, role: Role, models: Mapping[Role, str | None], problems: str) -> str:
    assert recipe.predictors is not None
    annotation = part(Annotation, recipe.predictors)
    asked = {a.own for a in annotation.annotators if a.kind == "llm" and a.own}
    used: list[Role] = [one for one in ROLES if one == role or one in asked]
    config = AnnotateStage(
        role=role,
        models={one: reference(recipe.models.of(one)) for one in used},
        engines={one: recipe.execution.engines.of(one).numerics for one in used},
        synthesis=part(Generation, recipe.synthesis),
        predictors=annotation,
        seed=recipe.seed,
    )
    inputs = {"problems": problems, **by_name({one: models[one] for one in used})}
    return graph.add(KIND, f"annotations-{role}", config, inputs)


def run(job: Job[AnnotateStage]) -> None:
    from tessy.generation.annotation import Segments, mark
    from tessy.generation.asking import Asking
    from tessy.generation.models import named

    settings, role, seed = job.config.predictors, job.config.role, job.config.seed
    responses = sampled_thinking(job)
    thinkings = {r.sample_id: "".join(s.text for s in r.spans if s.kind == "thinking") for r in responses}
    triples = [(r.sample_id, r.problem_id, thinkings[r.sample_id]) for r in responses]
    cut = segments(triples, settings.segment_words, settings.segments, seed)
    task, models = Segments(cut, thinkings), named(job.config.models)
    annotated = mark(job, settings.annotator, task, Asking("annotator", seed, models))
    again = Asking("second-annotator", seed, models)
    record: dict[str, Any] = {
        "segments": len(cut),
        "annotated": len(annotated.style),
        "outcomes": dict(annotated.outcomes),
        "agreement": agreement(job, settings.agreement, annotated, task, again)
        if settings.agreement
        else None,
    }
    write_json(job.out / ANNOTATIONS, record)
    require_both_kinds(cut, annotated, role)
    alike = clusters(job.inputs["problems"] / PROBLEMS)
    rows = [
        row(segment, annotated.style[segment.segment_id])
        | ({"cluster": alike[segment.problem_id]} if alike else {})
        for segment in cut
        if segment.segment_id in annotated.style
    ]
    about = f"Segments of the {role}'s thinking, style marked by an annotator: {settings.annotator.kind}."
    write_parquet(job.out / SEGMENTS, rows, job.name, about)
    write_parquet(
        job.out / THINKINGS,
        [{"sample_id": sample, "problem_id": problem, "text": text} for sample, problem, text in triples],
        job.name,
        f"The {role}'s thinkings that segments were cut from.",
    )
    job.tracker.log(counts(record, rows))


def join(job: Job[AnnotateStage]) -> None:
    """Help to write the thinking and what the recipe's own model says of it; an endpoint's answers are the
    work of one process."""
    annotator = job.config.predictors.annotator
    if annotator.kind == "llm" and annotator.own:
        run(job)
    else:
        sampled_thinking(job)


def clusters(problems: Path) -> dict[str, int]:
    """The cluster of near-duplicates of each problem, where a curation has found them: a predictor is not
    tested on what it has nearly been trained on."""
    import pyarrow.parquet as pq

    if "cluster" not in pq.read_schema(problems).names:
        return {}
    table = pq.read_table(problems, columns=["problem_id", "cluster"])
    return dict(zip(table["problem_id"].to_pylist(), table["cluster"].to_pylist(), strict=True))


def require_both_kinds(cut: Sequence[Segment], annotated: Annotated, role: Role) -> None:
    """Raise `UserError` where only one class occurs: no style at all, or nothing but style."""
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
    """Counts of the annotation as metrics; without kappa where it was not computed."""
    found = {"segments": len(rows), "style_spans": sum(len(row["style"]) for row in rows)}
    found |= {f"outcomes/{reason}": times for reason, times in record["outcomes"].items()}
    agreed = record["agreement"]
    return found | ({"kappa": agreed["kappa"]} if agreed and agreed["kappa"] is not None else {})


def sampled_thinking(job: Job[AnnotateStage]) -> list[Trajectory]:
    """The model's responses to the first problems."""
    from tessy.generation.models import named
    from tessy.generation.writing import Task, write_responses
    from tessy.synthesis.rollouts import samples_of

    config, role = job.config, job.config.role
    problems = list(read_parquet(job.inputs["problems"] / PROBLEMS, Problem))[: config.predictors.problems]
    task = Task(
        f"{role}-thinking",
        METHODS[f"{role}_only"],
        named(config.models),
        config.synthesis,
        config.seed,
        home=role,
    )
    return write_responses(job, samples_of(problems), task)


def row(segment: Segment, style: Sequence[tuple[int, int]]) -> dict[str, Any]:
    return {
        "segment_id": segment.segment_id,
        "sample_id": segment.sample_id,
        "problem_id": segment.problem_id,
        "start": segment.start,
        "text": segment.text,
        "style": [{"start": start, "end": end} for start, end in style],
    }


def agreement(
    job: Job[AnnotateStage], settings: Agreement, first: Annotated, task: Segments, how: Asking
) -> dict[str, Any]:
    """Annotate some segments again; Cohen's kappa over the tokens of segments that both annotations cover."""
    from tessy.chat import load_tokenizer
    from tessy.generation.annotation import Segments, mark

    chosen = Segments(task.segments[: settings.segments], task.thinkings)
    second = mark(job, settings.annotator, chosen, how)
    tokenizer = load_tokenizer(*job.model(job.config.models[job.config.role], job.config.role))
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
