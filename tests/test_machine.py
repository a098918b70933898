"""What is told of a machine is what the machine says of itself, and manifests and results keep it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tessy.machine import environment, machine, meaning, merged, processor, usable
from tessy.processes import python_module

LAPTOP = """\
processor	: 0
model name	: AMD Ryzen 7 3700U
flags		: fpu sse4_2 avx f16c avx2 fma

processor	: 1
model name	: another
flags		: fpu
"""
SERVER = "model name\t: Xeon\nflags\t\t: avx2 avx512f avx512_bf16 amx_bf16 amx_tile\n"
ARM = "processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd evtstrm bf16\n"


@pytest.mark.parametrize(
    ("text", "model", "instructions"),
    [
        (LAPTOP, "AMD Ryzen 7 3700U", ("avx2",)),
        (SERVER, "Xeon", ("avx2", "avx512f", "avx512_bf16", "amx_bf16")),
        (ARM, "", ("asimd", "bf16")),
        ("", "", ()),
    ],
)
def test_processors_are_read_as_the_kernel_describes_them(
    text: str, model: str, instructions: tuple[str, ...]
) -> None:
    assert processor(text) == (model, instructions)


def test_instructions_that_pytorch_is_told_to_leave_alone_do_not_count() -> None:
    _, every = processor(SERVER)
    assert usable(every, {}) == every
    assert usable(every, {"ATEN_CPU_CAPABILITY": "avx2"}) == ("avx2",)
    assert usable(every, {"ONEDNN_MAX_CPU_ISA": "AVX2"}) == ("avx2",)


@pytest.mark.slow
@pytest.mark.parametrize("cap", [{}, {"ATEN_CPU_CAPABILITY": "avx2"}])
def test_pytorch_agrees(cap: dict[str, str]) -> None:
    code = (
        "import torch; from tessy.machine import machine; "
        "print(torch.backends.cpu.get_cpu_capability(), *machine().instructions)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ | cap
    )
    uses, *said = done.stdout.split()
    assert ("avx2" in said) == (uses in {"AVX2", "AVX512"})
    assert ("avx512f" in said) == (uses == "AVX512")


def test_it_is_said_what_the_instructions_mean() -> None:
    def told(text: str) -> list[str]:
        return [" ".join(line) for line in meaning(replace(machine(), instructions=processor(text)[1]))]

    assert "half AVX-512's speed" in told(LAPTOP)[0]
    assert "emulated" in told(LAPTOP)[1]
    assert told(SERVER)[1].startswith("avx512_bf16 and amx_bf16")
    assert "ARM" in told(ARM)[0]
    assert "no AVX2" in told("")[0]


def test_the_environment_names_machine_and_versions() -> None:
    found = environment()
    assert {"python", "machine", "cpu", "cores", "memory", "tessy"} <= set(found)
    assert all(isinstance(value, str) and value for value in found.values())
    assert found["cores"] == str(len(os.sched_getaffinity(0)))


def test_a_gpu_is_named_with_its_driver(tmp_path: Path) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA H100 80GB HBM3, 580.65.06'\necho 'NVIDIA L4, 580.65.06'\n")
    tool.chmod(0o755)
    code = "from tessy.machine import environment as e; print(e()['gpu'], e()['driver'], sep='; ')"
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PATH": path},
    )
    assert done.stdout == "NVIDIA H100 80GB HBM3, NVIDIA L4; 580.65.06\n"


def test_stages_made_on_two_machines_name_both() -> None:
    assert merged([{"cpu": "A", "torch": "1"}, {"cpu": "B", "torch": "1"}]) == {"cpu": "A; B", "torch": "1"}


def test_doctor_says_what_the_processor_means_for_a_run() -> None:
    done = subprocess.run(
        python_module("tessy.cli", "doctor"),
        capture_output=True,
        text=True,
        env=os.environ | {"ATEN_CPU_CAPABILITY": "avx2"},
    )
    assert "AVX2, no AVX-512" in done.stdout
    assert "no bfloat16" in done.stdout
