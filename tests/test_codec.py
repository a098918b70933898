"""What is sent says what was asked; what comes back is read however it is cut."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from tessy.chat.words import stable_words
from tessy.config.base import Sampler
from tessy.engines import Request
from tessy.engines.codec import TextReader, Way, dialogue, events
from tests.vllm_server import CHARACTERS, END, Codec

ids = st.lists(st.integers(0, 200_000), max_size=20)
samplings = st.builds(
    Sampler, temperature=st.floats(0, 2), top_p=st.floats(0.01, 1), top_k=st.integers(0, 100)
)
text = st.text(st.sampled_from(CHARACTERS))


@given(ids, ids, samplings, st.integers(1, 9999), st.sampled_from(["tokens", "completions"]))
def test_a_body_says_what_was_asked(
    prompt: list[int], stops: list[int], sampling: Sampler, tokens: int, way: Way
) -> None:
    request = Request("s", prompt, tokens, tuple(stops), "", 7, schema='{"const": "}"}')
    body = json.loads(dialogue(way, request, "name", 'a "model"', sampling, None).body)
    said = body["sampling_params"] if way == "tokens" else body
    assert body["token_ids" if way == "tokens" else "prompt"] == prompt
    assert (said["temperature"], said["top_p"], said["top_k"]) == (
        sampling.temperature,
        sampling.top_p,
        sampling.top_k,
    )
    assert (said["max_tokens"], said["stop_token_ids"], said["stream_interval"]) == (tokens, stops, 7)
    assert said["ignore_eos"] is True
    assert said["structured_outputs"] == {"json": {"const": "}"}}


@given(st.lists(text, min_size=1))
def test_text_in_pieces_gives_the_ids_of_its_words(pieces: list[str]) -> None:
    reader = TextReader(Request("s", [], 9, (END,), ""), Codec())
    written = [reader.ids_of({"text": piece, "finish_reason": None})[0] for piece in pieces]
    last, reason, _ = reader.ids_of({"text": "", "finish_reason": "stop"})
    whole = [token for word in stable_words("".join(pieces)) for token in Codec().encode(word)]
    assert [token for part in [*written, last] for token in part] == [*whole, END]
    assert reason == "stop"


def test_events_are_found_among_comments_and_blank_lines() -> None:
    lines = b': ping\n\ndata: {"a": 1}\r\ndata:{"b": 2}\nevent: x\n\ndata: [DONE]\n'
    assert list(events(lines)) == [b'{"a": 1}', b'{"b": 2}']
