"""From a recipe to its plan: the stages of an experiment and their inputs."""

from __future__ import annotations

from tessy.config.curation_recipe import CurationRecipe
from tessy.config.methods import METHODS
from tessy.config.models import reference
from tessy.config.recipe import Recipe
from tessy.config.train import EPOCHS
from tessy.records import ROLES, Role
from tessy.runtime.plan import Graph, Plan
from tessy.stages import (
    annotate,
    curation,
    evaluate,
    given,
    instrument,
    lm_eval,
    predictor,
    pretrain,
    problems,
    report,
    sft,
    switch_verdicts,
    switches,
    synthesize,
    teacher_mix,
    teacher_reference,
    teacher_score,
    world,
)


def plan(recipe: Recipe) -> Plan[Recipe]:
    """Every stage of `recipe`; runs nothing."""
    graph = Graph()
    made = _Sources(recipe, graph)
    traces = {name: made.method(name) for name in recipe.synthesis.titles}
    # Long, and only the report needs it: started first, so that it fills gaps instead of running last.
    if made.world is not None and instrument.is_miniature(recipe):
        written = {name: traces[name] for name in recipe.synthesis.written}
        instrument.plan(recipe, graph, made.world, made.models, written)
        if recipe.predictors:
            compared = switches.plan(recipe, graph, made.world, made.models, made.predictors)
            switch_verdicts.plan(recipe, graph, made.world, compared)
    student = made.models["student"]
    made.tested("student", student)
    for method, trace in traces.items():
        held_out = made.held_out(method) if recipe.train.validation else None
        for seed in recipe.train.seeds:
            label = f"{method}-seed{seed}"
            tuned = sft.plan(recipe, graph, method, seed, trace, student, held_out)
            made.tested(label, tuned, system=recipe.train.system_prompt)
            for epoch in recipe.train.evaluate_epochs:
                kept = f"{EPOCHS}/{epoch}"
                made.tested(f"{label}-epoch{epoch}", tuned, kept, recipe.train.system_prompt)
    report.plan(recipe, graph)
    return Plan(recipe, tuple(graph.stages.values()))


def plan_curation(recipe: CurationRecipe) -> Plan[CurationRecipe]:
    """The curation of problems, without an experiment around it."""
    graph = Graph()
    curation.plan_alone(recipe, graph)
    return Plan(recipe, tuple(graph.stages.values()))


class _Sources:
    """The inputs that most stages share, and the stages made from them. Where all traces are given, there are
    neither problems nor predictors."""

    def __init__(self, recipe: Recipe, graph: Graph) -> None:
        self.recipe, self.graph = recipe, graph
        self.world = world.plan(recipe, graph)
        writes = recipe.models_write
        used = ROLES if writes else ("student",)
        self.models = {
            role: pretrain.plan(recipe, graph, role, self.world) if role in used else None for role in ROLES
        }
        self.problems = self._problems() if writes else ""
        self.predictors = {role: self._predictor(role) for role in ROLES if writes and recipe.predictors}

    def _problems(self) -> str:
        problems_of = self.recipe.problems
        if problems_of is not None and problems_of.curation is not None:
            return curation.plan(self.recipe, self.graph, self.models, self.world)
        return problems.plan(self.recipe, self.graph, self.world, self.models)

    def _predictor(self, role: Role) -> str:
        annotations = annotate.plan(self.recipe, self.graph, role, self.models, self.problems)
        return predictor.plan(self.recipe, self.graph, role, self.models, annotations)

    def method(self, name: str) -> str:
        """The stage that ends with the trajectories of the method called `name`."""
        if name in METHODS:
            return self.written(name)
        if name in self.recipe.synthesis.given:
            return given.plan(self.recipe, self.graph, name, self.models["student"], self.predictors)
        derived = {
            "teacher_mix": self._mix,
            "teacher_reference": self._with_reference,
            "teacher_score": self._best,
        }
        return derived[name]()

    def held_out(self, method: str) -> str:
        """The stage of a method's responses to held-out problems."""
        return self.written(method, f"validation-{method}", held_out=True)

    def written(self, method: str, name: str | None = None, repeats: int = 1, held_out: bool = False) -> str:
        """The stage of responses by the models that `METHODS` names."""
        return synthesize.plan(
            self.recipe,
            self.graph,
            method,
            self.models,
            self.problems,
            self.predictors,
            name=name,
            repeats=repeats,
            held_out=held_out,
        )

    def _mix(self) -> str:
        return teacher_mix.plan(
            self.recipe, self.graph, {role: self.method(f"{role}_only") for role in ROLES}
        )

    def _with_reference(self) -> str:
        references = self.method("teacher_only")
        student = self.models["student"]
        return teacher_reference.plan(self.recipe, self.graph, student, self.problems, references)

    def _best(self) -> str:
        settings = self.recipe.synthesis.teacher_score
        assert settings is not None
        candidates = self.written("student_only", "candidates-teacher_score", settings.candidates)
        return teacher_score.plan(self.recipe, self.graph, self.models["teacher"], candidates)

    def tested(self, label: str, model: str | None, folder: str = "", system: str = "") -> None:
        """The stages that test the checkpoint in `folder` of the artifact of stage `model`, with the system
        prompt `system`."""
        named = reference(self.recipe.models.student, folder, system)
        for kind in (evaluate, lm_eval):
            kind.plan(self.recipe, self.graph, label, named, model, self.world)
