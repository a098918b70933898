"""Where the time of a training step goes: the device's kernels by what they compute, and waiting.

Kernels are told by their names (of CUDA, cuBLAS, cuDNN, Triton, TRL and Liger; on a CPU those of PyTorch's
operations), so a group is only as good as its pattern. What backward recomputes is in the groups, too, and
besides told as a share of its own.

Not covered: several devices, and what happens outside of steps.
"""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch.autograd import DeviceType  # type: ignore[attr-defined]
from torch.profiler import ProfilerActivity, profile
from transformers import TrainerCallback

from train.setup import decoder_layers

GROUPS = {
    "attention": r"flash|fmha|sdpa|attention",
    "matrix products": r"gemm|nvjet|cutlass|cublas|xmma|splitk|aten::(add|b)?mm\b|aten::addmm_|mkldnn",
    "optimizer": r"multi_tensor|adam|lpnorm|Optimizer",
    "loss": r"^_(forward|backward)_kernel|log_softmax|logsumexp",
    "norms, positions, activation (Liger)": r"_rms_norm|_triton_rope|_swiglu|_silu",
    "copies and casts": r"memcpy|memset|copy|catarray|aten::cat|aten::_to_copy",
}
"""Patterns of kernel names; the first that fits decides. All others are element by element."""
OTHERS = "element by element"
WAITING = "waiting"


class Breakdown(TrainerCallback):
    """Profiles the step of number `step`, counted from 1; `shares` are then of its seconds."""

    def __init__(self, step: int) -> None:
        self.step, self.shares, self.longest = step, dict[str, float](), list[tuple[str, float]]()

    def on_step_begin(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        if state.global_step + 1 != self.step:
            return
        self._gpu = torch.cuda.is_available()
        self._clock = _Recomputation(model)
        activity = ProfilerActivity.CUDA if self._gpu else ProfilerActivity.CPU
        self._profile = profile(activities=[activity])
        self._profile.start()
        _wait()
        self._began = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step != self.step:
            return
        _wait()
        seconds = time.perf_counter() - self._began
        self._profile.stop()
        recomputed = self._clock.stop()
        kernels = list(_on_gpu(self._profile) if self._gpu else _on_cpu(self._profile))
        spent: dict[str, float] = defaultdict(float)
        for name, kernel_s in kernels:
            spent[group(name)] += kernel_s
        self.shares = {name: spent[name] / seconds for name in sorted(spent, key=spent.__getitem__)[::-1]}
        self.shares[WAITING] = 1 - sum(spent.values()) / seconds
        self.shares["of all this, recomputed"] = recomputed / seconds
        by_name: dict[str, float] = defaultdict(float)
        for name, kernel_s in kernels:
            by_name[name[:90]] += kernel_s / seconds
        self.longest = sorted(by_name.items(), key=lambda pair: -pair[1])[:20]


def group(kernel: str) -> str:
    """What a kernel computes, by its name."""
    found = (name for name, pattern in GROUPS.items() if re.search(pattern, kernel, re.IGNORECASE))
    return next(found, OTHERS)


def _on_gpu(found: Any) -> Iterable[tuple[str, float]]:
    """Name and seconds of every kernel; kernels of one device do not overlap here."""
    for event in found.events():
        if event.device_type == DeviceType.CUDA and not event.is_user_annotation:
            yield event.name, event.time_range.elapsed_us() / 1e6


def _on_cpu(found: Any) -> Iterable[tuple[str, float]]:
    for event in found.key_averages():
        yield event.key, event.self_cpu_time_total / 1e6


class _Recomputation:
    """Seconds in which layers are computed while gradients are: that is the second time."""

    def __init__(self, model: Any) -> None:
        self._marks: list[tuple[Any, Any]] = []
        self._layers = decoder_layers(model)
        for layer in self._layers:
            layer.forward = partial(self._timed, layer.forward)

    def _timed(self, forward: Callable[..., Any], *inputs: Any, **named: Any) -> Any:
        if torch._C._current_graph_task_id() == -1:
            return forward(*inputs, **named)
        began = _mark()
        try:
            # Left by an exception where all that was missing is there.
            return forward(*inputs, **named)
        finally:
            self._marks.append((began, _mark()))

    def stop(self) -> float:
        for layer in self._layers:
            del layer.forward
        return sum(_seconds(*pair) for pair in self._marks)


def _mark() -> Any:
    if not torch.cuda.is_available():
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def _seconds(began: Any, ended: Any) -> float:
    if isinstance(began, float):
        return float(ended - began)
    return float(began.elapsed_time(ended)) / 1000


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
