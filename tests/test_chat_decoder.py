"""The decoder: text id by id, whatever the ids are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.chat import Renderer, stable_words
from tessy.miniature.tokens import train_tokenizer
from tessy.miniature.traces import Trace
from tessy.records import ROLES, Role

FORMAT = {"student": "qwen3", "teacher": "harmony"}
RENDERERS = [Renderer(train_tokenizer(role, [], 300), FORMAT[role]) for role in ROLES]
"""Every byte is a token, and nothing else is: the worst case for characters split over ids."""

READ = Trace(
    "p", "Print it:\n  a  b", "okay, so x: y;\n\tz == x. okay, so what.  ", "for x in y:\n    print(x)"
)

renderers = pytest.mark.parametrize("renderer", RENDERERS, ids=ROLES)


@pytest.mark.parametrize("role", ROLES)
def test_stable_words_are_stable_in_the_miniature_s_vocabularies(role: Role) -> None:
    chat = Renderer(train_tokenizer(role, [READ] * 9, 400), FORMAT[role])

    @given(
        text=st.lists(st.sampled_from([" ", "  ", "\n", "\t", "x", "so", ".", ":", "==", "okay,"])).map(
            "".join
        )
    )
    def check(text: str) -> None:
        assert [token for word in stable_words(text) for token in chat.encode(word)] == chat.encode(text)

    check()


@renderers
@given(text=st.text())
def test_pieces_are_the_text(renderer: Renderer, text: str) -> None:
    assert "".join(renderer.pieces(renderer.encode(text))) == text


@renderers
@given(data=st.data())
def test_random_ids_never_stall_the_decoder(renderer: Renderer, data: st.DataObject) -> None:
    ids = data.draw(st.lists(st.integers(0, len(renderer.tokenizer) + 3)))
    assert renderer.decode(ids).startswith("".join(renderer.pieces(ids)))
    ids += renderer.encode("a")
    assert "".join(renderer.pieces(ids)) == renderer.decode(ids)


@renderers
def test_endless_beginnings_of_characters_are_given_out(renderer: Renderer) -> None:
    (lead,) = (token for token, spelled in renderer._token_bytes.items() if spelled == b"\xe0")
    assert len("".join(renderer.pieces([lead] * 1000))) > 900


@renderers
@given(text=st.text(alphabet="aé漢😀", min_size=1))
def test_every_piece_is_whole(renderer: Renderer, text: str) -> None:
    pieces = renderer.pieces(renderer.encode(text))
    assert "\ufffd" not in "".join(pieces)
    assert [piece for piece in pieces if piece] == list(text)
