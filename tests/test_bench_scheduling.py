"""The measurement of what scheduling costs: it writes what it says, and tells every tenth apart."""

from __future__ import annotations

from tessy.bench.scheduling import measure


def test_a_long_queue_is_written_and_every_tenth_of_it_is_told_apart() -> None:
    found = measure(problems=300, tokens=60)
    assert found["tokens_each"] >= 60
    assert found["spans"] >= 300 * 2
    assert len(found["tenths"]) == 10
    assert all(tenth["peak_mib"] > 0 for tenth in found["tenths"])
    # A tenth with a few late spans has the time of many others' in it; all together it is what one costs.
    assert 0 < found["us_per_span"] < 100_000
