"""A trained boundary predictor behind vLLM servers: token classification over HTTP.

The same windows as `tessy.boundary.predictor`, and so the same labels, up to what float32 makes of ties.
Every window is one request and is read whole: simple, and worth its price where predictors are large and have
a GPU of their own. Whatever is asked at the same moment is batched by the server.

What goes wrong is an `EngineFault`, and the sample is asked about again like one whose author failed.

Not covered: starting servers (`tessy.engines.launch`).
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Self

import aiohttp

from tessy.boundary.labels import FOREIGN_LABEL
from tessy.boundary.operating_point import operating_point
from tessy.boundary.predictor import classifier_tokenizer
from tessy.boundary.windows import window_start
from tessy.chat.words import stable_words
from tessy.engines import LOCKED, EngineFault
from tessy.engines.probe import served_model
from tessy.errors import UserError, described
from tessy.records import Role

PATH = "/pooling"
PROBE_S = 180.0
"""How long the first answer may take: a server's first request may compile something."""


@dataclass(slots=True)
class _Reading:
    """One trace in the predictor's ids: those of its first `settled` characters, which are final."""

    settled: int = 0
    ids: list[int] = field(default_factory=list)


class ServedPredictor:
    """Classifies with `servers`, each a URL and the name it has there for the checkpoint `source`; made by
    `connect`."""

    def __init__(
        self,
        source: str,
        role: Role,
        window_tokens: int,
        servers: Sequence[tuple[str, str]],
        *,
        revision: str | None = None,
        threshold: float | None = None,
        timeout_s: float,
        headers: Mapping[str, str],
    ) -> None:
        self.tokenizer = classifier_tokenizer(source, window_tokens, revision)
        self.role, self.window_tokens = role, window_tokens
        point = operating_point(source, window_tokens, revision=revision, threshold=threshold)
        self.threshold = point.threshold
        self._servers, self._timeout_s = itertools.cycle(servers), timeout_s
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=2), headers=headers
        )
        self._readings: dict[str, _Reading] = {}

    @classmethod
    async def connect(
        cls,
        source: str,
        role: Role,
        window_tokens: int,
        endpoints: Sequence[str],
        *,
        revision: str | None = None,
        threshold: float | None = None,
        model: str | None = None,
        timeout_s: float,
        api_key: str | None = None,
    ) -> Self:
        """Reach all `endpoints` (base URLs); raises `UserError` where one cannot be used.

        `model` is needed where a server serves several; the other arguments are those of `BoundaryPredictor`.
        """
        urls = [endpoint.rstrip("/").removesuffix("/v1") for endpoint in endpoints]
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        async with aiohttp.ClientSession(headers=headers) as session:
            names = [(await served_model(session, url, model))[0] for url in urls]
            for url, name in zip(urls, names, strict=True):
                await _check_server(session, url, name, window_tokens)
        return cls(
            source,
            role,
            window_tokens,
            list(zip(urls, names, strict=True)),
            revision=revision,
            threshold=threshold,
            timeout_s=timeout_s,
            headers=headers,
        )

    async def foreign(self, sample_id: str, context: str, chunk: str) -> list[tuple[int, bool]]:
        """(offset in `chunk`, whether the token there is the other author's) for its tokens, in order.

        As `BoundaryPredictor.foreign`; raises `EngineFault`.
        """
        ids, offsets = self._take_in(self._readings.setdefault(sample_id, _Reading()), context, chunk)
        first = len(ids) - len(offsets)
        judged = range(max(0, first - 1), len(ids) - 1)
        windows = [
            (start, list(positions))
            for start, positions in groupby(judged, lambda p: window_start(p, self.window_tokens))
        ]
        read = await asyncio.gather(*(self.read(ids[start : of[-1] + 1]) for start, of in windows))
        style = {p: found[p - start] for (start, of), found in zip(windows, read, strict=True) for p in of}
        foreign = FOREIGN_LABEL[self.role]
        return [
            (offset, int(style[i - 1] > self.threshold) == foreign)
            for i, offset in enumerate(offsets, first)
            if i > 0
        ]

    def release(self, sample_id: str) -> None:
        """Forget a trace that is complete."""
        self._readings.pop(sample_id, None)

    async def close(self) -> None:
        """End the connections."""
        await self._session.close()

    async def read(self, window: Sequence[int]) -> list[float]:
        """For each id of `window`, the probability that the token after it is style; raises `EngineFault`."""
        url, model = next(self._servers)
        body = {"model": model, "task": "token_classify", "input": [list(window)]}
        try:
            timeout = aiohttp.ClientTimeout(self._timeout_s)
            async with self._session.post(url + PATH, json=body, timeout=timeout) as response:
                if response.status != 200:
                    refused = 400 <= response.status < 500 and response.status not in (408, 425, 429)
                    reason = LOCKED if response.status == 401 else "predictor"
                    raise EngineFault(reason, (await response.text())[:300], permanent=refused)
                return _style(await response.json(), len(window))
        except TimeoutError:
            raise EngineFault("predictor", f"no answer for {self._timeout_s:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise EngineFault("predictor", described(error), unreachable=True) from None
        except ValueError as error:
            raise EngineFault("predictor", f"malformed answer: {error!r}") from None

    def _take_in(self, reading: _Reading, context: str, chunk: str) -> tuple[list[int], list[int]]:
        """All ids so far, and the offsets in `chunk` of the tokens that reach into it."""
        rest = context[reading.settled :]
        split = len(rest) - len(stable_words(rest)[-1])
        reading.ids += self._encode(rest[:split]).ids
        reading.settled += split
        tail, before = self._encode(rest[split:] + chunk), len(rest) - split
        return [*reading.ids, *tail.ids], [
            max(0, start - before) for start, end in tail.offsets if end > before
        ]

    def _encode(self, text: str) -> Any:
        return self.tokenizer.backend_tokenizer.encode(text, add_special_tokens=False)


def _style(answer: Any, length: int) -> list[float]:
    """Probabilities of style in a server's answer about `length` ids; raises `EngineFault` for no answer."""
    try:
        pairs = answer["data"][0]["data"]
        if len(pairs) != length:
            raise ValueError(f"{len(pairs)} labels for {length} ids")
        return [float(style) for _, style in pairs]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise EngineFault("predictor", f"malformed answer: {error!r}") from None


async def _check_server(session: aiohttp.ClientSession, url: str, model: str, window_tokens: int) -> None:
    """Refuse a server that does not classify whole windows of ids into two labels."""
    body = {"model": model, "task": "token_classify", "input": [[0] * (window_tokens - 1)]}
    remedy = "serve a two-label token classifier with `--runner pooling`"
    try:
        async with session.post(url + PATH, json=body, timeout=aiohttp.ClientTimeout(PROBE_S)) as response:
            if response.status != 200:
                said = (await response.text())[:300]
                raise UserError(f"predictor server {url}: HTTP {response.status}: {said}; {remedy}")
            _style(await response.json(), window_tokens - 1)
    except UserError:
        raise
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, EngineFault) as error:
        raise UserError(f"predictor server {url}: {described(error)}; {remedy}") from None
