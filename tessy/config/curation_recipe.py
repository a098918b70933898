"""The schema of what `tessy curate` reads: problems alone, without an experiment around them.

A recipe will do as well. Not covered: the sections that it shares with recipes.
"""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from tessy.config.base import MINIATURE, Name, Positive, Section, Seed
from tessy.config.evaluate import Benchmark
from tessy.config.execution import Execution
from tessy.config.models import Model
from tessy.config.problems import Curation, Problems
from tessy.records import Role


class CurationRecipe(Section):
    """Sources, rules, and the benchmarks that problems are kept away from."""

    name: Name
    description: str = ""
    seed: Seed = 0
    curation: Curation
    limit: Positive | None = None
    """Use only this many of the resulting rows, from the front."""
    benchmarks: tuple[Benchmark, ...] = ()
    """As in a recipe's `evaluate.benchmarks`."""
    models: dict[Role, Model] = Field(default_factory=dict)
    """The models that are asked, or whose contexts must hold a prompt."""
    context: Positive | None = None
    """Tokens that prompt and response may have together; None where lengths in tokens do not matter."""
    response: int = 0
    """Of these, the response's."""
    execution: Execution = Execution()

    @property
    def problems(self) -> Problems:
        return Problems(curation=self.curation, limit=self.limit)

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        curation = self.curation
        if not curation.sources:
            raise ValueError("curation.sources is empty; list the files, folders or data sets to read")
        if any(source.source == MINIATURE for source in curation.every_source):
            raise ValueError("source 'miniature' needs a recipe with a `world`; name such a recipe instead")
        if curation.check_benchmarks and not self.benchmarks:
            raise ValueError(
                "`benchmarks` is empty, so nothing would be known about leaks; list them as in a recipe's "
                "evaluate.benchmarks, or set curation.check_benchmarks to false"
            )
        if self.context is not None and not self.models:
            raise ValueError("`context` is counted in tokens of `models`, which are missing; add them")
        return self._models_are_there()

    def _models_are_there(self) -> Self:
        selection = self.curation.selection
        asked = {rating.own: f"rating {rating.name}" for rating in selection.ratings if rating.own}
        asked |= {"student": "selection.pass_rate"} if selection.pass_rate else {}
        for role, what in asked.items():
            if role not in self.models:
                raise ValueError(f"models.{role} is missing, and {what} asks it; add it")
        return self
