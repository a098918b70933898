"""The annotator against a real vLLM server with schema-constrained output.

The model is a miniature annotator, trained here in seconds: it marks the opening of a segment, if there is
one. Nothing is known of its answers but what the server lets through.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from annotator_model import OPENINGS, PROMPT, answer_to, segments, train_annotator
from jobs import job_at
from test_marking import asking, own

from tessy.boundary.annotators import Annotated, AnswerJournal, annotate
from tessy.boundary.chat_endpoint import ChatEndpoint, ChatOptions

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("annotator") / "model"
    train_annotator(folder, [None, "ok"])
    return folder


@pytest.fixture(scope="module")
def endpoint_url(model: Path) -> Iterator[str]:
    """The model behind a server as a recipe starts its own."""
    from tessy.config.engines import EngineSettings
    from tessy.engines.command import ServedModel
    from tessy.engines.launch import servers

    arguments = {"kv_cache_memory_bytes": 64 << 20, "enforce_eager": True}
    settings = EngineSettings(kind="server", arguments=arguments)
    with asyncio.Runner() as runner:
        serving = servers(settings, ServedModel(str(model), None, 512), "annotator", model.parent, print)
        (url,) = runner.run(serving.__aenter__())
        yield f"{url}/v1"
        runner.run(serving.__aexit__(None, None, None))


def annotated(url: str, model: Path, path: Path, **changes: Any) -> tuple[Annotated, ChatOptions]:
    sampler = {"temperature": 0.0, "top_p": 1.0, "top_k": 0}
    options = ChatOptions(**{"model": str(model), "max_tokens": 40, "sampler": sampler} | changes)

    async def scenario() -> tuple[Annotated, ChatOptions]:
        endpoint = await ChatEndpoint.connect(url, options, key=None, timeout_s=60)
        async with endpoint:
            with AnswerJournal(path) as journal:
                found = await annotate(
                    segments(), endpoint.ask, journal, prompt=PROMPT, attempts=2, seed="0", concurrency=32
                )
        return found, endpoint.options

    return asyncio.run(scenario())


def test_a_model_behind_a_real_server_marks_segments(endpoint_url: str, model: Path, tmp_path: Path) -> None:
    found, options = annotated(endpoint_url, model, tmp_path / "answers.jsonl")
    assert options.schema
    assert options.thinking is False
    right = {
        segment.segment_id: [(0, len(opening))] if opening else []
        for segment in segments()
        for opening in OPENINGS
        if answer_to(segment.text) == OPENINGS[opening]
    }
    agreed = sum(list(found.style.get(key, ())) == spans for key, spans in right.items())
    assert agreed >= 0.9 * len(right), found.outcomes


def test_with_a_schema_no_whole_answer_is_anything_but_strings(
    endpoint_url: str, model: Path, tmp_path: Path
) -> None:
    """At temperature 2 the model alone would write rubbish; the server lets only arrays through."""
    wild = {"temperature": 2.0, "top_p": 1.0, "top_k": 0}
    found, _ = annotated(endpoint_url, model, tmp_path / "answers.jsonl", sampler=wild)
    assert sum(found.outcomes.values()) >= len(segments())
    # Strings of nothing but white space keep to the schema, and are no spans.
    assert not {"no_json", "accepted_with_prose"} & set(found.outcomes)
    whole = []
    for line in (tmp_path / "answers.jsonl").open():
        with suppress(json.JSONDecodeError):
            whole.append(json.loads(json.loads(line)["answer"], strict=False))
    assert len(whole) > len(segments()) / 2
    assert all(isinstance(span, str) for spans in whole for span in spans)
    assert len(found.outcomes) >= 2, found.outcomes


def test_a_model_the_server_does_not_have_is_an_error(endpoint_url: str, model: Path, tmp_path: Path) -> None:
    from tessy.errors import UserError

    with pytest.raises(UserError, match="refuses model 'other'"):
        annotated(endpoint_url, Path("other"), tmp_path / "answers.jsonl")


@pytest.mark.parametrize(("temperature", "thinking"), [(0.0, True), (2.0, True), (0.0, False)])
def test_the_recipes_own_model_on_its_server_answers_under_the_schema(
    endpoint_url: str, model: Path, tmp_path: Path, temperature: float, thinking: bool
) -> None:
    """Its thinking is free, its answer is not: what it would write at temperature 2 is not let through."""
    from tessy.generation.annotation import Segments, mark
    from tessy.runtime.stage import StageConfig

    (tmp_path / "prompt.txt").write_text(PROMPT)
    sampler = {"temperature": temperature, "top_p": 1.0, "top_k": 0}
    changes = {"thinking": thinking, "sampler": sampler, "attempts": 1}
    annotator = own(tmp_path / "prompt.txt", **changes)
    served = {"student": {"kind": "server", "endpoints": [endpoint_url]}}
    job = job_at(tmp_path, "annotations-student", StageConfig(), engines=served)
    found = mark(job, annotator, Segments(segments(), {}), asking(model))
    assert job.used.json_schema == {"annotator-0": True}
    # Whatever else: an answer that uses up its tokens breaks off, strings of white space are no spans.
    assert not {"no_json", "accepted_with_prose"} & set(found.outcomes), found.outcomes
    if not temperature:
        assert found.outcomes["accepted"] >= 0.9 * len(segments()), found.outcomes
