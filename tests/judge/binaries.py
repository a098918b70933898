"""Whether precompiled headers change what is compiled, on C++ programs that others wrote.

    python -m tests.judge.binaries FOLDER [COUNT]

takes COUNT (100) of the folder's programs, compiles each with OJBench's or LiveCodeBench-Pro's flags in turn,
with precompiled headers and without, and prints how many binaries are the same, have their functions in
another order, or differ.
"""

from __future__ import annotations

import random
import re
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from eval.judge import compile as languages
from eval.judge import headers
from eval.judge.compile import Language
from eval.judge.records import CompileError, Source
from eval.sandbox import require

LANGUAGES = [
    replace(language, flags=tuple(flag for flag in language.flags if flag != "-s"))
    for language in (languages.DMOJ["cpp"], languages.LIGHTCP["cpp"])
]
"""With the names of functions."""


def functions(binary: bytes) -> dict[str, str]:
    """The instructions of each function, without the addresses."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(binary)
        file.flush()
        command = ["objdump", "-d", "--no-show-raw-insn", "--no-addresses", file.name]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    said = re.sub(r"-?0x[0-9a-f]+\(%rip\)|<_IO_stdin_used[^>]*>|\+0x[0-9a-f]+", "", said)
    parts = re.split(r"^<(.*)>:$", said, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def compared(language: Language, code: bytes) -> str:
    """How the two binaries of a program differ, in a word."""
    if not headers.wanted(code):
        return "no header for it"
    source = Source("cpp", {"main.cpp": code})
    try:
        plain = languages._compiled(language, source, (), None)
    except CompileError:
        return "does not compile"
    # The first two may be what it takes until a header is made.
    fast = [languages._compile(language, source) for _ in range(3)][-1]
    if fast == plain:
        return "same"
    return "another order" if functions(fast) == functions(plain) else "different"


def main(folder: str, count: str = "100") -> None:
    require()
    found = [path for path in sorted(Path(folder).rglob("*.c*")) if path.suffix in {".cpp", ".cc", ".cxx"}]
    programs = [path for path in found if b"main" in path.read_bytes()]
    chosen = random.Random(0).sample(programs, min(int(count), len(programs)))

    def one(number: int) -> str:
        word = compared(LANGUAGES[number % 2], chosen[number].read_bytes())
        if word == "different":
            print(chosen[number], file=sys.stderr)
        return word

    with ThreadPoolExecutor(2) as pool:
        print(dict(Counter(pool.map(one, range(len(chosen))))))


if __name__ == "__main__":
    main(*sys.argv[1:])
