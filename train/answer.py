"""Loads a finished checkpoint as its users will, and has it answer one prompt.

transformers answers on the CPU. vLLM takes the device, in a process of its own: `python -m train.answer
FOLDER` with the prompt's ids as JSON on standard input.

Not covered: whether the answer is right, which evaluation measures.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tessy.machine import machine
from tessy.processes import python_module

TOKENS = 16
"""Length of the answer asked for."""
MARK = "answer: "
"""Tells the answer's line from what vLLM prints."""


def require_answer(folder: Path, prompt: Sequence[int], engine: str) -> str:
    """The answer of the checkpoint in `folder` to `prompt`; raises `RuntimeError` if it is empty."""
    from transformers import AutoTokenizer

    ids = [int(token) for token in prompt]
    answer = with_transformers(folder, ids) if engine == "transformers" else _elsewhere(folder, ids)
    if not answer:
        raise RuntimeError(f"the checkpoint in {folder} answers nothing")
    return str(AutoTokenizer.from_pretrained(folder).decode(answer))


def with_transformers(folder: Path, prompt: list[int]) -> list[int]:
    import torch
    from transformers import AutoModelForCausalLM

    # A CPU without bfloat16 instructions would take minutes over a checkpoint in bfloat16.
    dtype = "auto" if machine().multiplies_bfloat16 else torch.float32
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
    ids = torch.tensor([prompt])
    with torch.no_grad():
        if not model(ids).logits.isfinite().all():
            raise RuntimeError(f"the checkpoint in {folder} is broken: its outputs are not finite")
    written = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=TOKENS, do_sample=False)
    answer: list[int] = written[0, len(prompt) :].tolist()
    return answer


def with_vllm(folder: Path, prompt: list[int]) -> list[int]:
    from vllm import LLM, SamplingParams, TokensPrompt

    from tessy.engines.launch import installed_build, numbers

    model = LLM(
        model=str(folder),
        max_model_len=len(prompt) + TOKENS,
        enforce_eager=True,
        **numbers(installed_build()),
    )
    (output,) = model.generate(
        [TokensPrompt(prompt_token_ids=prompt)],
        SamplingParams(temperature=0, max_tokens=TOKENS),
        use_tqdm=False,
    )
    return list(output.outputs[0].token_ids)


def _elsewhere(folder: Path, prompt: list[int]) -> list[int]:
    done = subprocess.run(
        python_module("train.answer", str(folder)),
        input=json.dumps(prompt),
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"vLLM cannot use the checkpoint in {folder}; its complaint is above")
    (line,) = (line for line in done.stdout.splitlines() if line.startswith(MARK))
    answer: list[int] = json.loads(line.removeprefix(MARK))
    return answer


if __name__ == "__main__":
    print(f"\n{MARK}{json.dumps(with_vllm(Path(sys.argv[1]), json.load(sys.stdin)))}", flush=True)
