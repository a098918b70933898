"""The one error a user is meant to read: it names the field, the value, the rule and the remedy.

Everything else that escapes is a fault of this program and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """Unusable input. Commands print the message without a traceback and exit with 2."""


def nearest(word: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown `word`: the known one it may stand for, or nothing."""
    match = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {match[0]!r}?" if match else ""


def described(error: BaseException) -> str:
    """What went wrong, for logs and records; no `repr`, which shows an HTTP request's headers and its key."""
    return f"{type(error).__name__}: {error}"
