"""Numbers asked of a model: at an endpoint, and of the recipe's own; nothing is asked twice."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from annotator_model import train_to_answer
from jobs import job_at

from tessy.config.base import Sampler
from tessy.config.execution import AnnotatorExecution
from tessy.config.models import ModelReference
from tessy.config.selection import Rating
from tessy.config.shipped import prompt_file
from tessy.errors import UserError
from tessy.generation.models import NamedModel
from tessy.generation.rating import Rater, rate
from tessy.runtime.stage import StageConfig
from tessy.synthesis.prompts import Template

TEXTS = {f"row-{n}": f"Problem number {n}: print {n} times two." for n in range(6)}


@contextmanager
def endpoint(answer: Callable[[str], str | int]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A chat endpoint and what it was asked; `answer` gives a text or a status for each question."""
    asked: list[dict[str, Any]] = []

    class Chat(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append(body)
            found = answer(body["messages"][0]["content"])
            said = found if isinstance(found, str) else ""
            reply = json.dumps({"choices": [{"message": {"content": said}}]}).encode()
            self.send_response(found if isinstance(found, int) else 200)
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, format: str, *args: Any) -> None:
            """What was asked is kept."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Chat)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", asked
    finally:
        server.shutdown()
        server.server_close()


def rater(**changes: Any) -> Rater:
    settings = {"name": "difficulty", "model": "someone/judge", "prompt": "difficulty_1", "max_tokens": 40}
    return Rater(Rating(**{**settings, **changes}), "ratings", 0, {})


def questions(asked: list[dict[str, Any]]) -> list[str]:
    """The texts that were asked about, without the probe of what the server knows."""
    return [body["messages"][0]["content"] for body in asked if "Problem number" in str(body)]


def test_an_endpoint_is_asked_until_a_number_can_be_read(tmp_path: Path) -> None:
    tries: dict[str, int] = {}

    def answer(question: str) -> str:
        number = question.partition("Problem number ")[2][:1]
        tries[number] = tries.get(number, 0) + 1
        if number == "5" or (number == "3" and tries[number] == 1):
            return "I cannot say."
        return f"It is easy.\nGrade: {number}" if number else "[]"

    with endpoint(answer) as (url, asked):
        job = job_at(tmp_path, "curation", StageConfig(), annotator={"url": url})
        found = rate(job, TEXTS, rater())
        assert found == {f"row-{n}": float(n) for n in range(5)}
        assert (tries["3"], tries["5"], tries["1"]) == (2, 3, 1)
        assert not any("response_format" in body for body in asked)
        before = len(questions(asked))
        assert rate(job, TEXTS, rater()) == found
        assert len(questions(asked)) == before


def test_an_endpoint_that_fails_loses_no_answer(tmp_path: Path) -> None:
    def refuses(question: str) -> str | int:
        return 400 if "number 4" in question else "Grade: 2"

    with endpoint(refuses) as (url, _):
        job = job_at(tmp_path, "curation", StageConfig(), annotator={"url": url}, concurrency=1)
        with pytest.raises(UserError, match=r"run again when it answers.*ratings\.max_tokens"):
            rate(job, TEXTS, rater())
    with endpoint(lambda question: "Grade: 3") as (url, asked):
        elsewhere = job.execution.model_copy(update={"annotator": AnnotatorExecution(url=url)})
        found = rate(replace(job, execution=elsewhere), TEXTS, rater())
    assert [found[f"row-{n}"] for n in range(6)] == [2, 2, 2, 2, 3, 3]
    assert len(questions(asked)) == 2


def test_shipped_prompts_ask_for_one_line_with_the_grade() -> None:
    for name in ("contest_relevance_1", "difficulty_1"):
        text = Template(prompt_file(name), "prompt", {"problem"}).fill(problem="X{problem}Y")
        assert "X{problem}Y" in text
        assert text.endswith('Answer with one line: "Grade: " and the number.')


@pytest.mark.slow
def test_the_recipes_own_model_is_asked_on_its_engine(tmp_path: Path) -> None:
    (tmp_path / "prompt.txt").write_text("Rate this.\n{problem}")
    said = {"apple": "Grade: 2", "mountain": "Grade: 9", "violin": "no idea"}
    texts = {f"{word}-{n}": " ".join([word] * (6 + n)) for word in said for n in range(4)}
    answers = {f"Rate this.\n{text}": said[key.partition("-")[0]] for key, text in texts.items()}
    train_to_answer(tmp_path / "model", answers, [None])
    reference = ModelReference(source=str(tmp_path / "model"), format="qwen3")
    how = Rater(
        Rating(
            name="difficulty",
            model="student",
            prompt=str(tmp_path / "prompt.txt"),
            sampler=Sampler(temperature=0),
            max_tokens=12,
            attempts=2,
        ),
        "ratings",
        0,
        {"student": NamedModel(reference, "student")},
    )
    job = job_at(tmp_path, "curation", StageConfig())
    found = rate(job, texts, how)
    assert found == {
        f"{word}-{n}": grade for word, grade in (("apple", 2), ("mountain", 9)) for n in range(4)
    }
