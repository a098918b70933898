"""Selection: what it promises of shares, balance and repetition, for any numbers."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tessy.curation_rules.selection import balanced, rank, repetitions, shares

WEIGHTS = st.dictionaries(st.sampled_from("abcd"), st.floats(0.01, 100), min_size=1)
ROWS = st.lists(st.fixed_dictionaries({"topic": st.sampled_from("xyz"), "level": st.sampled_from("12")}))


@given(WEIGHTS, st.integers(0, 500), st.lists(st.integers(0, 200), min_size=4, max_size=4))
def test_a_total_is_divided_without_rest_or_excess(
    weights: dict[str, float], total: int, room: list[int]
) -> None:
    limits = dict(zip("abcd", room, strict=True))
    found = shares(total, weights, limits)
    assert sum(found.values()) == min(total, sum(limits[name] for name in weights))
    assert all(0 <= found[name] <= limits[name] for name in weights)


@given(WEIGHTS, st.integers(0, 1000))
def test_where_nothing_limits_it_a_share_is_its_weight(weights: dict[str, float], total: int) -> None:
    found, whole = shares(total, weights, dict.fromkeys(weights, total)), sum(weights.values())
    for name, weight in weights.items():
        assert abs(found[name] - total * weight / whole) < len(weights)


@given(ROWS, st.floats(0.34, 1), st.floats(0.5, 1))
def test_no_value_has_more_than_its_share(rows: list[dict[str, str]], topic: float, level: float) -> None:
    places = balanced(rows, {"topic": topic, "level": level})
    assert places == sorted(set(places))
    for trait, most in (("topic", topic), ("level", level)):
        counts = Counter(rows[place][trait] for place in places)
        # One of a kind is always let through: a share of nothing is nothing.
        assert all(times <= max(1, most * len(places) + 1e-6) for times in counts.values())
    assert bool(places) == bool(rows)


@given(ROWS)
def test_what_is_balanced_loses_nothing(rows: list[dict[str, str]]) -> None:
    assert balanced(rows, {"topic": 1.0}) == list(range(len(rows)))


def test_the_first_in_order_are_preferred() -> None:
    rows = [{"topic": "x"}] * 6 + [{"topic": "y"}] * 3
    assert balanced(rows, {"topic": 0.5}) == [0, 1, 2, 6, 7, 8]


@given(st.lists(st.sampled_from("ab"), min_size=1, max_size=60), st.integers(1, 300), st.floats(0.1, 10))
def test_samples_are_divided_evenly(sources: list[str], samples: int, weight: float) -> None:
    often = repetitions(sources, {"a": weight, "b": 1.0}, samples)
    assert sum(often) == samples
    for source in set(sources):
        own = [times for times, one in zip(often, sources, strict=True) if one == source]
        assert max(own) - min(own) <= 1
        assert own == sorted(own, reverse=True)


def test_the_papers_numbers_come_out() -> None:
    often = repetitions(["a"] * 37_000, {"a": 1.0}, 80_000)
    assert (sum(often), set(often)) == (80_000, {2, 3})


@given(st.sets(st.binary(min_size=1), min_size=2), st.integers(0, 9))
def test_an_order_by_rank_does_not_depend_on_what_else_is_there(contents: set[bytes], seed: int) -> None:
    ordered = sorted(contents, key=lambda one: rank(one, seed))
    fewer = [one for one in ordered if one != ordered[0]]
    assert fewer == ordered[1:] == sorted(fewer, key=lambda one: rank(one, seed))
