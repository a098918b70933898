"""The recipe's section `execution.engines`: what runs each model.

It says where and how fast, and never changes what a recipe means: the fingerprints of what was made with
one engine hold for another. The ids themselves differ between engines, as they do between two runs with
other seeds. Not covered: sampling, which is the recipe's.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tessy.sections import Address, Positive, Rate, Section

OWN_ARGUMENTS = frozenset(
    {"model", "revision", "served_model_name", "host", "port", "max_model_len"}
    | {"api_key", "uds", "ssl_keyfile", "ssl_certfile"}
)
"""vLLM arguments that follow from the rest of the recipe; the last four would lock a run out of its own."""


class EngineSettings(Section):
    """What runs one model."""

    kind: Literal["embedded", "vllm", "server"] = "embedded"
    """`embedded`: transformers in this process; `vllm`: vLLM in this process; `server`: vLLM over HTTP."""
    endpoints: list[Address] = Field(default_factory=list)
    """Base URLs of servers that already run, all with one model; without any, `server` starts its own."""
    model: str | None = None
    """The name the `endpoints` serve the model by; needed where they serve several."""
    api_key_env: str | None = None
    """Environment variable that holds the key of the `endpoints`."""
    dtype: Literal["float64", "float32"] | None = None
    """What an embedded model, and what watches it, computes in. In `float64`, its default, a text does not
    depend on which others are written beside it, so that a killed and resumed run writes the same; `float32`
    is faster. vLLM's own is among its `arguments`."""
    replicas: Positive = 1
    """Servers to start."""
    devices: list[str] = Field(default_factory=list)
    """What each replica runs on: CUDA_VISIBLE_DEVICES, or cores with the CPU build ("0", "0-3", one thread
    anywhere if not said)."""
    arguments: dict[str, str | int | float | bool] = Field(default_factory=dict)
    """Further engine arguments by vLLM's names: `kv_cache_memory_bytes: 1073741824`, `block_size: 32` (known
    prefixes are reused in whole blocks, which the CPU build makes 128 tokens long by itself)."""
    restarts: Annotated[int, Field(ge=0)] = 2
    """Times each server that dies is started again."""
    start_timeout_s: Rate = 1800.0
    """Seconds a server may take to start: loading weights, and compiling."""
    token_timeout_s: Rate = 300.0
    """Seconds without a new token, the wait in the server's queue included, that count as a fault."""

    @property
    def starts_servers(self) -> bool:
        return self.kind == "server" and not self.endpoints

    @model_validator(mode="after")
    def _fields_have_an_effect(self) -> Self:
        if self.kind != "server" and self.endpoints:
            raise ValueError(f"`endpoints` need kind 'server', this is {self.kind!r}")
        if not self.endpoints and (self.model or self.api_key_env):
            raise ValueError("`model` and `api_key_env` belong to `endpoints`, and there are none")
        if not self.starts_servers and self.replicas > 1:
            raise ValueError("`replicas` are servers to start: they need kind 'server' without `endpoints`")
        if (self.kind == "embedded" or self.endpoints) and (self.devices or self.arguments):
            raise ValueError("`devices` and `arguments` have no effect here: this starts no vLLM")
        if self.kind != "embedded" and self.dtype:
            raise ValueError(f"`dtype` is for kind 'embedded'; kind {self.kind!r} has it in `arguments`")
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
        return self


class Engines(Section):
    """What runs the two models."""

    student: EngineSettings = EngineSettings()
    teacher: EngineSettings = EngineSettings()
