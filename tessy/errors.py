"""The error meant for users: it names the field, the value, the rule and the remedy.

Any other uncaught exception is a fault of this program and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """Unusable input. Commands print the message without a traceback and exit with 2."""


def nearest(word: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown `word`: the nearest known one, or nothing."""
    match = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {match[0]!r}?" if match else ""


def described(error: BaseException) -> str:
    """An error as text for logs and records. Not `repr`, which shows HTTP headers with API keys."""
    return f"{type(error).__name__}: {error}"
