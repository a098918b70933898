"""What is wrong with one prompt, each rule by itself, with the place where it shows.

Not covered: whether the problem can be solved, and facts that need a model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tessy.config.curation import Cleaning

RULES = (
    *("characters", "mojibake", "too_short", "too_long", "language", "lost_formula", "lost_image"),
    *("empty_example", "duplicate_example", "code_only", "contains_answer"),
)
"""In the order in which they are applied; a row is counted under the first that removes it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule that a prompt breaks. `evidence` is at most 200 characters of the prompt, or a measured
    value."""

    rule: str
    evidence: str
    removes: bool


def repair(prompt: str) -> tuple[str, tuple[str, ...]]:
    """The prompt with sound characters, and the names of the repairs that changed it.

    Line ends become `\\n`, text is NFC, mojibake is read back where that is certain, and what nothing can
    show or encode (controls, lone surrogates, byte order marks, direction marks) is removed or becomes
    U+FFFD. Repairing twice changes nothing. Works on any `str`.
    """
    raise NotImplementedError


def clean(prompt: str, tokens: Mapping[str, int], settings: Cleaning) -> list[Finding]:
    """Every rule that a repaired `prompt` breaks, in the order of `RULES`.

    `tokens` is its length in the tokens of each role of `settings.max_tokens`; roles that are missing there
    are not looked at.
    """
    raise NotImplementedError
