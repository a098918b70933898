"""The recipe: one typed schema for every experiment, checked before anything starts.

A recipe is a YAML file (`tessy.config.load`). Every field that decides a result is in this schema, and no
default is set anywhere else. `Experiment` decides the results; `execution` says where and how fast it runs.

Not covered: whether the named files and machines can be used (`tessy.runtime.preflight`).
"""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from tessy.config.base import MINIATURE, Name, Section, Seed
from tessy.config.evaluate import Evaluate
from tessy.config.execution import Execution
from tessy.config.methods import METHODS, cooperative
from tessy.config.models import Models
from tessy.config.predictors import Predictors
from tessy.config.problems import Problems
from tessy.config.synthesis import Synthesis
from tessy.config.train import Train
from tessy.config.world import WorldConfig


class Experiment(Section):
    """What decides the results of a recipe."""

    name: Name
    description: str
    seed: Seed
    problems: Problems | None = None
    """Required where anything is written or marked."""
    world: WorldConfig | None = None
    """Dials of the miniature contest; required where anything is `miniature`, refused otherwise."""
    models: Models
    predictors: Predictors | None = None
    """Required by methods in which both models write the thinking."""
    synthesis: Synthesis
    train: Train
    evaluate: Evaluate

    @property
    def uses_world(self) -> bool:
        named = [self.models.student, self.models.teacher, *self.evaluate.code]
        made = self.problems is not None and self.problems.uses_miniature
        return made or any(one is not None and one.source == MINIATURE for one in named)

    @property
    def models_write(self) -> bool:
        """Whether the recipe's models write or mark anything: not so where all traces are given."""
        marking = any(one.spans for one in self.synthesis.given.values())
        return bool(self.synthesis.written) or (marking and self.synthesis.switch.kind == "trained")

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        if self.uses_world and self.world is None:
            raise ValueError(
                "section `world` is missing, and something here has the source 'miniature'; add it"
            )
        if self.world is not None and not self.uses_world:
            raise ValueError(
                "section `world` has no effect: nothing here has the source 'miniature'; remove it"
            )
        if self.models_write and (self.problems is None or self.models.teacher is None):
            section = "problems" if self.problems is None else "models.teacher"
            raise ValueError(f"section `{section}` is missing, and the recipe's models write traces; add it")
        synthesis = self.synthesis
        watched = [name for name in synthesis.written if cooperative(name)]
        watched += [name for name, one in synthesis.given.items() if one.spans]
        if watched and self.predictors is None and synthesis.switch.kind == "trained":
            raise ValueError(f"section `predictors` is missing, and {', '.join(watched)} needs it; add it")
        if not self.synthesis.compat.prompt_newline and self.models.student.format != "qwen3":
            raise ValueError(
                f"models.student.format {self.models.student.format!r}: synthesis.compat.prompt_newline is "
                "about qwen3; write `format: qwen3`, or leave prompt_newline at true"
            )
        if self.synthesis.max_tokens > self.train.max_length:
            raise ValueError(
                f"train.max_length {self.train.max_length} is under synthesis.max_tokens "
                f"{self.synthesis.max_tokens}: traces would not fit; raise the one or lower the other"
            )
        kept = [name for name, one in synthesis.given.items() if one.system == "keep"]
        if kept and self.train.system_prompt:
            raise ValueError(
                f"train.system_prompt would replace the system prompts that the given set {kept[0]!r} keeps; "
                "leave one of them out"
            )
        self._validation_has_problems()
        switch = self.synthesis.switch
        for name, one in synthesis.given.items():
            if one.spans and switch.kind in ("entropy", "margin", "every_tokens", "never"):
                raise ValueError(
                    f"given set {name!r}: `spans: predictor` needs a switch that reads text, and "
                    f"synthesis.switch is {switch.title!r}; use trained, checkpoints or lexicon"
                )
        sliding = self.synthesis.compat.window == "sliding"
        if sliding and switch.kind == "checkpoints" and any(one.threshold is not None for one in switch.both):
            raise ValueError(
                "synthesis.switch: with synthesis.compat.window 'sliding' predictors cut at a half, as the "
                "release does; remove `threshold`"
            )
        return self

    def _validation_has_problems(self) -> None:
        if not self.train.validation:
            return
        curation = self.problems.curation if self.problems else None
        if curation is None or not curation.held_out.share:
            raise ValueError(
                "train.validation measures held-out problems, and none are held out; set "
                "problems.curation.held_out.share"
            )
        if derived := [name for name in self.synthesis.titles if name not in METHODS]:
            raise ValueError(
                f"train.validation needs methods that write their own responses, and {', '.join(derived)} "
                "takes those of others; switch one of them off"
            )


class Recipe(Experiment):
    """An experiment, and where and how fast it runs."""

    execution: Execution = Execution()

    @model_validator(mode="after")
    def _can_run_so(self) -> Self:
        scoring, engines = self.synthesis.teacher_score, self.execution.engines
        if scoring and scoring.scorer.kind == "likelihood" and engines.teacher.kind != "transformers":
            raise ValueError(
                "synthesis.teacher_score.scorer likelihood reads the teacher with transformers, and "
                f"execution.engines.teacher.kind is {engines.teacher.kind!r}; use the scorer grade, or kind "
                "transformers"
            )
        annotators = self.predictors.annotators if self.predictors else []
        asked = any(a.kind == "llm" and a.own is None for a in annotators)
        if asked and self.execution.annotator is None:
            raise ValueError(
                "section `execution.annotator` is missing, and an annotator of kind llm needs it; add it"
            )
        watching = (self.execution.predictors.student, self.execution.predictors.teacher)
        if self.synthesis.compat.window == "sliding" and any(one.kind == "server" for one in watching):
            raise ValueError(
                "execution.predictors: servers read fixed windows, and synthesis.compat.window is 'sliding'; "
                "use kind 'transformers'"
            )
        self.execution.train.check(self.train)
        self._models_have_servers_of_their_own()
        return self

    def _models_have_servers_of_their_own(self) -> None:
        student, teacher = (
            {(url.rstrip("/").removesuffix("/v1"), engine.model) for url in engine.endpoints}
            for engine in (self.execution.engines.student, self.execution.engines.teacher)
        )
        if student & teacher and self.models.student != self.models.teacher:
            url, model = min(student & teacher, key=str)
            raise ValueError(
                f"execution.engines: both the student and the teacher are asked for model {model or '(any)'} "
                f"at {url}, and models.student and models.teacher differ; give each its own `model`"
            )
