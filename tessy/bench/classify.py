"""Seconds that vLLM's token classification takes for the windows on standard input, in this process."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any


def main() -> None:
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    from vllm import LLM

    source, window_tokens = sys.argv[1], int(sys.argv[2])
    windows: Any = [{"prompt_token_ids": ids} for ids in json.load(sys.stdin)]
    model = LLM(
        source,
        runner="pooling",
        dtype="float32",
        max_model_len=window_tokens,
        distributed_executor_backend="uni",
        kv_cache_memory_bytes=256 << 20,
        disable_log_stats=True,
    )
    model.encode(windows[:64], pooling_task="token_classify", use_tqdm=False)
    began = time.perf_counter()
    model.encode(windows, pooling_task="token_classify", use_tqdm=False)
    answers.write(f"{time.perf_counter() - began}\n")
    answers.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
