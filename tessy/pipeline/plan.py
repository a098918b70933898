"""The plan: a recipe's stages as a graph, each with a fingerprint.

A fingerprint covers a stage's part of the recipe, its inputs' fingerprints and the revision of the
code that runs it. It leaves `execution` out: where a stage runs does not change what it makes.

Pure, apart from the digests of files that a recipe names. Not covered: what of it was made before
(`tessy.pipeline.reuse`), and running it (`tessy.pipeline.run`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tessy.artifacts import content_digest, fingerprint
from tessy.predictors import Predictors
from tessy.recipe import Model, Recipe
from tessy.records import ROLES, Role
from tessy.sections import MINIATURE
from tessy.synthesis.methods import METHODS, cooperative
from tessy.training import EPOCHS


@dataclass(frozen=True, slots=True)
class Kind:
    """What runs a stage (`module:function`), and the revision of its meaning: raise it whenever the
    same inputs would give other results, and what was made before is made again."""

    entry: str
    revision: int


KINDS: dict[str, Kind] = {
    "world": Kind("tessy.stages.miniature:make_world", 1),
    "pretrain": Kind("tessy.stages.miniature:pretrain_model", 1),
    "problems": Kind("tessy.stages.problems:run", 1),
    "annotate": Kind("tessy.stages.annotate:run", 3),
    "predictor": Kind("train.predictor:run", 2),
    "synthesize": Kind("tessy.stages.synthesize:run", 3),
    "mix": Kind("tessy.stages.mix:run", 1),
    "reference": Kind("tessy.stages.reference:run", 1),
    "best": Kind("tessy.stages.best:run", 1),
    "sft": Kind("train.sft:run", 2),
    "evaluate": Kind("eval.code:run", 4),
    "lm_eval": Kind("eval.general:run", 4),
    "instrument": Kind("eval.instrument:run", 2),
    "switches": Kind("tessy.stages.switches:run", 2),
    "switch_verdicts": Kind("eval.instrument:judge_switches", 1),
    "report": Kind("tessy.stages.report:run", 6),
}


@dataclass(frozen=True, slots=True)
class Stage:
    """One step: `config` decides its result together with `inputs` (input name -> stage name)."""

    name: str
    kind: str
    config: Mapping[str, Any]
    inputs: Mapping[str, str]
    fingerprint: str

    @property
    def folder(self) -> str:
        return f"{self.name}-{self.fingerprint}"


@dataclass(frozen=True, slots=True)
class Plan:
    """Stages in an order in which every input precedes its users."""

    recipe: Recipe
    stages: tuple[Stage, ...]

    def __iter__(self) -> Iterator[Stage]:
        return iter(self.stages)

    def stage(self, name: str) -> Stage:
        return next(stage for stage in self.stages if stage.name == name)

    @property
    def fingerprint(self) -> str:
        """Of the whole experiment: that of its last stage."""
        return self.stages[-1].fingerprint


class _Draft:
    """Collects stages; an input is named by the stage that makes it."""

    def __init__(self) -> None:
        self.stages: dict[str, Stage] = {}

    def add(self, name: str, kind: str, config: Mapping[str, Any], inputs: Mapping[str, str | None]) -> str:
        given = {key: value for key, value in inputs.items() if value is not None}
        identity = {
            "kind": kind,
            "revision": KINDS[kind].revision,
            "config": config,
            "inputs": {key: self.stages[value].fingerprint for key, value in given.items()},
        }
        self.stages[name] = Stage(name, kind, config, given, fingerprint(identity))
        return name


def plan(recipe: Recipe) -> Plan:
    """Every stage of `recipe`, nothing run and nothing reused yet."""
    draft = _Draft()
    world = _world(recipe, draft)
    models = {role: _model(recipe, draft, role, world) for role in ROLES}
    problems = _problems(recipe, draft, world)
    predictors = _predictors(recipe, draft, models, problems)
    writing = _Writing(recipe, draft, models, problems, predictors)
    traces = {name: writing.method(name) for name in recipe.synthesis.methods}
    # Long and needed by nobody but the report: first, so that it fills gaps instead of trailing behind.
    _instrument(recipe, draft, world, models, traces, predictors)
    _evaluations(recipe, draft, "student", models["student"], world)
    for method, trace in traces.items():
        for seed in recipe.train.seeds:
            _training(recipe, draft, method, seed, trace, models["student"], world)
    config = {"recipe": recipe.model_dump(mode="json", exclude={"execution"})}
    draft.add("report", "report", config, {name: name for name in draft.stages})
    return Plan(recipe, tuple(draft.stages.values()))


def _world(recipe: Recipe, draft: _Draft) -> str | None:
    if recipe.world is None:
        return None
    return draft.add("world", "world", {"world": _plain(recipe)["world"], "seed": recipe.seed}, {})


def _model(recipe: Recipe, draft: _Draft, role: Role, world: str | None) -> str | None:
    model: Model = getattr(recipe.models, role)
    if model.source != MINIATURE:
        return None
    config = {"models": {role: _without(model, "gpt_oss")}, "seed": recipe.seed}
    return draft.add(f"model-{role}", "pretrain", config, {"world": world})


def _problems(recipe: Recipe, draft: _Draft, world: str | None) -> str:
    config = {"problems": _plain(recipe)["problems"], "content": _digest(recipe.problems.source)}
    return draft.add(
        "problems", "problems", config, {"world": world if recipe.problems.source == MINIATURE else None}
    )


def _predictors(
    recipe: Recipe, draft: _Draft, models: Mapping[Role, str | None], problems: str
) -> dict[Role, str]:
    if recipe.predictors is None:
        return {}
    settings = _plain(recipe)["predictors"]
    sampling = ("annotator", "agreement", "problems", "segment_words", "segments")
    elsewhere = ("base", "comparison")
    own_models = {a.own for a in recipe.predictors.annotators if a.kind == "llm" and a.own}
    asked = {f"annotator-{own}": _reference(getattr(recipe.models, own)) for own in sorted(own_models)}
    out: dict[Role, str] = {}
    for role in ROLES:
        reference = {"role": role, "model": _reference(getattr(recipe.models, role)), "seed": recipe.seed}
        config = {
            "predictors": {key: settings[key] for key in sampling},
            "annotator_content": [_digest(str(a.file)) for a in recipe.predictors.annotators],
            "synthesis": {
                "sampler": _plain(recipe)["synthesis"]["sampler"],
                "max_tokens": recipe.synthesis.max_tokens,
            },
            "models": {"model": reference["model"], **asked},
            "role": role,
            "seed": recipe.seed,
        }
        inputs = {"model": models[role], "problems": problems}
        inputs |= {f"annotator-{own}": models[own] for own in sorted(own_models)}
        annotations = draft.add(f"annotations-{role}", "annotate", config, inputs)
        training = {k: v for k, v in settings.items() if k not in (*sampling, *elsewhere)}
        base = recipe.predictors.base
        config = {"predictors": training, **reference}
        if base:
            config["model"] = {**base.model_dump(mode="json"), "content": _digest(base.source)}
        inputs = {"annotations": annotations, "model": None if base else models[role]}
        out[role] = draft.add(f"predictor-{role}", "predictor", config, inputs)
    return out


@dataclass(frozen=True, slots=True)
class _Writing:
    """What the stages that write training responses have in common."""

    recipe: Recipe
    draft: _Draft
    models: Mapping[Role, str | None]
    problems: str
    predictors: Mapping[Role, str]

    def method(self, name: str) -> str:
        """The stage that ends with the trajectories of the method called `name`."""
        if name in METHODS:
            return self.written(f"synthesize-{name}", name)
        derived = {"teacher_mix": self.mix, "teacher_reference": self.reference, "teacher_score": self.best}
        return derived[name]()

    def written(self, stage: str, name: str, repeats: int = 1) -> str:
        """The stage of responses by the models that `METHODS` names, `repeats` per problem."""
        recipe = self.recipe
        inputs: dict[str, str | None] = {"problems": self.problems}
        inputs |= {role: self.models[role] for role in ROLES}
        unused = {"methods", "teacher_reference", "teacher_score"}
        unused |= set() if cooperative(name) else {"chunk_tokens", "compat", "switch"}
        config: dict[str, Any] = {
            "method": name,
            "synthesis": _without(recipe.synthesis, *unused),
            "models": {role: _reference(getattr(recipe.models, role)) for role in ROLES},
            "seed": recipe.seed,
        }
        if repeats > 1:
            config["repeats"] = repeats
        if cooperative(name) and (content := _switch_content(recipe.synthesis.switch)):
            config["switch_content"] = content[0] if len(content) == 1 else content
        if cooperative(name) and recipe.synthesis.switch.kind == "trained":
            assert recipe.predictors is not None
            config["predictors"] = {"window_tokens": recipe.predictors.window_tokens}
            inputs |= {f"predictor-{role}": stage for role, stage in self.predictors.items()}
        return self.draft.add(stage, "synthesize", config, inputs)

    def mix(self) -> str:
        sets = {str(role): self.method(f"{role}_only") for role in ROLES}
        config = {"method": "teacher_mix", "seed": self.recipe.seed}
        return self.draft.add("synthesize-teacher_mix", "mix", config, sets)

    def reference(self) -> str:
        synthesis, student = self.recipe.synthesis, self.recipe.models.student
        prompt = synthesis.teacher_reference
        config = {
            "method": "teacher_reference",
            "reference": {"prompt": prompt.prompt, "content": _digest(str(prompt.file))},
            "synthesis": {key: _plain(self.recipe)["synthesis"][key] for key in ("sampler", "max_tokens")},
            "models": {"student": _reference(student)},
            "seed": self.recipe.seed,
        }
        references = self.method("teacher_only")
        inputs = {"problems": self.problems, "references": references, "student": self.models["student"]}
        return self.draft.add("synthesize-teacher_reference", "reference", config, inputs)

    def best(self) -> str:
        settings = self.recipe.synthesis.teacher_score
        assert settings is not None
        scorer = settings.scorer.model_dump(mode="json")
        if settings.scorer.kind == "grade":
            scorer["content"] = _digest(str(settings.scorer.file))
        config = {
            "method": "teacher_score",
            "candidates": settings.candidates,
            "scorer": scorer,
            "models": {"teacher": _reference(self.recipe.models.teacher)},
            "seed": self.recipe.seed,
        }
        candidates = self.written("candidates-teacher_score", "student_only", settings.candidates)
        inputs = {"candidates": candidates, "teacher": self.models["teacher"]}
        return self.draft.add("synthesize-teacher_score", "best", config, inputs)


def _training(
    recipe: Recipe, draft: _Draft, method: str, seed: int, trace: str, student: str | None, world: str | None
) -> None:
    """The stage that trains on one method's trajectories, and those that test what came out."""
    train, label = recipe.train, f"{method}-seed{seed}"
    config = {
        "train": _without(train, "seeds"),
        "seed": seed,
        "model": _reference(recipe.models.student),
        "start_content": _digest(train.start.source) if train.start else None,
    }
    tuned = draft.add(f"train-{label}", "sft", config, {"trajectories": trace, "model": student})
    prompted = {"system": train.system_prompt} if train.system_prompt else {}
    _evaluations(recipe, draft, label, tuned, world, prompted)
    for epoch in train.evaluate_epochs:
        kept = {"folder": f"{EPOCHS}/{epoch}"}
        _evaluations(recipe, draft, f"{label}-epoch{epoch}", tuned, world, prompted | kept)


def _evaluations(
    recipe: Recipe,
    draft: _Draft,
    label: str,
    model: str | None,
    world: str | None,
    how: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Stages that test one checkpoint, code benchmarks and lm-eval's apart; `how` says where in the
    model's artifact it is, and with which system prompt it is tested."""
    settings = _plain(recipe)["evaluate"]
    shared = {key: settings[key] for key in ("max_tokens", "sampler")}
    reference = {"model": {**_reference(recipe.models.student), **how}, "seed": recipe.seed}
    for kind, prefix, benchmarks in (
        ("evaluate", "evaluate", recipe.evaluate.code),
        ("lm_eval", "lmeval", recipe.evaluate.lm_eval),
    ):
        if benchmarks:
            listed = {
                b.name: {
                    "benchmark": b.model_dump(mode="json", exclude={"paper_column", "samples"}),
                    "samples": b.samples or recipe.evaluate.samples,
                    "content": [_digest(source) for source in b.files],
                }
                for b in benchmarks
            }
            config = {"evaluate": {**shared, "benchmarks": listed}, **reference}
            draft.add(f"{prefix}-{label}", kind, config, {"model": model, "world": world})


def _instrument(
    recipe: Recipe,
    draft: _Draft,
    world: str | None,
    models: Mapping[Role, str | None],
    traces: Mapping[str, str],
    predictors: Mapping[Role, str],
) -> None:
    """Checks of the miniature itself; there is nothing to check them against elsewhere."""
    if world is None or recipe.problems.source != MINIATURE or None in models.values():
        return
    settings = _plain(recipe)["evaluate"]
    config = {
        "evaluate": {key: settings[key] for key in ("max_tokens", "sampler")},
        "models": {role: _reference(getattr(recipe.models, role)) for role in ROLES},
        "methods": list(traces),
        "seed": recipe.seed,
    }
    inputs: dict[str, str | None] = {"world": world, **{role: models[role] for role in ROLES}}
    inputs |= {f"synthesize-{method}": stage for method, stage in traces.items()}
    draft.add("instrument", "instrument", config, inputs)
    if recipe.predictors:
        _switches(recipe, recipe.predictors, draft, world, models, predictors)


def _switches(
    recipe: Recipe,
    settings: Predictors,
    draft: _Draft,
    world: str,
    models: Mapping[Role, str | None],
    predictors: Mapping[Role, str],
) -> None:
    """The trained predictors beside other ways to switch, against the generator's truth."""
    compared = settings.comparison
    synthesis = _plain(recipe)["synthesis"]
    config = {
        "switches": [{"kind": "trained"}, *(s.model_dump(mode="json") for s in compared.switches)],
        "switch_content": [content for s in compared.switches for content in _switch_content(s)],
        "problems": compared.problems,
        "predictors": {"window_tokens": settings.window_tokens},
        "synthesis": {key: synthesis[key] for key in ("sampler", "max_tokens", "chunk_tokens")},
        "models": {role: _reference(getattr(recipe.models, role)) for role in ROLES},
        "seed": recipe.seed,
    }
    inputs: dict[str, str | None] = {"world": world, **{role: models[role] for role in ROLES}}
    inputs |= {f"predictor-{role}": stage for role, stage in predictors.items()}
    draft.add("switches", "switches", config, inputs)
    judged = {"switches": config["switches"], "seed": recipe.seed}
    draft.add("switches-judged", "switch_verdicts", judged, {"world": world, "switches": "switches"})


def _switch_content(switch: Any) -> list[str | None]:
    """Digests of the files a switch names."""
    if switch.kind == "lexicon":
        return [_digest(str(switch.file))]
    return [_digest(one.source) for one in switch.both] if switch.kind == "checkpoints" else []


def _plain(recipe: Recipe) -> dict[str, Any]:
    return recipe.model_dump(mode="json")


def _without(section: Any, *fields: str) -> dict[str, Any]:
    plain: dict[str, Any] = section.model_dump(mode="json", exclude=set(fields))
    return plain


def _reference(model: Model) -> dict[str, Any]:
    """How a stage names a model. A miniature one is an input besides, which carries its content."""
    return {
        "source": model.source,
        "revision": model.revision,
        "format": model.format,
        # Absent where there is none, so that other models keep their fingerprints.
        **({"gpt_oss": model.gpt_oss.model_dump(mode="json")} if model.gpt_oss else {}),
        "content": _digest(model.source),
    }


def _digest(source: str) -> str | None:
    """Content of a local file or checkpoint folder a recipe names; None for hub ids and `miniature`."""
    return None if source == MINIATURE else content_digest(Path(source))
