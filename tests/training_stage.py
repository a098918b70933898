"""A whole SFT stage for tests: a tiny random student, cooperative trajectories of many lengths, a job."""

from __future__ import annotations

import functools
import os
import random
import select
from pathlib import Path
from typing import Any

from tessy.artifacts import read_json, write_json, write_parquet
from tessy.chat import Renderer
from tessy.config.execution import Execution, Tracking
from tessy.config.models import ModelReference
from tessy.config.train import TrainExecution, Training
from tessy.miniature.tokens import train_tokenizer
from tessy.miniature.traces import Trace
from tessy.records import Span, Trajectory
from tessy.runtime.fork_server import ForkServer
from tessy.runtime.job import JOB, Spec
from tessy.stages import sft

ROOT = Path(__file__).parents[1]
WORDS = ("so", "wait", "then", "let", "me", "see", "next", "one", "good", "now", "have", "it", "that", "all")
SETTINGS = {
    "epochs": 2,
    "learning_rate": 1e-2,
    "batch_size": 8,
    "max_length": 160,
    "warmup_share": 0.1,
    "schedule": "cosine",
}


def tokenizer() -> Any:
    rng = random.Random(0)
    texts = [" ".join(rng.choices(WORDS, k=30)) for _ in range(20)]
    return train_tokenizer("student", [Trace("p", text, text, text) for text in texts], 400)


def trajectory(number: int, renderer: Renderer, rng: random.Random) -> Trajectory:
    """A response of random length with the spans of cooperation."""
    spans = [
        Span(author, kind, "\n" * (i > 0) + " ".join(rng.choices(WORDS, k=rng.randint(2, 9))), 0, "boundary")
        for i in range(rng.randint(1, 4))
        for author, kind in ((("student", "style"), ("teacher", "capability"))[i % 2],)
    ]
    thinking = "".join(span.text for span in spans)
    closing = "\n</think>\n\n"
    answer = " ".join(rng.choices(WORDS, k=rng.randint(2, 20)))
    prompt = renderer.prompt_ids(f"problem {number}")
    written = [token for span in spans for token in renderer.encode(span.text)]
    response = [*renderer.open_thinking_ids(), *written, *renderer.close_thinking_ids(thinking)]
    response += [*renderer.encode(answer), *renderer.close_answer_ids()]
    spans += [
        Span("student", "markup", closing, 0, "template"),
        Span("student", "answer", answer, 0, "end_of_answer"),
    ]
    return Trajectory(
        sample_id=f"p{number}#0",
        problem_id=f"p{number}",
        method="tessy",
        prompt=f"problem {number}",
        messages=[],
        spans=spans,
        student_token_ids=prompt + response,
        prompt_tokens=len(prompt),
        stop_reason="finished",
        generated_tokens=0,
        rolled_back_tokens=0,
        seed=0,
        sampler={},
        models={},
        tokenizer=renderer.fingerprint,
    )


def trajectories(count: int, words: Any = None) -> list[Trajectory]:
    renderer, rng = Renderer(words or tokenizer(), "qwen3"), random.Random(1)
    return [trajectory(number, renderer, rng) for number in range(count)]


def tiny_config(**changes: Any) -> Any:
    from transformers import Qwen3Config

    return Qwen3Config(
        **{
            "vocab_size": 400,
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "head_dim": 16,
            "intermediate_size": 64,
            "max_position_embeddings": 256,
            "tie_word_embeddings": True,
            "pad_token_id": 0,
        }
        | changes
    )


def make_inputs(folder: Path, count: int = 21) -> None:
    """The stage's inputs: `model-student-x` and `synthesize-tessy-x` in the run folder `folder`."""
    import torch
    from transformers import Qwen3ForCausalLM

    torch.manual_seed(0)
    words = tokenizer()
    model = folder / "model-student-x" / "model"
    Qwen3ForCausalLM(tiny_config()).save_pretrained(model)
    words.save_pretrained(model)
    (model / "generation_config.json").write_text('{"eos_token_id": 2, "temperature": 0.6}')
    write_parquet(
        folder / "synthesize-tessy-x" / "trajectories.parquet", trajectories(count, words), "t", "t"
    )


def make_job(folder: Path, name: str, train: dict[str, Any] | None = None, **execution: Any) -> Path:
    """The half-done artifact of a stage `name`, ready to run."""
    config = sft.SftStage(
        train=Training(**SETTINGS | (train or {})),
        model=ModelReference(source="?", format="qwen3"),
        seed=0,
    )
    spec = Spec(
        recipe="test",
        name=name,
        kind=sft.KIND.declared,
        fingerprint="x",
        config=config.plain,
        inputs={"trajectories": "synthesize-tessy-x", "model": "model-student-x"},
        execution=Execution(train=TrainExecution(**execution), tracking=Tracking(wandb="disabled")),
    )
    partial = folder / f"{name}-x.partial"
    partial.mkdir()
    write_json(partial / JOB, spec.plain)
    return partial


class Started:
    """The stage's process, started as a run starts it; its output goes to `stage.log` beside its folder."""

    def __init__(self, partial: Path) -> None:
        self._partial = partial
        self._server = fork_server()
        self.status: int | None = None
        with partial.with_suffix(".log").open("ab") as log, open(os.devnull, "wb") as nobody:
            self._server.start(partial.name, sft.KIND.preload, partial, log, nobody.fileno())
        self.pid = self._server.event().pid

    def poll(self) -> int | None:
        """Its exit status, if it has ended."""
        if self.status is None and select.select([self._server], [], [], 0)[0]:
            self.wait()
        return self.status

    def wait(self) -> int | None:
        if self.status is None:
            self.status = self._server.event().status
        return self.status

    def artifact(self) -> Path:
        """The finished artifact, at the stage's end."""
        assert self.wait() == 0, self._partial.with_suffix(".log").read_text()[-3000:]
        return self._partial.with_suffix("")


@functools.cache
def fork_server() -> ForkServer:
    """One for all stages, so that they load their libraries once."""
    return ForkServer(dict(os.environ))


def run(partial: Path) -> Path:
    """Run the stage to its end; returns the artifact."""
    return Started(partial).artifact()


def weights(artifact: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(artifact / "model" / "model.safetensors")


def losses(artifact: Path) -> list[float]:
    return [row["loss"] for row in read_json(artifact / "curve.json")]
