"""Global batches are the recipe's whatever the devices; packing keeps samples whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.config.load import load
from tessy.config.train import TrainExecution
from tessy.errors import UserError

pytestmark = pytest.mark.slow
MINI = Path(__file__).parents[1] / "recipes" / "mini.yaml"

lengths = st.lists(st.integers(1, 50), min_size=1, max_size=60)


@given(lengths, st.integers(50, 120))
def test_packing_keeps_every_sample_once_and_whole(sizes: list[int], capacity: int) -> None:
    from train.batches import pack

    rows = pack(sizes, capacity)
    assert sorted(sample for row in rows for sample in row) == list(range(len(sizes)))
    assert all(sum(sizes[sample] for sample in row) <= capacity for row in rows)
    # No two rows could be one: the packing wastes less than half.
    fill = sorted(sum(sizes[sample] for sample in row) for row in rows)
    assert len(fill) < 2 or fill[0] + fill[1] > capacity


@given(lengths, st.integers(1, 8))
def test_micro_batches_are_equal_and_hold_rows_of_a_length(sizes: list[int], parts: int) -> None:
    from train.batches import deal

    dealt = deal(range(len(sizes)), sizes, parts)
    assert sorted(row for part in dealt for row in part) == list(range(len(sizes)))
    assert len(dealt) == parts
    assert max(map(len, dealt)) - min(map(len, dealt)) <= 1
    if parts > 1:
        flat = [sizes[row] for part in dealt for row in part]
        assert flat == sorted(flat, reverse=True)


@given(st.integers(1, 40), st.integers(1, 4), st.integers(0, 3))
def test_steps_are_the_same_whatever_the_devices(rows: int, epochs: int, seed: int) -> None:
    from train.batches import steps

    found = list(steps(rows, 8, epochs, seed))
    per_epoch = -(-rows // 8)
    assert len(found) == epochs * per_epoch
    for epoch in range(epochs):
        whole = [row for step in found[epoch * per_epoch : (epoch + 1) * per_epoch] for row in step]
        assert sorted(whole) == list(range(rows))


@given(lengths, st.sampled_from([(1, 1), (2, 2), (4, 1), (2, 4)]))
def test_every_step_has_the_same_rows_and_targets_on_any_split(
    sizes: list[int], spread: tuple[int, int]
) -> None:
    import numpy as np

    from train.batches import Split, schedule
    from train.examples import Example

    found = [Example(np.zeros(n + 1, np.int32), np.zeros(n + 1, np.int8), 1) for n in sizes]
    rows = [(i,) for i in range(len(sizes))]
    replicas, accumulation = spread
    one = schedule(rows, found, Split(8, 1, 1), 2, 0)
    many = schedule(rows, found, Split(8, replicas, accumulation), 2, 0)
    parts = replicas * accumulation
    for step, samples in enumerate(one["samples"]):
        ours = slice(step * parts, (step + 1) * parts)
        assert sorted(row for part in many["samples"][ours] for row in part) == sorted(samples)
        assert set(many["targets"][ours]) == {one["targets"][step]}


@given(lengths, st.integers(1, 4))
def test_devices_that_share_sequences_get_equal_parts(sizes: list[int], shared: int) -> None:
    from train.batches import even

    sizes = sizes * shared
    padded = even(sizes, shared)
    assert all(new >= old for new, old in zip(padded, sizes, strict=True))
    assert all(new % shared == 0 for new in padded)
    assert all(len(set(padded[i : i + shared])) == 1 for i in range(0, len(padded), shared))


def test_a_row_without_samples_has_no_loss() -> None:
    from train.batches import IGNORED, Collator

    for flat in (False, True):
        batch = Collator([], 0, flat=flat)([{"samples": [], "length": 2, "targets": 5}])
        assert set(batch["labels"].flatten().tolist()) == {IGNORED}


# What the recipe refuses -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (
            "execution.train.processes=3",
            "train.batch_size 16 cannot be divided among 3 processes; use 15 or 18",
        ),
        ("execution.train.micro_batch=5", "with 5 rows at once; use 15 or 20"),
        ("execution.train={nodes: 2, rendezvous: node0}", "execution.train.rendezvous"),
        ("execution.train.offload=true", "set zero to 2 or 3"),
        ("execution.train={processes: 2, zero: 3, sequence_parallel: 2}", "set micro_batch to 1"),
        ("train.evaluate_epochs=[4]", "not below epochs 4"),
        (
            "train.loss_weights={style: 0, capability: 0, thinking: 0, markup: 0, answer: 0}",
            "nothing would be learned",
        ),
        ("train.start={source: miniature}", "leave `train.start` out"),
    ],
)
def test_a_spread_that_cannot_be_is_refused_when_the_recipe_loads(override: str, said: str) -> None:
    with pytest.raises(UserError) as error:
        load(MINI, [override])
    assert said in str(error.value)


def test_packed_rows_are_not_shared_among_devices() -> None:
    shared = "execution.train={processes: 2, zero: 3, sequence_parallel: 2, micro_batch: 1}"
    load(MINI, [shared])
    with pytest.raises(UserError, match="would see each other"):
        load(MINI, [shared, "train.packing=true"])


@given(st.sampled_from([8, 16, 32]), st.sampled_from([1, 2, 4]), st.sampled_from([1, 2]))
def test_accumulation_makes_up_the_batch(batch: int, processes: int, micro: int) -> None:
    spread = TrainExecution(processes=processes, micro_batch=micro)
    assert spread.accumulation(batch) * spread.replicas * micro == batch
