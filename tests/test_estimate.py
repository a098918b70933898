"""The planner's numbers: weights and states as they must be, and refusals that name what would fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tessy.artifacts import read_json
from tessy.config.load import load
from tessy.config.recipe import Recipe
from tessy.config.train import TrainExecution
from tessy.errors import UserError
from tessy.estimate import GIB, describe, memory, require_fit, training_tokens
from tessy.experiment import plan
from tessy.report.scores import PAPER
from tessy.shapes import KNOWN, QWEN3, shape_of

PAPER_RECIPES = [
    path
    for path in sorted((Path(__file__).parents[1] / "recipes" / "paper").glob("*.yaml"))
    if not load(path).synthesis.given
]
"""Those that write traces themselves."""
MINI = Path(__file__).parents[1] / "recipes" / "mini.yaml"
QWEN3_8B: dict[str, Any] = {
    "vocab_size": 151936,
    "hidden_size": 4096,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "intermediate_size": 12288,
    "tie_word_embeddings": False,
    "max_position_embeddings": 40960,
}
H200 = "execution.train.device={memory_gib: 141, tflops: 989, utilization: 0.4, price_per_hour: 2}"


def recipe(folder: Path, *overrides: str) -> Recipe:
    """The miniature recipe, training something like Qwen3-8B on 40K tokens instead."""
    import json

    (folder / "config.json").write_text(json.dumps(QWEN3_8B))
    start = f"train.start={{source: {folder}}}"
    return load(MINI, [start, "train.max_length=40960", "train.batch_size=128", H200, *overrides])


def test_an_8b_model_has_8_billion_parameters() -> None:
    assert shape_of(QWEN3_8B).parameters == pytest.approx(8.19e9, rel=0.01)


def test_arithmetic_of_short_sequences_is_six_operations_per_weight() -> None:
    shape = shape_of(QWEN3_8B)
    assert shape.flops_per_token(1, "full") == pytest.approx(6 * (8.19e9 - shape.embedding), rel=0.01)
    assert shape.flops_per_token(1, "lora") < shape.flops_per_token(1, "full")


def test_a_mixture_holds_all_experts_and_works_with_few() -> None:
    moe = QWEN3_8B | {"num_experts": 128, "num_experts_per_tok": 8, "moe_intermediate_size": 768}
    shape = shape_of(moe | {"hidden_size": 2048, "num_hidden_layers": 48, "num_key_value_heads": 4})
    assert shape.parameters == pytest.approx(30.5e9, rel=0.01)
    assert shape.flops_per_token(1, "full") == pytest.approx(6 * 3.0e9, rel=0.1)


def test_weights_and_states_are_shared_out_by_zero() -> None:
    shape = shape_of(QWEN3_8B)

    def used(zero: int, processes: int) -> dict[str, float]:
        spread = TrainExecution.model_validate({"zero": zero, "processes": processes, "micro_batch": 1})
        train = load(MINI, ["train.max_length=40960"]).train
        return memory(shape, train, spread)

    assert used(0, 1)["weights"] == 4 * shape.parameters
    assert used(2, 8)["weights"] == 2 * shape.parameters
    assert used(3, 8)["weights"] == 2 * shape.parameters / 8
    assert used(3, 8)["optimizer states"] == 12 * shape.parameters / 8
    assert 30 < sum(used(3, 8).values()) / GIB < 60


SAVING = {"kernels": "liger", "recompute": "all_but_attention"}


@pytest.mark.parametrize(
    ("size", "tokens", "method", "spread", "measured_mib"),
    [
        ("8b", 4_096, "lora", {"kernels": "liger"}, 17_725),
        ("8b", 4_096, "lora", SAVING, 18_863),
        ("8b", 4_096, "lora", {"kernels": "liger", "recompute": "nothing"}, 35_676),
        ("8b", 16_384, "lora", {}, 24_400),
        ("8b", 16_384, "lora", {"kernels": "liger"}, 23_088),
        ("8b", 16_384, "lora", SAVING, 27_638),
        ("8b", 16_384, "lora", SAVING | {"recomputed_layers": 24}, 48_838),
        ("8b", 40_960, "lora", {"kernels": "liger"}, 33_815),
        ("8b", 40_960, "lora", SAVING, 45_190),
        ("4b", 16_384, "lora", SAVING, 17_387),
        ("4b", 16_384, "full", SAVING, 64_669),
    ],
    ids=str,
)
def test_peak_memory_is_what_an_h200_measured(
    size: str, tokens: int, method: str, spread: dict[str, Any], measured_mib: float
) -> None:
    """`python -m train.probe`, one row a step, torch 2.11."""
    train = load(MINI, [f"train.max_length={tokens}", f"train.method={method}", "train.batch_size=1"]).train
    parts = memory(shape_of(QWEN3[size]), train, TrainExecution(**spread))
    assert (sum(parts.values()) - parts["slack"]) / 2**20 == pytest.approx(measured_mib, rel=0.05)


def refusal(planned: Recipe) -> str:
    with pytest.raises(UserError) as refused:
        require_fit(planned)
    return str(refused.value)


def test_what_cannot_fit_is_refused_and_what_would_is_named(tmp_path: Path) -> None:
    one = "execution.train.micro_batch=1"
    assert refusal(recipe(tmp_path)).endswith(
        f"what would fit: {one} train.optimizer=adamw_8bit; or "
        f"{one} execution.train.zero=2 execution.train.offload=True; or "
        f"{one} execution.train.zero=3 execution.train.processes=2; or "
        f"{one} train.method=lora"
    )
    said = refusal(recipe(tmp_path, "execution.train.processes=4", "execution.train.micro_batch=1"))
    assert "what would fit: train.optimizer=adamw_8bit; or execution.train.zero=2; or" in said
    said = refusal(recipe(tmp_path, H200.replace("141", "23.5")))
    assert "execution.train.device has 23.5; what would fit: a smaller train.max_length" in said
    eight = ("execution.train.processes=8", "execution.train.zero=3", "execution.train.micro_batch=1")
    require_fit(recipe(tmp_path, *eight))
    require_fit(load(MINI))


ONE_GPU = MINI.parent / "one-gpu"
L40S = "execution.train.device={memory_gib: 48, tflops: 400}"


@pytest.mark.parametrize(
    ("name", "overrides", "named"),
    [
        ("lora-80gb", [L40S], ["recomputed_layers=17"]),
        ("lora-24gb", ["execution.train.recomputed_layers=0"], ["recomputed_layers=9"]),
        ("full-80gb", ["train.optimizer=adamw"], ["recomputed_layers=31", "train.optimizer=adamw_8bit"]),
    ],
)
def test_a_few_more_layers_recomputed_are_named_first(
    name: str, overrides: list[str], named: list[str]
) -> None:
    said = refusal(load(ONE_GPU / f"{name}.yaml", overrides))
    found = said.partition("what would fit: ")[2].split("; or ")
    assert [one.removeprefix("execution.train.") for one in found][: len(named)] == named


@given(
    st.sampled_from(["one-gpu/lora-80gb", "one-gpu/full-80gb", "paper/lora", "paper/tessy"]),
    st.integers(8, 160),
    st.fixed_dictionaries(
        {},
        optional={
            "execution.train.recompute": st.sampled_from(["all_but_attention", "layers"]),
            "execution.train.recomputed_layers": st.integers(0, 36),
            "execution.train.zero": st.sampled_from([0, 2]),
            "execution.train.processes": st.sampled_from([1, 2]),
            "execution.train.micro_batch": st.sampled_from([1, 2]),
            "train.method": st.sampled_from(["lora", "full"]),
            "train.optimizer": st.sampled_from(["adamw", "adamw_8bit"]),
        },
    ),
)
@settings(max_examples=40)
def test_what_a_refusal_of_training_names_is_allowed_and_fits(
    name: str, gib: int, changes: dict[str, Any]
) -> None:
    overrides = [f"{field}={value}" for field, value in changes.items()]
    device = f"execution.train.device={{memory_gib: {gib}, tflops: 400}}"
    path = MINI.parent / f"{name}.yaml"
    try:
        planned = load(path, [device, *overrides])
    except UserError:
        assume(False)
    try:
        require_fit(planned)
    except UserError as refused:
        found = str(refused).partition("what would fit: ")[2].split("; or ")
        for one in found if "smaller" not in found[0] else ():
            require_fit(load(path, [device, *overrides, *one.split(" ")]))


def test_a_plan_says_hours_and_cost(tmp_path: Path) -> None:
    planned = recipe(tmp_path, "execution.train.processes=8", "execution.train.zero=3")
    text = describe(planned, training_tokens(planned))
    assert "8,190.4M parameters" in text
    assert "hours on 8 devices, cost" in text
    assert "GiB per device" in describe(load(MINI), None)


@pytest.mark.parametrize("path", PAPER_RECIPES, ids=lambda path: path.stem)
def test_the_papers_recipes_are_planned_without_a_network(path: Path) -> None:
    planned = load(path)
    require_fit(planned)
    assert plan(planned).stage("evaluate-student").config.model.source in KNOWN
    assert "hours on 32 devices" in describe(planned, training_tokens(planned))
    columns = [benchmark.paper_column for benchmark in planned.evaluate.benchmarks]
    assert columns == read_json(PAPER)["columns"]


def test_what_is_known_of_the_papers_students_is_right() -> None:
    assert KNOWN["Qwen/Qwen3-8B"] == shape_of(QWEN3_8B)
    assert KNOWN["Qwen/Qwen3-30B-A3B"].parameters == pytest.approx(30.5e9, rel=0.01)
