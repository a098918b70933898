"""Phrases proposed for a lexicon are the ones that open sentences."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from worlds import world_config

from tessy.artifacts import write_parquet
from tessy.boundary.lexicon import Lexicon
from tessy.boundary.proposals import propose
from tessy.cli import main
from tessy.config.shipped import lexicon_file
from tessy.miniature.dialects import STUDENT, truth
from tessy.miniature.traces import gold_traces
from tessy.miniature.world import World

TEXTS = [
    f"Okay, so let me see. x{i} is even, so it stays.\nHmm, x{i} is odd. So we add x{i}." for i in range(30)
]


def test_what_opens_sentences_comes_first_and_content_does_not_come_at_all() -> None:
    found = propose(TEXTS, limit=20, minimum=5)
    phrases = [one.phrase for one in found]
    assert phrases[0] in ("Okay, so let me", "Hmm", "So we add")
    assert {"Hmm", "Okay, so let me"} <= set(phrases)
    assert not any("is even" in phrase or "odd" in phrase for phrase in phrases)
    assert all(one.at_start <= one.in_all for one in found)


def test_a_phrase_that_is_nearly_always_longer_is_left_out() -> None:
    assert "Okay" not in [one.phrase for one in propose(TEXTS, limit=50, minimum=5)]


def test_rare_phrases_and_empty_texts_propose_nothing() -> None:
    assert propose(TEXTS[:3], limit=10, minimum=5) == []
    assert propose(["", " \n"], limit=10, minimum=1) == []


def test_on_the_miniature_proposals_find_most_style() -> None:
    world = World.build(world_config(), 0)
    thinkings = [trace.thinking for trace in gold_traces(world, world.train[:100], STUDENT, 0)]
    lexicon = Lexicon(f"{one.phrase} *" for one in propose(thinkings, limit=12, minimum=5))
    hits = marked = style = 0
    for text in thinkings:
        true = {i for start, end, kind in truth(text) if kind == "style" for i in range(start, end)}
        found = {i for start, end in lexicon.style_spans(text) for i in range(start, end)}
        hits, marked, style = hits + len(true & found), marked + len(found), style + len(true)
    assert hits / style > 0.5


def test_the_command_prints_a_lexicon(tmp_path: Path) -> None:
    rows = [{"sample_id": str(i), "text": text} for i, text in enumerate(TEXTS)]
    write_parquet(tmp_path / "thinkings" / "thinkings.parquet", rows, "thinkings", "")
    done = CliRunner().invoke(main, ["lexicon", str(tmp_path), "--limit", "8"])
    assert done.exit_code == 0, done.output
    (tmp_path / "proposed.txt").write_text(done.stdout)
    assert Lexicon.load(tmp_path / "proposed.txt").style_spans("Hmm, x7.") == [(0, 4)]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "no thinkings.parquet"),
        ("gone.parquet", "no such dataset"),
        ("text.parquet", "not a Parquet file"),
    ],
)
def test_a_source_without_thinkings_is_named(tmp_path: Path, name: str, said: str) -> None:
    if name == "text.parquet":
        (tmp_path / name).write_text("no parquet")
    done = CliRunner().invoke(main, ["lexicon", str(tmp_path / name)])
    assert done.exit_code == 2
    assert said in done.output


def test_the_shipped_lexicon_marks_discourse_and_leaves_content() -> None:
    text = "Okay, so I need the sum of squares. Hmm, wait. Let me check n = 3: 14. Therefore, f(n) = n + 1."
    lexicon = Lexicon.load(lexicon_file("english"))
    marked = [text[start:end] for start, end in lexicon.style_spans(text)]
    assert marked == ["Okay, so", " Hmm, wait. Let me check", " Therefore,"]
