"""The recipe's section `execution`: where and how fast a recipe runs.

Most fields change no number. Those that do are `Numerics` (`tessy.config.engines`) and belong to the identity
of the stages that use them.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import model_validator

from tessy.config.base import Positive, Section
from tessy.config.cluster import AnyCluster, LocalCluster
from tessy.config.engines import Engines, EngineSettings, Numerics, PredictorEngines
from tessy.config.launch import Launch
from tessy.config.train import TrainExecution
from tessy.records import ROLES, Role

_RENAMED = {"reach": "max_continuation_tokens", "stride": "check_interval_tokens"}
"""Fields that recipes of before call otherwise."""


class AnnotatorExecution(Section):
    """The OpenAI-compatible endpoint that annotators of kind `llm` use."""

    url: str
    """Its base, with the version: http://localhost:8000/v1."""
    key_variable: str = "OPENAI_API_KEY"
    """Environment variable with the key; unset where none is needed."""
    timeout_s: Positive = 600
    """How long one answer may take."""


class Tracking(Section):
    """W&B mirrors what is always written locally."""

    wandb: Literal["auto", "online", "offline", "disabled"] = "auto"
    """`auto`: what WANDB_MODE says; without it, online where an API key is set, offline otherwise."""
    project: str = "tessy"
    upload: Literal["none", "datasets", "all"] = "none"
    """Whose files W&B gets: nobody's (artifacts are references to this machine), those of datasets, or
    models' too. Written offline, they are uploaded by `wandb sync` from where they are."""


class Execution(Section):
    """Where and how fast. Of all this only the engines' `numerics` belong to any stage's identity."""

    jobs: Positive = 1
    """Stages run side by side."""
    threads: Positive = 1
    """CPU threads per stage."""
    judge_workers: Positive = 1
    """Programs judged at once in each evaluation stage."""
    concurrency: Positive = 128
    """Samples in flight per synthesis or generation process."""
    scheduler: Literal["stream", "literal"] = "stream"
    """`stream` opens long continuations and aborts them at a boundary, `literal` asks chunk by chunk as
    Algorithm 1 does. They accept the same text."""
    max_continuation_tokens: Positive = 128
    """Longest continuation opened at a time, in tokens, where a boundary may come (stream). Once a run knows
    how long spans are, it opens shorter ones."""
    check_interval_tokens: Positive = 4
    """Tokens between two looks at a continuation (stream)."""
    workers: Positive = 1
    """Processes that share the work of one stage (synthesis, annotation, evaluation), placed by `cluster`;
    more can `tessy join` it."""
    cluster: AnyCluster = LocalCluster()
    """What places them."""
    launch: Launch = Launch()
    """What `tessy launch` asks a cluster for."""
    probe_tokens: Positive | None = None
    """Before responses are written, ask the engines for so many tokens per sample in flight, uninterrupted;
    the stage then tells its share of that speed. Unset, nothing is asked."""
    kv_tokens: Positive | None = None
    """Tokens the smallest KV cache holds; fewer samples are let in where they would not fit. Engines that
    know theirs need not be told."""
    annotator: AnnotatorExecution | None = None
    """Required by annotators of kind `llm`."""
    mps: bool = False
    """Have all that a run starts share GPUs through NVIDIA's Multi-Process Service (its driver's
    `nvidia-cuda-mps-control`): models on one device compute at the same time, not by turns. On an H200 two
    models of 8B with their predictors wrote a fifth more with it (`tessy/bench/README.md`)."""
    engines: Engines = Engines()
    predictors: PredictorEngines = PredictorEngines()
    train: TrainExecution = TrainExecution()
    tracking: Tracking = Tracking()

    @property
    def every_engine(self) -> dict[str, EngineSettings]:
        """The settings of each engine by its field: `engines.student`."""
        models = {f"engines.{role}": self.engines.of(role) for role in ROLES}
        return models | {f"predictors.{role}": self.predictors.of(role) for role in ROLES}

    def watching(self, role: Role) -> Numerics:
        """The settings of the engine of `role`'s boundary predictor that belong to the identity of the
        traces. In process it has the dtype of the model it watches, if that model runs in transformers."""
        predictor, watched = self.predictors.of(role), self.engines.of(role).numerics
        if predictor.kind == "transformers" and predictor.device != "cpu":
            return Numerics(dtype="bfloat16")
        if predictor.kind == "transformers":
            return Numerics(dtype="float64" if watched.exact else "float32")
        return predictor.numerics

    def beside_models(self, role: Role) -> bool:
        """Whether a model computes, or may, on the device of `role`'s boundary predictor, if that is in
        process."""
        number = self.predictors.of(role).device.partition(":")[2] or "0"
        return any(engine.may_use(number) for engine in map(self.engines.of, ROLES))

    @model_validator(mode="after")
    def _mps_serves_this_machine(self) -> Self:
        if self.mps and self.cluster.kind != "local":
            raise ValueError(
                f"`mps` starts a daemon on this machine, and cluster {self.cluster.kind!r} places workers on "
                "others: start it on each node, and leave `mps` out"
            )
        return self

    @model_validator(mode="before")
    @classmethod
    def _fields_by_their_old_names(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {_RENAMED.get(name, name): value for name, value in given.items()}
