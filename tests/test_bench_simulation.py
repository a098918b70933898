"""The simulation of a GPU's timing: streaming is never slower than asking for k tokens at a time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tessy.bench.simulation import Begin, Timing, simulate
from tessy.boundary.apart import REST


@pytest.mark.parametrize("predictor_ms", [0.5, 5.0, 50.0])
@pytest.mark.parametrize(("engine_ms", "span_tokens"), [(10.0, 12.0), (20.0, 30.0), (2.0, 12.0)])
def test_streaming_is_never_slower_than_literal_chunks(
    engine_ms: float, span_tokens: float, predictor_ms: float
) -> None:
    timing = Timing(engine_ms, predictor_ms, samples=24, tokens=240, span_tokens=span_tokens)
    found = simulate(timing)
    assert found["stream_over_literal"] >= 1
    if engine_ms >= 10 and predictor_ms <= 5:
        assert found["stream"]["share_of_limit"] >= 0.7


@pytest.mark.parametrize(
    ("predictor_ms", "tokens"), [(0.5, 300), (4.0, 300), (8.0, 300), (20.0, 300), (50.0, 600), (100.0, 600)]
)
@pytest.mark.parametrize("span_tokens", [5.0, 12.0, 30.0])
def test_nor_where_predictors_share_the_device_and_rest(
    span_tokens: float, predictor_ms: float, tokens: int
) -> None:
    timing = Timing(
        10.0, predictor_ms, samples=32, tokens=tokens, span_tokens=span_tokens,
        one_device=True, predictors_beside=True, rest=REST,
    )  # fmt: skip
    found = simulate(timing)
    # Where passes come every one or two seconds, both ask for whole spans of 5: the same but for first looks.
    assert found["stream_over_literal"] >= (0.98 if predictor_ms >= 50 and span_tokens == 5 else 1)
    assert found["stream"]["predictor_share"] <= 0.11, "of both; a little more in so short a run"


def test_nor_where_reading_takes_longer_than_writing() -> None:
    """Engines of 2 ms, predictors of 100,000 tokens/s in a tenth of the time: what is asked matters."""
    timing = Timing(
        2.0, 0.5, samples=96, tokens=300, span_tokens=12.0, one_device=True, predictors_beside=True, rest=REST
    )
    assert simulate(timing)["stream_over_literal"] >= 1


def test_virtual_time_is_the_same_every_time_and_engines_write_at_most_what_the_limit_says() -> None:
    timing = Timing(10, 5, samples=8, tokens=120)
    found = simulate(timing)
    assert found == simulate(timing)
    assert found["limit"] == 800
    assert found["literal"]["tokens_per_s"] < found["stream"]["tokens_per_s"] < found["limit"]


def test_requests_that_begin_cost_what_is_said_and_two_engines_share_a_device() -> None:
    plain = Timing(8, 1, samples=24, tokens=240)
    limits = plain.limit, replace(plain, one_device=True).limit
    assert limits == (3000, 1500)
    shares = [
        simulate(replace(plain, begin=begin))["stream"]["share_of_limit"]
        for begin in (Begin(), Begin(ahead=True), Begin(0, 1), Begin(8, 0))
    ]
    assert shares[0] > max(shares[1:])
    shared = simulate(replace(plain, one_device=True))["stream"]
    assert shared["tokens_per_s"] <= 1500
    assert 0 < shared["steps_with_begins"] <= 1


def test_a_predictor_that_rests_takes_no_more_of_a_shared_device_than_that_leaves_it() -> None:
    busy = Timing(7.4, 4, 0, samples=48, tokens=240, one_device=True, predictors_beside=True)
    found = [simulate(replace(busy, rest=rest))["stream"] for rest in (0.0, REST)]
    assert found[0]["predictor_share"] > 0.25
    assert found[1]["predictor_share"] <= 0.1, "of both"
    assert found[1]["tokens_per_s"] > found[0]["tokens_per_s"]
