"""The stage `curation`: training problems that are cleaned, told apart, kept away from the benchmarks,
selected.

It takes the place of the stage `problems` where a recipe has `problems.curation`. Its work is in
`tessy.curate`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

from pydantic import Field

from tessy.artifacts import write_json
from tessy.config.base import MINIATURE, Seed
from tessy.config.curation import Embedding
from tessy.config.curation_recipe import CurationRecipe
from tessy.config.engines import Numerics
from tessy.config.evaluate import MINIATURE_TASK, Benchmark, CodeBenchmark
from tessy.config.execution import Execution
from tessy.config.models import ModelReference, Pretraining, reference
from tessy.config.problems import FIELD, Curation, Problems, ProblemSource, field_of
from tessy.config.recipe import Recipe
from tessy.errors import UserError
from tessy.layout import CURATION
from tessy.records import ROLES, Role
from tessy.runtime.job import Job
from tessy.runtime.plan import Graph, by_name
from tessy.runtime.stage import Kind, StageConfig, missing_files
from tessy.stages.checks import (
    engine_faults,
    fault,
    is_missing,
    local,
    models_faults,
    sandbox_faults,
    table_faults,
)
from tessy.stages.tables import table_of

if TYPE_CHECKING:
    from tessy.curation_rules.decontamination import Statement


PACKAGES = ("datasketch", "py3langid", "rapidfuzz")
"""What the rules need."""


class CurationStage(StageConfig):
    """Sources, rules, benchmarks, and the models that are asked or whose contexts must hold a prompt."""

    problems: Problems
    benchmarks: tuple[Benchmark, ...] = ()
    """The recipe's, without what does not change their statements."""
    models: dict[Role, ModelReference] = Field(default_factory=dict)
    engines: dict[Role, Numerics] = Field(default_factory=dict)
    context: int | None = None
    """Tokens of a training sequence (`train.max_length`); None where contexts are not looked at."""
    response: int = 0
    """Of these, the response's (`synthesis.max_tokens`)."""
    system: str = ""
    """The system prompt in training, which takes room, too."""
    pretraining: dict[Role, Pretraining] = Field(default_factory=dict)
    """Of the miniature's models, where what they have read is audited."""
    seed: Seed

    @property
    def curation(self) -> Curation:
        assert self.problems.curation is not None
        return self.problems.curation

    @property
    def tables(self) -> Iterator[tuple[ProblemSource, str]]:
        """Every source but the miniature, and the field that names it."""
        own = [(source, field_of(self.problems, source)) for source in self.problems.named.values()]
        audited = [(source, f"{FIELD}.audit {source.title}") for source in self.curation.audit]
        yield from ((source, field) for source, field in (*own, *audited) if source.source != MINIATURE)

    @property
    def uses_world(self) -> bool:
        """Whether anything is the miniature's."""
        own = [source.source for source in (*self.problems.named.values(), *self.curation.audit)]
        own += [one.source if isinstance(one, CodeBenchmark) else one.task for one in self.benchmarks]
        return bool({MINIATURE, MINIATURE_TASK} & set(own))

    @property
    def files(self) -> list[str]:
        sources = [file for source, _ in self.tables for file in (source.source, *source.references.values())]
        prompts = [str(rating.file) for rating in self.curation.selection.ratings]
        models = [file for model in self.models.values() for file in model.files]
        tests = [file for benchmark in self.benchmarks for file in benchmark.files]
        own = [one.model] if (one := self.curation.duplicates.embedding) else []
        return [*local(file for file in (*sources, *tests) if file), *prompts, *local(models), *own]

    def faults(self, execution: Execution) -> Iterator[str]:
        selection = self.curation.selection
        if missing := [name for name in PACKAGES if find_spec(name) is None]:
            yield f"problems.curation: {', '.join(missing)} not installed: pip install -e '.[curation]'"
            return
        for source, field in self.tables:
            if source.preset is None:
                yield from table_faults(source, field)
            elif source.source:
                yield from fault(_require_preset, source, field)
        for rating in selection.ratings:
            yield from missing_files(f"{FIELD}.selection.ratings {rating.name}.prompt", rating.file)
            if rating.own is None and execution.annotator is None:
                yield (
                    f"section `execution.annotator` is missing, and rating {rating.name} asks "
                    f"{rating.model!r} there; add it, or ask 'teacher' or 'student'"
                )
        if one := self.curation.duplicates.embedding:
            yield from _embedding_faults(one)
        yield from models_faults(self.models)
        yield from engine_faults(execution, self.engines)
        if selection.pass_rate is not None:
            yield from sandbox_faults()


def _embedding_faults(embedding: Embedding) -> Iterator[str]:
    """What can be seen without loading it."""
    field = f"{FIELD}.duplicates.embedding.model {embedding.model!r}"
    if missing := [name for name in ("torch", "transformers") if find_spec(name) is None]:
        yield f"{field}: {', '.join(missing)} not installed: pip install -e '.[models]'"
    elif is_missing(embedding.model):
        yield f"{field}: no checkpoint there (config.json is missing); name another folder, or a hub id"


def _require_preset(source: ProblemSource, field: str) -> None:
    from tessy.curate.reading import opened

    opened(source, field, tests=False)


KIND = Kind(
    "curation",
    CurationStage,
    revision=2,
    declared=f"{__name__}:KIND",
    run=f"{__name__}:run",
    on_device=True,
    preload=("tessy.curate.passes",),
)


def plan(recipe: Recipe, graph: Graph, models: Mapping[Role, str | None], world: str | None) -> str:
    """The stage that takes the place of `problems`."""
    problems, train = recipe.problems, recipe.train
    assert problems is not None
    assert problems.curation is not None
    curation = problems.curation
    asked = _asked(curation)
    counted = ROLES if curation.fit_contexts else curation.cleaning.max_tokens
    used: list[Role] = [role for role in ROLES if role in counted or role in asked]
    audited = any(source.source == MINIATURE for source in curation.audit)
    found = {role: recipe.models.of(role).pretraining for role in ROLES} if audited else {}
    config = CurationStage(
        problems=problems,
        benchmarks=tuple(map(statements_only, recipe.evaluate.benchmarks))
        if curation.check_benchmarks
        else (),
        models={role: reference(recipe.models.of(role)) for role in used},
        engines={role: recipe.execution.engines.of(role).numerics for role in asked},
        context=train.max_length if curation.fit_contexts else None,
        response=recipe.synthesis.max_tokens if curation.fit_contexts else 0,
        system=train.system_prompt if curation.fit_contexts else "",
        pretraining={role: settings for role, settings in found.items() if settings is not None},
        seed=recipe.seed,
    )
    inputs = {"world": world if config.uses_world else None, **by_name({role: models[role] for role in used})}
    return graph.add(KIND, "curation", config, inputs)


def plan_alone(recipe: CurationRecipe, graph: Graph) -> str:
    """The same stage without an experiment around it; no model is the miniature's."""
    config = CurationStage(
        problems=recipe.problems,
        benchmarks=tuple(map(statements_only, recipe.benchmarks)),
        models={role: reference(model) for role, model in recipe.models.items()},
        engines={role: recipe.execution.engines.of(role).numerics for role in _asked(recipe.curation)},
        context=recipe.context,
        response=recipe.response,
        seed=recipe.seed,
    )
    return graph.add(KIND, "curation", config)


def _asked(curation: Curation) -> list[Role]:
    """The roles whose models are asked anything."""
    selection = curation.selection
    asked = {rating.own for rating in selection.ratings if rating.own}
    asked |= {"student"} if selection.pass_rate else set()
    return [role for role in ROLES if role in asked]


_NOT_OF_STATEMENTS = (
    *("samples", "paper_column", "mode", "judge_commit"),
    *("instruction", "prompt_file", "unusable_problems"),
)


def statements_only(benchmark: Benchmark) -> Benchmark:
    """A benchmark without what does not change its statements."""
    fields = type(benchmark).model_fields
    return benchmark.model_copy(
        update={name: fields[name].default for name in _NOT_OF_STATEMENTS if name in fields}
    )


def run(job: Job[CurationStage]) -> None:
    from tessy.curate import passes
    from tessy.curate.auditing import audit
    from tessy.curate.embedding import open_embedder
    from tessy.curate.selecting import select
    from tessy.curate.supplies import asking, audited, in_contexts, supplies

    config = job.config
    # Benchmarks and models are loaded before any row is read, so that no fault shows after hours.
    tests = benchmark_tests(job)
    embedder = open_embedder(job, config.curation.duplicates)
    tables = partial(table_of, job)
    sources = supplies(job, config, tables)
    curation, tokens = in_contexts(job, config)
    found = passes.first(job, sources, curation, tests, tokens)
    decided = passes.second(job, found, curation, [one.source for one in sources], config.seed, embedder)
    weights = {one.source.title: one.source.weight for one in sources}
    chosen = select(found.shards, decided, curation, config.seed, weights, asking(job, config))
    chosen = passes.limited(chosen, config.problems.limit)
    if not chosen.order:
        raise UserError(
            f"{FIELD}: no problem is left; left out: {passes.summary(found, decided, chosen)}; "
            f"{job.work / 'shards'} has the rows and the evidence"
        )
    record = passes.write(job, found, curation, decided, chosen, sources, tests)
    heard = (
        [audit(job, one, found.index, tests) for one in audited(job, config, tables)] if found.index else []
    )
    write_json(job.out / CURATION, record | {"audits": heard})
    job.tracker.log({f"left/{step['rule']}": float(step["left"]) for step in record["funnel"]})
    for line in (*passes.said(record, heard), *passes.repeated(chosen)):
        job.say(line)


def benchmark_tests(job: Job[CurationStage]) -> tuple[Statement, ...]:
    """The tests of every benchmark."""
    if not job.config.benchmarks:
        return ()
    # Loaded by name, because `tessy` does not import `eval`.
    statements = importlib.import_module("eval.statements").statements
    world, seed = job.inputs.get("world"), job.config.seed
    # OJBench asks every problem in two languages.
    every = (test for one in job.config.benchmarks for test in statements(one, world, seed))
    return tuple(dict.fromkeys(every))
