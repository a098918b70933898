"""Precompiled headers: what many submissions begin with, parsed once.

Submissions begin with `#include` lines of standard headers, and parsing those takes most of a compilation.
One that begins with the same headers as others is given the result of parsing them, found under the name of
its first header; a compiler that finds one, made with its own flags, loads it in place of the headers, and
otherwise goes on to the headers themselves. In what order a program names them has no effect ([using.headers]
in the C++ standard). The headers' own templates, which g++ instantiates at the end of every program, are
instantiated in it (`instantiate.cpp`). A binary has the same instructions either way, but functions of those
templates may come in another order. The judge makes it, in a sandbox of its own and from nothing but the
headers' names; a compilation sees it read-only, as sealed memory. On disk it lies with the built programs
(`cache`), under the hash of all it was made from, and is used only if its own hash is right.

Which beginnings are worth it: one is made when submissions have lost, for want of it, half of what making it
takes, both counted in bytes of headers. So whatever comes, at most three times as much is spent as if that
had been known; where many begin alike, as they mostly do, it is made for the second of them.

Not covered: includes behind a macro, a pragma or a declaration, but for the very first.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import takewhile
from pathlib import Path
from typing import TypeAlias

from eval.judge import cache
from eval.judge.records import MIB, CompileError
from eval.sandbox import SandboxError, Sealed

FOLDER = "/box/precompiled"
"""Where a compilation finds them, and nothing else; it is searched before the system's headers."""
ALONE = frozenset({"bits/stdc++.h", "iostream"})
"""Those that are precompiled where they are a submission's first, whatever stands before."""
KNOWN = ALONE | {
    "algorithm", "any", "array", "atomic", "bitset", "cassert", "cctype", "cerrno", "cfenv", "cfloat",
    "charconv", "chrono", "cinttypes", "climits", "clocale", "cmath", "codecvt", "complex",
    "condition_variable", "csetjmp", "csignal", "cstdarg", "cstddef", "cstdint", "cstdio", "cstdlib",
    "cstring", "ctime", "cuchar", "cwchar", "cwctype", "deque", "exception", "execution", "filesystem",
    "forward_list", "fstream", "functional", "future", "initializer_list", "iomanip", "ios", "iosfwd",
    "istream", "iterator", "limits", "list", "locale", "map", "memory", "memory_resource", "mutex", "new",
    "numeric", "optional", "ostream", "queue", "random", "ratio", "regex", "scoped_allocator", "set",
    "shared_mutex", "sstream", "stack", "stdexcept", "streambuf", "string", "string_view", "system_error",
    "thread", "tuple", "type_traits", "typeindex", "typeinfo", "unordered_map", "unordered_set", "utility",
    "valarray", "variant", "vector", "assert.h", "ctype.h", "limits.h", "math.h", "stdint.h", "stdio.h",
    "stdlib.h", "string.h", "time.h",
}  # fmt: skip
_MOST = 512 * MIB
"""Bytes that are kept in memory; of what was used last at least one."""
_COST = 2
"""Parsings of its headers that are lost before one is made. Making it takes about four: g++ 12 spends three
quarters of that on sorting and writing what it has parsed."""
_END = b"extern int __end_of_precompiled;\n"
"""Where `instantiate.cpp` begins."""
_MARK = b"\xef\xbb\xbf"
_FIRST = re.compile(rb"^[ \t]*#[ \t]*include[ \t]*<([^>\n]*)>", re.MULTILINE)
# A backslash may continue a line, so the beginning ends before it; likewise at a lone carriage return.
_BEGINNING = re.compile(
    rb"[ \t\n]+|\r\n|//[^\r\n\\]*(?=\r?\n)|/\*[^\\]*?\*/"
    rb"|#[ \t]*include[ \t]*<([^>\s\\]*)>[ \t]*(?=\r?\n|//|/\*|\Z)"
)
_DIGEST = hashlib.sha256().digest_size
Names: TypeAlias = tuple[str, ...]
_lock, _making = threading.Lock(), threading.Lock()
_made: dict[tuple[Names, str], Sealed | None] = {}
"""The one used last comes last; None: it cannot be made."""
_owed: Counter[tuple[Names, str]] = Counter()
_looked_for: set[tuple[Names, str]] = set()
"""On disk."""


def wanted(source: bytes) -> Names:
    """The headers that a program begins with, in order, as far as they may be had precompiled."""
    names = tuple(_beginning(source))
    if not names and (found := _FIRST.search(source)):
        name = found[1].decode(errors="replace")
        return (name,) if name in ALONE else ()
    return names


def _beginning(source: bytes) -> Iterator[str]:
    at = len(_MARK) if source.startswith(_MARK) else 0
    while found := _BEGINNING.match(source, at):
        at = found.end()
        if found[1] is not None:
            name = found[1].decode(errors="replace")
            if name not in KNOWN:
                return
            yield name


def precompiled(names: Names, compiler: str, make: Callable[[bytes], bytes]) -> tuple[str, int, str] | None:
    """The largest part of the headers `names`, with the first, that there is precompiled for a compiler and
    its flags, which `compiler` names in full: the first name, a new descriptor of it, and where the first
    header itself is, for what includes it twice or not first. None if there is none.

    It may be made for that, by this thread alone: `make` turns the source of a header into one that is
    precompiled.
    """
    names = tuple(takewhile(_inputs, names))
    if not names:
        return None
    if _making.acquire(blocking=False):
        try:
            if (names, compiler) not in _looked_for:
                _looked_for.add((names, compiler))
                _recall(names, compiler)
            if due := _due(names, compiler):
                _keep(due, compiler, _kept(due, compiler, make))
        finally:
            _making.release()
    with _lock:
        best = _best(names, compiler)
        if not best:
            return None
        header = _made.pop((best, compiler))
        assert header is not None
        _made[best, compiler] = header
        return names[0], header.reader(), _place(names[0])


def _keep(names: Names, compiler: str, made: Sealed | None) -> None:
    with _lock:
        _made[names, compiler] = made
        _make_room()


def _recall(names: Names, compiler: str) -> None:
    """Take the longest part of `names` that an earlier run left on disk, if there is none as long in
    memory."""
    for part in reversed(_parts(names)):
        if (part, compiler) in _made:
            return
        if content := _on_disk(_key(part, compiler)):
            _keep(part, compiler, Sealed([content]))
            return


def _due(names: Names, compiler: str) -> Names:
    """What is worth making for a program with these headers, and all that came before it."""
    with _lock:
        best = _best(names, compiler)
        due: Names = ()
        for part in _parts(names):
            if (part, compiler) in _made or _size(part) <= _size(best):
                continue
            _owed[part, compiler] += _size(part) - _size(best)
            if _owed[part, compiler] >= _COST * _size(part):
                due = part
        return due


def _best(names: Names, compiler: str) -> Names:
    there = (part for (part, of), header in _made.items() if header and of == compiler)
    fitting = (part for part in there if _cover(part, names[0]) and all(_cover(names, one) for one in part))
    return max(fitting, key=_size, default=())


def _cover(names: Names, name: str) -> bool:
    """Whether one of `names` is, or includes, the header `name`. C++'s headers include C's in part only, as
    <cstdlib> does <stdlib.h>."""
    return name in names or (not name.endswith(".h") and _place(name) in _all(names))


def _parts(names: Names) -> list[Names]:
    """The first of `names`, the first two, and so on, each as the fewest headers that include them all, in an
    order that does not depend on theirs."""
    return list(dict.fromkeys(_fewest(names[:count]) for count in range(1, len(names) + 1)))


@functools.lru_cache(maxsize=4096)
def _fewest(names: Names) -> Names:
    fewest: Names = ()
    # One that includes another comes before it.
    for name in sorted(names, key=lambda name: (-len(_inputs(name)), name)):
        if not _cover(fewest, name):
            fewest = (*fewest, name)
    return fewest


def _make_room() -> None:
    """Let go of what was not used for longest; it is on disk."""
    there = [key for key, header in _made.items() if header]
    total = sum(header.size for header in _made.values() if header)
    for key in there[:-1]:
        header = _made[key]
        if total <= _MOST or header is None:
            return
        total -= header.size
        header.close()
        del _made[key]


def _kept(names: Names, compiler: str, make: Callable[[bytes], bytes]) -> Sealed | None:
    key = _key(names, compiler)
    try:
        content = _on_disk(key)
        if not content:
            content = memoryview(make(_source(names)))
            cache.put(key, hashlib.sha256(content).digest() + content)
        return Sealed([content])
    except (CompileError, SandboxError, OSError):
        return None  # without it everything takes longer, and nothing else


def _on_disk(key: str) -> memoryview | None:
    data = memoryview(cache.get(key) or b"")
    content = data[_DIGEST:]
    return content if data[:_DIGEST] == hashlib.sha256(content).digest() else None


def _key(names: Names, compiler: str) -> str:
    """Of what it is made from: an update of one header must not go unseen."""
    inputs = [(path, _digest(path)) for path in sorted(_all(names))]
    return hashlib.sha256(repr((_source(names), compiler, inputs)).encode()).hexdigest()


def _source(names: Names) -> bytes:
    return "".join(f"#include <{name}>\n" for name in names).encode() + _END


@functools.cache
def _inputs(name: str) -> tuple[str, ...]:
    """The paths of every file that a header is made of; none if there is no such header."""
    command = ["/usr/bin/g++", "-M", "-x", "c++", "-"]
    source = f"#include <{name}>\n".encode()
    done = subprocess.run(command, input=source, capture_output=True, check=False)
    words = done.stdout.decode().replace("\\\n", " ").split() if done.returncode == 0 else []
    return tuple(word for word in words if word.startswith("/"))


def _place(name: str) -> str:
    return next(path for path in _inputs(name) if path.endswith(f"/{name}"))


@functools.lru_cache(maxsize=4096)
def _all(names: Names) -> frozenset[str]:
    return frozenset(path for name in names for path in _inputs(name))


@functools.lru_cache(maxsize=4096)
def _size(names: Names) -> int:
    return sum(os.stat(path).st_size for path in _all(names))


@functools.cache
def _digest(path: str) -> bytes:
    return hashlib.sha256(Path(path).read_bytes()).digest()
