"""A student reads a set before it is trained on it: the nll of every token, with its kind; and it writes its
own traces to compare with.

Everything is journaled in the job's work folder: a diagnosis that was killed goes on where it stopped.

Not covered: what the numbers mean (`tessy.diagnosis`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from tessy.boundary.labels import StyleSpan
from tessy.boundary.lexicon import Lexicon
from tessy.boundary.operating_point import operating_point
from tessy.boundary.predictor import BoundaryPredictor
from tessy.chat import Renderer
from tessy.config.base import Generation
from tessy.config.methods import METHODS
from tessy.config.models import ModelReference
from tessy.diagnosis.responses import Response
from tessy.diagnosis.tokens import Tokens, kinds_of
from tessy.engines.likelihood import LikelihoodReader
from tessy.errors import UserError
from tessy.generation.models import ROOM_FOR_MARKUP, named, renderer_of
from tessy.generation.writing import Task, write_responses
from tessy.jsonl import AppendedLines
from tessy.records import Problem, Trajectory
from tessy.runtime.job import Job
from tessy.runtime.stage import StageConfig
from tessy.synthesis.rollouts import samples_of

StyleOf = Callable[[str], Sequence[StyleSpan]]
"""Finds the style in a thinking."""
DIGITS = 4
"""Of a token's nll in the journal."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the student made of responses: lengths with the prompt by sample id, tokens of those it could
    read, and how many it could not, by reason."""

    lengths: dict[str, int]
    tokens: list[Tokens]
    unread: dict[str, int]


class Student:
    """The model that would be trained, from a job whose recipe part is `model`."""

    def __init__(self, job: Job[StageConfig], model: ModelReference) -> None:
        from transformers import AutoConfig

        self.job, self.model = job, named({"student": model})["student"]
        self.source, self.revision = self.model.source(job)
        self.renderer: Renderer = renderer_of(job, self.model)
        config = AutoConfig.from_pretrained(self.source, revision=self.revision)
        self.context: int = config.get_text_config().max_position_embeddings

    def write(self, problems: Sequence[Problem], limits: Generation, seed: int) -> list[Trajectory]:
        """The student's own traces for those of `problems` whose prompts leave it half of its context, each
        as long as that allows, at most."""
        lengths = {p.problem_id: len(self.renderer.prompt_ids(p.prompt)) for p in problems}
        problems = [p for p in problems if lengths[p.problem_id] <= self.context // 2]
        if not problems:
            raise UserError(f"every prompt takes more than half of the student's context of {self.context}")
        room = self.context - max(lengths[p.problem_id] for p in problems) - ROOM_FOR_MARKUP
        held = Generation(max_tokens=max(1, min(limits.max_tokens, room)), sampler=limits.sampler)
        task = Task("own", METHODS["student_only"], {"student": self.model}, held, seed)
        return write_responses(self.job, samples_of(problems), task)

    def read(self, name: str, responses: Sequence[Response], style_of: StyleOf) -> Reading:
        """Every response, with the student's nll of its tokens; `name` is that of the journal."""
        reading, reader = Reading({}, [], {}), None
        with AppendedLines(self.job.work / f"nll-{name}.jsonl") as journal:
            known = {row["sample"]: row["nll"] for row in journal.rows}
            for number, response in enumerate(responses, start=1):
                key = f"{number}/{response.sample_id}"
                ids, prompt = ids_of(self.renderer, response)
                reading.lengths[key] = len(ids)
                pieces = self.renderer.pieces(ids[prompt:])
                kinds = kinds_of(pieces, response.thinking, response.answer, style_of(response.thinking))
                if why := self._unreadable(ids, prompt, kinds is None):
                    reading.unread[why] = reading.unread.get(why, 0) + 1
                    continue
                if key not in known:
                    reader = reader or LikelihoodReader(self.source, self.revision, _device())
                    nll = reader.token_nll(ids, prompt).tolist()
                    known[key] = [round(value, DIGITS) for value in nll]
                    journal.append({"sample": key, "nll": known[key]})
                assert kinds is not None
                reading.tokens.append(Tokens(key, pieces, torch.tensor(known[key]).double().numpy(), kinds))
                self.job.progress(number, len(responses), "responses", name)
        return reading

    def _unreadable(self, ids: Sequence[int], prompt: int, elsewhere: bool) -> str:
        """Why a sequence cannot be read, if it cannot."""
        if len(ids) > self.context:
            return f"longer than the student's context of {self.context} tokens"
        if len(ids) <= prompt:
            return "nothing behind the prompt"
        return "its tokens do not hold its text" if elsewhere else ""


def ids_of(renderer: Renderer, response: Response) -> tuple[list[int], int]:
    """A response's ids in the student's vocabulary, and how many are the prompt: its own, or else those of
    its text in the student's format."""
    if response.ids and response.tokenizer == renderer.fingerprint:
        return list(response.ids), response.prompt_tokens
    prompt = renderer.prompt_ids(response.prompt, response.system)
    if not response.thinking and response.closed:
        end = renderer.close_answer_ids() if response.stop_reason == "finished" else []
        return [*prompt, *renderer.no_thinking_ids(), *renderer.encode(response.answer), *end], len(prompt)
    if response.closed and response.stop_reason == "finished":
        return [*prompt, *renderer.response_ids(response.thinking, response.answer)], len(prompt)
    thinking = [*renderer.open_thinking_ids(), *renderer.encode(response.thinking)]
    if response.closed:
        thinking += renderer.close_thinking_ids(response.thinking)
    return [*prompt, *thinking, *renderer.encode(response.answer)], len(prompt)


def by_lexicon(file: Path) -> StyleOf:
    """Style by a list of phrases."""
    return Lexicon.load(file).style_spans


def by_predictor(source: str) -> StyleOf:
    """Style by a trained boundary predictor, in double precision on the CPU."""
    point = operating_point(source, None)
    predictor = BoundaryPredictor(source, "student", point.window_tokens, threshold=point.threshold)

    def style_of(text: str) -> list[StyleSpan]:
        found = predictor.style_probabilities(text) if text else []
        ends = [*(offset for offset, _ in found[1:]), len(text)]
        return _joined(
            (start, end) for (start, style), end in zip(found, ends, strict=True) if style > point.threshold
        )

    return style_of


def _joined(spans: Iterable[StyleSpan]) -> list[StyleSpan]:
    """Spans in order, those that touch as one."""
    out: list[StyleSpan] = []
    for start, end in spans:
        if out and out[-1][1] == start:
            out[-1] = (out[-1][0], end)
        else:
            out.append((start, end))
    return out


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"
