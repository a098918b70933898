"""The bench of real sizes, with the smallest: checkpoints load, boundaries come as wanted, one JSON."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tessy.errors import UserError


@pytest.mark.slow
def test_words_are_tokens_to_both_sides() -> None:
    from tessy.bench.sizes import SIZES, random_text, tokenizer_of
    from tessy.chat import Renderer

    form = Renderer(tokenizer_of(SIZES["tiny"]["vocab_size"]), "qwen3")
    text = random_text("tiny", 40, 0)
    ids = form.encode(text)
    assert len(ids) == 40
    assert "".join(form.pieces(ids)) == text
    assert len(form.tokenizer) == SIZES["tiny"]["vocab_size"]


@pytest.mark.slow
def test_a_predictor_sees_a_boundary_as_often_as_is_wanted(tmp_path: Path) -> None:
    import torch

    from tessy.bench.reading import styles
    from tessy.bench.sizes import make_predictor, tilted

    make_predictor(tmp_path / "plain", "tiny")
    exact = sorted(styles(tmp_path / "plain", "tiny", "cpu", torch.float32, graphs=False))
    tilted(tmp_path / "plain", tmp_path / "tilted", exact[len(exact) // 10])
    found = styles(tmp_path / "tilted", "tiny", "cpu", torch.float32, graphs=True)
    assert sum(style < 0.5 for style in found) / len(found) == pytest.approx(0.1, abs=0.02)


@pytest.mark.slow
def test_labels_that_differ_are_counted_with_their_distance_from_the_threshold() -> None:
    from tessy.bench.reading import label_differences

    found = label_differences([0.1, 0.49, 0.51, 0.9], [0.12, 0.52, 0.5, 0.9], 0.5)
    assert found["labels_that_differ"] == 0.5
    assert found["farthest_from_threshold"] == pytest.approx(0.01)
    assert found["largest_difference"] == pytest.approx(0.03)


def test_sizes_that_are_not_known_are_refused() -> None:
    from tessy.bench.sizes import parse_sizes

    assert parse_sizes("student=8b,teacher=4b,predictor=0.6b")["teacher"] == "4b"
    for wrong in ("student=8b", "student=8b,teacher=9b,predictor=0.6b"):
        with pytest.raises(UserError, match="name student, teacher and predictor, each with one of tiny"):
            parse_sizes(wrong)


def test_predictors_share_of_the_time_is_of_both_together() -> None:
    from tessy.bench.harness import Harness, Models
    from tessy.bench.whole import costed
    from tessy.synthesis.meters import Meters

    async def run() -> Meters:
        meters = Meters()
        await asyncio.sleep(0.05)
        meters.stop()
        meters.predictor_busy_s = 0.08  # two processes, each busy for 0.04 s
        return meters

    nothing: Any = {}
    models = Models(nothing, nothing, nothing, [], 8, 8, {}, 8, 8, 8)
    found = asyncio.run(costed(Harness(models, nothing, nothing), "both", run(), print))
    assert found["predictor_share"] * found["seconds"] == pytest.approx(0.08)


@pytest.mark.vllm
@pytest.mark.timeout(900)
def test_the_smallest_sizes_are_measured_whole_and_standard_output_is_one_json() -> None:
    import torch

    from tessy.boundary.apart import REST

    sizes = "student=tiny,teacher=tiny,predictor=tiny"
    command = [sys.executable, "-P", "-m", "tessy.cli", "bench", "synthesis", "--sizes", sizes]
    command += ["--dummy-weights", "--concurrency", "8", "--max-tokens", "48"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["plan"]["rests"] == [REST if torch.cuda.is_available() else 0.0]
    assert found["ways"] == {"student": "session", "teacher": "session"}
    assert found["details"]["stream"]["outcomes"] == found["details"]["literal"]["outcomes"] == {"length": 8}
    for name in ("limit", "literal", "stream", "stream_instant", "lockstep", "stream_over_limit"):
        assert found[name] > 0
