"""The annotator against a real vLLM server with schema-constrained output.

The model is a miniature annotator, trained here in seconds: it marks the opening of a segment, if there is
one. Nothing is known of its answers but what the server lets through.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from annotator_model import OPENINGS, PROMPT, answer_to, segments, train_annotator

from tessy.boundary.annotators import Annotated, AnswerJournal, annotate
from tessy.boundary.chat_endpoint import ChatEndpoint, ChatOptions

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(400)]

NAME = "annotator"
STARTS_WITHIN_S = 240


@pytest.fixture(scope="module")
def endpoint_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("annotator")
    train_annotator(folder / "model", thinking=None)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder / "model")]
    command += ["--served-model-name", NAME, "--max-model-len", "512", "--host", "127.0.0.1"]
    settings = {
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "0",
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
    }
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(
            [*command, "--port", str(port)],
            env=os.environ | settings,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_until_up(f"http://127.0.0.1:{port}/health", server, folder / "server.log")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait(60)


def wait_until_up(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(1)
    raise AssertionError(f"the server did not come up:\n{log.read_text()[-3000:]}")


def annotated(url: str, path: Path, **changes: Any) -> tuple[Annotated, ChatOptions]:
    sampler = {"temperature": 0.0, "top_p": 1.0, "top_k": 0}
    options = ChatOptions(**{"model": NAME, "max_tokens": 40, "sampler": sampler} | changes)

    async def scenario() -> tuple[Annotated, ChatOptions]:
        endpoint = await ChatEndpoint.connect(url, options, key=None, timeout_s=60)
        async with endpoint:
            with AnswerJournal(path) as journal:
                found = await annotate(
                    segments(), endpoint.ask, journal, prompt=PROMPT, attempts=2, seed="0", concurrency=32
                )
        return found, endpoint.options

    return asyncio.run(scenario())


def test_a_model_behind_a_real_server_marks_segments(endpoint_url: str, tmp_path: Path) -> None:
    found, options = annotated(endpoint_url, tmp_path / "answers.jsonl")
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


def test_with_a_schema_no_whole_answer_is_anything_but_strings(endpoint_url: str, tmp_path: Path) -> None:
    """At temperature 2 the model alone would write rubbish; the server lets only arrays through."""
    wild = {"temperature": 2.0, "top_p": 1.0, "top_k": 0}
    found, _ = annotated(endpoint_url, tmp_path / "answers.jsonl", sampler=wild)
    assert sum(found.outcomes.values()) >= len(segments())
    assert not {"no_json", "not_strings", "accepted_with_prose"} & set(found.outcomes)
    assert len(found.outcomes) >= 2, found.outcomes


def test_a_model_the_server_does_not_have_is_an_error(endpoint_url: str, tmp_path: Path) -> None:
    from tessy.errors import UserError

    with pytest.raises(UserError, match="refuses model 'other'"):
        annotated(endpoint_url, tmp_path / "answers.jsonl", model="other")
