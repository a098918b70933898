"""How models that run on the same devices share their memory: one key-value cache each, of fixed size. Pure.

A server that is left to itself takes what is free when it looks; servers that start together then take each
other's memory for their own. So every cache is given its bytes before anything starts: as many as all samples
in flight can fill, or where that is too much a part of it, but never less than one whole sample.

Weights and caches are exact; what a process needs besides them is a rule of thumb (`tessy.engines.placing`).
Not covered: memory that other programs hold.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from tessy.errors import UserError
from tessy.estimate import GIB
from tessy.shapes import Shape

SPARE = 144
"""Tokens of a sample's cache that its last block may leave empty, and the block that vLLM keeps for
itself."""
SHORTEST = 512
"""No smaller context is proposed."""
ELSEWHERE = "elsewhere"
MEMORY = "memory"
"""The name of main memory, the only device of vLLM's CPU build."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """A model on `devices`, each of which holds a share: one name for every share, so twice the same for two.

    All sizes are bytes on one of them: `weights`, and `besides` for all but weights and cache. The cache
    holds `samples` of `context` tokens with `width` bytes a number, divided among `parallel` devices. One
    that is `strict` holds all of them or cannot work; `fixed` is the size that somebody else has set, in the
    fields `fixed_by`.
    `quantized` are the weights in 8 bits, where that is possible.
    """

    name: str
    devices: tuple[str, ...]
    shape: Shape
    weights: int
    besides: int
    context: int
    samples: int
    width: float = 2
    parallel: int = 1
    strict: bool = False
    fixed: int | None = None
    fixed_by: str = ""
    quantized: int | None = None

    def cache(self, samples: int) -> int:
        """Bytes that `samples` take."""
        return math.ceil(samples * self.shape.cached(self.context + SPARE) * self.width / self.parallel)

    @property
    def least(self) -> int:
        return self.cache(self.samples if self.strict else 1) if self.fixed is None else self.fixed

    @property
    def most(self) -> int:
        return self.cache(self.samples) if self.fixed is None else self.fixed

    def held(self, cache: int) -> int:
        """Whole samples that a cache of so many bytes holds."""
        return min(self.samples, cache // self.cache(1))

    def total(self, cache: int) -> int:
        return self.weights + self.besides + cache


class TooLarge(UserError):
    """Not all of them fit; the message says what would."""


def split(tenants: Sequence[Tenant], capacity: Mapping[str, int]) -> dict[str, int]:
    """Bytes of cache for each of `tenants`, by name, on devices with `capacity` bytes.

    Raises `TooLarge` where a device cannot hold all weights and one sample of each.
    """
    shares = {tenant.name: tenant.most for tenant in tenants}
    for device, size in capacity.items():
        here = [(tenant, tenant.devices.count(device)) for tenant in tenants if device in tenant.devices]
        free = size - sum(count * tenant.total(tenant.least) for tenant, count in here)
        if free < 0:
            raise TooLarge(_refusal(device, tenants, capacity))
        wanted = sum(count * (tenant.most - tenant.least) for tenant, count in here)
        for tenant, _ in here:
            more = tenant.most - tenant.least
            given = more if wanted <= free else more * free // wanted
            shares[tenant.name] = min(shares[tenant.name], tenant.least + given)
    return shares


def fit(tenants: Sequence[Tenant], capacity: Mapping[str, int]) -> bool:
    """Whether every device holds all weights and one sample of each."""
    return all(
        sum(tenant.devices.count(device) * tenant.total(tenant.least) for tenant in tenants) <= size
        for device, size in capacity.items()
    )


def alternatives(
    tenants: Sequence[Tenant], capacity: Mapping[str, int]
) -> Iterator[tuple[str, list[Tenant], Mapping[str, int]]]:
    """Changes with which all fit: what to change, the tenants after it, and the devices."""
    for name, change in _smaller(tenants, capacity):
        changed = [change(tenant) for tenant in tenants]
        if fit(changed, capacity):
            yield name, changed, capacity
    largest = sorted(tenants, key=lambda tenant: tenant.total(tenant.least), reverse=True)
    for mover in largest if len(tenants) > 1 else ():
        moved = replace(mover, devices=tuple(f"{ELSEWHERE} {n}" for n, _ in enumerate(mover.devices)))
        rest = [moved if tenant is mover else tenant for tenant in tenants]
        more = {**capacity, **dict.fromkeys(moved.devices, min(capacity.values()))}
        if fit(rest, more):
            yield f"{mover.name} on another device", rest, more
            return


def _smaller(
    tenants: Sequence[Tenant], capacity: Mapping[str, int]
) -> Iterator[tuple[str, Callable[[Tenant], Tenant]]]:
    given = [tenant for tenant in tenants if tenant.fixed is not None]
    for some in [[tenant] for tenant in given] + ([given] if len(given) > 1 else []):
        fields = " and ".join(tenant.fixed_by for tenant in some)
        yield f"without {fields}", partial(_worked_out, [tenant.name for tenant in some])
    longest = max((tenant.context for tenant in tenants), default=0)
    context = _greatest(longest, lambda size: fit([_shorter(tenant, size) for tenant in tenants], capacity))
    if context >= SHORTEST:
        text = f"a context of {context:,} tokens with its prompt (synthesis.max_tokens, evaluate.max_tokens)"
        yield text, lambda tenant: _shorter(tenant, context)
    most = max((tenant.samples for tenant in tenants if tenant.strict), default=0)
    samples = _greatest(most, lambda count: fit([_fewer(tenant, count) for tenant in tenants], capacity))
    if samples:
        yield f"execution.concurrency={samples}", lambda tenant: _fewer(tenant, samples)
    able = [tenant.name for tenant in tenants if tenant.quantized is not None and tenant.fixed is None]
    for names in [[name] for name in able] + ([able] if len(able) > 1 else []):
        fields = " and ".join(f"execution.{name}.arguments.quantization=fp8" for name in names)
        yield fields, partial(_quantized, names)


def _greatest(limit: int, fits: Callable[[int], bool]) -> int:
    """The greatest number below `limit` that fits, 0 where none does; what fits, fits when smaller."""
    low, high = 0, limit
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _worked_out(names: Sequence[str], tenant: Tenant) -> Tenant:
    return replace(tenant, fixed=None) if tenant.name in names else tenant


def _shorter(tenant: Tenant, context: int) -> Tenant:
    return replace(tenant, context=min(tenant.context, context))


def _fewer(tenant: Tenant, samples: int) -> Tenant:
    return replace(tenant, samples=min(tenant.samples, samples))


def _quantized(names: Sequence[str], tenant: Tenant) -> Tenant:
    if tenant.name not in names or tenant.quantized is None:
        return tenant
    return replace(tenant, weights=tenant.quantized)


def _refusal(device: str, tenants: Sequence[Tenant], capacity: Mapping[str, int]) -> str:
    here = [tenant for tenant in tenants if device in tenant.devices]
    needs = ", ".join(_need(tenant, tenant.devices.count(device)) for tenant in here)
    found = [name for name, _, _ in alternatives(tenants, capacity)]
    return (
        f"{named(device)} has {_gib(capacity[device])} GiB for models, and they need at least: {needs}; what "
        f"would fit: {'; or '.join(found) or 'smaller models, or larger devices'}"
    )


def _need(tenant: Tenant, count: int) -> str:
    samples = f"{tenant.samples:,} samples" if tenant.strict else "one sample"
    cache = (
        f"{samples} of {tenant.context:,} tokens" if tenant.fixed is None else f"cache by {tenant.fixed_by}"
    )
    times = f"{count} x " if count > 1 else ""
    return (
        f"{times}{tenant.name} {_gib(tenant.total(tenant.least))} (weights {_gib(tenant.weights)}, {cache} "
        f"{_gib(tenant.least)}, else {_gib(tenant.besides)})"
    )


def named(device: str) -> str:
    """A device in messages."""
    return "main memory" if device == MEMORY else f"device {device}"


def _gib(size: float) -> str:
    return f"{size / GIB:,.1f}"
