"""From a recipe to the memory of its models: who is on which device, with what context and how large a cache.

`placing(recipe, here)` reads sizes from files (`tessy.engines.checkpoint`) and splits each device
(`tessy.engines.memory`). Its `settled` execution has each server's context and, where several models share a
device, the bytes of its cache; `lines` say so in `tessy plan`. With vLLM's CPU build all servers share main
memory.

Where a size is not known, that model gets an even part of its device, and is started after the others.
Not covered: training, which has the devices to itself (`tessy.estimate`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tessy.config.engines import Argument, Engines, EngineSettings, PredictorEngines
from tessy.config.execution import Execution
from tessy.config.recipe import Recipe
from tessy.engines.checkpoint import checkpoint
from tessy.engines.devices import Devices, arguments
from tessy.engines.memory import Tenant, named, split
from tessy.engines.needs import SIZING, models, tenant_of
from tessy.estimate import GIB, in_gib

USUAL_PREDICTOR = "Qwen/Qwen3-0.6B-Base"
"""What boundary predictors are trained from (paper): one whose files are not here is taken to be as large."""
E = TypeVar("E", bound=EngineSettings)


@dataclass(frozen=True, slots=True)
class Placing:
    """Tenants of `devices`, what of each is theirs, and their caches' bytes by name; `unknown` are the fields
    of models without a size, with their devices."""

    devices: Devices
    capacity: Mapping[str, int]
    tenants: tuple[Tenant, ...]
    shares: Mapping[str, int]
    unknown: Mapping[str, tuple[str, ...]]
    notes: Sequence[str] = ()

    def shared(self, device: str) -> bool:
        """Whether several models run on `device`; main memory always holds other things."""
        here = [name for tenant in self.tenants for name in tenant.devices]
        here += [name for places in self.unknown.values() for name in places]
        return here.count(device) > 1 or self.devices.kind == "cpu"

    def settled(self, execution: Execution, *, exact: bool = True) -> Execution:
        """`execution` with contexts, and with memory where devices are shared; moves no fingerprint. `exact`
        says that the installed vLLM takes a cache's size in bytes; otherwise servers are given a share of the
        device."""
        every = execution.every_engine
        changed = {
            tenant.name: {
                "context": tenant.context,
                "arguments": {**settings.arguments, **self._memory(tenant, settings, exact)},
            }
            for tenant in self.tenants
            if (settings := every[tenant.name]).kind != "transformers"
        } | {
            name: {"arguments": {**settings.arguments, **self._remainder(settings, places)}}
            for name, places in self.unknown.items()
            if (settings := every[name]).kind != "transformers"
        }

        def settled(name: str, settings: E) -> E:
            return settings.model_copy(update=changed.get(name, {}))

        engines, predictors = execution.engines, execution.predictors
        return execution.model_copy(
            update={
                "engines": Engines(
                    student=settled("engines.student", engines.student),
                    teacher=settled("engines.teacher", engines.teacher),
                ),
                "predictors": PredictorEngines(
                    student=settled("predictors.student", predictors.student),
                    teacher=settled("predictors.teacher", predictors.teacher),
                ),
            }
        )

    def _memory(self, tenant: Tenant, settings: EngineSettings, exact: bool) -> dict[str, Argument]:
        given, share = arguments(settings), self.shares[tenant.name]
        if not any(map(self.shared, tenant.devices)) or "gpu_memory_utilization" in given:
            return {}
        found: dict[str, Argument] = {}
        if exact and "kv_cache_memory_bytes" not in given:
            found["kv_cache_memory_bytes"] = share
        if self.devices.kind == "gpu":
            # Where the cache's size is known, vLLM only wants so much to be free when it starts.
            size = min(map(self.devices.size, tenant.devices))
            taken = tenant.weights + share if exact else tenant.total(share)
            found["gpu_memory_utilization"] = _utilization(taken, size)
        return found

    def _remainder(self, settings: EngineSettings, places: tuple[str, ...]) -> dict[str, Argument]:
        """An even part of what was left for those whose size is not known."""
        given, alone = arguments(settings), not any(map(self.shared, places))
        if self.devices.kind == "cpu" or alone or given.keys() & set(SIZING):
            return {}
        others = [name for fields in self.unknown.values() for name in fields]
        left = {place: self.devices.room(place) - self.capacity.get(place, 0) for place in places}
        parts = {place: left[place] // others.count(place) for place in places}
        shares = [_utilization(part, self.devices.size(place)) for place, part in parts.items()]
        return {"gpu_memory_utilization": min(shares)}

    def lines(self) -> Iterator[str]:
        """What is where, a line for each device."""
        alike: dict[str, list[str]] = {}
        for device in sorted(self.capacity):
            alike.setdefault(self._device_line(device), []).append(device)
        for line, devices in alike.items():
            name = named(devices[0]) if len(devices) == 1 else f"devices {', '.join(devices)}, each"
            yield f"memory of {name}{line}"
        for field, places in self.unknown.items():
            where, shared = ", ".join(dict.fromkeys(places)), any(map(self.shared, places))
            then = (
                f"it gets an even part of device {where} and is started after the others"
                if shared
                else f"vLLM measures device {where} itself"
            )
            yield f"{field}: its size is not known here, neither by files nor by configuration; {then}"
        yield from self.notes

    def _device_line(self, device: str) -> str:
        here = [tenant for tenant in self.tenants if device in tenant.devices]
        parts = [self._line(tenant, tenant.devices.count(device)) for tenant in here]
        used = sum(t.devices.count(device) * t.total(self.shares[t.name]) for t in here)
        size = self.devices.size(device)
        return f" ({in_gib(size)} GiB): {'; '.join(parts)}; {(size - used) / GIB:,.1f} GiB left"

    def _line(self, tenant: Tenant, count: int) -> str:
        share = self.shares[tenant.name]
        sizes = (
            f"weights {tenant.weights / GIB:,.1f}, cache {share / GIB:,.1f}, else {tenant.besides / GIB:,.1f}"
        )
        held = f"{tenant.held(share)} of {tenant.samples} samples of {tenant.context:,} tokens at once"
        times = f"{count} x " if count > 1 else ""
        return f"{times}{tenant.name} ({sizes} GiB; {held})"


def placing(recipe: Recipe, devices: Devices) -> Placing:
    """Where the models of `recipe` go; raises `TooLarge`, which says what would fit."""
    tenants, unknown, notes = list[Tenant](), dict[str, tuple[str, ...]](), list[str]()
    for name, settings, asked in models(recipe):
        found = checkpoint(asked.source, asked.revision, asked.made)
        if found is None and name.startswith("predictors"):
            found = checkpoint(USUAL_PREDICTOR)
            notes.append(f"{name}: its size is not known here; reckoned with as that of {USUAL_PREDICTOR}")
        if found is None:
            unknown[name] = devices.of(settings)
        else:
            tenants.append(tenant_of(name, settings, asked, found, recipe.execution, devices))
            if found.missing:
                notes.append(
                    f"{name}: {asked.source} lacks {_some(found.missing)}; reckoned with as if whole"
                )
    others = [name for fields in unknown.values() for name in fields]
    capacity = {
        name: _without(others.count(name), tenants, devices.room(name), name)
        for tenant in tenants
        for name in tenant.devices
    }
    return Placing(devices, capacity, tuple(tenants), split(tenants, capacity), unknown, notes)


def _some(files: Sequence[str]) -> str:
    """The first of files that an index names."""
    more = f" and {len(files) - 3} more files" if len(files) > 3 else ""
    return f"{', '.join(files[:3])}{more}, which its index names"


def _without(others: int, known: Sequence[Tenant], room: int, device: str) -> int:
    """What of `room` the `known` may take where so many `others` have no known size: the rest is for
    those."""
    count = sum(tenant.devices.count(device) for tenant in known)
    least = sum(tenant.devices.count(device) * tenant.total(tenant.least) for tenant in known)
    return min(room, max(least, room * count // (count + others)))


def _utilization(size: int, device: int) -> float:
    """A share of a device in hundredths, rounded down."""
    return max(1, 100 * size // device) / 100
