"""The recipe: one typed schema for every experiment, checked before anything starts.

A recipe is a YAML file. Every field that decides a result is in this schema, and no default for it
lives anywhere else. The `execution` section says where and how fast a recipe runs; it never changes
what comes out, so it is no part of any fingerprint (`tessy.pipeline.plan`).

Not covered: whether named files and machines are fit for use (`tessy.pipeline.preflight`).
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
    with_config,
)

from tessy.engines.settings import Engines
from tessy.errors import UserError, nearest
from tessy.evaluation import CodeKind, Evaluate
from tessy.miniature.world import WorldConfig
from tessy.predictors import AnnotatorExecution, PredictorEngines, Predictors
from tessy.sections import MINIATURE, Name, Positive, Rate, Section
from tessy.synthesis.methods import cooperative
from tessy.synthesis.settings import Synthesis
from tessy.training import Train, TrainExecution

with_config(ConfigDict(extra="forbid", use_attribute_docstrings=True))(WorldConfig)


class Problems(Section):
    """Where training prompts come from; their responses are always synthesised."""

    source: str
    """`miniature`, or a .jsonl or .parquet file with the columns `id` and `prompt`."""
    limit: Positive | None = None
    """Use only this many, from the front."""


class Pretraining(Section):
    """Size of a miniature model, and how the project trains it from scratch."""

    vocabulary: Annotated[int, Field(ge=300)]
    width: Positive
    layers: Positive
    heads: Positive
    mlp: Positive
    documents: Positive
    """Documents read in all, each once."""
    batch: Positive
    learning_rate: Rate


class GptOss(Section):
    """What gpt-oss's own system message says."""

    reasoning_effort: Literal["low", "medium", "high"]
    """How long it thinks (paper: high)."""
    date: datetime.date
    """The current date it is told, frozen so that prompts stay the same."""


class Model(Section):
    """A student or a teacher."""

    source: str
    """`miniature`, a local checkpoint folder, or a hub id."""
    revision: str | None = None
    """Pins a hub id to a commit."""
    format: Literal["qwen3", "gpt_oss", "deepseek_r1", "harmony"]
    """The chat format, which fixes how thinking opens and ends (`tessy.chat.formats`)."""
    gpt_oss: GptOss | None = None
    """Required with `format: gpt_oss`, refused otherwise."""
    pretraining: Pretraining | None = None
    """Required with `source: miniature`, refused otherwise."""

    @model_validator(mode="after")
    def _pretraining_matches_source(self) -> Self:
        if (self.source == MINIATURE) != (self.pretraining is not None):
            raise ValueError("`pretraining` is required with source 'miniature', and only there")
        return self

    @model_validator(mode="after")
    def _format_fits(self) -> Self:
        if (self.format == "gpt_oss") != (self.gpt_oss is not None):
            raise ValueError("section `gpt_oss` is required with format 'gpt_oss', and only there")
        if self.source == MINIATURE and self.format not in ("qwen3", "harmony"):
            raise ValueError(
                f"a miniature model has no markers of format {self.format!r}; "
                "use qwen3 for the student, harmony for the teacher"
            )
        return self


class Models(Section):
    student: Model
    teacher: Model


class Tracking(Section):
    """W&B mirrors what is always written locally."""

    wandb: Literal["auto", "online", "offline", "disabled"] = "auto"
    """`auto`: what WANDB_MODE says; without it, online where an API key is set, offline otherwise."""
    project: str = "tessy"
    upload: Literal["none", "datasets", "all"] = "none"
    """Whose files W&B gets: nobody's (artifacts are references to this machine), those of datasets, or
    models' too. Written offline, they are uploaded by `wandb sync` from where they are."""


class Execution(Section):
    """Where and how fast; never what comes out."""

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
    reach: Positive = 128
    """Longest continuation opened at a time, in tokens, where a boundary may come (stream). Once a run knows
    how long spans are, it opens shorter ones."""
    stride: Positive = 4
    """Tokens between two looks at a continuation (stream)."""
    workers: Positive = 1
    """Processes that write one synthesis stage together; more machines can `tessy join` it."""
    probe_tokens: Positive | None = None
    """Before responses are written, ask the engines for so many tokens per sample in flight, uninterrupted;
    the stage then tells its share of that speed. Unset, nothing is asked."""
    kv_tokens: Positive | None = None
    """Tokens the smallest KV cache holds; fewer samples are let in where they would not fit. Engines that
    know theirs need not be told."""
    annotator: AnnotatorExecution | None = None
    """Required by annotators of kind `llm`."""
    engines: Engines = Engines()
    predictors: PredictorEngines = PredictorEngines()
    train: TrainExecution = TrainExecution()
    tracking: Tracking = Tracking()

    @model_validator(mode="after")
    def _servers_are_started_once(self) -> Self:
        users = (self.engines.student, self.engines.teacher, self.predictors.student, self.predictors.teacher)
        if self.workers > 1 and any(user.starts_servers for user in users):
            raise ValueError(
                f"workers {self.workers}: each would start servers of its own; start them yourself and name "
                "them as `endpoints`, or use one worker"
            )
        return self


class Recipe(Section):
    """One experiment, whole."""

    name: Name
    description: str
    seed: Annotated[int, Field(ge=0)]
    problems: Problems
    world: WorldConfig | None = None
    """Dials of the miniature contest; required where anything is `miniature`, refused otherwise."""
    models: Models
    predictors: Predictors | None = None
    """Required by methods in which both models write the thinking."""
    synthesis: Synthesis
    train: Train
    evaluate: Evaluate
    execution: Execution = Execution()

    @property
    def uses_world(self) -> bool:
        sources = [self.problems.source, self.models.student.source, self.models.teacher.source]
        sources += [benchmark.source for benchmark in self.evaluate.code]
        return MINIATURE in sources

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
        watched = [m for m in self.synthesis.methods if cooperative(m)]
        if watched and self.predictors is None and self.synthesis.switch.kind == "trained":
            raise ValueError(f"section `predictors` is missing, and {', '.join(watched)} needs it; add it")
        scoring = self.synthesis.teacher_score
        engine = self.execution.engines.teacher.kind
        if scoring and scoring.scorer.kind == "likelihood" and engine != "embedded":
            raise ValueError(
                "synthesis.teacher_score.scorer likelihood reads the teacher with transformers, and "
                f"execution.engines.teacher.kind is {engine!r}; use the scorer grade, or kind embedded"
            )
        annotators = self.predictors.annotators if self.predictors else []
        asked = any(a.kind == "llm" and a.own is None for a in annotators)
        if asked and self.execution.annotator is None:
            raise ValueError(
                "section `execution.annotator` is missing, and an annotator of kind llm needs it; add it"
            )
        if self.models.student.format != "qwen3":
            raise ValueError(
                f"models.student.format {self.models.student.format!r}: "
                "students are trained in the 'qwen3' format"
            )
        if self.synthesis.max_tokens > self.train.max_length:
            raise ValueError(
                f"train.max_length {self.train.max_length} is under synthesis.max_tokens "
                f"{self.synthesis.max_tokens}: traces would not fit; raise the one or lower the other"
            )
        if self.synthesis.compat.window == "sliding":
            self._sliding_windows_fit()
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

    def _sliding_windows_fit(self) -> None:
        watching = (self.execution.predictors.student, self.execution.predictors.teacher)
        if any(one.kind == "server" for one in watching):
            raise ValueError(
                "execution.predictors: servers read fixed windows, and synthesis.compat.window is 'sliding'; "
                "use kind 'embedded'"
            )
        switch = self.synthesis.switch
        if switch.kind == "checkpoints" and any(one.threshold is not None for one in switch.both):
            raise ValueError(
                "synthesis.switch: with synthesis.compat.window 'sliding' predictors cut at a half, as the "
                "release does; remove `threshold`"
            )


def load(path: Path | str, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe at `path` with `section.key=value` overrides applied; raises `UserError`.

    A recipe that names another as its `base`, by a path beside its own, is that one with its own values in
    their places: sections are merged key by key, everything else is replaced, and null takes a key away.
    """
    raw = _read(Path(path))
    for override in overrides:
        _apply(raw, override)
    return check(raw, str(path))


def _read(path: Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """What the file at `path` and its bases say; `above` are the recipes that led here."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = sorted(str(p) for p in Path("recipes").rglob("*.yaml"))
        named = f", the base of {above[-1]}" if above else ""
        raise UserError(f"recipe {path}{named}: no such file{nearest(str(path), known)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"recipe {path}: cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise UserError(f"recipe {path}: not valid YAML: {error}") from None
    if not isinstance(raw, dict):
        raise UserError(
            f"recipe {path}: the top level is {type(raw).__name__}; it must map section names to values"
        )
    if "base" not in raw:
        return raw
    base = path.parent / str(raw.pop("base"))
    if base in (*above, path):
        raise UserError(f"recipe {path}: its base {base} is based on it; break the circle")
    return _merged(_read(base, (*above, path)), raw)


def _merged(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """`own` laid over `base`."""
    shared = [key for key in own if isinstance(own[key], dict) and isinstance(base.get(key), dict)]
    laid = {**base, **own, **{key: _merged(base[key], own[key]) for key in shared}}
    return {key: value for key, value in laid.items() if value is not None}


def check(raw: Mapping[str, Any], where: str) -> Recipe:
    """Validate plain data against the schema; `where` names it in errors."""
    try:
        return Recipe.model_validate(raw)
    except ValidationError as error:
        problems = [_explain(detail, raw) for detail in error.errors()]
        raise UserError("\n".join(f"{where}: {problem}" for problem in problems)) from None


def dump(recipe: Recipe) -> str:
    """The resolved recipe as YAML, every default spelled out."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100)


def _apply(raw: dict[str, Any], override: str) -> None:
    key, separator, value = override.partition("=")
    if not separator or not all(part for part in key.split(".")):
        raise UserError(f"override {override!r}: must read section.key=value, for example train.epochs=2")
    *sections, last = key.split(".")
    place: Any = raw
    for part in sections:
        place = place.setdefault(part, {}) if isinstance(place, dict) else None
        if place is None:
            raise UserError(f"override {override!r}: {part!r} is not a section; check the dotted path")
    if not isinstance(place, dict):
        raise UserError(
            f"override {override!r}: {key.rsplit('.', 1)[0]!r} is not a section; check the dotted path"
        )
    try:
        place[last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise UserError(f"override {override!r}: the value is not valid YAML: {error}") from None


def _explain(detail: Any, raw: Mapping[str, Any]) -> str:
    location = [str(part) for part in detail["loc"] if part not in (*get_args(CodeKind), "lm_eval")]
    field, message = ".".join(location) or "recipe", detail["msg"].removeprefix("Value error, ")
    if detail["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"{field}: unknown key{nearest(location[-1], _siblings(detail['loc']))}"
    if detail["type"] == "missing":
        return f"{field}: required, and missing; add it"
    if isinstance(detail["input"], Mapping | BaseModel):
        return f"{field}: {message}"
    return f"{field}: {detail['input']!r} is not allowed: {message}"


def _siblings(location: Sequence[str | int]) -> list[str]:
    """Names allowed where an unknown key stands, read from the schema itself."""
    schema = Recipe.model_json_schema()
    node: Any = schema
    for part in location[:-1]:
        node = _resolve(node, schema)
        node = node.get("items", {}) if isinstance(part, int) else node.get("properties", {}).get(part, node)
    return list(_resolve(node, schema).get("properties", {}))


def _resolve(node: Any, schema: Any) -> Any:
    """Follow `$ref`, `anyOf` and `oneOf` to the object they stand for; unions merge their fields."""
    if "$ref" in node:
        return _resolve(schema["$defs"][node["$ref"].rsplit("/", 1)[1]], schema)
    options = node.get("anyOf") or node.get("oneOf")
    if not options:
        return node
    merged: dict[str, Any] = {}
    for option in options:
        resolved = _resolve(option, schema)
        merged.update(resolved.get("properties", {}))
    return {"properties": merged}
