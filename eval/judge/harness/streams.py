"""What LiveCodeBench's code puts in place of `sys.stdin` and `open` while a program runs (mode `strict`).

Programs see names of types and attributes, so these are the official ones.
"""

from __future__ import annotations

import builtins
import contextlib
import io
import sys
from collections.abc import Iterator
from typing import Any


class MockStdinWithBuffer:
    """`sys.stdin`: whatever was read before, `read` and `readlines` give everything; `readline` goes on."""

    def __init__(self, inputs: str) -> None:
        self.inputs, self._stringio, self.buffer = inputs, io.StringIO(inputs), MockBuffer(inputs)

    def read(self, *_: Any) -> str:
        return self.inputs

    def readline(self, *size: Any) -> str:
        return self._stringio.readline(*size)

    def readlines(self, *_: Any) -> list[str]:
        return self.inputs.split("\n")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stringio, name)


class MockBuffer:
    """`sys.stdin.buffer`: always everything, and always the first line."""

    def __init__(self, inputs: str) -> None:
        self.inputs = inputs.encode()

    def read(self, *_: Any) -> bytes:
        return self.inputs

    def readline(self, *_: Any) -> bytes:
        return self.inputs.split(b"\n")[0] + b"\n"


class _Open:
    """`builtins.open`: whatever file is opened, it holds the input, and all that are open are the same one.
    `open` in a submission itself is another (io's)."""

    def __init__(self, given: str) -> None:
        self._given, self._mock = given, None

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self._real()(*arguments, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real(), name)

    def _real(self) -> Any:
        if self._mock is None:
            from unittest.mock import mock_open  # too slow to load for the few that need it

            self._mock = mock_open(read_data=self._given)
        return self._mock


@contextlib.contextmanager
def standard_input(given: str, buffered: bool) -> Iterator[None]:
    """Replaces `sys.stdin` and `open`. The stream that was there, which a submission may have imported, has
    three methods replaced, none of which knows of the others, and is empty otherwise. It keeps what a
    submission adds to it, and fails at the end if one of the three is gone."""
    real, opened, lines = sys.stdin, builtins.open, iter(given.split("\n"))
    methods = {
        "read": lambda *_: given,
        "readlines": lambda *_: given.split("\n"),
        "readline": lambda *_: next(lines),
    }
    before = {name: vars(real)[name] for name in methods if name in vars(real)}
    vars(real).update(methods)
    sys.stdin = MockStdinWithBuffer(given) if buffered else io.StringIO(given)
    builtins.open = _Open(given)
    try:
        yield
    finally:
        sys.stdin, builtins.open = real, opened
        for name in methods:
            delattr(real, name)
        vars(real).update(before)
