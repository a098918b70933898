"""Identity does not move by accident, and does move where results could."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tessy.config.load import load
from tessy.digests import content_digest
from tessy.errors import UserError
from tessy.experiment import plan
from tessy.runtime.job import require_same_device
from tessy.runtime.plan import Plan
from tests import golden

MINI = golden.ROOT / "recipes" / "mini.yaml"
ON_PURPOSE = "if that is meant, run `python -m tests.golden`"


@pytest.mark.parametrize("recipe", golden.recipes())
def test_fingerprints_of_shipped_recipes_stay(recipe: str) -> None:
    assert golden.fingerprints(recipe) == golden.read("fingerprints")[recipe], ON_PURPOSE


def test_a_default_never_changes_its_meaning_under_the_same_revision() -> None:
    """Fields at their default are no part of a fingerprint, so another default needs another revision."""
    before, now = golden.read("defaults"), golden.defaults()
    for kind, known in before.items():
        if now[kind]["revision"] == known["revision"]:
            changed = {
                path: (value, now[kind]["defaults"][path])
                for path, value in known["defaults"].items()
                if path in now[kind]["defaults"] and now[kind]["defaults"][path] != value
            }
            assert not changed, f"{kind}: raise its revision, then run `python -m tests.golden`"


def test_code_that_changed_has_been_thought_about() -> None:
    """Whether other code gives other results no test can tell; that somebody has decided it, this one can."""
    before, now = golden.read("code"), golden.code()
    changed = [
        kind for kind, known in before.items() if now[kind]["code"] != known["code"] and now[kind] != known
    ]
    assert not changed, (
        f"the code of {', '.join(changed)} changed: where the same inputs could now give other results, "
        "raise the revision of its KIND; then run `python -m tests.golden`"
    )


def planned(*overrides: str) -> Plan:
    return plan(load(MINI, overrides))


def changed(*overrides: str, against: tuple[str, ...] = ()) -> set[str]:
    """Kinds of the stages whose fingerprint differs."""
    before = {stage.name: stage.fingerprint for stage in planned(*against)}
    return {stage.kind.name for stage in planned(*overrides) if before.get(stage.name) != stage.fingerprint}


def test_a_field_that_is_spelled_out_at_its_default_changes_nothing() -> None:
    assert not changed("train.weight_decay=0.0", "synthesis.compat.hand_over=drop", "train.lora_rank=8")


VLLM = "execution.engines.student={kind: vllm, arguments: {%s}}"


@pytest.mark.parametrize("argument", ["quantization: fp8", "kv_cache_dtype: fp8", "dtype: bfloat16"])
def test_precision_of_a_model_is_part_of_what_it_writes(argument: str) -> None:
    found = changed(VLLM % argument, against=(VLLM % "block_size: 32",))
    assert {"annotate", "synthesize", "evaluate", "lm_eval", "instrument", "switches"} <= found
    assert not found & {"world", "pretrain", "problems", "teacher_mix"}


@pytest.mark.parametrize(
    "argument",
    ["gpu_memory_utilization: 0.5", "tensor_parallel_size: 2", "max-num-seqs: 9", "block_size: 16"],
)
def test_where_and_how_fast_vllm_computes_is_no_part_of_it(argument: str) -> None:
    assert not changed(VLLM % argument, against=(VLLM % "block_size: 32",))


def test_the_kind_and_number_type_of_an_engine_are_part_of_what_it_writes() -> None:
    writing = {"annotate", "synthesize", "evaluate", "lm_eval", "instrument", "switches"}
    assert writing <= changed("execution.engines.student={kind: server}")
    other = "execution.engines.teacher.dtype=float64", "execution.engines.student.dtype=float64"
    alone = "execution.engines.teacher.dtype=float32", "execution.engines.student.dtype=float64"
    assert "synthesize" in changed(*alone, against=other)
    # Servers that a run starts and vLLM in its process are one engine; where endpoints are does not matter.
    server = "execution.engines.student={kind: server, arguments: {dtype: float32}}"
    assert not changed(server, against=(VLLM % "dtype: float32",))
    endpoint = "execution.engines.student={kind: server, endpoints: ['http://%s:1/v1']}"
    assert not changed(endpoint % "a", against=(endpoint % "b",))


def test_a_predictors_precision_is_part_of_what_it_switches() -> None:
    server = "execution.predictors.student={kind: server, arguments: {dtype: %s}}"
    found = changed(server % "bfloat16", against=(server % "float32",))
    assert {"synthesize", "switches"} <= found
    assert "annotate" not in found
    assert "evaluate-student" not in {
        stage.name
        for stage in planned(server % "bfloat16")
        if stage.fingerprint != planned(server % "float32").stage(stage.name).fingerprint
    }


def test_a_checkpoint_that_was_trained_again_in_its_place_is_another_one(tmp_path: Path) -> None:
    weights = tmp_path / "model" / "model.safetensors"
    weights.parent.mkdir()
    (weights.parent / "config.json").write_text("{}")
    weights.write_bytes(bytes(1 << 21))
    before = content_digest(weights.parent)
    assert content_digest(weights.parent) == before
    weights.write_bytes(bytes((1 << 21) - 1) + b"x")
    after = content_digest(weights.parent)
    assert after != before
    # As it was, whatever its times say.
    weights.write_bytes(bytes(1 << 21))
    os.utime(weights, (1, 1))
    assert content_digest(weights.parent) == before


def test_digests_need_no_place_to_be_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file" / "below"))
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "large").write_bytes(bytes(1 << 21))
    assert content_digest(tmp_path / "large") == content_digest(tmp_path / "large")


def test_what_a_file_is_called_or_where_it_lies_does_not_matter(tmp_path: Path) -> None:
    def fingerprint(folder: Any) -> str:
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "p.jsonl").write_text('{"id": "a", "prompt": "b"}\n')
        recipe = load(MINI, [f"problems={{source: {tmp_path / folder / 'p.jsonl'}}}"])
        return plan(recipe).stage("problems").content[str(tmp_path / folder / "p.jsonl")] or ""

    assert fingerprint("one") == fingerprint("two")


def test_a_stage_is_ended_on_the_kind_of_device_it_was_begun_on(tmp_path: Path) -> None:
    require_same_device(tmp_path, "GPU")
    require_same_device(tmp_path, "GPU")
    with pytest.raises(
        UserError, match=r"begun on a machine with a GPU.*with a CPU.*delete .* to begin anew"
    ):
        require_same_device(tmp_path, "CPU")
