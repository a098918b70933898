"""Prompts as comparable text: normalised, masked, as shingles and as a digest. Pure and deterministic.

Not covered: meaning. Two wordings of one problem have nothing in common here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def normalise(text: str) -> str:
    """Lower-case words with one space between them, without markup: equal for texts that differ in format
    only.

    HTML, Markdown and LaTeX markup, punctuation, accents of composition, invisible characters and digit
    grouping are gone; a character of a script without spaces is a word. Normalising twice changes nothing;
    the result can be encoded, and is empty where there are no words.
    """
    raise NotImplementedError


def masked(normal: str) -> str:
    """A normalised text in which every number is `0` and every word of one letter is `x`."""
    raise NotImplementedError


def digest(normal: str) -> bytes:
    """16 bytes that tell normalised texts apart."""
    raise NotImplementedError


def shingles(normal: str, words: int) -> NDArray[np.uint64]:
    """Hashes of all runs of `words` words of a normalised text, sorted and distinct; of the whole text where
    it has fewer words, and none where it has no word."""
    raise NotImplementedError
