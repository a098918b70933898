"""The recipe's sections `execution.engines` and `execution.predictors`: what runs each model.

Most fields say where and how fast a model runs. Those that change the numbers it computes are `Numerics`: the
kind of engine, its dtype, and vLLM arguments such as `quantization` and `kv_cache_dtype`. `Numerics` belong
to the fingerprint of every stage that uses the engine; nothing else here does. Rounding that depends on how
work is distributed (threads, devices, batch sizes, tensor parallelism) is not part of the identity; manifests
record what it depends on.

Not covered: sampling, which is the recipe's.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, field_validator, model_validator

from tessy.config.base import Address, Positive, Rate, Section
from tessy.records import Role

Argument = str | int | float | bool
_HERE = {"localhost", "127.0.0.1", "::1"}

OWN_ARGUMENTS = frozenset(
    {"model", "revision", "served_model_name", "host", "port", "max_model_len"}
    | {"api_key", "uds", "ssl_keyfile", "ssl_certfile"}
)
"""vLLM arguments that follow from the rest of the recipe; the last four would lock a run out of its own."""

SPEED_ARGUMENTS = frozenset(
    {"gpu_memory_utilization", "kv_cache_memory_bytes", "swap_space", "cpu_offload_gb", "block_size"}
    | {"max_num_seqs", "max_num_batched_tokens", "enable_chunked_prefill", "enable_prefix_caching"}
    | {"tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size", "enable_expert_parallel"}
    | {"distributed_executor_backend", "enforce_eager", "compilation_config", "async_scheduling"}
    | {"scheduling_policy", "disable_log_stats", "disable_log_requests", "max_logprobs", "uvicorn_log_level"}
    | {"download_dir", "max_parallel_loading_workers", "trust_remote_code", "seed"}
)
"""vLLM arguments that say where and how fast. All others count as numerics, those not known here included: to
compute something again costs less than to mix two precisions in silence."""


COUNTS = frozenset(
    {"kv_cache_memory_bytes", "max_num_batched_tokens", "max_num_seqs"}
    | {"tensor_parallel_size", "pipeline_parallel_size"}
)
"""Arguments that are whole numbers, and that memory is worked out from."""
MULTIPLES = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
BINARY = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def whole(value: Argument) -> int:
    """A positive number as vLLM reads it: 25.6k is 25,600, and so is 25K; raises `ValueError`."""
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    found = re.fullmatch(r"(\d+)([KMGT]?)|(\d+(?:\.\d+)?)([kmgt])", str(value).strip(), re.ASCII)
    number = 0
    if found and isinstance(value, str):
        number = (
            int(found[1]) * BINARY.get(found[2], 1)
            if found[1]
            else int(float(found[3]) * MULTIPLES[found[4]])
        )
    if number < 1:
        raise ValueError(
            "it has to be a whole number above 0, or one with k, m, g, t, or K, M, G, T (powers of 1024)"
        )
    return number


def device_share(value: Argument) -> float:
    """A share of a device; raises `ValueError`."""
    try:
        share = float(value)
    except ValueError:
        share = 0.0
    if isinstance(value, bool) or not 0 < share <= 1:
        raise ValueError("it has to be a part of the device, above 0 and at most 1")
    return share


def _by_its_old_name(kind: object) -> object:
    """Older recipes call the kind `transformers` `embedded`."""
    return "transformers" if kind == "embedded" else kind


class Numerics(Section):
    """The settings of an engine that change the numbers it computes: part of a stage's identity."""

    kind: Literal["transformers", "vllm", "endpoint"] = "transformers"
    """`endpoint`: servers that somebody else started, whose precision is not known."""
    dtype: Literal["float64", "float32", "bfloat16"] = "float64"
    """Of kind transformers; vLLM's is among `arguments`."""
    model: str | None = None
    """The name that an endpoint serves it by."""
    arguments: dict[str, Argument] = Field(default_factory=dict)
    """vLLM arguments but those of `SPEED_ARGUMENTS`."""

    @property
    def exact(self) -> bool:
        """Whether a text is independent of which others share its batches."""
        return self.kind == "transformers" and self.dtype == "float64"


class EngineSettings(Section):
    """What runs one model."""

    kind: Annotated[Literal["transformers", "vllm", "server"], BeforeValidator(_by_its_old_name)] = (
        "transformers"
    )
    """`transformers`: in this process, with continuous batching; `vllm`: vLLM in this process; `server`: vLLM
    over HTTP."""
    endpoints: list[Address] = Field(default_factory=list)
    """Base URLs of servers that already run, all with one model; without any, `server` starts its own."""
    model: str | None = None
    """The name the `endpoints` serve the model by; needed where they serve several."""
    api_key_env: str | None = None
    """Environment variable that holds the key of the `endpoints`."""
    dtype: Literal["float64", "float32"] | None = None
    """What transformers computes in, for the model and for what watches it. In `float64`, its default, a text
    does not depend on which others are written beside it, so that a killed and resumed run writes the same;
    `float32` is faster. vLLM's own is among its `arguments`."""
    replicas: Positive = 1
    """Servers to start."""
    devices: list[str] = Field(default_factory=list)
    """What each replica runs on: CUDA_VISIBLE_DEVICES, or cores with the CPU build ("0", "0-3", one thread
    anywhere if not said)."""
    arguments: dict[str, Argument] = Field(default_factory=dict)
    """Further engine arguments by vLLM's names: `kv_cache_memory_bytes: 1073741824`, `block_size: 32` (known
    prefixes are reused in whole blocks, which the CPU build makes 128 tokens long by itself)."""
    context: Positive | None = None
    """Tokens that the servers' context holds at least, prompt included; worked out where it is not said
    (`tessy.engines.placing`). One that is long enough for all stages is started once for them."""
    restarts: Annotated[int, Field(ge=0)] = 2
    """Times each server that dies is started again while a stage uses it."""
    start_timeout_s: Rate = 1800.0
    """Seconds a server may take to start: loading weights, and compiling."""
    token_timeout_s: Rate = 300.0
    """Seconds without a new token, the wait in the server's queue included, that count as a fault."""

    @property
    def starts_servers(self) -> bool:
        return self.kind == "server" and not self.endpoints

    def may_use(self, device: str) -> bool:
        """Whether it computes on a device of this machine, as far as is known."""
        if self.endpoints:
            return any(urlsplit(address).hostname in _HERE for address in self.endpoints)
        # One of which nothing is said takes the first device.
        return device in ",".join(self.devices or ["0"]).split(",")

    @property
    def numerics(self) -> Numerics:
        """The settings that belong to the identity of what the model writes."""
        if self.kind == "transformers":
            return Numerics(dtype=self.dtype or "float64")
        if self.endpoints:
            return Numerics(kind="endpoint", model=self.model)
        named = {name.replace("-", "_"): value for name, value in self.arguments.items()}
        return Numerics(kind="vllm", arguments={k: v for k, v in named.items() if k not in SPEED_ARGUMENTS})

    @model_validator(mode="after")
    def _fields_have_an_effect(self) -> Self:
        if self.kind != "server" and self.endpoints:
            raise ValueError(f"`endpoints` need kind 'server', this is {self.kind!r}")
        if not self.endpoints and (self.model or self.api_key_env):
            raise ValueError("`model` and `api_key_env` belong to `endpoints`, and there are none")
        if not self.starts_servers and self.replicas > 1:
            raise ValueError("`replicas` are servers to start: they need kind 'server' without `endpoints`")
        if (self.kind == "transformers" or self.endpoints) and (self.devices or self.arguments):
            raise ValueError("`devices` and `arguments` have no effect here: this starts no vLLM")
        if self.kind != "transformers" and self.dtype:
            raise ValueError(f"`dtype` is for kind 'transformers'; kind {self.kind!r} has it in `arguments`")
        return self

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        if self.devices and len(self.devices) != self.replicas:
            raise ValueError(
                f"{len(self.devices)} devices for {self.replicas} replicas; name one for each replica"
            )
        own = OWN_ARGUMENTS & {name.replace("-", "_") for name in self.arguments}
        if own:
            raise ValueError(f"arguments {', '.join(sorted(own))} follow from the recipe; remove them")
        for name, value in self.arguments.items():
            plain = name.replace("-", "_")
            try:
                if plain in COUNTS:
                    whole(value)
                elif plain == "gpu_memory_utilization":
                    device_share(value)
            except ValueError as error:
                raise ValueError(f"arguments.{name} {value!r}: {error}") from None
        return self


class Engines(Section):
    """What runs the two models."""

    student: EngineSettings = EngineSettings()
    teacher: EngineSettings = EngineSettings()

    def of(self, role: Role) -> EngineSettings:
        return self.student if role == "student" else self.teacher


PREDICTOR_ARGUMENTS: dict[str, Argument] = {"runner": "pooling", "dtype": "float32"}
"""vLLM arguments of a predictor's server: in lower precision its labels would differ."""


class PredictorEngine(EngineSettings):
    """What runs one boundary predictor: transformers in this process, or vLLM's token classification in a
    server, in float32 unless `arguments` name another `dtype`. Labels are the same. The fields of servers
    mean what they mean for models."""

    device: Annotated[str, Field(pattern=r"^(cpu|cuda(:\d+)?)$")] = "cpu"
    """What one in this process computes on, by PyTorch's names: `cpu`, `cuda`, `cuda:3`."""

    @property
    def serving(self) -> Self:
        """With all arguments of a predictor's server, if it starts any."""
        if not self.starts_servers:
            return self
        return self.model_copy(update={"arguments": {**PREDICTOR_ARGUMENTS, **self.arguments}})

    @field_validator("kind")
    @classmethod
    def _vllm_runs_in_a_server(cls, kind: str) -> str:
        if kind == "vllm":
            raise ValueError("a predictor's kind has to be 'transformers' or 'server'")
        return kind

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

    def of(self, role: Role) -> PredictorEngine:
        return self.student if role == "student" else self.teacher
