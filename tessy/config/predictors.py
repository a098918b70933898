"""The recipe's section `predictors`: how style is annotated, on what text, and how predictors are trained.

Not covered: where annotators and predictors run (`execution`), and whether named files exist
(`tessy.runtime.preflight`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tessy.config.asking import AskedModel
from tessy.config.base import Checkpoint, Positive, Rate, Sampler, Section
from tessy.config.shipped import lexicon_file
from tessy.config.switches import Switch


class LexiconAnnotator(Section):
    """Marks style by a list of phrases: free, and blind to everything not on the list."""

    kind: Literal["lexicon"]
    lexicon: str
    """`miniature`, `english` (a start for reasoning traces), or a text file with one phrase per line."""

    @property
    def file(self) -> Path:
        return lexicon_file(self.lexicon)


class LanguageModelAnnotator(AskedModel):
    """Asks a model for the style spans of each segment, verbatim and in order (paper, section 3): the
    `teacher` there, Qwen3-32B without thinking at an endpoint in the release. `prompt` is `style_spans_1`, or
    a text file that holds `{segment}`."""

    thinking: bool
    """Whether the model thinks first. If not, the recipe's own begins in its answer, as its family does that;
    an endpoint is told by `enable_thinking` where its chat template knows it."""
    sampler: Sampler
    max_tokens: Positive
    """Longest answer, thinking included."""
    attempts: Positive
    """How often a text is asked about until an answer can be used; then it is left out and counted."""
    kind: Literal["llm"]


Annotator = Annotated[LexiconAnnotator | LanguageModelAnnotator, Field(discriminator="kind")]


class Agreement(Section):
    """A second annotation of some segments, reported as Cohen's kappa per token; never trained on."""

    annotator: Annotator
    """Another annotator, or the same for a second pass with other random numbers."""
    segments: Positive


class Comparison(Section):
    """Baselines compared with the trained predictors, where the truth is known (the miniature)."""

    switches: list[Switch] = Field(default_factory=list)
    problems: Positive = 48
    """Training problems whose thinking is written with each switch, to see what leaks."""

    @model_validator(mode="after")
    def _titles_tell_switches_apart(self) -> Self:
        titles = ["trained", *(switch.title for switch in self.switches)]
        for title in titles:
            if titles.count(title) > 1:
                raise ValueError(f"switches: the report would call two of them {title!r}; keep one of them")
        return self


class Annotation(Section):
    """What one model's annotated segments are made of."""

    annotator: Annotator
    """Who marks style in a segment."""
    agreement: Agreement | None = None
    problems: Annotated[int, Field(ge=2)]
    """Prompts whose thinking is sampled for segments; a tenth of them, at least one, is held out."""
    segment_words: Positive
    """Words per segment (paper: 60)."""
    segments: Positive
    """Segments per model (paper: 100,000; the release used 10,000)."""

    @property
    def annotators(self) -> list[LexiconAnnotator | LanguageModelAnnotator]:
        return [self.annotator, *([self.agreement.annotator] if self.agreement else [])]

    @model_validator(mode="after")
    def _agreement_says_something(self) -> Self:
        if self.agreement and self.agreement.annotator == self.annotator and self.annotator.kind == "lexicon":
            raise ValueError(
                "agreement.annotator: a lexicon always agrees with itself; name another annotator"
            )
        return self


class PredictorTraining(Section):
    """How a boundary predictor is trained on annotated segments."""

    window_tokens: Annotated[int, Field(ge=8)]
    """Tokens a predictor sees, at least half of them to the left, in training as in use (release: 200)."""
    epochs: Positive
    """At most this many; fewer where `patience` runs out."""
    patience: Positive
    """Epochs without a better boundary F1 on held-out problems before training stops."""
    learning_rate: Rate
    batch_size: Positive
    """In windows."""
    class_weights: Literal["none", "balanced"]
    """`balanced` weighs the loss of a class inverse to how often it occurs."""
    policy: Literal["balanced", "no_style_leak", "no_capability_leak"]
    """Which error the threshold avoids (`tessy.boundary.token_scores`)."""


class Predictors(Annotation, PredictorTraining):
    """Boundary predictors, one per model, trained on segments of that model's own thinking."""

    base: Checkpoint | None = None
    """What predictors are trained from (paper: Qwen3-0.6B-Base); by default the model they watch."""
    comparison: Comparison = Comparison()
