"""Output for terminals and logs that cannot show every character, as in the locale C."""

from __future__ import annotations

import sys
from io import TextIOWrapper


def forgive() -> None:
    """From now on, standard output and error show `?` for characters they cannot encode."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def shown(text: str, encoding: str, instead: str) -> str:
    """`text`, or `instead` where `encoding` lacks some of its characters."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return instead
    return text


def mark(good: bool, encoding: str) -> tuple[str, str]:
    """The mark at the start of a success or failure line, and its colour."""
    return (shown("✓ ", encoding, "ok "), "green") if good else (shown("✗ ", encoding, "x  "), "red")
