"""Output for terminals and logs that cannot show every character, as in the locale C, and for programs that
read a command's answer from standard output."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import TextIOWrapper


def forgive() -> None:
    """From now on, standard output and error show `?` for characters they cannot encode."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


@contextmanager
def only_answers() -> Iterator[None]:
    """Whatever is written to standard output meanwhile, by libraries or processes below this one, goes to
    standard error: what reads the answer that is printed afterwards finds nothing else."""
    sys.stdout.flush()
    own = os.dup(1)
    os.dup2(2, 1)
    try:
        # A logger made meanwhile keeps the stream that it finds, for what it says afterwards, too.
        with redirect_stdout(sys.stderr):
            yield
    finally:
        sys.stdout.flush()
        os.dup2(own, 1)
        os.close(own)


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
