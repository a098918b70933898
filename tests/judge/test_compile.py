"""Compilers meet hostile source in the sandbox: bounded, blind, and silent about the machine."""

from __future__ import annotations

import dataclasses
import os
import time

import pytest

from eval.judge import compile as languages
from eval.judge.compile import build, compile_limits
from eval.judge.records import CompileError, Source
from eval.sandbox import Limits, run, scratch
from eval.sandbox.files import read_all

pytestmark = pytest.mark.sandbox

CPU_S = 2.0
STRICT = dataclasses.replace(languages.LIGHTCP["cpp"], limits=compile_limits(CPU_S, 256 << 20))

BOMBS = {
    "endless include": '#include "/dev/zero"\n',
    "random include": '#include "/dev/urandom"\n',
    "own input": '#include "/dev/stdin"\nint main() { return missing; }',
    "includes itself": '#include "/box/main.cpp"\n',
    "macro": "".join(f"#define A{n + 1} A{n} A{n} A{n}\n" for n in range(20)) + "#define A0 int x;\nA20",
    "template": "template<int N> struct F { using T = F<N + 1>; typename T::T x; }; F<0> f;",
    "constexpr": "constexpr long f() { for (long n = 0;; n++); } constexpr long x = f(); int main() {}",
    "huge binary": "char big[1l << 32] = {1}; int main() { return big[77]; }",
    "assembler fill": 'asm(".fill 1 << 40, 1, 0"); int main() {}',
    "errors without end": "template<class T> void f(T t) { f(&t); missing(t); } int main() { f(1); }",
    "secret": 'asm(".incbin \\"/etc/passwd\\""); int main() {}',
    "home": '#include "/root/.profile"\n#include "/etc/hostname"\nint main() {}',
    "input of another run": 'asm(".incbin \\"/proc/1/environ\\""); int main() {}',
    "empty": "",
    "binary": "\x00\x01\x02\udcff",
    "enormous line": "int x = " + "(" * 2_000_000 + "1;",
}


@pytest.mark.parametrize("name", BOMBS)
def test_bomb_ends_in_a_compile_error(name: str) -> None:
    source = Source("cpp", {"main.cpp": BOMBS[name].encode(errors="replace")})
    start = time.monotonic()
    with pytest.raises(CompileError) as error:
        build(STRICT, source)
    assert time.monotonic() - start < 3 * 5 * CPU_S
    assert len(str(error.value)) < 5000
    assert "root:" not in str(error.value)


def test_binary_is_the_same_from_the_cache() -> None:
    source = Source("cpp", {"main.cpp": f"// {os.getpid()}\nint main() {{ return 41 + 1; }}".encode()})
    codes = []
    for _ in range(2):
        program = build(languages.DMOJ["cpp"], source)
        out, err = scratch(), scratch()
        limits = Limits(cpu_s=1, wall_s=2, memory=64 << 20, stdout=4096)
        codes.append(
            run(program.argv, limits, files=program.files, stdin=None, stdout=out, stderr=err).exit_code
        )
        assert read_all(err) == b""
        program.close()
        os.close(out)
        os.close(err)
    assert codes == [42, 42]
