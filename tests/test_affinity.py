"""Samples keep to their replica, no replica drowns, and few samples move."""

from __future__ import annotations

import math
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tessy.engines.affinity import LOAD_FACTOR, choose, preference

names = st.lists(st.text("abc123:/", min_size=1, max_size=8), min_size=1, max_size=8, unique=True)
loads = names.flatmap(lambda urls: st.fixed_dictionaries({url: st.integers(0, 50) for url in urls}))


@given(st.text(), loads)
def test_no_replica_gets_more_than_its_bound(sample: str, replicas: dict[str, int]) -> None:
    chosen = choose(sample, replicas)
    assert replicas[chosen] + 1 <= math.ceil(LOAD_FACTOR * (sum(replicas.values()) + 1) / len(replicas))


@given(st.text(), names)
def test_an_idle_fleet_serves_every_sample_at_its_favourite(sample: str, urls: list[str]) -> None:
    assert choose(sample, dict.fromkeys(urls, 0)) == preference(sample, dict.fromkeys(urls, 0))[0]


@given(st.lists(st.text(), max_size=30), names.filter(lambda urls: len(urls) > 1))
def test_only_the_samples_of_a_lost_replica_move(samples: list[str], urls: list[str]) -> None:
    before = {sample: preference(sample, dict.fromkeys(urls, 0)) for sample in samples}
    for sample, order in before.items():
        rest = [url for url in order if url != urls[0]]
        assert preference(sample, dict.fromkeys(urls[1:], 0)) == rest


def test_samples_spread_evenly() -> None:
    replicas = dict.fromkeys(["a", "b", "c", "d"], 0)
    for n in range(400):
        replicas[choose(f"s{n}", replicas)] += 1
    assert max(replicas.values()) <= math.ceil(LOAD_FACTOR * 100) + 1
    favourites = Counter(preference(f"s{n}", replicas)[0] for n in range(4000))
    assert max(favourites.values()) < 1.15 * 1000
