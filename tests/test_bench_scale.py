"""GPU-hours at the paper's size, on paper."""

from __future__ import annotations

import pytest

from tessy.bench.scale import CARDS, SAMPLES, STUDENT, TEACHER, TOKENS, cost, gpu_hours, limit


def test_a_token_of_the_limit_takes_as_long_as_its_author_s_step() -> None:
    best = limit(CARDS["h200"], TEACHER, STUDENT, TOKENS)
    token_s = sum(m.share * best.step_s[m.name] for m in (TEACHER, STUDENT))
    assert best.tokens_per_s == pytest.approx(best.in_flight / token_s)
    # The fixed point: who waits at the teacher is who its step was reckoned for.
    batch = best.in_flight * TEACHER.share * best.step_s[TEACHER.name] / token_s
    card = CARDS["h200"]
    read = TEACHER.read(batch, TOKENS / 2) / (card.bandwidth * card.efficiency)
    assert best.step_s[TEACHER.name] == pytest.approx(read, rel=1e-6)


def test_both_models_caches_hold_the_same_samples() -> None:
    for card in CARDS.values():
        best = limit(card, TEACHER, STUDENT, TOKENS)
        room = best.students * (0.9 * card.memory - STUDENT.weights)
        assert best.in_flight * STUDENT.kv_per_token * TOKENS / 2 == pytest.approx(room)


def test_hours_grow_with_samples_and_fall_with_the_share() -> None:
    card = CARDS["h100"]
    assert gpu_hours(card, 2 * SAMPLES, TOKENS, 0.5) == pytest.approx(
        2 * gpu_hours(card, SAMPLES, TOKENS, 0.5)
    )
    assert gpu_hours(card, SAMPLES, TOKENS, 0.5) < gpu_hours(card, SAMPLES, TOKENS, 0.25)


def test_streaming_costs_less_than_chunks_and_chunks_less_than_lock_step() -> None:
    for name in CARDS:
        hours = cost()[name]["gpu_hours"]
        assert hours["plain requests (the limit)"] < hours["streamed, simulated"]
        assert (
            hours["streamed, simulated"] < hours["literal k = 20, simulated"] < hours["lock step as released"]
        )
