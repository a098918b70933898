"""Encodes requests to servers and decodes their answers, for four APIs, the best one first.

    session      this project's own endpoint (`tessy.engines.endpoint`): as `tokens`, many in one message
    tokens       vLLM's /inference/v1/generate: ids in, ids out, an abort by request id
    completions  vLLM's /v1/completions with a prompt of ids and `return_token_ids`
    text         any OpenAI-compatible /v1/completions: text in, text out, re-encoded here

An answer that is not inspected before its end is requested without streaming, unless an abort requires that
the server has begun it. Bodies are joined from parts that were serialised once: this runs for every span.
Not covered: sockets, retries and the choice of the API (`tessy.engines.server`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import index
from typing import Any, Literal, NamedTuple, Protocol

from tessy.chat.words import stable_words
from tessy.config.base import Sampler
from tessy.engines import LOCKED, EngineFault, Request

Way = Literal["session", "tokens", "completions", "text"]
STOPS = 4
"""Stop strings that servers take in one request."""
WAYS: tuple[Way, ...] = ("session", "tokens", "completions", "text")
PATHS: dict[Way, str] = {
    "session": "/inference/v2/session",
    "tokens": "/inference/v1/generate",
    "completions": "/v1/completions",
    "text": "/v1/completions",
}
NEUTRAL = {"min_p": 0.0, "presence_penalty": 0.0, "frequency_penalty": 0.0, "repetition_penalty": 1.0}
"""What a recipe never asks for, said so that a server's or a checkpoint's own defaults do not set it."""
ABORT_PATH = "/inference/v1/abort_requests"


class Piece(NamedTuple):
    """New ids, why the server stopped, if it did, and log-probabilities for each id where they were asked
    for (`tessy.engines.Continuation`)."""

    token_ids: Sequence[int]
    finish: str | None
    logprobs: Sequence[Sequence[float]] = ()


class Continued(NamedTuple):
    """What a server has of a sample, by its number: the prompt's first `kept` ids, which are not sent."""

    sample: int
    kept: int


class Codec(Protocol):
    """Text and ids of one model (`tessy.chat.Renderer`); only the way `text` needs it."""

    def encode(self, text: str) -> list[int]: ...
    def decode(self, ids: Sequence[int]) -> str: ...


@dataclass(frozen=True, slots=True)
class Dialogue:
    """One request as bytes, what makes ids of each choice that comes back, and whether that is one choice."""

    body: bytes
    interpret: Callable[[dict[str, Any]], Piece]
    whole: bool = False

    def read(self, event: bytes) -> Piece:
        """What an event adds; raises `EngineFault` for an error, or for what is no answer."""
        try:
            message = json.loads(event)
            if "error" in message:
                raise fault_of(int(message["error"].get("code") or 500), str(message["error"].get("message")))
            return self.interpret(message["choices"][0]) if message["choices"] else Piece((), None)
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise EngineFault("malformed answer", f"{error!r} in {event[:200]!r}") from None


def dialogue(
    way: Way,
    request: Request,
    name: str,
    model: str,
    sampling: Sampler,
    codec: Codec | None,
    continued: Continued | None = None,
) -> Dialogue:
    """How to ask for `request`; `name` is what an abort calls it, `model` what the server calls its own;
    `continued` is what the server has of the prompt (`session`)."""
    if way in ("session", "tokens"):
        body = _tokens_body(request, name, sampling, continued)
        return Dialogue(body, _with_content if request.logprobs else _ids_of)
    if way == "completions":
        body = _completions_body(request, model, sampling)
        return Dialogue(body, _with_top_logprobs if request.logprobs else _ids_of, _whole(request))
    assert codec is not None
    body = _text_body(request, model, sampling, codec)
    return Dialogue(body, TextReader(request, codec).ids_of, _whole(request))


def abort_body(names: Sequence[str]) -> bytes:
    """Ends requests of the way `tokens`; the server calls them by its own prefix."""
    return json.dumps({"request_ids": [f"generate-tokens-{name}" for name in names]}).encode()


def events(lines: bytes) -> Iterator[bytes]:
    """The data of the server-sent events in whole `lines`; comments and the closing mark are left out."""
    for line in lines.split(b"\n"):
        if line.startswith(b"data:"):
            data = line[5:].strip()
            if data != b"[DONE]":
                yield data


def _whole(request: Request) -> bool:
    return request.check_interval_tokens >= request.max_tokens


_NEUTRAL = json.dumps(NEUTRAL)[1:-1]


@lru_cache
def _common(sampling: Sampler) -> str:
    return (
        f'"temperature":{sampling.temperature},"top_p":{sampling.top_p},"top_k":{sampling.top_k},'
        '"ignore_eos":true'
    )


@lru_cache
def _ids(stop_token_ids: tuple[int, ...]) -> str:
    return str(list(stop_token_ids))


def _logprobs(request: Request) -> str:
    # The drawn token takes one of the places, and it may be an unlikely one.
    return f'"logprobs":{request.logprobs + 1},' if request.logprobs else ""


def _structured(request: Request) -> str:
    return f'"structured_outputs":{{"json":{request.schema}}},' if request.schema else ""


def _tokens_body(request: Request, name: str, sampling: Sampler, continued: Continued | None) -> bytes:
    kept = f'"sample":{continued.sample},"kept":{continued.kept},' if continued else ""
    new = list(request.token_ids[continued.kept :] if continued else request.token_ids)
    return (
        f'{{"request_id":"{name}",{kept}"stream":true,'
        f'"sampling_params":{{{_common(sampling)},"detokenize":false,'
        f'"max_tokens":{request.max_tokens},"stream_interval":{request.check_interval_tokens},'
        f'{_logprobs(request)}{_structured(request)}"stop_token_ids":{_ids(request.stop_token_ids)}}},'
        f'"token_ids":{new}}}'
    ).encode()


def _completions_body(request: Request, model: str, sampling: Sampler) -> bytes:
    return (
        f'{{"model":{json.dumps(model)},"stream":{str(not _whole(request)).lower()},'
        f'"return_token_ids":true,{_common(sampling)},'
        f"{_NEUTRAL},"
        f'"max_tokens":{request.max_tokens},"stream_interval":{request.check_interval_tokens},'
        # Tokens are named by id: distinct tokens with the same text would be merged otherwise.
        f'{_logprobs(request)}"return_tokens_as_token_ids":{str(request.logprobs > 0).lower()},'
        f'{_structured(request)}"stop_token_ids":{_ids(request.stop_token_ids)},"prompt":{list(request.token_ids)}}}'
    ).encode()


def _text_body(request: Request, model: str, sampling: Sampler, codec: Codec) -> bytes:
    body: dict[str, Any] = {
        "model": model,
        "prompt": codec.decode(request.token_ids),
        "stream": not _whole(request),
        "max_tokens": request.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        **NEUTRAL,
        "stop": [codec.decode([token]) for token in request.stop_token_ids[:STOPS]],
        # vLLM's: without it the markers that end a part are not in the text they should be found in.
        "skip_special_tokens": False,
    }
    if request.schema:
        body["structured_outputs"] = {"json": json.loads(request.schema)}
    return json.dumps(body).encode()


def _ids_of(choice: dict[str, Any]) -> Piece:
    # `index` lets nothing pass that is no integer, at the speed of C.
    return Piece([*map(index, choice.get("token_ids") or ())], choice.get("finish_reason") or None)


def _with_content(choice: dict[str, Any]) -> Piece:
    positions = (choice.get("logprobs") or {}).get("content") or ()
    return _with(choice, [[given["logprob"] for given in one["top_logprobs"]] for one in positions])


def _with_top_logprobs(choice: dict[str, Any]) -> Piece:
    positions = (choice.get("logprobs") or {}).get("top_logprobs") or ()
    return _with(choice, [list(one.values()) for one in positions])


def _with(choice: dict[str, Any], logprobs: Sequence[Sequence[float]]) -> Piece:
    """The piece with log-probabilities in descending order; an id without them is an error."""
    piece = _ids_of(choice)
    if len(logprobs) != len(piece.token_ids) or not all(logprobs):
        raise ValueError(f"{len(piece.token_ids)} ids, log-probabilities for {len(logprobs)}")
    return piece._replace(logprobs=[sorted(map(float, position), reverse=True) for position in logprobs])


class TextReader:
    """Encodes text as it arrives, up to where its ids can no longer change.

    Stops that did not go into the request are looked for here; they hold no white space.
    """

    def __init__(self, request: Request, codec: Codec) -> None:
        self._stops, self._codec = request.stop_token_ids, codec
        self._unlisted = [(codec.decode([token]), token) for token in request.stop_token_ids[STOPS:]]
        self._held = ""

    def ids_of(self, choice: dict[str, Any]) -> Piece:
        finish = choice.get("finish_reason") or None
        text = self._held + (choice.get("text") or "")
        if found := [(text.index(stop), token) for stop, token in self._unlisted if stop in text]:
            at, token = min(found)
            return Piece([*self._codec.encode(text[:at]), token], "stop")
        *whole, self._held = stable_words(text)
        if finish:
            whole.append(self._held)
        ids = [token for word in whole for token in self._codec.encode(word)]
        if finish == "stop":
            ids.append(self._stop_id(choice.get("stop_reason")))
        return Piece(ids, finish)

    def _stop_id(self, reason: Any) -> int:
        """Servers do not tell which of several stops it was, except by vLLM's `stop_reason`."""
        named = tuple(t for t in self._stops if reason in (t, self._codec.decode([t])))
        return (named or self._stops)[0]


def fault_of(status: int, message: str) -> EngineFault:
    """The fault an HTTP status stands for."""
    detail = f"HTTP {status}: {message[:500]}"
    if status in (408, 425, 429, 503):
        return EngineFault("busy", detail)
    if status == 401:
        return EngineFault(LOCKED, detail, permanent=True)
    if 400 <= status < 500:
        return EngineFault("refused", detail, permanent=True)
    return EngineFault("server error", detail)
