"""A precompiled header makes compiling faster, changes no binary, and is out of a submission's reach."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from eval.judge import compile as languages
from eval.judge import headers
from eval.judge.records import CompileError, Source

pytestmark = pytest.mark.sandbox

CPP = languages.DMOJ["cpp"]
BODY = (
    "using namespace std;\nint main() { vector<int> v; for (int x; cin >> x;) v.push_back(x); cout << v[0]; }"
)
BITS, STREAMS = "#include <bits/stdc++.h>\n", "#include <iostream>\n#include <vector>\n"
SOURCES = {
    "first": BITS + BODY,
    "behind a comment": "/* one\n two */ // three\n" + BITS + BODY,
    "twice": BITS + BITS + "#include <ext/pb_ds/assoc_container.hpp>\n" + BODY,
    "behind a pragma": '#pragma GCC optimize("O3")\n#pragma GCC target("avx2")\n' + BITS + BODY,
    "behind a macro": "#define NDEBUG\n" + BITS + BODY.replace("cout", "assert(false); cout"),
    "behind another header": "#include <cstdio>\n" + BITS + BODY,
    "behind a declaration": "int before;\n" + BITS + BODY,
    "streams": STREAMS + BODY,
    "streams, then everything": STREAMS + BITS + BODY,
}
WRONG = {
    "a plain mistake": BITS + "int main() { sort(1); }",
    "a template's mistake": BITS + "struct A {}; int main() { std::set<A> s; s.insert(A()); }",
}


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        for header in headers.HEADERS:
            for number in range(3):
                built(f"#include <{header}>\nint main() {{ return {number}; }}")
        yield folder


def built(code: str) -> bytes | str:
    """What the compiler made, or said."""
    try:
        return languages._compile(CPP, Source("cpp", {"main.cpp": code.encode()}))
    except CompileError as error:
        return str(error)


@pytest.mark.parametrize("name", [*SOURCES, *WRONG])
def test_the_binary_is_that_of_the_header_itself(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    code = {**SOURCES, **WRONG}[name]
    fast = built(code)
    assert isinstance(fast, bytes) == (name in SOURCES), fast
    assert {header for header, _ in headers._made} == set(headers.HEADERS)
    monkeypatch.setattr(headers, "HEADERS", ())
    assert built(code) == fast


def test_a_submission_cannot_change_it() -> None:
    for made in headers._made.values():
        assert made is not None
        for descriptor in (made.content.fd, made.content.reader()):
            with pytest.raises(OSError):
                os.pwrite(descriptor, b"x", 0)
            with pytest.raises(OSError):
                os.ftruncate(descriptor, 0)


@pytest.mark.parametrize("path", ["/box/precompiled/bits/stdc++.h.gch", "/dev/fd/3"])
def test_a_submission_that_takes_it_apart_gets_nothing_but_headers(path: str) -> None:
    before = built(SOURCES["first"])
    taken = built(f'{BITS}asm(".incbin \\"{path}\\", 0, 64");\nint main() {{}}\n')
    assert isinstance(taken, bytes)
    assert b"gpch" in taken
    assert built(SOURCES["first"]) == before


def test_programs_do_not_see_it() -> None:
    code = f'{BITS}int main() {{ return std::ifstream("/box/precompiled/bits/stdc++.h").good(); }}'
    program = languages.build(CPP, Source("cpp", {"main.cpp": code.encode()}))
    assert (list(program.files), dict(program.links)) == (["/box/main"], {})
    program.close()


def test_what_lies_in_the_cache_is_used_only_if_it_is_whole(cache: Path) -> None:
    kept = headers._kept("iostream", "some compiler", lambda source: b"made from " + source)
    assert kept is not None
    assert kept.content.read() == b"made from #include <iostream>\n"
    (path,) = [path for path in (cache / "tessy" / "programs").iterdir() if b"made from" in path.read_bytes()]
    path.write_bytes(path.read_bytes().replace(b"made", b"fake"))
    again = headers._kept("iostream", "some compiler", lambda source: b"made again")
    assert again is not None
    assert again.content.read() == b"made again"
    assert headers._kept("iostream", "another", broken) is None


def broken(source: bytes) -> bytes:
    raise CompileError("no such compiler")
