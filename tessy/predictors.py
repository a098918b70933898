"""The recipe's section `predictors`: who marks style, on what, and how predictors are trained on it; and
where annotators and predictors run (`execution.annotator`, `execution.predictors`).

Not covered: whether named files and devices exist (`tessy.pipeline.preflight`).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tessy.boundary.uncertainty import LIKELIEST
from tessy.engines.settings import EngineSettings
from tessy.records import ROLES, Role
from tessy.sections import MINIATURE, Positive, Rate, Sampler, Section

SHIPPED = Path(__file__).parent / "boundary"
SHIPPED_LEXICONS = {
    MINIATURE: Path(__file__).parent / "miniature" / "lexicon.txt",
    "english": SHIPPED / "lexicons" / "english.txt",
}
SHIPPED_PROMPTS = {"style_spans_1": SHIPPED / "prompts" / "style_spans_1.txt"}
"""Prompts by name; the number is the version: a changed prompt is a new file."""


class LexiconAnnotator(Section):
    """Marks style by a list of phrases: free, and blind to everything not on the list."""

    kind: Literal["lexicon"]
    lexicon: str
    """`miniature`, `english` (a start for reasoning traces), or a text file with one phrase per line."""

    @property
    def file(self) -> Path:
        return SHIPPED_LEXICONS.get(self.lexicon, Path(self.lexicon))


class LanguageModelAnnotator(Section):
    """Asks a model for the style spans of each segment, verbatim and in order (paper, section 3)."""

    kind: Literal["llm"]
    model: str
    """`teacher` (the paper's choice) or `student`: the recipe's own, on its own engine; else a name at the
    endpoint `execution.annotator` (release: Qwen3-32B)."""
    prompt: str
    """`style_spans_1`, or a text file that holds `{segment}`."""
    thinking: bool
    """Whether the model thinks first (release: no). If not, the recipe's own begins in its answer, as its
    family does that; an endpoint is told by `enable_thinking` where its chat template knows it."""
    sampler: Sampler
    max_tokens: Positive
    """Longest answer, thinking included."""
    attempts: Positive
    """How often a segment is asked about until an answer can be used; then it is dropped."""

    @property
    def file(self) -> Path:
        return SHIPPED_PROMPTS.get(self.prompt, Path(self.prompt))

    @property
    def own(self) -> Role | None:
        """The role whose model is asked; None for one at an endpoint."""
        return next((role for role in ROLES if role == self.model), None)


Annotator = Annotated[LexiconAnnotator | LanguageModelAnnotator, Field(discriminator="kind")]


class Agreement(Section):
    """A second annotation of some segments, reported as Cohen's kappa per token; never trained on."""

    annotator: Annotator
    """Another annotator, or the same for a second pass with other random numbers."""
    segments: Positive


class Checkpoint(Section):
    """Weights somebody made before."""

    source: str
    """A local checkpoint folder or a hub id."""
    revision: str | None = None
    """Pins a hub id to a commit."""


class PredictorCheckpoint(Checkpoint):
    """A boundary predictor somebody trained before: a two-label token classifier."""

    threshold: Annotated[float, Field(gt=0, lt=1)] | None = None
    """A token is style where its probability is above this; by default as the checkpoint's `predictor.json`
    says, and a half where it has none."""


class TrainedSwitch(Section):
    """The pen changes hands where the trained predictors say (the paper)."""

    kind: Literal["trained"]

    @property
    def title(self) -> str:
        return "trained"


class CheckpointsSwitch(Section):
    """Where predictors say that were trained elsewhere, such as the published ones."""

    kind: Literal["checkpoints"]
    student: PredictorCheckpoint
    teacher: PredictorCheckpoint
    window_tokens: Annotated[int, Field(ge=8)] | None = None
    """Tokens they see, at least half of them to the left (release: 200); by default as each one's
    `predictor.json` says, required where it has none."""

    @property
    def both(self) -> list[PredictorCheckpoint]:
        return [self.student, self.teacher]

    @property
    def title(self) -> str:
        at = "".join(f" {one.threshold:g}" for one in self.both if one.threshold is not None)
        return f"checkpoint {Path(self.student.source).name}" + (f" at{at}" if at else "")


class LexiconSwitch(Section):
    """Where a lexicon's phrases begin and end."""

    kind: Literal["lexicon"]
    lexicon: str
    """`miniature`, `english`, or a text file with one phrase per line."""

    @property
    def file(self) -> Path:
        return SHIPPED_LEXICONS.get(self.lexicon, Path(self.lexicon))

    @property
    def title(self) -> str:
        return f"lexicon {Path(self.lexicon).stem}"


class EveryTokensSwitch(Section):
    """After every so many tokens, whatever they are."""

    kind: Literal["every_tokens"]
    tokens: Positive
    """Of the active model's own; a word cut in two is the next author's, whole."""

    @property
    def title(self) -> str:
        return f"every {self.tokens} tokens"


class EntropySwitch(Section):
    """Before a token that the active model was unsure of: much entropy (`tessy.boundary.uncertainty`)."""

    kind: Literal["entropy"]
    above: Annotated[float, Field(gt=0, lt=math.log(LIKELIEST))]
    """Nats, over the eight likeliest tokens."""

    @property
    def title(self) -> str:
        return f"entropy above {self.above:g}"


class MarginSwitch(Section):
    """Before a token that the active model was unsure of: a close second."""

    kind: Literal["margin"]
    below: Annotated[float, Field(gt=0, lt=1)]
    """Probability of the likeliest token less that of the second."""

    @property
    def title(self) -> str:
        return f"margin below {self.below:g}"


class NeverSwitch(Section):
    """Not at all: the student thinks alone."""

    kind: Literal["never"]

    @property
    def title(self) -> str:
        return "never"


Switch = Annotated[
    TrainedSwitch
    | CheckpointsSwitch
    | LexiconSwitch
    | EveryTokensSwitch
    | EntropySwitch
    | MarginSwitch
    | NeverSwitch,
    Field(discriminator="kind"),
]


class Comparison(Section):
    """Baselines beside the trained predictors, where the truth is known (the miniature)."""

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


class Predictors(Section):
    """Boundary predictors, one per model, trained on segments of that model's own thinking."""

    annotator: Annotator
    """Who marks style in a segment."""
    agreement: Agreement | None = None
    problems: Annotated[int, Field(ge=2)]
    """Prompts whose thinking is sampled for segments; a tenth of them, at least one, is held out."""
    segment_words: Positive
    """Words per segment (paper: 60)."""
    segments: Positive
    """Segments per model (paper: 100,000; the release used 10,000)."""
    window_tokens: Annotated[int, Field(ge=8)]
    """Tokens a predictor sees, at least half of them to the left, in training as in use (release: 200)."""
    base: Checkpoint | None = None
    """What predictors are trained from (paper: Qwen3-0.6B-Base); by default the model they watch."""
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

    comparison: Comparison = Comparison()

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


class AnnotatorExecution(Section):
    """The OpenAI-compatible endpoint that annotators of kind `llm` are asked at."""

    url: str
    """Its base, with the version: http://localhost:8000/v1."""
    key_variable: str = "OPENAI_API_KEY"
    """Environment variable with the key; unset where none is needed."""
    timeout_s: Positive = 600
    """How long one answer may take."""


class PredictorEngine(EngineSettings):
    """What runs one boundary predictor; the fields of servers mean what they mean for models."""

    kind: Literal["embedded", "server"] = "embedded"
    """`embedded`: in this process; `server`: vLLM's token classification, in float32 unless `arguments` name
    another `dtype`. Labels are the same."""
    device: Annotated[str, Field(pattern=r"^(cpu|cuda(:\d+)?)$")] = "cpu"
    """What an embedded one computes on, by PyTorch's names: `cpu`, `cuda`, `cuda:3`."""

    @model_validator(mode="after")
    def _servers_have_devices_of_their_own(self) -> Self:
        if self.kind == "server" and self.device != "cpu":
            raise ValueError(f"device {self.device!r} has no effect on servers; name their `devices`")
        return self

    @model_validator(mode="after")
    def _precision_is_that_of_the_model_it_watches(self) -> Self:
        if self.dtype:
            raise ValueError("`dtype` has no effect here: a predictor has that of the engine it watches")
        return self


class PredictorEngines(Section):
    """What runs the two boundary predictors."""

    student: PredictorEngine = PredictorEngine()
    teacher: PredictorEngine = PredictorEngine()
