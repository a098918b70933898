"""The split of a device's memory: never more than there is, never less than one sample; helpful refusals."""

from __future__ import annotations

import contextlib
import json
import struct
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from tessy.config.engines import device_share, whole
from tessy.config.load import load
from tessy.config.recipe import Recipe
from tessy.engines.checkpoint import checkpoint
from tessy.engines.devices import Devices, devices_named
from tessy.engines.memory import Tenant, TooLarge, alternatives, fit, split
from tessy.engines.needs import footprint, in_process
from tessy.engines.placing import placing
from tessy.errors import UserError
from tessy.estimate import GIB, in_gib, known_shape
from tessy.experiment import plan
from tessy.records import ROLES
from tessy.shapes import KNOWN, shape_of

ROOT = Path(__file__).parents[1]
QWEN3_8B, SMALL = KNOWN["Qwen/Qwen3-8B"], KNOWN["Qwen/Qwen3-0.6B"]
H100 = Devices("gpu", (80 * GIB,) * 2)
MIB = 1 << 20


@st.composite
def tenants(draw: st.DrawFn) -> list[Tenant]:
    """Up to five models on up to three devices; weights from nothing to 20 GiB."""
    return [
        Tenant(
            f"t{number}",
            tuple(draw(st.lists(st.sampled_from("012"), min_size=1, max_size=3))),
            draw(st.sampled_from([QWEN3_8B, SMALL, KNOWN["openai/gpt-oss-20b"]])),
            weights := draw(st.integers(0, 20 * 1024)) * MIB,
            draw(st.integers(0, 4096)) * MIB,
            draw(st.integers(1, 50_000)),
            draw(st.integers(1, 600)),
            strict=draw(st.booleans()),
            fixed=draw(st.none() | st.integers(0, 8 * GIB)),
            fixed_by="a field",
            quantized=draw(st.none() | st.just(weights // 2)),
        )
        for number in range(draw(st.integers(1, 5)))
    ]


capacities = st.fixed_dictionaries({name: st.integers(1, 100).map(lambda n: n * GIB) for name in "012"})


@given(tenants(), capacities)
def test_no_device_is_given_out_twice_and_nobody_gets_less_than_it_needs(
    some: list[Tenant], capacity: Mapping[str, int]
) -> None:
    try:
        shares = split(some, capacity)
    except TooLarge:
        assert not fit(some, capacity)
        return
    assert fit(some, capacity)
    for device, size in capacity.items():
        assert sum(t.devices.count(device) * t.total(shares[t.name]) for t in some) <= size
    for one in some:
        assert one.least <= shares[one.name] <= one.most
        assert one.fixed is None or shares[one.name] == one.fixed
        assert not one.strict or one.fixed is not None or one.held(shares[one.name]) == one.samples


@given(tenants(), capacities)
def test_what_a_refusal_proposes_fits(some: list[Tenant], capacity: Mapping[str, int]) -> None:
    for _, changed, devices in alternatives(some, capacity):
        split(changed, devices)


@given(tenants(), capacities)
def test_everybody_can_hold_all_samples_where_there_is_room(
    some: list[Tenant], capacity: Mapping[str, int]
) -> None:
    wanted = {d: sum(t.devices.count(d) * t.total(t.most) for t in some) for d in capacity}
    if all(wanted[device] <= size for device, size in capacity.items()):
        assert split(some, capacity) == {one.name: one.most for one in some}


def eight(name: str, device: str = "0", **changes: Any) -> Tenant:
    """Qwen3-8B, whose published weights have 16.4 GB."""
    sizes: dict[str, Any] = {"weights": 16_381_470_720, "besides": 5 * GIB, "context": 40_960, "samples": 128}
    return Tenant(name, (device,), QWEN3_8B, **(sizes | {"quantized": 9_500_000_000} | changes))


def test_a_token_of_qwen3_8b_takes_144_kib() -> None:
    assert eight("a").cache(1) == 144 * 1024 * (40_960 + 144)


def test_what_cannot_fit_is_refused_with_what_would() -> None:
    both = [eight("engines.student"), eight("engines.teacher")]
    with pytest.raises(TooLarge) as refused:
        split(both, {"0": 48 * GIB})
    said = str(refused.value)
    assert "device 0 has 48.0 GiB for models" in said
    assert "engines.student 25.9 (weights 15.3, one sample of 40,960 tokens 5.6, else 5.0)" in said
    assert "a context of" in said
    assert "execution.engines.teacher.arguments.quantization=fp8" in said
    assert "on another device" in said


def test_predictors_in_this_process_need_room_for_all_samples_in_flight() -> None:
    watching = Tenant("predictors.student", ("0",), SMALL, GIB, GIB, 2000, 512, strict=True)
    with pytest.raises(TooLarge, match=r"execution\.concurrency=\d+"):
        split([watching], {"0": 40 * GIB})


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_each_worker_on_this_machine_has_predictors_of_its_own(workers: int) -> None:
    recipe = load(ROOT / "recipes" / "one-gpu" / "own-predictors.yaml", [f"execution.workers={workers}"])
    (found,) = [tenant for tenant in placing(recipe, H100).tenants if tenant.name == "predictors.student"]
    taken = in_process("cuda", "Qwen/Qwen3-0.6B-Base", None, 200, recipe.execution.concurrency)["0"]
    assert found.devices == ("0",) * workers
    assert taken <= found.total(found.least) <= taken + GIB
    elsewhere = ["execution.cluster={kind: slurm, partition: gpu}", f"execution.workers={workers}"]
    apart = placing(load(ROOT / "recipes" / "one-gpu" / "own-predictors.yaml", elsewhere), H100).tenants
    assert all(tenant.devices == ("0",) and tenant.samples == 64 for tenant in apart)


def write_safetensors(file: Path, tensors: dict[str, tuple[str, list[int], int]]) -> None:
    """A file in the official layout: name -> (dtype, shape, bytes); the data itself is a hole."""
    header, at = dict[str, Any](), 0
    for name, (dtype, shape, size) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    with file.open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        stream.truncate(8 + len(text) + at)


CONFIG = {
    "vocab_size": 100,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "intermediate_size": 128,
    "tie_word_embeddings": True,
    "max_position_embeddings": 4096,
    "torch_dtype": "bfloat16",
}


def test_weights_are_those_in_the_headers(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    write_safetensors(
        tmp_path / "model-00001-of-00002.safetensors",
        {"model.embed_tokens.weight": ("BF16", [100, 64], 12_800), "norm.weight": ("F32", [64], 256)},
    )
    write_safetensors(
        tmp_path / "model-00002-of-00002.safetensors",
        {"layers.0.q_proj.weight": ("BF16", [64, 64], 8_192), "layers.0.blocks": ("U8", [10, 16], 160)},
    )
    found = checkpoint(str(tmp_path))
    assert found is not None
    weights = found.weights
    assert (weights.matrices, weights.others, weights.packed) == (4_096, 6_464, 160)
    assert weights.size(2) == 2 * (4_096 + 6_464) + 160
    assert weights.size(2, 1) == 4_096 + 2 * 6_464 + 160


def test_without_weights_an_index_tells_and_without_one_the_shape(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    by_shape = checkpoint(str(tmp_path))
    assert by_shape is not None
    assert by_shape.weights.size(2) == 2 * shape_of(CONFIG).parameters
    index = {"metadata": {"total_size": 5000}, "weight_map": {}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    by_index = checkpoint(str(tmp_path))
    assert by_index is not None
    assert by_index.weights.size(2) == 5000


SHARDS = [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]


def sharded(folder: Path, *here: str) -> None:
    """A checkpoint of two shards of 8 KiB with an index, of which `here` are in the folder."""
    (folder / "config.json").write_text(json.dumps(CONFIG))
    index = {
        "metadata": {"total_size": 16_384},
        "weight_map": {f"layers.{n}.q_proj.weight": file for n, file in enumerate(SHARDS)},
    }
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    for file in here:
        write_safetensors(folder / file, {f"{file}.q_proj.weight": ("BF16", [64, 64], 8_192)})


def size_of(folder: Path) -> int:
    found = checkpoint(str(folder))
    assert found is not None
    return found.weights.size(2)


def test_of_a_partial_download_the_index_tells_the_rest(tmp_path: Path) -> None:
    sharded(tmp_path, SHARDS[0])
    found = checkpoint(str(tmp_path))
    assert found is not None
    assert size_of(tmp_path) == pytest.approx(16_384, rel=0.02)
    assert list(found.missing) == SHARDS[1:]
    student = f"models.student={{source: {tmp_path}, format: qwen3}}"
    (note,) = [line for line in placing(one_gpu(student), H100).lines() if "index" in line]
    assert (
        note
        == f"engines.student: {tmp_path} lacks {SHARDS[1]}, which its index names; reckoned with as if whole"
    )


def test_weights_that_lie_there_twice_are_counted_once(tmp_path: Path) -> None:
    sharded(tmp_path, *SHARDS, "consolidated.safetensors")
    assert size_of(tmp_path) == 16_384
    (tmp_path / "model.safetensors.index.json").unlink()
    assert size_of(tmp_path) == 16_384


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\n"


@pytest.mark.parametrize("file", ["config.json", "model.safetensors.index.json", SHARDS[0], "model.bin"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (POINTER, "a Git LFS pointer, not the file itself; run `git lfs pull`"),
        (b"", r"\(0 bytes\); fetch the checkpoint again"),
        (b"[1]", r"\(3 bytes\); fetch the checkpoint again"),
        (b"{}", r"\(2 bytes\); fetch the checkpoint again"),
        (struct.pack("<Q", 2) + b"{{", r"\(10 bytes\); fetch the checkpoint again"),
    ],
    ids=["pointer", "empty", "list", "object", "header"],
)
def test_files_that_are_not_what_they_are_called_are_named(
    file: str, content: bytes, said: str, tmp_path: Path
) -> None:
    sharded(tmp_path, *SHARDS)
    if file == "model.bin":
        for made in tmp_path.glob("model*"):
            made.unlink()
        file = "pytorch_model.bin"
    (tmp_path / file).write_bytes(content)
    if file.endswith("index.json") and content == b"{}":
        assert checkpoint(str(tmp_path)) is not None, "an index may be without anything"
        return
    with pytest.raises(UserError, match=f"{tmp_path / file}: .*{said}"):
        checkpoint(str(tmp_path))


@given(
    st.binary(max_size=200)
    | st.recursive(
        st.none() | st.integers() | st.floats() | st.text(max_size=9),
        lambda inner: st.dictionaries(
            st.sampled_from([*CONFIG, "model_type", "weight_map", "metadata", "total_size"]), inner
        ).map(lambda some: {**CONFIG, **some}),
    ).map(lambda value: json.dumps(value).encode()),
    st.sampled_from(["config.json", "model.safetensors.index.json", SHARDS[1]]),
)
def test_nothing_in_a_checkpoints_files_is_a_traceback(content: bytes, file: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sharded(Path(folder), *SHARDS)
        (Path(folder) / file).write_bytes(content)
        with contextlib.suppress(UserError):
            found = checkpoint(folder)
            assert found is None or found.weights.size(2) + found.shape.cached(9) > 0


def test_a_configuration_of_another_kind_of_model_leaves_its_size_unknown(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2", "n_embd": 768}))
    assert checkpoint(str(tmp_path)) is None
    assert known_shape(str(tmp_path)) is None


def test_headers_tell_what_the_formats_own_library_writes(tmp_path: Path) -> None:
    written = {
        "model.embed_tokens.weight": np.zeros((100, 64), np.float16),
        "model.layers.0.mlp.up_proj.weight": np.zeros((128, 64), np.float32),
        "model.layers.0.blocks": np.zeros((3, 7), np.uint8),
    }
    save_file(written, tmp_path / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    found = checkpoint(str(tmp_path))
    assert found is not None
    assert (found.weights.others, found.weights.matrices, found.weights.packed) == (6400, 8192, 21)
    assert found.shape.positions == 4096


ONE_GPU = [
    *(f"models.{role}={{source: Qwen/Qwen3-8B, format: qwen3}}" for role in ("student", "teacher")),
    *(f"execution.engines.{role}={{kind: server, devices: ['0']}}" for role in ("student", "teacher")),
    *(f"execution.predictors.{role}={{kind: server, devices: ['0']}}" for role in ("student", "teacher")),
    "predictors.base={source: Qwen/Qwen3-0.6B-Base}",
    "predictors.window_tokens=200",
    "synthesis.max_tokens=8192",
    "train.max_length=9000",
    "execution.concurrency=96",
]


def one_gpu(*more: str) -> Recipe:
    return load(ROOT / "recipes" / "mini.yaml", [*ONE_GPU, *more])


def test_four_servers_on_one_device_are_given_their_memory() -> None:
    recipe = one_gpu()
    settled = placing(recipe, H100).settled(recipe.execution)
    fleets = [settled.engines.student, settled.engines.teacher]
    fleets += [settled.predictors.student.serving, settled.predictors.teacher.serving]
    sizes = [footprint(one, "Qwen/Qwen3-8B", None, H100)["0"] for one in fleets[:2]]
    sizes += [footprint(one, "Qwen/Qwen3-0.6B", None, H100)["0"] for one in fleets[2:]]
    assert sum(sizes) <= 78 * GIB
    assert sum(sizes) > 70 * GIB
    for one in fleets:
        assert int(one.arguments["kv_cache_memory_bytes"]) > 0
        # vLLM refuses to start where less than this is free.
        assert 0 < float(one.arguments["gpu_memory_utilization"]) < 0.5
    assert settled.engines.student.context == 8192 + 1024


def test_what_was_worked_out_moves_no_fingerprint() -> None:
    recipe = one_gpu()
    settled = recipe.model_copy(update={"execution": placing(recipe, H100).settled(recipe.execution)})
    assert [s.fingerprint for s in plan(settled)] == [s.fingerprint for s in plan(recipe)]


def test_what_a_recipe_says_itself_is_left_as_it_is() -> None:
    given_by_hand = "{kind: server, devices: ['0'], arguments: {kv_cache_memory_bytes: 2G}, context: 9999}"
    recipe = one_gpu(f"execution.engines.student={given_by_hand}")
    settled = placing(recipe, H100).settled(recipe.execution).engines.student
    assert settled.arguments["kv_cache_memory_bytes"] == "2G"
    assert settled.context == 9999
    apart = one_gpu("execution.engines.teacher={kind: server, devices: ['1']}").execution
    alone = placing(one_gpu("execution.engines.teacher={kind: server, devices: ['1']}"), H100)
    assert alone.settled(apart).engines.teacher.arguments == {}, "alone on its device, vLLM measures itself"


def student(given: str, **more: str) -> str:
    fields = "".join(f", {name}: {value}" for name, value in more.items())
    return f"execution.engines.student={{kind: server, devices: ['0'], arguments: {{{given}}}{fields}}}"


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        *(
            (f"kv_cache_memory_bytes: {value}", "whole number above 0")
            for value in ("abc", "-5G", "0", "1.5G")
        ),
        *(
            (f"kv_cache_memory_bytes: {value}", "whole number above 0")
            for value in ("true", "1e9", "''", "G")
        ),
        *((f"gpu_memory_utilization: {value}", "above 0 and at most 1") for value in (1.5, 0, -0.5, "much")),
        *((f"{name}: 0", "whole number above 0") for name in ("tensor_parallel_size", "max-num-seqs")),
        ("max_num_batched_tokens: few", "whole number above 0"),
    ],
)
def test_a_size_that_cannot_be_is_refused_when_the_recipe_is_read(given: str, rule: str) -> None:
    field = given.partition(":")[0]
    with pytest.raises(UserError, match=rf"execution\.engines\.student: arguments\.{field} .*{rule}"):
        one_gpu(student(given))


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (7, 7),
        ("7", 7),
        ("25.6k", 25_600),
        ("25K", 25_600),
        ("2g", 2 * 10**9),
        ("2G", 2 << 30),
        ("1T", 1 << 40),
    ],
)
def test_numbers_are_read_as_vllm_reads_them(value: int | str, number: int) -> None:
    assert whole(value) == number


@given(st.text("0123456789.kKmMgGtT-+ e", max_size=12) | st.integers() | st.floats() | st.booleans())
def test_whatever_is_given_for_a_number_is_one_above_0_or_refused(value: str | float | bool) -> None:
    with contextlib.suppress(ValueError):
        assert whole(value) > 0
    with contextlib.suppress(ValueError):
        assert 0 < device_share(value) <= 1


@pytest.mark.parametrize(
    "given", ["kv_cache_memory_bytes: 1M", "kv_cache_memory_bytes: 1G", "gpu_memory_utilization: 0.2"]
)
def test_a_cache_that_cannot_hold_one_sample_is_refused(given: str) -> None:
    field = given.partition(":")[0]
    with pytest.raises(
        UserError, match=rf"student\.arguments\.{field} .*cannot hold one sample of 9,216 tokens"
    ):
        placing(one_gpu(student(given)), H100)


def test_the_longer_of_two_contexts_counts_as_in_the_stage() -> None:
    for said, reckoned in ((100, 9216), (9216, 9216), (20_000, 20_000)):
        tenant = placing(one_gpu(student("", context=str(said))), H100).tenants[0]
        assert (tenant.name, tenant.context) == ("engines.student", reckoned)


def test_to_leave_out_a_size_that_the_recipe_gives_is_named_first() -> None:
    field = "execution.engines.student.arguments.kv_cache_memory_bytes"
    with pytest.raises(TooLarge) as refused:
        placing(one_gpu(student("kv_cache_memory_bytes: 99G")), H100)
    assert f"(weights 15.3, cache by {field} 99.0, else 3." in str(refused.value)
    assert f"what would fit: without {field}" in str(refused.value)
    with pytest.raises(TooLarge, match=r"without execution\.engines\.student\.arguments\.gpu_memory_utiliz"):
        placing(one_gpu(student("gpu_memory_utilization: 1")), H100)


def test_sizes_that_are_not_whole_have_a_decimal() -> None:
    assert [in_gib(size * GIB) for size in (23.5, 79, 1024.04, 0.04)] == ["23.5", "79", "1,024", "0"]
    recipe = load(ROOT / "recipes" / "one-gpu" / "lora-24gb.yaml")
    devices = devices_named(recipe)
    assert devices is not None
    assert next(placing(recipe, devices).lines()).startswith("memory of device 0 (23.5 GiB): ")


def test_a_model_of_unknown_size_gets_an_even_part() -> None:
    recipe = one_gpu("models.teacher={source: org/unknown, format: qwen3}")
    placed = placing(recipe, H100)
    settled = placed.settled(recipe.execution)
    assert settled.engines.teacher.arguments == {"gpu_memory_utilization": 0.24}
    known = (settled.engines.student, settled.predictors.student, settled.predictors.teacher)
    shares = [float(one.arguments["gpu_memory_utilization"]) for one in known]
    assert sum(shares) < 0.74
    assert "engines.teacher: its size is not known" in list(placed.lines())[-1]


def test_a_version_without_caches_in_bytes_gets_shares_of_the_device() -> None:
    recipe = one_gpu()
    settled = placing(recipe, H100).settled(recipe.execution, exact=False)
    fleets = [getattr(getattr(settled, kind), role) for kind in ("engines", "predictors") for role in ROLES]
    assert not any("kv_cache_memory_bytes" in one.arguments for one in fleets)
    assert 0.85 < sum(float(one.arguments["gpu_memory_utilization"]) for one in fleets) <= 0.98


def test_the_miniature_shares_main_memory() -> None:
    recipe = load(ROOT / "recipes" / "mini-vllm.yaml", ["execution.engines.student.arguments={}"])
    memory = Devices("cpu", (8 * GIB,))
    settled = placing(recipe, memory).settled(recipe.execution)
    # 256 samples of 1,024 tokens, four layers of three heads with 32 dimensions, in float32.
    tokens = int(settled.engines.student.arguments["kv_cache_memory_bytes"]) / (2 * 4 * 3 * 32 * 4)
    assert tokens == 256 * (1024 + 144)
    assert settled.engines.teacher.arguments["kv_cache_memory_bytes"] == 419430400
    with pytest.raises(TooLarge, match=r"main memory has 1\.5 GiB"):
        placing(recipe, Devices("cpu", (2 * GIB,)))


def test_the_papers_nodes_hold_its_models() -> None:
    recipe = load(ROOT / "recipes" / "paper" / "tessy.yaml")
    node = devices_named(recipe)
    assert node is not None
    lines = list(placing(recipe, node).lines())
    assert any("engines.teacher (weights 60.8" in line for line in lines)
