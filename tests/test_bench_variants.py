"""The bench of real sizes under variants of the servers' settings, with the smallest sizes."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tessy.errors import UserError


@pytest.mark.vllm
@pytest.mark.timeout(900)
def test_variants_are_compared_step_by_step() -> None:
    from tessy.bench.command import bench_command

    sizes = ["--sizes", "student=tiny,teacher=tiny,predictor=tiny", "--dummy-weights"]
    asked = ["synthesis", *sizes, "--concurrency", "8", "--max-tokens", "48", "--variants", "base,xxhash"]
    done = CliRunner().invoke(bench_command, [*asked, "--seconds", "1"], catch_exceptions=False)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["left_out"] == ["xxhash"], "the first is measured whatever it takes"
    (base,) = found["variants"].values()
    assert base["stream_over_limit"] > 0
    assert base["rows"]["stream"]["outcomes"] == {"length": 8}
    for name, row in base["rows"].items():
        alone = {role for role in ("student", "teacher") if role in name}
        assert row["steps"].keys() == (alone or {"student", "teacher"})
        assert row["tokens_per_s"] > 0
        for steps in row["steps"].values():
            assert steps["ms"] > 0
            assert steps["by_begun"]["0"]["requests"] >= 1
    assert base["rows"]["limit"]["steps"].keys() == {"student", "teacher"}
    spans = base["rows"]["limit_spans_of_15"]["steps"]["student"]
    assert spans["begun_per_step"] > base["rows"]["limit"]["steps"]["student"]["begun_per_step"]


def test_variants_that_are_not_known_are_refused() -> None:
    from tessy.bench.command import bench_command

    sizes = ["--sizes", "student=tiny,teacher=tiny,predictor=tiny", "--dummy-weights"]
    done = CliRunner().invoke(bench_command, ["synthesis", *sizes, "--variants", "base,fast"])
    assert isinstance(done.exception, UserError)
    assert "'fast': there are base, mps" in str(done.exception)
    done = CliRunner().invoke(bench_command, ["synthesis", "--variants", "base"])
    assert "--variants: no effect without --sizes" in done.output


@pytest.mark.vllm
@pytest.mark.timeout(600)
def test_a_variant_that_does_not_start_says_so_and_takes_nothing_from_the_others(tmp_path: Path) -> None:
    from tessy.bench.sizes import parse_sizes
    from tessy.bench.variants import VARIANTS, Variant, measure_variants
    from tessy.bench.whole import Plan

    plan = Plan(
        parse_sizes("student=tiny,teacher=tiny,predictor=tiny"), 8, 48, 48, 12.0, 16, 128, 0.6, (0.0,)
    )
    variants = {"broken": Variant({"dtype": "nonsense"}), "base": VARIANTS["base"]}
    found = asyncio.run(measure_variants(plan, variants, 0.0, tmp_path, print))
    assert "server 0 ended with status" in found["variants"]["broken"]["failed"]
    assert found["left_out"] == ["base"]
