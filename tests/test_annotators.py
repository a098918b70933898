"""Annotation by a language model: asked again after a bad answer, every outcome counted, nothing paid twice.

The model is a scripted one behind a real HTTP server.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from jobs import job_at

from tessy.boundary import chat_endpoint
from tessy.boundary.agreement import cohens_kappa
from tessy.boundary.annotators import Annotated, AnswerJournal, annotate, load_prompt
from tessy.boundary.chat_endpoint import ChatEndpoint, ChatOptions, EndpointFault
from tessy.boundary.segments import Segment
from tessy.config.base import Sampler
from tessy.config.predictors import LanguageModelAnnotator
from tessy.config.shipped import prompt_file
from tessy.errors import UserError
from tessy.generation.annotation import Segments, mark_at_endpoint
from tessy.generation.asking import Asking
from tessy.runtime.stage import StageConfig

SEGMENTS = [Segment(f"s{i}", "s", "p", 0, f"Okay, so {i} + {i} is even.") for i in range(4)]
GOOD = '["Okay, so"]'
Reply = Callable[[dict[str, Any]], tuple[int, Any]]


def answered(text: str | None) -> tuple[int, Any]:
    return 200, {"choices": [{"message": {"content": text}}]}


@asynccontextmanager
async def server(reply: Reply) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """A chat endpoint that answers with `reply(body)`; yields its URL and the bodies it was sent."""
    bodies: list[dict[str, Any]] = []

    async def handle(request: web.Request) -> web.Response:
        bodies.append({**await request.json(), "key": request.headers.get("Authorization")})
        status, answer = reply(bodies[-1])
        return web.json_response(answer, status=status)

    app = web.Application()
    app.router.add_post("/v1/chat/completions", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1", bodies
    finally:
        await runner.cleanup()


def options(**changes: Any) -> ChatOptions:
    sampler = {"temperature": 0.7, "top_p": 0.8, "top_k": 20}
    return ChatOptions(**{"model": "m", "max_tokens": 64, "sampler": sampler} | changes)


async def connect(url: str, key: str | None = None, **changes: Any) -> ChatEndpoint:
    asked = options(**changes)
    return await ChatEndpoint.connect(url, asked, key=key, timeout_s=5, pauses=(0.001, 0.002))


def ask_all(path: Path, ask: Any, attempts: int = 3) -> Annotated:
    with AnswerJournal(path) as journal:
        return asyncio.run(
            annotate(
                SEGMENTS, ask, journal, prompt="mark: {segment}", attempts=attempts, seed="0", concurrency=2
            )
        )


def test_a_bad_answer_is_asked_again_and_counted(tmp_path: Path) -> None:
    asked: list[tuple[str, int]] = []

    async def ask(prompt: str, seed: int) -> str:
        asked.append((prompt, seed))
        first = sum(prompt == earlier for earlier, _ in asked) == 1
        if "0 + 0" in prompt:
            return "no idea"
        return '["Okay, then"]' if first and "1 + 1" in prompt else GOOD

    found = ask_all(tmp_path / "answers.jsonl", ask)
    assert found.outcomes == {"no_json": 3, "not_in_text": 1, "accepted": 3}
    assert found.style == {f"s{i}": ((0, 8),) for i in (1, 2, 3)}
    assert len(set(asked)) == len(asked) == 7


def test_an_interrupted_annotation_asks_only_what_is_missing(tmp_path: Path) -> None:
    path, asked = tmp_path / "answers.jsonl", []

    async def ask(prompt: str, seed: int) -> str:
        asked.append(prompt)
        if len(asked) == 3:
            raise EndpointFault("gone")
        return GOOD

    with pytest.raises(ExceptionGroup):
        ask_all(path, ask)
    with path.open("a") as stream:
        stream.write('{"about": "s3", "ans')
    before = len(asked)
    undisturbed = ask_all(tmp_path / "other.jsonl", lambda *_: _soon(GOOD))
    assert ask_all(path, ask) == undisturbed
    assert len(asked) - before <= 3


async def _soon(answer: str) -> str:
    return answer


def test_the_server_is_told_what_the_recipe_says() -> None:
    async def scenario() -> list[dict[str, Any]]:
        async with server(lambda _: answered(GOOD)) as (url, bodies):
            async with await connect(url, key="secret") as endpoint:
                assert await endpoint.ask("which?", 7) == GOOD
            return bodies

    probe, question = asyncio.run(scenario())
    assert probe["max_tokens"] <= 16
    assert question["messages"] == [{"role": "user", "content": "which?"}]
    assert question["key"] == "Bearer secret"
    schema = question["response_format"]["json_schema"]["schema"]
    assert schema == {"type": "array", "items": {"type": "string"}}
    assert question["chat_template_kwargs"] == {"enable_thinking": False}
    assert [question[key] for key in ("model", "seed", "temperature", "top_p", "top_k", "max_tokens")] == [
        *("m", 7, 0.7, 0.8, 20, 64)
    ]
    neutral = {"min_p": 0, "presence_penalty": 0, "frequency_penalty": 0, "repetition_penalty": 1}
    assert question.items() >= neutral.items()


def test_what_a_server_refuses_is_left_out() -> None:
    def picky(body: dict[str, Any]) -> tuple[int, Any]:
        if "response_format" in body:
            return 400, {"error": "unknown field response_format"}
        return answered(GOOD)

    async def scenario() -> ChatOptions:
        async with server(picky) as (url, _), await connect(url) as endpoint:
            assert await endpoint.ask("which?", 7) == GOOD
            return endpoint.options

    found = asyncio.run(scenario())
    assert (found.schema, found.thinking) == (False, False)


def test_a_server_without_top_k_is_used_where_the_recipe_asks_for_none() -> None:
    def narrow(body: dict[str, Any]) -> tuple[int, Any]:
        return (400, {"error": "unknown field top_k"}) if "top_k" in body else answered(GOOD)

    async def scenario(top_k: int) -> dict[str, Any]:
        sampler = {"temperature": 0.7, "top_p": 0.8, "top_k": top_k}
        async with server(narrow) as (url, bodies), await connect(url, sampler=sampler) as endpoint:
            await endpoint.ask("which?", 7)
            return bodies[-1]

    question = asyncio.run(scenario(0))
    assert question.keys().isdisjoint({"top_k", "min_p", "repetition_penalty"})
    assert (question["presence_penalty"], question["frequency_penalty"]) == (0, 0)
    with pytest.raises(UserError, match="unknown field top_k"):
        asyncio.run(scenario(20))


@pytest.mark.parametrize(
    ("status", "said"), [(404, "refuses model 'm'"), (401, "key_variable"), (503, "is the server up")]
)
def test_a_server_that_cannot_be_used_is_an_error_at_once(status: int, said: str) -> None:
    async def scenario() -> None:
        async with server(lambda _: (status, {"error": "no"})) as (url, _):
            await connect(url)

    with pytest.raises(UserError, match=said):
        asyncio.run(scenario())


def test_nobody_there_is_an_error_at_once() -> None:
    with pytest.raises(UserError, match="is the server up"):
        asyncio.run(connect("http://127.0.0.1:9/v1"))


def test_a_busy_server_is_asked_again_and_an_empty_answer_is_one() -> None:
    odd = (200, {"oddly": "shaped"}), answered([{"type": "text", "text": "[]"}])  # type: ignore[arg-type]
    replies = iter([answered(""), (429, {}), (500, {}), *odd, answered(None)])

    async def scenario() -> str:
        async with server(lambda _: next(replies)) as (url, _), await connect(url) as endpoint:
            return await endpoint.ask("which?", 7)

    assert asyncio.run(scenario()) == ""


def test_a_server_that_stays_away_ends_the_annotation() -> None:
    replies = iter([answered(GOOD)])

    async def scenario() -> None:
        async with server(lambda _: next(replies, (503, {}))) as (url, bodies):
            async with await connect(url) as endpoint:
                with pytest.raises(EndpointFault, match="503"):
                    await endpoint.ask("which?", 7)
            assert len(bodies) == 1 + chat_endpoint.TRIES

    asyncio.run(scenario())


def test_a_refusal_in_the_middle_ends_the_stage_in_a_line_and_keeps_what_was_answered(tmp_path: Path) -> None:
    annotator = LanguageModelAnnotator(
        kind="llm",
        model="m",
        prompt="style_spans_1",
        thinking=False,
        sampler=Sampler(temperature=0.7),
        max_tokens=9000,
        attempts=1,
    )
    replies, how = iter([answered(GOOD)] * 3), Asking("annotator", 0, {})

    async def scenario() -> None:
        async with server(lambda _: next(replies, (400, {"error": "too long"}))) as (url, _):
            asked = {"url": url, "key_variable": "NO_KEY", "timeout_s": 5}
            job = job_at(tmp_path, "annotations", StageConfig(), annotator=asked)
            await mark_at_endpoint(job, annotator, Segments(SEGMENTS, {}), how)

    with pytest.raises(UserError, match=r"execution\.annotator\.url: .*status 400.*too long.*run again"):
        asyncio.run(scenario())
    (kept,) = tmp_path.rglob("annotator.answers.jsonl")
    assert len(kept.read_text().splitlines()) == 2


def test_every_shipped_prompt_has_one_place_for_the_segment() -> None:
    for path in prompt_file("style_spans_1").parent.iterdir():
        assert load_prompt(path)


@pytest.mark.parametrize("text", ["no place", "{segment} and {segment}"])
def test_a_prompt_without_its_place_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "prompt.txt").write_text(text)
    with pytest.raises(UserError, match="must stand there once"):
        load_prompt(tmp_path / "prompt.txt")
    with pytest.raises(UserError, match="cannot be read"):
        load_prompt(tmp_path / "gone.txt")


def test_kappa_by_hand() -> None:
    assert cohens_kappa([1, 1, 0, 0], [1, 1, 0, 0]) == 1.0
    assert cohens_kappa([1, 0, 1, 0], [1, 1, 0, 0]) == 0.0
    assert cohens_kappa([1, 0], [0, 1]) == -1.0
    # 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: 0.7 observed, 0.5 expected.
    one = [1] * 25 + [0] * 25
    two = [1] * 20 + [0] * 5 + [1] * 10 + [0] * 15
    assert cohens_kappa(one, two) == pytest.approx(0.4)
    assert cohens_kappa([1, 1], [1, 1]) is None
    assert cohens_kappa([], []) is None
    with pytest.raises(ValueError, match="1 labels against 2"):
        cohens_kappa([1], [1, 0])


def test_answers_are_kept_as_json_lines(tmp_path: Path) -> None:
    ask_all(tmp_path / "answers.jsonl", lambda *_: _soon(GOOD), attempts=1)
    rows = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert sorted(row["about"] for row in rows) == ["s0", "s1", "s2", "s3"]
    assert {row["answer"] for row in rows} == {GOOD}
