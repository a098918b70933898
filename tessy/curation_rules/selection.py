"""Which of the remaining problems are kept, and how often each is drawn. Pure, and the same in any order.

Every problem has a rank that follows from its content and the seed. So another source, or a higher number,
adds problems and changes the others' turn little.

Not covered: ratings and pass rates, which come from models (`tessy.curate`).
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence


def rank(content: bytes, seed: int) -> bytes:
    """What problems are ordered by: looks random, and is the same for the same content and seed."""
    return hashlib.blake2b(content, digest_size=16, key=seed.to_bytes(8, "big")).digest()


def shares(total: int, weights: Mapping[str, float], limits: Mapping[str, int]) -> dict[str, int]:
    """`total` divided by `weights`, none above its limit; what a limit leaves over goes to the others.

    The sum is `total`, or that of all limits where those are less. Remainders go to the largest fractions.
    """
    out = dict.fromkeys(weights, 0)
    while left := total - sum(out.values()):
        open_ones = {name: weight for name, weight in weights.items() if out[name] < limits[name]}
        if not open_ones:
            break
        whole = sum(open_ones.values())
        parts = {name: left * weight / whole for name, weight in open_ones.items()}
        given = {name: min(int(part), limits[name] - out[name]) for name, part in parts.items()}
        if not any(given.values()):
            order = sorted(open_ones, key=lambda name: (int(parts[name]) - parts[name], name))
            given = dict.fromkeys(order[:left], 1)
        for name, number in given.items():
            out[name] += number
    return out


def balanced(traits: Sequence[Mapping[str, str]], most: Mapping[str, float]) -> list[int]:
    """Places in `traits`, in order, such that no value of a trait has over its share `most` of them.

    The first in order are preferred. Where a trait has too few values for its share (two values and at most
    a third each), as many are kept as one of each can be. A missing value is a value of its own.
    """
    wanted = len(traits)
    while wanted:
        room = {trait: max(1, int(share * wanted + 1e-9)) for trait, share in most.items()}
        chosen, used = list[int](), defaultdict[str, Counter[str]](Counter)
        for place, values in enumerate(traits):
            if all(used[trait][values.get(trait, "")] < room[trait] for trait in most):
                chosen.append(place)
                for trait in most:
                    used[trait][values.get(trait, "")] += 1
        if len(chosen) == wanted or all(limit == 1 for limit in room.values()):
            return chosen
        wanted = min(len(chosen), wanted - 1)
    return []


def repetitions(
    sources: Sequence[str], weights: Mapping[str, float], samples: int | None, most: int | None = None
) -> list[int]:
    """How often each problem is drawn, problems in order of rank; `sources` has the source of each.

    Without `samples` each is drawn once. Otherwise samples are divided among the sources by weight, and a
    source's evenly among its problems, those of lower rank first. None is drawn more than `most` times: what
    a source of few problems leaves over goes to the others.
    """
    if samples is None:
        return [1] * len(sources)
    counts = Counter(sources)
    present = {name: weights[name] for name in counts}
    parts = shares(
        samples, present, {name: samples if most is None else most * counts[name] for name in present}
    )
    seen, out = Counter[str](), []
    for source in sources:
        often, more = divmod(parts[source], counts[source])
        out.append(often + (seen[source] < more))
        seen[source] += 1
    return out
