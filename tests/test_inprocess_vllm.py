"""vLLM in process: what it says of its tokens' probabilities, and that it keeps to a JSON schema.

The engine gets a process of its own, as it does in a run: `python -m tests.test_inprocess_vllm FOLDER`
continues `PROMPTS` with the model in FOLDER and prints ids and log-probabilities, of plain continuations
and then of one under `SCHEMA`.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tessy.config.base import Sampler
from tessy.config.switches import LIKELIEST
from tessy.engines import Engine, Request
from tessy.errors import UserError
from tests.vllm_server import END, Codec, make_model

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(200)]
PROMPTS = [Codec().encode(text) for text in ("What is 2 + 2?", "x", "the quick brown fox " * 5)]
TOKENS, LENGTH = 12, 256
HOT = Sampler(temperature=2.0)
MARK = "written: "
SCHEMA = '{"const": 271828}'


async def written(
    engine: Engine, prompts: Sequence[Sequence[int]], tokens: int, schema: str | None = None
) -> list[Any]:
    """(ids, log-probabilities) of a continuation of each prompt, all asked for at once."""
    asked = [
        Request(str(n), ids, tokens, (END,), str(n), logprobs=LIKELIEST, schema=schema)
        for n, ids in enumerate(prompts)
    ]
    done = await asyncio.gather(*(engine.open(one).finished() for one in asked))
    return [(continuation.token_ids, continuation.logprobs) for continuation in done]


def test_logprobs_are_the_transformers_engines_and_schemas_are_kept_to(tmp_path: Path) -> None:
    from tessy.engines.transformers_engine import TransformersEngine

    make_model(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "tests.test_inprocess_vllm", str(tmp_path)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == 0, "vLLM's complaint is above"
    lines = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
    found, constrained = (json.loads(line.removeprefix(MARK)) for line in lines)
    assert [Codec().decode(ids) for ids, _ in constrained] == ["271828<|end|>"] * len(PROMPTS)
    # Whatever vLLM drew, the transformers engine is asked what could have been drawn there.
    prefixes = [
        [*ids, *new[:at]] for ids, (new, _) in zip(PROMPTS, found, strict=True) for at in range(TOKENS)
    ]
    engine = TransformersEngine(str(tmp_path), HOT, slots=len(prefixes), max_length=LENGTH)
    expected = [given[0] for _, given in asyncio.run(written(engine, prefixes, 1))]
    rows = [row for _, given in found for row in given]
    assert len(rows) == len(expected) == TOKENS * len(PROMPTS)
    for row, own in zip(rows, expected, strict=True):
        # The drawn token's own comes besides where it is not among the likeliest.
        assert len(row) in (LIKELIEST, LIKELIEST + 1)
        assert row[:LIKELIEST] == pytest.approx(own, abs=2e-3)


def main(folder: str) -> None:
    from tessy.engines.inprocess import InProcessEngine

    for refused in ({"max_length": 1 << 20}, {"max_length": LENGTH, "arguments": {"no-such": 1}}):
        with pytest.raises(UserError, match="vLLM cannot run"):
            InProcessEngine(folder, HOT, **refused)  # type: ignore[arg-type]
    arguments = {"dtype": "float32", "enforce_eager": True, "kv-cache-memory-bytes": 64 << 20}
    engine = InProcessEngine(folder, HOT, max_length=LENGTH, arguments=arguments, schemas=True)
    with asyncio.Runner() as runner:
        for schema in (None, SCHEMA):
            found = runner.run(written(engine, PROMPTS, TOKENS, schema))
            print(f"\n{MARK}{json.dumps(found)}", flush=True)
    os._exit(0)  # vLLM's own farewell takes seconds.


if __name__ == "__main__":
    main(sys.argv[1])
