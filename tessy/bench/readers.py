"""Boundary predictors measured: tokens judged per second and core, by every way of reading.

    incremental           reading along with all texts at once, chunk by chunk, as synthesis does
    incremental_float32   the same in single precision
    sliding               the last window of everything so far for every chunk, as the authors' release does
    vllm_token_classify   vLLM reads the window behind every chunk, as a served predictor has it do
    batched               whole texts at once, every token in the window that use would show it
    transformers          one plain pass over each text's last window: the limit of the model itself

The first four read the same texts in the same chunks, on one CPU thread; vLLM in float32, as it serves
predictors, on a GPU where it was built for one. All but vLLM are measured on PyTorch's GPU besides, if there
is one, under names that end in `_cuda`. Not covered: several GPUs; a first reading, which is not counted
because kernels are loaded on it.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from tessy.boundary.predictor import BoundaryPredictor
from tessy.boundary.sliding import SlidingPredictor
from tessy.boundary.windows import window_start
from tessy.engines.command import installed_build
from tessy.processes import python_module

TEXTS, CHUNK_WORDS = 128, 4
Say = Callable[[str], None]


def measure(source: str, window_tokens: int, texts: Sequence[str], say: Say) -> dict[str, Any]:
    """{way: {"tokens_per_s"}} of judging `texts` with the checkpoint at `source`."""
    texts = [text for text in texts if text.strip()][:TEXTS]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        found = _in_this_process(source, window_tokens, texts, "cpu")
        if torch.cuda.is_available():
            on_gpu = _in_this_process(source, window_tokens, texts, "cuda")
            found |= {f"{way}_cuda": rate for way, rate in on_gpu.items()}
    finally:
        torch.set_num_threads(threads)
    found["vllm_token_classify"] = _vllm(source, window_tokens, texts)
    for way, rate in found.items():
        say(f"predictor, {way}: {rate:,.0f} tokens/s")
    return {way: {"tokens_per_s": rate} for way, rate in found.items()}


def _in_this_process(source: str, window_tokens: int, texts: Sequence[str], device: str) -> dict[str, float]:
    along = {"incremental": torch.float64, "incremental_float32": torch.float32}
    return {
        **{way: _incremental(source, window_tokens, texts, dtype, device) for way, dtype in along.items()},
        "sliding": _sliding(source, window_tokens, texts, device),
        "batched": _batched(source, window_tokens, texts, device),
        "transformers": _whole(source, window_tokens, texts, device),
    }


def chunks(text: str) -> list[int]:
    """Where `text` is cut: after every `CHUNK_WORDS` words."""
    ends = [i for i in range(1, len(text)) if text[i].isspace() and not text[i - 1].isspace()]
    return [*ends[CHUNK_WORDS - 1 :: CHUNK_WORDS], len(text)]


def _tokens(source: str, texts: Sequence[str]) -> int:
    from tessy.chat import load_tokenizer

    tokenizer = load_tokenizer(source)
    return sum(len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts)


def _incremental(
    source: str, window_tokens: int, texts: Sequence[str], dtype: torch.dtype, device: str
) -> float:
    predictor = BoundaryPredictor(
        source, "student", window_tokens, slots=len(texts), dtype=dtype, device=device
    )
    predictor.style_probabilities(texts[0])

    async def read(number: int, text: str) -> None:
        at = 0
        for end in chunks(text):
            await predictor.foreign(str(number), text[:at], text[at:end])
            at = end

    async def everything() -> None:
        await asyncio.gather(*(read(number, text) for number, text in enumerate(texts)))

    began = time.perf_counter()
    asyncio.run(everything())
    return _tokens(source, texts) / (time.perf_counter() - began)


def _sliding(source: str, window_tokens: int, texts: Sequence[str], device: str) -> float:
    predictor = SlidingPredictor(source, "student", window_tokens, device=device)
    predictor.judge([("", texts[0])])
    cuts = [[0, *chunks(text)] for text in texts]
    began = time.perf_counter()
    for step in range(max(map(len, cuts)) - 1):
        live = [(text, cut) for text, cut in zip(texts, cuts, strict=True) if step + 1 < len(cut)]
        predictor.judge([(text[: cut[step]], text[cut[step] : cut[step + 1]]) for text, cut in live])
    return _tokens(source, texts) / (time.perf_counter() - began)


def _batched(source: str, window_tokens: int, texts: Sequence[str], device: str) -> float:
    predictor = BoundaryPredictor(source, "student", window_tokens, slots=len(texts), device=device)
    predictor.style_probabilities(texts[0])

    async def everything() -> None:
        await asyncio.gather(*(predictor.foreign(str(n), "", text) for n, text in enumerate(texts)))

    began = time.perf_counter()
    asyncio.run(everything())
    return _tokens(source, texts) / (time.perf_counter() - began)


def _whole(source: str, window_tokens: int, texts: Sequence[str], device: str) -> float:
    predictor = SlidingPredictor(source, "student", window_tokens, device=device)
    predictor.judge([("", texts[0])])
    began = time.perf_counter()
    predictor.judge([("", text) for text in texts])
    return min(_tokens(source, texts), len(texts) * window_tokens) / (time.perf_counter() - began)


def _vllm(source: str, window_tokens: int, texts: Sequence[str]) -> float:
    """vLLM's own token classification of the window behind every chunk, in a process of its own."""
    from tessy.chat import load_tokenizer

    installed_build()
    tokenizer = load_tokenizer(source)
    windows = []
    for text in texts:
        for end in chunks(text):
            ids = tokenizer(text[:end], add_special_tokens=False)["input_ids"]
            windows.append(ids[window_start(len(ids) - 1, window_tokens) :])
    done = subprocess.run(
        python_module("tessy.bench.classify", source, str(window_tokens)),
        input=json.dumps(windows),
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    if done.returncode or not done.stdout:
        raise RuntimeError(f"vLLM did not classify (status {done.returncode}):\n{done.stderr[-3000:]}")
    return _tokens(source, texts) / float(done.stdout.split()[-1])
