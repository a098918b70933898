"""A precompiled header makes compiling faster, changes no binary, and is out of a submission's reach."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import pytest

from eval.judge import compile as languages
from eval.judge import headers
from eval.judge.records import CompileError, Source
from eval.sandbox import Sealed
from tests.judge.binaries import LANGUAGES, compared

pytestmark = pytest.mark.sandbox

CPP = languages.DMOJ["cpp"]
BODY = (
    "using namespace std;\nint main() { vector<int> v; for (int x; cin >> x;) v.push_back(x); cout << v[0]; }"
)
SEVERAL = "#include <iostream>\n#include <vector>\n\n#include <map> // sorted\n#include <cmath>\n"
BITS, STREAMS = "#include <bits/stdc++.h>\n", "#include <iostream>\n#include <vector>\n"
PRAGMA = '#pragma GCC optimize("O3,unroll-loops")\n#pragma GCC target("avx2")\n'
STRINGS = """using namespace std;
string joined(const vector<string>& words) {
    string all;
    for (auto& word : words) all += word + ' ';
    return all;
}
int main() {
    vector<string> words;
    for (string word; cin >> word;) words.push_back(word == "a" ? string("an") : word);
    map<string, string> names{{"a", "b"}, {"c", "d"}};
    cout << joined(words) << names["a"] << string("!") << endl;
}
"""
SOURCES = {
    "first": BITS + BODY,
    "behind a comment": "/* one\n two */ // three\n" + BITS + BODY,
    "twice": BITS + BITS + "#include <ext/pb_ds/assoc_container.hpp>\n" + BODY,
    "behind a pragma": PRAGMA + BITS + BODY,
    "before a pragma": BITS + PRAGMA + BODY.replace("cout <<", 'string name = "x";\ncout << name <<'),
    "behind a macro": "#define NDEBUG\n" + BITS + BODY.replace("cout", "assert(false); cout"),
    "behind another header": "#include <cstdio>\n" + BITS + BODY,
    "behind a declaration": "int before;\n" + BITS + BODY,
    "streams": STREAMS + BODY,
    "several": SEVERAL + BODY,
    "several, in another order": "".join(reversed(SEVERAL.splitlines(keepends=True))) + BODY,
    "one of them": SEVERAL.splitlines(keepends=True)[0] + "#include <vector>\n" + BODY,
    "more than those": SEVERAL + "#include <queue>\n#include <ext/rope>\n" + BODY,
    "with a macro between": STREAMS + "#define _GLIBCXX_ASSERTIONS\n#include <map>\n" + BODY,
    "an old name": SEVERAL + "#include <math.h>\nint half = abs(-2.5) * 2;\n" + BODY,
    "an old name before everything": "#include <math.h>\n" + BITS + "int half = abs(-2.5) * 2;\n" + BODY,
    "an old name before several": "#include <stdlib.h>\n" + SEVERAL + "long one = abs(-1L);\n" + BODY,
    "streams, then everything": STREAMS + BITS + BODY,
}
WRONG = {
    "a plain mistake": BITS + "int main() { sort(1); }",
    "a template's mistake": BITS + "struct A {}; int main() { std::set<A> s; s.insert(A()); }",
    "a template's mistake after several": SEVERAL + "struct A {}; int main() { std::map<A, A> m; m[A()]; }",
    "a header that is not included": SEVERAL + "int main() { std::deque<int> q; std::set<int> s; }",
}


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        # What other tests, and earlier runs on this machine, have made is no part of these.
        for name, empty in (("_made", {}), ("_owed", Counter()), ("_looked_for", set())):
            patch.setattr(headers, name, empty)
        for beginning in MADE:  # the longer before what it begins with
            for number in range(3):
                built(f"{beginning}int main() {{ return {number}; }}")
        yield folder


MADE = (BITS, SEVERAL, "#include <iostream>\n", PRAGMA + BITS)
NAMES = {("bits/stdc++.h",), ("iostream",), ("iostream", "cmath", "map", "vector")}


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
    assert {names for names, _ in headers._made} >= NAMES
    monkeypatch.setattr(headers, "wanted", lambda source: ())
    assert built(code) == fast


@pytest.mark.parametrize("language", LANGUAGES, ids=["dmoj", "lightcp"])
def test_functions_may_come_in_another_order(language: languages.Language) -> None:
    """Those of the headers' own templates; the instructions of each are the same."""
    assert compared(language, (BITS + STRINGS).encode()) == "another order"


def test_their_templates_are_instantiated_once_if_the_compiler_can() -> None:
    patient, text = languages._for_headers(CPP), headers._source(("iostream",))
    whole = languages._precompile(patient, languages._plugin(), text)
    assert len(whole) > 1.05 * len(languages._precompile(patient, None, text))
    useless = Source("cpp", {"main.cpp": b"int x;"}, flags=("-shared", "-fPIC"))
    assert languages._precompile(patient, useless, text), "a compiler that refuses it makes one without"


def test_a_submission_cannot_change_it() -> None:
    for made in headers._made.values():
        assert made is not None
        for descriptor in (made.fd, made.reader()):
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
    kept = headers._kept(("iostream",), "some compiler", lambda source: b"made from " + source)
    assert kept is not None
    assert kept.read() == b"made from #include <iostream>\n" + headers._END
    (path,) = [path for path in (cache / "tessy" / "programs").iterdir() if b"made from" in path.read_bytes()]
    path.write_bytes(path.read_bytes().replace(b"made", b"fake"))
    again = headers._kept(("iostream",), "some compiler", lambda source: b"made again")
    assert again is not None
    assert again.read() == b"made again"
    assert headers._kept(("iostream",), "another", broken) is None


def test_what_an_earlier_run_made_is_used_at_once() -> None:
    names, kept = ("list", "iostream", "set"), ("iostream", "list")
    assert headers._kept(kept, "patient", lambda source: b"kept") is not None
    found = headers.precompiled(names, "patient", broken)
    assert found is not None
    assert os.pread(found[1], 9, 0) == b"kept"
    os.close(found[1])
    assert found[0] == "list"
    assert [made for made, compiler in headers._made if compiler == "patient"] == [kept]


def broken(source: bytes) -> bytes:
    raise CompileError("no such compiler")


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("#include <map>\n#include<set>\n#  include <queue> // z\nint x;\n#include <list>", "map set queue"),
        ("// a\n/* b\n#include <set>\n*/\n\n#include <map>\n", "map"),
        ("#include <map>\r\n#include <set>\r\n", "map set"),
        ("#include <map>", "map"),
        ("\ufeff#include <map>\n", "map"),
        ("#include <map>\n// goes on \\\n#include <set>\n", "map"),
        ("#include <map>\n#include <set> int x;\n", "map"),
        ("#include <map>\n#ifdef A\n#include <set>\n", "map"),
        ("#include <map>\n// an old line's end \r#include <set>\n", "map"),
        ("#include <map>\n/* never ends\n#include <set>\n", "map"),
        ("#include <map>\n#include <other.h>\n#include <set>\n", "map"),
        ("#define X\n#include <map>\n", ""),
        ("#define X\n#include <iostream>\n#include <map>\n", "iostream"),
        ("#include <map>\n#include\n<set>\n", "map"),
        ("int main() {}", ""),
    ],
)  # fmt: skip
def test_only_what_a_program_surely_begins_with_is_precompiled(source: str, names: str) -> None:
    assert headers.wanted(source.encode()) == tuple(names.split())


def test_neither_their_order_nor_what_others_include_makes_a_difference() -> None:
    for order in permutations(("iostream", "string", "map", "iostream")):
        assert headers._fewest(order) == ("iostream", "map")
    assert headers._fewest(("map", "bits/stdc++.h")) == ("bits/stdc++.h",)
    for old, new in (("math.h", "cmath"), ("stdlib.h", "cstdlib")):
        assert headers._fewest((new, old)) == (old,), "it declares more than the other"
        assert headers._fewest(("iostream", old)) == ("iostream", old)


def test_the_largest_is_taken_that_has_the_first_and_nothing_but_what_is_included(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sets = [("iostream",), ("iostream", "map"), ("iostream", "regex"), ("map", "set"), ("stdlib.h", "map")]
    made = {(headers._fewest(names), "these"): Sealed([b""]) for names in sets}
    monkeypatch.setattr(headers, "_made", made)
    for names, best in {
        ("map", "iostream", "set"): ("iostream", "map"),
        ("string", "iostream", "set"): ("iostream",),
        ("set", "iostream", "map"): ("map", "set"),
        ("cstdio", "bits/stdc++.h"): ("iostream", "regex"),
        ("bits/stdc++.h", "cstdio"): (),
        ("stdlib.h", "iostream"): (),
    }.items():
        assert set(headers._best(names, "these")) == set(best), names


def test_one_is_made_when_its_want_has_cost_as_much(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[bytes] = []
    monkeypatch.setattr(headers, "_MOST", 1)
    for _ in range(6):
        if found := headers.precompiled(
            ("iostream", "map"), "new", lambda source: made.append(source) or b"x"
        ):
            os.close(found[1])
    assert found is not None
    assert found[0] == "iostream"
    assert made == [b"#include <iostream>\n#include <map>\n" + headers._END]
    for _ in range(6):
        found = headers.precompiled(("iostream", "map", "set", "regex"), "new", lambda source: b"y")
        assert found is not None
        os.close(found[1])
    there = [names for (names, compiler), header in headers._made.items() if header and compiler == "new"]
    assert there == [("regex", "iostream", "map", "set")], "no room for both"
