"""One real vLLM server for tests: a tiny model with random weights, started as a recipe starts its own.

`python -m tests.vllm_server FOLDER` serves the model in FOLDER until it is killed, and prints the
server's URL. The vocabulary is printable ASCII, one character an id, so that text and ids tell the same.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CHARACTERS = [chr(code) for code in range(0x20, 0x7F)]
END = len(CHARACTERS)
"""The one id that is no character."""
LENGTH = 4096


class Codec:
    """Text and ids of the tiny model."""

    def encode(self, text: str) -> list[int]:
        return [CHARACTERS.index(character) for character in text]

    def decode(self, ids: Sequence[int]) -> str:
        return "".join("<|end|>" if token == END else CHARACTERS[token] for token in ids)


def make_model(folder: Path) -> None:
    """Two layers of noise, loud enough that no two logits are close."""
    import torch
    from tokenizers import Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=END + 1,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        intermediate_size=64,
        max_position_embeddings=LENGTH,
        initializer_range=0.3,
        eos_token_id=END,
        tie_word_embeddings=False,
    )
    model = Qwen3ForCausalLM(config)
    with torch.no_grad():
        model.lm_head.weight[END] = 0  # Not of its own accord.
    model.save_pretrained(folder)
    letters = {character if character != " " else "Ġ": n for n, character in enumerate(CHARACTERS)}
    tokenizer = Tokenizer(BPE(letters | {"<|end|>": END}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>").save_pretrained(folder)


async def serve(folder: Path) -> None:
    """Start the server, say where it is, and keep it."""
    from tessy.config.engines import EngineSettings
    from tessy.engines.command import ServedModel
    from tessy.engines.launch import servers

    settings = EngineSettings(
        kind="server",
        arguments={
            "dtype": "float32",
            "enforce_eager": True,
            "max_num_seqs": 64,
            "kv_cache_memory_bytes": 64 << 20,
        },
    )
    checkpoint = ServedModel(str(folder / "model"), None, LENGTH)
    async with servers(
        settings, checkpoint, "tiny", folder / "logs", lambda line: print(line, file=sys.stderr)
    ) as urls:
        print(urls[0], flush=True)
        await asyncio.Event().wait()


@dataclass(frozen=True)
class Host:
    """The process that keeps the server."""

    process: subprocess.Popen[str]
    url: str
    model: Path


@contextmanager
def vllm_server(folder: Path) -> Iterator[Host]:
    """The server, killed at the end with what kept it."""
    make_model(folder / "model")
    command = [sys.executable, "-m", "tests.vllm_server", str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = next((line.strip() for line in process.stdout if line.startswith("http")), "")
            assert url, f"the server did not start; its log is in {folder / 'logs'}"
            yield Host(process, url, folder / "model")
        finally:
            process.kill()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
