"""Output for terminals and logs that cannot show every character, as in the locale C."""

from __future__ import annotations

import sys
from io import TextIOWrapper


def forgive() -> None:
    """Have standard output and error show `?` from here on for what they cannot encode."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def shown(text: str, encoding: str, instead: str) -> str:
    """`text`, or `instead` where `encoding` has not all of its characters."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return instead
    return text


def mark(good: bool, encoding: str) -> tuple[str, str]:
    """What opens a line that tells of a success or a failure, and its colour."""
    return (shown("✓ ", encoding, "ok "), "green") if good else (shown("✗ ", encoding, "x  "), "red")
