"""Uses a finished checkpoint as an outsider will, and counts how often it stops by itself.

Messages go through the checkpoint's own chat template; transformers' `generate` and vLLM write with the
checkpoint's own generation settings, bounded in length and nothing else. Prompts are the training set's, so a
model that learned anything has an end to write. Where that end is too far away, generation starts inside the
trace. On a machine with a GPU, the model runs there in a process of its own:
`python -m train.answer ENGINE FOLDER`, with the questions as JSON on standard input.

Not covered: whether the answers are right, which evaluation measures.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tessy.config.train import StopCheck
from tessy.errors import UserError
from tessy.machine import machine
from tessy.processes import python_module
from tessy.records import Trajectory
from tessy.runtime.job import Stopping

MARK = "answer: "
"""Tells the answer's line from what engines print."""
SPARE_MEMORY = 1.5
"""A GPU is used if it has this many times the weights' bytes free."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A conversation whose answer is asked for: `messages`, the ids of its prompt as it was trained, and the
    first ids of its trace, from which the answer is continued."""

    messages: list[dict[str, str]]
    trained: list[int]
    begun: list[int]


@dataclass(frozen=True, slots=True)
class Questions:
    """What an engine is asked: prompts as ids, the length of the answers, a seed."""

    prompts: list[list[int]]
    max_new_tokens: int
    seed: int


@dataclass(frozen=True, slots=True)
class Answer:
    """The length of an answer in tokens, and whether the engine ended it at an end token."""

    tokens: int
    stopped: bool


@dataclass(frozen=True, slots=True)
class Trials:
    """Conversations and the length of their answers."""

    trials: Sequence[Trial]
    max_new_tokens: int


def trials(trajectories: Iterable[Trajectory], system: str, check: StopCheck) -> Trials:
    """The first conversations whose trace fits twice into the answers' length; where there are too few of
    them, the shortest others, each begun so far that its rest does."""
    reach = check.max_new_tokens // 2
    finished = [t for t in trajectories if t.stop_reason == "finished"]
    finished.sort(key=lambda t: max(t.tokens, reach))
    return Trials(
        [
            Trial(
                _asked(t, system),
                t.student_token_ids[: t.prompt_tokens],
                t.student_token_ids[t.prompt_tokens :][: max(0, t.tokens - reach)],
            )
            for t in finished[: check.prompts]
        ],
        check.max_new_tokens,
    )


def _asked(trajectory: Trajectory, system: str) -> list[dict[str, str]]:
    """The messages before the answer, behind `system` where given."""
    turns = [turn for turn in trajectory.messages if turn["role"] != "assistant"]
    turns = turns or [{"role": "user", "content": trajectory.prompt}]
    if not system:
        return turns
    return [{"role": "system", "content": system}, *(turn for turn in turns if turn["role"] != "system")]


def stopping(folder: Path, asked: Trials, seed: int, engine: str) -> Stopping:
    """How often the checkpoint in `folder` stops by itself, written by `engine`."""
    from transformers import AutoConfig, AutoTokenizer

    tokenizer, config = AutoTokenizer.from_pretrained(folder), AutoConfig.from_pretrained(folder)
    templated = [prompt_ids(tokenizer, one.messages) for one in asked.trials]
    prompts = [ids + one.begun for ids, one in zip(templated, asked.trials, strict=True)]
    room = config.get_text_config().max_position_embeddings - max(map(len, prompts))
    questions = Questions(prompts, min(asked.max_new_tokens, room), seed)
    here = engine == "transformers" and not machine().gpus
    answers = with_transformers(folder, questions) if here else _elsewhere(folder, questions, engine)
    stopped = sum(answer.stopped for answer in answers)
    return Stopping(
        prompts=len(answers),
        stopped=stopped,
        share=stopped / len(answers),
        within=sum(bool(one.begun) for one in asked.trials),
        as_trained=sum(ids == one.trained for ids, one in zip(templated, asked.trials, strict=True)),
        max_new_tokens=questions.max_new_tokens,
        tokens=tuple(answer.tokens for answer in answers),
    )


def refuse_endless(found: Mapping[str, Stopping], check: StopCheck) -> None:
    """Raise `UserError` where an engine saw fewer answers end than the recipe requires."""
    for engine, one in found.items():
        if one.share < check.required:
            raise UserError(
                f"the checkpoint stops by itself in {one.stopped} of {one.prompts} answers ({engine}, "
                f"{one.max_new_tokens} tokens each), and execution.train.stop_check.required is "
                f"{check.required}; look at its traces and stopping.json, or lower it to accept them"
            )


def prompt_ids(tokenizer: Any, messages: Sequence[Mapping[str, str]]) -> list[int]:
    """The conversation as the checkpoint's own template has it, up to where the model writes."""
    rendered = tokenizer.apply_chat_template(list(messages), add_generation_prompt=True, return_dict=True)
    ids: list[int] = rendered["input_ids"]
    return ids


def with_transformers(folder: Path, questions: Questions) -> list[Answer]:
    """transformers' default `generate`, on all prompts at once."""
    import torch
    from transformers import AutoModelForCausalLM

    device = _device(folder)
    # A CPU without bfloat16 instructions would take minutes over a checkpoint in bfloat16.
    dtype = "auto" if device == "cuda" or machine().multiplies_bfloat16 else torch.float32
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval().to(device)
    longest = max(map(len, questions.prompts))
    rows = [[0] * (longest - len(ids)) + ids for ids in questions.prompts]
    mask = [[0] * (longest - len(ids)) + [1] * len(ids) for ids in questions.prompts]
    ids, seen = torch.tensor(rows, device=device), torch.tensor(mask, device=device)
    torch.manual_seed(questions.seed)
    with torch.inference_mode():
        first = torch.tensor(questions.prompts[:1], device=device)
        if not model(first, logits_to_keep=1).logits.isfinite().all():
            raise RuntimeError(f"the checkpoint in {folder} is broken: its outputs are not finite")
        written = model.generate(ids, attention_mask=seen, max_new_tokens=questions.max_new_tokens)
    ends = model.generation_config.eos_token_id
    known = set(ends) if isinstance(ends, list) else {ends}
    return [_answer(row, known) for row in written[:, longest:].tolist()]


def _answer(ids: Sequence[int], ends: set[int]) -> Answer:
    """What was written up to the first end; behind it is padding."""
    at = next((position for position, token in enumerate(ids) if token in ends), None)
    return Answer(len(ids) if at is None else at + 1, at is not None)


def _device(folder: Path) -> str:
    """`cuda` where the weights have room."""
    import torch

    weights = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    if not torch.cuda.is_available() or torch.cuda.mem_get_info()[0] < SPARE_MEMORY * weights:
        return "cpu"
    return "cuda"


def with_vllm(folder: Path, questions: Questions) -> list[Answer]:
    """vLLM with its default settings for this checkpoint."""
    from vllm import LLM, TokensPrompt

    from tessy.engines.command import installed_build, numbers

    model = LLM(
        model=str(folder),
        max_model_len=max(map(len, questions.prompts)) + questions.max_new_tokens,
        enforce_eager=True,
        **numbers(installed_build()),
    )
    settings = model.get_default_sampling_params()
    settings.max_tokens, settings.seed = questions.max_new_tokens, questions.seed
    prompts = [TokensPrompt(prompt_token_ids=ids) for ids in questions.prompts]
    written = [one.outputs[0] for one in model.generate(prompts, settings, use_tqdm=False)]
    return [Answer(len(one.token_ids), one.finish_reason == "stop") for one in written]


def _elsewhere(folder: Path, questions: Questions, engine: str) -> list[Answer]:
    done = subprocess.run(
        python_module("train.answer", engine, str(folder)),
        input=json.dumps(asdict(questions)),
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"{engine} cannot use the checkpoint in {folder}; its complaint is above")
    (line,) = (line for line in done.stdout.splitlines() if line.startswith(MARK))
    return [Answer(**row) for row in json.loads(line.removeprefix(MARK))]


def main() -> None:
    engine, folder = sys.argv[1:]
    write = with_vllm if engine == "vllm" else with_transformers
    answers = write(Path(folder), Questions(**json.load(sys.stdin)))
    print(f"\n{MARK}{json.dumps([asdict(answer) for answer in answers])}", flush=True)


if __name__ == "__main__":
    main()
