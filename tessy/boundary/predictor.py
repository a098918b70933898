"""A trained boundary predictor at work: a token classifier that reads along with every live trace.

The label at token i speaks of token i + 1, so one pass over the text also says what comes next. Labels
are 1 (style) and 0 (capability) in the predictor's own tokens; the student's predictor looks for
capability, the teacher's for style.

Every trace has a row of the key-value cache (`tessy.boundary.reading`): a token costs one reading in a
trace's first window and about two in a long one. What is asked while other models on the thread compute is
read in one pass (`tessy.engines.turns`).

Not covered: a process of its own, for a GPU (`tessy.boundary.apart`); serving by vLLM
(`tessy.boundary.served`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tessy.boundary.labels import FOREIGN_LABEL
from tessy.boundary.operating_point import operating_point
from tessy.boundary.reading import Readings
from tessy.chat.vocabulary import continue_text, load_tokenizer
from tessy.engines.kv_slots import SlotModel
from tessy.engines.turns import Turns
from tessy.errors import UserError
from tessy.records import Role

CHARACTERS_PER_TOKEN = 4
"""About: only the order of turns depends on it."""


@dataclass(frozen=True, slots=True)
class _Query:
    sample_id: str
    context: str
    chunk: str
    done: asyncio.Future[list[tuple[int, float]]]


class BoundaryPredictor:
    """Classifies with the checkpoint at `source`, seeing under `window_tokens` of left context.

    `slots` is the number of traces that may be live at once; `threshold` is what `operating_point` says if
    not given.
    """

    def __init__(
        self,
        source: str,
        role: Role,
        window_tokens: int,
        *,
        slots: int = 1,
        revision: str | None = None,
        threshold: float | None = None,
        dtype: torch.dtype = torch.float64,
        device: str = "cpu",
        turns: Turns | None = None,
    ) -> None:
        self.tokenizer, self.model = load_classifier(source, window_tokens, revision, dtype, device)
        self.role, self.window_tokens = role, window_tokens
        point = operating_point(source, window_tokens, revision=revision, threshold=threshold)
        self.threshold = point.threshold
        self.busy_s = 0.0
        self._reader = SlotReader(self.model, slots, window_tokens)
        self._readings = Readings(self.tokenizer, window_tokens, slots)
        self._waiting: list[_Query] = []
        self._turns = turns or Turns()
        self._turns.join(self)

    async def foreign(self, sample_id: str, context: str, chunk: str) -> list[tuple[int, bool]]:
        """(offset in `chunk`, whether the token there is the other author's) for its tokens, in order.

        `context` is the accepted text before `chunk`; between calls it may only grow. A trace's very
        first token has nothing before it to be judged from and is left out.
        """
        done: asyncio.Future[list[tuple[int, float]]] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Query(sample_id, context, chunk, done))
        self._turns.call()
        foreign = FOREIGN_LABEL[self.role]
        return [(offset, int(style > self.threshold) == foreign) for offset, style in await done]

    @property
    def tokens_read(self) -> int:
        return self._readings.tokens_read

    def release(self, sample_id: str) -> None:
        """Forget a trace that is complete."""
        self._readings.release(sample_id)

    def style_probabilities(self, text: str) -> list[tuple[int, float]]:
        """(offset, probability of style) for every token of a whole text but the first."""
        out = self._ask([("", "", text)])[0]
        self.release("")
        return out

    @property
    def waiting(self) -> int:
        return sum(len(query.chunk) for query in self._waiting) // CHARACTERS_PER_TOKEN + len(self._waiting)

    def step(self) -> None:
        """Answer all that still wait."""
        waiting = [query for query in self._waiting if not query.done.cancelled()]
        self._waiting = []
        began = time.perf_counter()
        try:
            answers = self._ask([(query.sample_id, query.context, query.chunk) for query in waiting])
        except Exception as error:
            for query in waiting:
                query.done.set_exception(error)
            return
        self.busy_s += time.perf_counter() - began
        for query, answer in zip(waiting, answers, strict=True):
            query.done.set_result(answer)

    def _ask(self, queries: Sequence[tuple[str, str, str]]) -> list[list[tuple[int, float]]]:
        """Probabilities of style of the chunks' tokens, for (sample id, context, chunk) of several traces."""
        questions = [self._readings.ask(*query) for query in queries]
        while left := [question for question in questions if question.stretches]:
            _, take_down = self._readings.launch(self._reader, left)
            take_down()
        return [question.answer() for question in questions]


@dataclass(frozen=True, slots=True)
class _Landed:
    """A pass that was over when it was launched."""

    style: list[list[float]]

    def ready(self) -> bool:
        return True

    def land(self) -> list[list[float]]:
        return self.style


class SlotReader:
    """`model`, a token classifier, over `tessy.engines.kv_slots`: exact in any precision, on any device."""

    def __init__(self, model: Any, slots: int, window_tokens: int) -> None:
        self._score, self._slots = model.score, SlotModel(model, slots, window_tokens)

    def launch(self, rows: Sequence[int], starts: Sequence[int], feeds: Sequence[Sequence[int]]) -> _Landed:
        """Computed at once (`tessy.boundary.reading.Reader`)."""
        hidden = self._slots.read(rows, starts, feeds)
        with torch.inference_mode():
            style = self._score(hidden).softmax(-1)[:, 1].cpu()
        return _Landed([own.tolist() for own in style.split([len(feed) for feed in feeds])])


def load_classifier(
    source: str, window_tokens: int, revision: str | None, dtype: torch.dtype, device: str
) -> tuple[Any, Any]:
    """Tokenizer and model of a two-label token classifier; raises `UserError` for anything else, and where
    `device` (PyTorch's name) is not there."""
    from transformers import AutoModelForTokenClassification

    require_device(device)
    tokenizer = classifier_tokenizer(source, window_tokens, revision)
    model = AutoModelForTokenClassification.from_pretrained(source, revision=revision, dtype=dtype)
    return tokenizer, model.eval().to(device)


def classifier_tokenizer(source: str, window_tokens: int, revision: str | None = None) -> Any:
    """The tokenizer of a checkpoint that can be used as a boundary predictor on such windows; raises
    `UserError` for any other. No weights are loaded."""
    from transformers import AutoConfig

    try:
        tokenizer = load_text_tokenizer(source, revision)
        config = AutoConfig.from_pretrained(source, revision=revision)
    except (OSError, ValueError) as error:
        raise UserError(f"predictor {source}: its tokenizer and config cannot be read: {error}") from None
    check_classifier(source, config, tokenizer, window_tokens)
    return tokenizer


def require_device(name: str) -> None:
    """Raise `UserError` unless PyTorch can compute on the device it calls `name`."""
    device, found = torch.device(name), torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= found:
        raise UserError(
            f"execution.predictors: device {name!r}: PyTorch {torch.__version__} finds {found} CUDA devices "
            "here; name one of those, counted from cuda:0, or cpu"
        )


def load_text_tokenizer(source: str, revision: str | None) -> Any:
    """The tokenizer of a predictor; text that spells out a special token is text to it."""
    tokenizer = load_tokenizer(source, revision)
    continue_text(tokenizer)
    return tokenizer


def check_classifier(source: str, config: Any, tokenizer: Any, window_tokens: int) -> None:
    """Raise `UserError` unless a checkpoint can be used as a boundary predictor on such windows."""
    import transformers
    from transformers.modeling_layers import GenericForTokenClassification

    kinds = config.architectures or []
    models = [getattr(transformers, kind, object) for kind in kinds]
    if not any(issubclass(model, GenericForTokenClassification) for model in models):
        # transformers would give others a head of noise, or they see what comes after a token.
        raise UserError(
            f"predictor {source}: {', '.join(kinds) or 'of no kind'} is no token classifier on a causal "
            "decoder, such as Qwen3ForTokenClassification; name a trained predictor's checkpoint"
        )
    if config.num_labels != 2:
        raise UserError(
            f"predictor {source}: {config.num_labels} labels; a boundary predictor has 2 (0 "
            "capability, 1 style)"
        )
    names = [str(config.id2label.get(label)).lower() for label in (0, 1)]
    if names[0] == "style" or names[1] == "capability":
        raise UserError(
            f"predictor {source}: its labels are 0 {names[0]}, 1 {names[1]}; a boundary predictor has them "
            "the other way round: swap the rows of its head and the names in config.json"
        )
    if not tokenizer.is_fast:
        raise UserError(f"predictor {source}: its tokenizer gives no offsets; convert it to a fast tokenizer")
    if window_tokens > config.max_position_embeddings:
        raise UserError(
            f"predictors.window_tokens {window_tokens}: predictor {source} holds "
            f"{config.max_position_embeddings} tokens; lower it"
        )
