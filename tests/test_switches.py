"""Switches without training that read text: what each takes for foreign."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.boundary.lexicon import Lexicon
from tessy.boundary.switches import LexiconPredictor, NeverPredictor
from tessy.records import Role

LEXICON = Lexicon(["Okay, *", "Let me see", "Thus"])


def marks(switch: LexiconPredictor | NeverPredictor, context: str, chunk: str) -> str:
    """The chunk's words with foreign ones in brackets."""
    found = asyncio.run(switch.foreign("s", context, chunk))
    read = [(chunk[offset:].split()[0], foreign) for offset, foreign in found]
    return " ".join(f"[{word}]" if foreign else word for word, foreign in read)


def test_a_lexicon_tells_style_from_capability_for_either_author() -> None:
    text = "Okay, so what. x = 3\nThus y = 4"
    assert (
        marks(LexiconPredictor("student", LEXICON), "", text) == "Okay, so what. [x] [=] [3] Thus [y] [=] [4]"
    )
    assert marks(LexiconPredictor("teacher", LEXICON), "", text) == "[Okay,] [so] [what.] x = 3 [Thus] y = 4"


def test_a_phrase_may_begin_in_the_context_or_not_be_complete_yet() -> None:
    student = LexiconPredictor("student", LEXICON)
    assert marks(student, "x = 3. Let me", " see x") == "see [x]"
    assert marks(student, "x = 3.", " Let me") == "Let me"
    assert marks(student, "x = 3.", " Let me go") == "[Let] [me] [go]"


def test_never_is_never() -> None:
    assert marks(NeverPredictor(), "", "a b") == "a b"


@pytest.mark.parametrize("role", ["student", "teacher"])
@given(st.lists(st.sampled_from(["x", "y,", "Okay,", "Thus"]), min_size=1, max_size=12), st.integers(0, 12))
def test_labels_do_not_depend_on_how_text_was_cut(role: Role, drawn: list[str], at: int) -> None:
    """Of phrases of one word: longer ones at the end of a chunk are given the benefit of the doubt."""
    context, chunk = " ".join(drawn[:at]), "".join(f" {word}" for word in drawn[at:])
    for switch in (LexiconPredictor(role, Lexicon(["Okay,", "Thus"])), NeverPredictor()):
        whole = asyncio.run(switch.foreign("s", "", context + chunk))
        part = asyncio.run(switch.foreign("s", context, chunk))
        shifted = [(offset + len(context), foreign) for offset, foreign in part]
        assert whole[len(whole) - len(part) :] == shifted
