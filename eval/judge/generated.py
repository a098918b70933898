"""Tests that a problem's generator makes: run in the sandbox when a test is first needed, then kept on disk.

A generator writes a test's input to its standard output and the answer to its standard error. What is made
lives as long as the problem is loaded (`loaded`).

Not covered: where generators come from (`formats.dmoj`).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import IO

from eval.judge.compile import HELPERS, build
from eval.judge.records import MIB, BrokenTestData, CompileError, Source, Stream
from eval.judge.spool import Spool
from eval.sandbox import Limits, Sealed, run, scratch
from eval.sandbox.files import read_all

_MOST = 512 * MIB
"""Bytes of an input, and of an answer."""


@dataclass(frozen=True, slots=True)
class Generator:
    """A program with what a test gives it. Seconds and bytes."""

    source: Source
    arguments: tuple[str, ...]
    time_s: float
    memory: int


class Generated:
    """One test's input and answer."""

    def __init__(self, name: str, generator: Generator) -> None:
        self.name, self._generator = name, generator
        self._lock = threading.Lock()
        self._made: tuple[Callable[[], IO[bytes]], ...] = ()

    def input(self, text: bool) -> Stream:
        return Stream(f"{self.name} (generated input)", partial(self._open, 0), text)

    def answer(self, text: bool) -> Stream:
        return Stream(f"{self.name} (generated answer)", partial(self._open, 1), text)

    def _open(self, which: int) -> IO[bytes]:
        with self._lock:
            if not self._made:
                spool = Spool()
                self._made = tuple(map(spool.put, self._make()))
        return self._made[which]()

    def _make(self) -> tuple[bytes, bytes]:
        """Raises `BrokenTestData` if the generator fails, `SandboxError` if that is at fault."""
        generator = self._generator
        try:
            program = build(HELPERS[generator.source.language], generator.source)
        except CompileError as error:
            raise BrokenTestData(f"the generator of {self.name} does not compile: {error}") from None
        limits = Limits(
            cpu_s=generator.time_s, wall_s=3 * generator.time_s, memory=generator.memory,
            stdout=_MOST, stderr=_MOST, tmp=64 * MIB,
        )  # fmt: skip
        out, err = scratch(), scratch()
        # The documentation can be read as either: arguments, or lines to read.
        argv, lines = (*program.argv, *generator.arguments), "\n".join(generator.arguments).encode()
        try:
            with Sealed(lines) as given:
                outcome = run(argv, limits, files=program.files, stdin=given, stdout=out, stderr=err)
            if outcome.ended != "exit" or outcome.exit_code != 0:
                raise BrokenTestData(f"the generator of {self.name} failed: {outcome}")
            return read_all(out), read_all(err)
        finally:
            program.close()
            os.close(out)
            os.close(err)
