"""What makes training faster changes nothing that is learned, and what the profile says adds up."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import training_stage as stage

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]


def lora(rank: int = 4) -> Any:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import Qwen3ForCausalLM

    torch.manual_seed(0)
    model = Qwen3ForCausalLM(stage.tiny_config(attention_bias=True))
    adapted = get_peft_model(
        model, LoraConfig(r=rank, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
    )
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    return adapted


def gradients(model: Any) -> dict[str, Any]:
    import torch

    ids = torch.randint(0, 400, (2, 40), generator=torch.Generator().manual_seed(1))
    model.zero_grad()
    model(input_ids=ids, labels=ids).loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.requires_grad}


def test_fused_adapters_compute_what_peft_s_do_forward_and_backward() -> None:
    import torch

    from train.adapters import fuse

    model = lora()
    with torch.no_grad():
        ids = torch.arange(30)[None]
        before = model(input_ids=ids).logits
    expected = gradients(model)
    assert fuse(model) == 2 * 7
    with torch.no_grad():
        torch.testing.assert_close(model(input_ids=ids).logits, before)
    found = gradients(model)
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name])


def test_fused_adapters_under_autocast_differ_from_peft_s_by_rounding() -> None:
    import torch

    from train.adapters import fuse

    model = lora()
    with torch.autocast("cpu", torch.bfloat16):
        expected = gradients(model)
        fuse(model)
        found = gradients(model)
    for name, gradient in found.items():
        assert gradient.dtype == expected[name].dtype
        worst = (gradient - expected[name]).abs().max() / expected[name].abs().max()
        assert worst < 0.05, name


def test_layers_with_dropout_are_left_to_peft() -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import Qwen3ForCausalLM

    from train.adapters import fuse

    model = Qwen3ForCausalLM(stage.tiny_config())
    adapted = get_peft_model(
        model, LoraConfig(r=2, lora_dropout=0.1, target_modules=["q_proj"], task_type="CAUSAL_LM")
    )
    assert fuse(adapted) == 0


def test_attention_by_sample_is_transformers_own_on_packed_and_on_padded_rows() -> None:
    import torch
    from transformers import Qwen3ForCausalLM

    from train.sdpa import BY_SAMPLE

    config = stage.tiny_config(num_key_value_heads=1)
    torch.manual_seed(0)
    model = Qwen3ForCausalLM(config).eval()
    ids = torch.randint(0, 400, (2, 30))
    positions = torch.cat([torch.arange(11), torch.arange(1), torch.arange(18)])[None]
    padded = torch.ones_like(ids)
    padded[1, 20:] = 0
    found = {}
    for attention in ("eager", BY_SAMPLE):
        model.set_attn_implementation(attention)
        with torch.no_grad():
            packed = model(input_ids=ids[:1], position_ids=positions, use_cache=False).logits
            rows = model(input_ids=ids, attention_mask=padded, use_cache=False).logits
        found[attention] = packed, rows[0], rows[1, :20]
    for expected, own in zip(found["eager"], found[BY_SAMPLE], strict=True):
        torch.testing.assert_close(own, expected, atol=1e-5, rtol=1e-4)


def test_attention_by_sample_passes_the_check_of_packing() -> None:
    import torch

    from train.attention import check_packing
    from train.sdpa import BY_SAMPLE

    check_packing(stage.tiny_config(), BY_SAMPLE, torch.device("cpu"))


@pytest.mark.parametrize(
    "spread",
    [
        {"recompute": "layers"},
        {"recompute": "all_but_attention"},
        {"recompute": "layers", "recomputed_layers": 1},
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["full", "lora"])
def test_what_is_recomputed_changes_no_loss(spread: dict[str, Any], method: str, tmp_path: Any) -> None:
    plain, other = (losses(tmp_path / name, method, **how) for name, how in (("a", {}), ("b", spread)))
    assert other == pytest.approx(plain, rel=1e-5)


def losses(folder: Any, method: str, **spread: Any) -> list[float]:
    from transformers import Qwen3ForCausalLM

    from tessy.config.train import TrainExecution, Training
    from train.examples import Limits, examples
    from train.setup import Setting, make_trainer

    words = stage.tokenizer()
    train = Training(**stage.SETTINGS | {"method": method, "epochs": 1, "packing": True})
    found = examples(stage.trajectories(12, words), stage.Renderer(words, "qwen3"), Limits(160, 256, 400))
    setting = Setting(train, TrainExecution(micro_batch=4, **spread), 0, folder)
    trainer = make_trainer(
        setting, partial(_model, Qwen3ForCausalLM), words, found, [(n,) for n in range(len(found))], []
    )
    trainer.args.save_strategy = "no"
    trainer.train()
    return [row["loss"] for row in trainer.state.log_history if "loss" in row]


def _model(kind: Any, dtype: Any, attn_implementation: str) -> Any:
    return kind._from_config(stage.tiny_config(), dtype=dtype, attn_implementation=attn_implementation)


def test_a_profile_s_shares_are_of_the_step() -> None:
    from tessy.config.train import TrainExecution
    from train.breakdown import WAITING
    from train.probe import measure, settings

    train = settings(64, 2, "lora")
    found = measure("mini", 2, 1, train, TrainExecution(recompute="layers"), pack=2, profile=True)
    shares = dict(found["shares"])
    recomputed = shares.pop("of all this, recomputed")
    assert sum(shares.values()) == pytest.approx(1)
    assert {"matrix products", "attention", "optimizer", WAITING} <= shares.keys()
    assert 0 < recomputed < 0.6
    assert found["planned_mib"] > 0


def test_standard_output_has_the_figures_alone_and_their_names_are_not_the_options() -> None:
    command = [sys.executable, "-P", "-m", "train.probe", "--model", "mini", "--tokens", "32"]
    command += ["--steps", "1", "--seconds", "300", "--profile"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["seconds"] == 300
    assert found["shares"].keys() >= {"matrix products"}
    assert "'loss'" in done.stderr


def test_what_is_not_installed_is_said_in_its_line_and_the_others_are_measured(capfd: Any) -> None:
    from train.probe import main

    packages = {"{kernels: liger}": "liger_kernel", "{attention: flash_attention_2}": "flash_attn"}
    spreads = [text for text, package in packages.items() if find_spec(package) is None]
    options = [word for text in [*spreads, "{}"] for word in ("--execution", text)]
    main(["--model", "mini", "--tokens", "32", "--steps", "1", *options])
    found = {row["execution"]: row for row in map(json.loads, capfd.readouterr().out.splitlines())}
    assert found["{}"]["tokens_per_s"] > 0
    for text in spreads:
        assert "installed" in found[text]["error"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--tokens", "abc"], "--tokens: 'abc' is not a whole number of at least 1"),
        (["--tokens", "160,0"], "--tokens: '0' is not"),
        (
            ["--tokens", "160", "--pack", "200"],
            "--tokens 160 with --pack 200: a sample has at least 2 tokens",
        ),
        (["--tokens", "1"], "give at least 2"),
        (["--rows", "0"], "--rows: '0' is not"),
        (["--steps", "-1"], "--steps: '-1' is not"),
        (["--tflops", "0"], "--tflops: '0' is not a number above 0"),
        (["--seconds", "nan"], "--seconds: 'nan' is not"),
        (["--execution", "{x:"], "--execution '{x:': not valid YAML"),
        (["--execution", "null"], "--execution 'null': must map fields"),
        (["--execution", "{recomput: layers}"], "recomput: unknown key; did you mean 'recompute'?"),
        (["--execution", "{recompute: some}"], "recompute: 'some' is not allowed"),
        (["--execution", "{micro_batch: 3}"], "'{micro_batch: 3}' with --rows 1: train.batch_size 1 cannot"),
        (["--execution", "{zero: 2}"], "started by torchrun"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_is(
    options: list[str], said: str, capsys: Any
) -> None:
    from train.probe import main

    with pytest.raises(SystemExit, match="2"):
        main(["--model", "mini", "--tokens", "32", *options])
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kernel", "what"),
    [
        (
            "void pytorch_flash::flash_fwd_kernel<Flash_fwd_kernel_traits<128, cutlass::bfloat16_t>>",
            "attention",
        ),
        ("cudnn_generated_fort_native_sdpa_sm90_flash_bprop_wgmma_f16_knob_7_64x128x128", "attention"),
        ("nvjet_sm90_tst_128x256_64x4_2x1_v_bz_coopA_TNT", "matrix products"),
        ("sm90_xmma_gemm_bf16bf16_bf16f32_f32_tn_n_tilesize128x128x64", "matrix products"),
        ("void at::native::vectorized_elementwise_kernel<4, at::native::mul_functor>", "element by element"),
        ("void at::native::elementwise_kernel<at::native::direct_copy_kernel_cuda>", "copies and casts"),
        ("void at::native::multi_tensor_apply_kernel<FusedAdamMathFunctor>", "optimizer"),
        ("_rms_norm_forward_kernel", "norms, positions, activation (Liger)"),
        ("_forward_kernel", "loss"),
        ("aten::_scaled_dot_product_flash_attention_for_cpu", "attention"),
        ("aten::addmm_", "matrix products"),
    ],
)
def test_kernels_are_told_by_name(kernel: str, what: str) -> None:
    from train.breakdown import group

    assert group(kernel) == what
