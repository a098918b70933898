"""The judge's nouns, frozen.

A test file is a `Stream`: where its bytes are, not the bytes. So a problem with gigabytes of tests is
a few kilobytes, and one case at a time is in memory while it runs.
"""

from __future__ import annotations

import codecs
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, ClassVar, Literal

Verdict = Literal["AC", "WA", "TLE", "MLE", "OLE", "RTE", "CE", "NO_CODE", "IE", "SKIP"]
Mode = Literal["strict", "fixed"]
"""`strict`: as the official judge decides. `fixed`: with that judge's known faults repaired."""

Exits = Literal["testlib", "coci", "plain"]

MIB = 1 << 20
_CHUNK = MIB
_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, OverflowError, NotImplementedError)


class BrokenTestData(ValueError):
    """A test file that cannot be read to its end; no verdict can rest on it."""


class CompileError(Exception):
    """The compiler refused the source, or took too much over it; the message is the compiler's."""


@dataclass(frozen=True, slots=True)
class Stream:
    """A test file that is read when it is needed. `text` turns CRLF and lone CR into LF on the way, and adds
    the LF that its last line lacks. `utf8` puts U+FFFD in the place of what is none."""

    name: str
    open: Callable[[], IO[bytes]]
    text: bool = False
    utf8: bool = False

    def chunks(self) -> Iterator[bytes]:
        """Its bytes, a piece at a time. Raises `BrokenTestData`."""
        try:
            yield from self._decoded() if self.utf8 else self._pieces()
        except _UNREADABLE as error:
            raise BrokenTestData(f"test file {self.name!r} is broken ({error}); download it again") from None

    def _decoded(self) -> Iterator[bytes]:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        for part in self._pieces():
            held, _ = decoder.getstate()
            yield part if not held and part.isascii() else decoder.decode(part).encode()
        if last := decoder.decode(b"", final=True):
            yield last.encode()

    def _pieces(self) -> Iterator[bytes]:
        held, last = b"", b"\n"
        with self.open() as stream:
            while part := stream.read(_CHUNK):
                if self.text:
                    # A CR at the end of a piece may belong to a CRLF that the next piece completes.
                    part = held + part
                    held = part[-1:] if part.endswith(b"\r") else b""
                    part = part[: len(part) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
                yield part
                last = part[-1:] or last
        if held or (self.text and last != b"\n"):
            yield b"\n"

    def read(self) -> bytes:
        """All of it, for files known to be small or needed whole."""
        return b"".join(self.chunks())


@dataclass(frozen=True, slots=True)
class Case:
    """One test. Seconds and bytes. `batch` numbers the group in which a failure ends the rest,
    `needs` the batches that must have passed; a failed `pretest` ends everything. `points` are the most that
    a checker may give; None: it is not known."""

    name: str
    input: Stream | None
    answer: Stream | None
    time_s: float
    memory: int
    output: int
    batch: int | None = None
    needs: tuple[int, ...] = ()
    pretest: bool = False
    checker: Checker | None = None
    points: float | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """A program: its files by name, the first of them the one that is compiled or checked.

    `arguments` are what it is run with, `flags` what the compiler gets beside those of the language. One that
    runs all tests `together` is a process that takes them one after the other (`eval.judge.dialogue`).
    """

    language: str
    files: Mapping[str, bytes]
    arguments: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    together: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where a problem's test data is: a folder or file, its size in bytes, and for lines their offset."""

    path: Path
    size: int
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Helper:
    """A checker or interactor that is a program.

    It runs in a folder of its own with `INPUT`, `OUTPUT` and `ANSWER`, or what `arguments` name of them; in
    place of the argument `FACTS` it gets what is known of the test, as JSON. `exits` says what its exit codes
    mean: testlib's; `coci`, with shares of the points in another form; or plainly 0 right, 1 wrong and
    nothing else. `unbuffered`: what it writes is read at once, flushed or not.
    """

    FACTS: ClassVar[str] = "{facts}"

    source: Source
    arguments: tuple[str, ...]
    exits: Exits = "testlib"
    unbuffered: bool = False


INPUT, OUTPUT, ANSWER = "in.txt", "out.txt", "ans.txt"


@dataclass(frozen=True, slots=True)
class Checker:
    """Compares an output with the answer: a built-in one by name, or a program."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    program: Helper | None = None


@dataclass(frozen=True, slots=True)
class JudgeProblem:
    """A problem as the judge sees it. `interactor` replaces the checker where there is one.

    `functional` names the function to call where tests are calls, not input (LiveCodeBench). `links` are
    symbolic links in the submission's folder, `unbuffered` is as in `Helper`. `starter` is a function and the
    text that ends in its head, which a submission completes (HumanEval). `beside` are a header and a program
    that calls what it declares, by file name: submissions define that (DMOJ).
    """

    problem_id: str
    cases: tuple[Case, ...]
    checker: Checker
    interactor: Helper | None = None
    wall_factor: float = 3.0
    functional: str | None = None
    links: Mapping[str, str] = field(default_factory=dict)
    unbuffered: bool = False
    starter: tuple[str, str] | None = None
    beside: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Submission:
    """What is to be judged: `code` as is, or a `response` that code is extracted from."""

    problem_id: str
    language: str
    code: str | None = None
    response: str | None = None
    sample_id: str = ""

    def __post_init__(self) -> None:
        if (self.code is None) == (self.response is None):
            raise ValueError(
                f"submission for problem {self.problem_id!r}: needs exactly one of 'code' and 'response'; "
                f"{'both are' if self.code is not None else 'neither is'} there"
            )


@dataclass(frozen=True, slots=True)
class CaseResult:
    """One test's verdict; `official` is the official judge's word, `note` the checker's or the system's."""

    name: str
    verdict: Verdict
    official: str
    cpu_s: float = 0.0
    wall_s: float = 0.0
    peak_mib: float = 0.0
    note: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A submission's verdict, `tests` in the order they ran, `detail` for people.

    `fixed` is the judgement of mode `fixed` beside a strict one, where both were asked for.
    """

    sample_id: str
    problem_id: str
    verdict: Verdict
    official: str
    tests: tuple[CaseResult, ...] = ()
    detail: str = ""
    fixed: Judgement | None = None
