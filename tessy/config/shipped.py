"""Files that come with this package and are named in recipes: lexicons and prompts."""

from __future__ import annotations

from pathlib import Path

from tessy.config.base import MINIATURE

_TESSY = Path(__file__).parents[1]
_LEXICONS = {
    MINIATURE: _TESSY / "miniature" / "lexicon.txt",
    "english": _TESSY / "boundary" / "lexicons" / "english.txt",
}
_PROMPTS = {
    "style_spans_1": _TESSY / "boundary" / "prompts" / "style_spans_1.txt",
    "reference_1": _TESSY / "synthesis" / "prompts" / "reference_1.txt",
    "grade_1": _TESSY / "synthesis" / "prompts" / "grade_1.txt",
    "contest_relevance_1": _TESSY / "curate" / "prompts" / "contest_relevance_1.txt",
    "difficulty_1": _TESSY / "curate" / "prompts" / "difficulty_1.txt",
}
"""Prompts by name; the number is the version: a changed prompt is a new file."""


def lexicon_file(name: str) -> Path:
    """The file of a shipped lexicon, or the file of that name."""
    return _LEXICONS.get(name, Path(name))


def prompt_file(name: str) -> Path:
    """The file of a shipped prompt, or the file of that name."""
    return _PROMPTS.get(name, Path(name))
