"""Loaders: what they read from each benchmark's files, and how they say what is wrong."""

from __future__ import annotations

import base64
import contextlib
import json
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from problem_files import CONFIG, SIMPLE, TEST, dmoj, lightcp, livecodebench, packed, zipped

from eval.judge import unusable
from eval.judge.formats import lcb, lines
from eval.judge.formats import packed as unpacking

LAUGHS = "".join(f"a{n}: &a{n} [{f'*a{n - 1}, ' * 9 if n else ''}]\n" for n in range(9))


def test_dmoj_reads_cases_from_the_archive_and_loose_files_first(tmp_path: Path) -> None:
    problem = dmoj(tmp_path, SIMPLE)
    assert [(c.name, c.input.read(), c.answer.read()) for c in problem.cases] == [("1.in", b"1\n", b"2\n")]
    (tmp_path / "ICPC" / "p" / "1.in").write_bytes(b"loose\r\n")
    assert dmoj(tmp_path, SIMPLE).cases[0].input.read() == b"loose\n"


def test_dmoj_guesses_names_without_test_cases(tmp_path: Path) -> None:
    files = {
        "p.2.in": b"",
        "p.2.out": b"",
        "p.10.in": b"",
        "p.10.out": b"",
        "p.1.1.in": b"",
        "p.1.1.out": b"",
        "x": b"",
    }
    problem = dmoj(tmp_path, "archive: a.zip\n", files)
    assert [(case.name, case.batch) for case in problem.cases] == [
        ("p.1.1.in", 1),
        ("p.2.in", None),
        ("p.10.in", None),
    ]


def test_dmoj_finds_cases_by_given_patterns(tmp_path: Path) -> None:
    patterns = {
        "input_format": r"^t(?P<batch>\d+)-(?P<case>\d+)$",
        "output_format": r"^a(?P<batch>\d+)-(?P<case>\d+)$",
    }
    files = dict.fromkeys(("t1-1", "a1-1", "t1-2", "a1-2", "t2-1", "a2-1", "t3-1"), b"")
    problem = dmoj(tmp_path, json.dumps({"archive": "a.zip", "test_cases": patterns}), files)
    assert [(case.name, case.batch) for case in problem.cases] == [
        ("t1-1", 1),
        ("t1-2", 1),
        ("t2-1", 2),
        ("t3-1", 3),
    ]


@pytest.mark.parametrize(
    ("names", "cases"),
    [
        ("1.in, 1.out, 2.in, 3.out", [("1.in", "1.out", None), ("2.in", None, None), (None, "3.out", None)]),
        ("01.in, 1.out", [("01.in", "1.out", None)]),
        ("p.3.in, p.2.1.in, p.1.in", [("p.1.in", None, None), ("p.2.1.in", None, 1), ("p.3.in", None, None)]),
        ("1.1.in, 1.2.in, 1.in", [("1.in", None, 1), ("1.2.in", None, 1)]),
        ("a1-1.in, t_1_2.out", [("a1-1.in", None, None), (None, "t_1_2.out", None)]),
        ("begin1.txt, out1.txt", [(None, "out1.txt", None)]),
        ("x/in1, 1in, 1.in, 1.out", [("1.in", "1.out", None)]),
        ("a 1.in, 1 b.in, 2.IN", [("a 1.in", None, None), ("2.IN", None, None)]),
    ],
)
def test_dmoj_guesses_names_as_its_pattern_does(
    tmp_path: Path, names: str, cases: list[tuple[str | None, str | None, int | None]]
) -> None:
    files = dict.fromkeys(names.split(", "), b"")
    problem = dmoj(tmp_path, "archive: a.zip\n", files)
    assert [
        (case.input and case.input.name, case.answer and case.answer.name, case.batch)
        for case in problem.cases
    ] == cases


def test_dmoj_children_inherit(tmp_path: Path) -> None:
    init = "archive: a.zip\nchecker: identical\noutput_limit_length: 5\ntest_cases:\n"
    init += "- points: 1\n  checker: sorted\n  batched:\n  - {in: 1.in, out: 1.out}\n"
    problem = dmoj(tmp_path, init + "- {in: 1.in, out: 1.out, binary_data: true}\n")
    assert [case.checker.name for case in problem.cases] == ["sorted", "identical"]
    assert [case.output for case in problem.cases] == [5, 5]
    assert [case.input.text for case in problem.cases] == [True, False]


def test_dmoj_number_ids_are_loj_folders(tmp_path: Path) -> None:
    folder = tmp_path / "NOI" / "loj-2133"
    folder.mkdir(parents=True)
    (folder / "init.yml").write_text(SIMPLE)
    zipped(folder / "a.zip", {"1.in": b"", "1.out": b""})
    assert unusable("dmoj", tmp_path, ["2133", "3897", "nwerc2023_H"]) == {}
    assert list(unusable("dmoj", tmp_path, ["2133", "2134"])) == ["2134"]


@pytest.mark.parametrize(
    ("init", "says"),
    [
        ("", "must map keys"),
        ("- 1", "must map keys"),
        ("a: [", "cannot be read"),
        ("[" * 10_000, "cannot be read"),
        ("a: 9999-99-99", "cannot be read"),
        (SIMPLE + "checker: &a [*a, *a]\n", "must be a name"),
        ("archive: b.zip\n", "no such test data"),
        ("archive: ../../p.zip\n", "leads out"),
        ("archive: a.zip\ntest_cases: 5\n", "must be a list"),
        ("archive: a.zip\ntest_cases: {input_format: x, output_format: x}\n", "no test cases"),
        ("archive: a.zip\ntest_cases: [1]\n", "must map `in`"),
        ("archive: a.zip\ntest_cases: [{points: x}]\n", "points is 'x'"),
        ("archive: a.zip\ntest_cases: [{in: 2.in, out: 1.out}]\n", "no file '2.in'"),
        ("archive: a.zip\ntest_cases: [{in: ../../../etc/passwd, out: 1.out}]\n", "no file"),
        ("archive: a.zip\ntest_cases: [{generator: g.cpp}]\n", "no file 'g.cpp'"),
        ("test_cases: [{generator: {name: g.hs, language: HASK}}]\n", "a generator is in 'HASK'"),
        ("test_cases: [{generator: g.cpp, generator_args: [[1]]}]\n", "must list plain values"),
        (SIMPLE + "custom_judge: 1.in\n", "only a class Grader with `interact`"),
        (SIMPLE + "grader: j.py\n", "'grader' is not supported"),
        (SIMPLE + "file_io: {input: a}\n", "'file_io' is not supported"),
        (SIMPLE + "signature_grader: {entry: a.java, header: a.h}\n", "only C and C++"),
        (SIMPLE + "signature_grader: {entry: a.c, header: a.h, allow_main: true}\n", "allow_main"),
        (SIMPLE + "signature_grader: a.c\n", "must name `entry` and `header`"),
        (SIMPLE + "checker: mine.py\n", "no file 'mine.py'"),
        (SIMPLE + "checker: no_such\n", "'no_such' is not supported; known are"),
        (SIMPLE + "checker: [1]\n", "must be a name"),
        (SIMPLE + "checker: {name: floats, args: {precision: x}}\n", "floats"),
        (SIMPLE + "checker: {name: floatsabs, args: {error_mode: absolute}}\n", "though the checker is"),
        (SIMPLE + "checker: {name: linematches, args: {point_distribution: [1, -1]}}\n", "must not be 0"),
        (SIMPLE + "test_cases++: print(1)\n", "'test_cases++' is not supported"),
        (SIMPLE + "checker: {name: sorted, args: {split_on: x}}\n", "split_on"),
        (SIMPLE + "checker: {name: bridged, args: {files: c.cpp, type: peg}}\n", "type 'peg'"),
        (SIMPLE + "checker: {name: bridged, args: {files: c.cpp, lang: HASK}}\n", "only C, C++"),
        (SIMPLE + "checker: {name: bridged, args: {files: c.cpp, flags: -O3}}\n", "flags '-O3'"),
        (
            SIMPLE + "checker: {name: bridged, args: {files: c.cpp, args_format_string: '{x}'}}\n",
            "known in it",
        ),
        (SIMPLE + "symlinks: {../x: /dev/stdin}\n", "symlinks has '../x'"),
        (SIMPLE + "symlinks: [x]\n", "symlinks is ['x']"),
        (SIMPLE + "interactive: true\n", "must map `files`"),
        ("archive: a.zip\ntest_cases: [{batched: [], dependencies: 1}]\n", "dependencies is 1"),
        ("archive: a.zip\ntest_cases: [{batched: [], dependencies: [1]}]\n", "must be earlier ones"),
        ("points: 1\n", "no test cases"),
        ("archive: a.zip\ntest_cases: {input_format: '('}\n", "no regular expression"),
        ("archive: a.zip\ntest_cases: {input_format: '(a*)*$'}\n", "repeats a group"),
        ("archive: a.zip\ntest_cases: {output_format: '.*.*.*.*x'}\n", "more than 3 things"),
        (SIMPLE + "wall_time_factor: x\n", "wall_time_factor"),
        (SIMPLE + "output_limit_length: x\n", "output_limit_length"),
    ],
)
def test_dmoj_says_what_is_wrong(tmp_path: Path, init: str, says: str) -> None:
    with pytest.raises(ValueError, match=r"init\.yml|[ab]\.zip") as error:
        dmoj(tmp_path, init)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("1s", 1), ("500ms", 0.5), ("'2'", 2), ("1.5s", 1.5), ("2000000000", 2), ("2.5 s", 2.5)],
)
def test_lightcp_time_limits(tmp_path: Path, value: str, seconds: float) -> None:
    assert lightcp(tmp_path, f"time: {value}\n{CONFIG}").cases[0].time_s == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        ("256m", 256 << 20),
        ("1g", 1 << 30),
        ("64k", 64 << 10),
        ("'1024'", 1024),
        ("1024", 1024),
        ("0.5G", 512 << 20),
    ],
)
def test_lightcp_memory_limits(tmp_path: Path, value: str, amount: int) -> None:
    assert lightcp(tmp_path, f"memory_limit: {value}\n{CONFIG}").cases[0].memory == amount


def test_lightcp_defaults(tmp_path: Path) -> None:
    case = lightcp(tmp_path, CONFIG).cases[0]
    assert (case.time_s, case.memory, case.output) == (1, 256 << 20, 128 << 20)


def test_lightcp_names_cases_by_prefix_suffix_and_running_number(tmp_path: Path) -> None:
    config = "input_prefix: c\ninput_suffix: .txt\noutput_prefix: d\noutput_suffix: .a\nfilename: ignored\n"
    config += "subtasks: [{n_cases: 1, score: 5}, {n_cases: 2}]\n"
    files = {f"testdata/{name}": b"" for n in range(1, 6) for name in (f"c{n}.txt", f"d{n}.a")}
    cases = lightcp(tmp_path, config, files).cases
    assert [(case.name, case.answer.name) for case in cases] == [
        (f"c{n}.txt", f"testdata/d{n}.a") for n in (1, 2, 3)
    ]


def test_lightcp_prefers_an_answer_over_an_output(tmp_path: Path) -> None:
    config = "subtasks: [{cases: [{input: 1.in, output: 1.out}, {input: 1.in, output: 2.out}]}]\n"
    files = {f"testdata/{name}": name.encode() for name in ("1.in", "1.ans", "1.out", "2.out")}
    assert [case.answer.read() for case in lightcp(tmp_path, config, files).cases] == [b"1.ans", b"2.out"]


def test_lightcp_limits_of_cases_beat_those_of_subtasks_and_problems(tmp_path: Path) -> None:
    config = (
        "time: 1s\nmemory: 1m\nsubtasks:\n- {n_cases: 1}\n- time_limit: 2s\n  memory_limit: 2m\n  cases:\n"
    )
    config += "  - {input: 1.in, output: 1.ans}\n  - {input: 1.in, output: 1.ans, time: 3s, memory: 3m}\n"
    cases = lightcp(tmp_path, config).cases
    assert [(case.time_s, case.memory >> 20) for case in cases] == [(1, 1), (2, 2), (3, 3)]


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("x", "must map keys"),
        ("a: [", "cannot be read"),
        ("time: 1s", "subtasks is None"),
        ("subtasks: [1]", "must map `n_cases`"),
        ("subtasks: [{n_cases: -1}]", "n_cases is -1"),
        ("subtasks: [{n_cases: 1000000000}]", "n_cases"),
        ("subtasks: []", "no cases"),
        ("subtasks: [{cases: [{input: 1.in}]}]", "must name"),
        ("subtasks: [{cases: 1}]", "cases is 1"),
        ("subtasks: [{n_cases: 2}]", "no file 'testdata/2.in'"),
        ("type: odd\n" + CONFIG, "type 'odd'"),
        ("type: interactive\n" + CONFIG, "interactor.cc"),
        ("checker: other.cc\n" + CONFIG, "other.cc"),
        ("time: soon\n" + CONFIG, "time limit 'soon'"),
        ("time: -1\n" + CONFIG, "time limit -1"),
        ("memory: 5x\n" + CONFIG, "memory limit '5x'"),
        ("time: .nan\n" + CONFIG, "time limit"),
    ],
)
def test_lightcp_says_what_is_wrong(tmp_path: Path, config: str, says: str) -> None:
    with pytest.raises(ValueError, match=r"p\.zip") as error:
        lightcp(tmp_path, config)
    assert says in str(error.value)


def test_lcb_reads_public_and_packed_private_tests(tmp_path: Path) -> None:
    private = packed(json.dumps([{**TEST, "input": "3"}]))
    problem = livecodebench(tmp_path, public_test_cases=json.dumps([TEST]), private_test_cases=private)
    assert [case.input.read() for case in problem.cases] == [b"1", b"3"]
    assert problem.functional is None


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("pwned",)


@pytest.mark.parametrize(
    ("private", "says"),
    [
        (packed(Evil()), "only text is accepted"),
        (packed([1]), "only text is accepted"),
        (packed(["[]", "[]"]), "only text is accepted"),
        (packed({"[]": 1}), "only text is accepted"),
        (packed("{}"), "not a list"),
        (packed(json.dumps([TEST]) + "[]"), "go on after their end"),
        (packed(json.dumps([TEST])[:-1]), "cannot be read"),
        (packed(json.dumps([TEST])[:-3]), "end too early"),
        (packed("[{},]"), "cannot be read"),
        (packed(json.dumps([{**TEST, "more": [[]] * 1000}])), "too many values"),
        (packed(json.dumps([TEST])) + "AAAA", "goes on after its end"),
        (packed("no json"), "cannot be read"),
        (packed(json.dumps([{"input": "1"}])), "output"),
        (packed(json.dumps([1])), "cannot be read"),
        ("?", "cannot be read"),
        (base64.b64encode(b"x").decode(), "cannot be read"),
        (base64.b64encode(zlib.compress(b"\x80\x05")).decode(), "not a pickled text"),
        ("[]", "no tests"),
        (packed("[" * 100_000), "cannot be read"),
    ],
)
def test_lcb_refuses_what_it_cannot_trust(
    tmp_path: Path, private: str, says: str, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(ValueError, match="problem p") as error:
        livecodebench(tmp_path, private_test_cases=private)
    assert says in str(error.value)
    assert "pwned" not in capsys.readouterr().out


def test_lcb_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "MAX_TEXT", 1000)
    with pytest.raises(ValueError, match="more than 1000 bytes"):
        livecodebench(tmp_path, private_test_cases=packed(json.dumps([{**TEST, "input": "x" * 10_000}])))
    monkeypatch.setattr(lcb, "MAX_TESTS", 10)
    with pytest.raises(ValueError, match="more than 10"):
        livecodebench(tmp_path, public_test_cases=json.dumps([TEST] * 11))


def test_lcb_half_a_surrogate_pair_is_a_question_mark(tmp_path: Path) -> None:
    tests = json.dumps([{**TEST, "input": "a\ud800"}])
    for private in (
        tests,
        packed(tests),
        packed(tests.encode()),
        packed("[" + tests[1:].replace("\\ud800", "\ud800")),
    ):
        (case,) = livecodebench(tmp_path, private_test_cases=private).cases
        assert case.input.read() == b"a?"


TEXTS = st.text(st.sampled_from('"\\/\n[]{},:a\u00e9\U0001f600\0'), max_size=20)


@given(
    tests=st.lists(
        st.fixed_dictionaries({"input": TEXTS, "output": TEXTS, "x": st.lists(st.lists(st.none()))})
    ),
    as_bytes=st.booleans(),
    escaped=st.booleans(),
    size=st.integers(1, 9),
)
def test_lcb_packed_tests_come_out_as_they_went_in(
    tests: list[dict[str, object]], as_bytes: bool, escaped: bool, size: int
) -> None:
    text = json.dumps(tests, ensure_ascii=escaped, indent=1 if escaped else None)
    inside = packed(text.encode() if as_bytes else text).replace("/", "\\/" if escaped else "/").encode()
    pieces = lines.unescaped(cut(inside + b'"', size))
    assert list(map(json.loads, unpacking.unpacked(pieces))) == tests


def cut(whole: bytes, size: int) -> Iterator[bytes]:
    return (whole[at : at + size] for at in range(0, len(whole), size))


ESCAPES = (
    r"\ud83d",
    r"\ude00",
    r"\uD83D",
    r"\u00e9",
    r"\u12",
    r"\u",
    r"\n",
    r"\\",
    r"\"",
    r"\/",
    r"\x",
    "\\",
)
STRINGS = (*ESCAPES, '"', "u", "d83d", "a", "\u00e9", "\U0001f600", "\t", "\ud83d")


@given(st.lists(st.sampled_from(STRINGS)).map("".join), st.integers(1, 9))
def test_strings_in_pieces_are_what_json_says(inside: str, size: int) -> None:
    try:
        said, _ = json.JSONDecoder().raw_decode(f'"{inside}')
    except ValueError:
        said = None
    try:
        pieces = cut(inside.encode("utf-8", "surrogatepass"), size)
        found = b"".join(lines.unescaped(pieces)).decode("utf-8", "surrogatepass")
    except ValueError:
        found = None
    assert found == said


@given(
    tests=st.lists(st.fixed_dictionaries({"input": TEXTS, "output": TEXTS})),
    ascii=st.booleans(),
    size=st.integers(1, 99),
)
def test_lcb_plain_tests_come_out_as_they_went_in(
    tests: list[dict[str, str]], ascii: bool, size: int
) -> None:
    text = json.dumps(tests, ensure_ascii=ascii)
    whole = json.dumps(text + " ", ensure_ascii=not ascii).encode()[1:]
    assert list(map(json.loads, unpacking.elements(lines.unescaped(cut(whole, size))))) == tests


@given(st.data())
def test_lcb_packed_tests_that_end_too_early_are_refused_or_whole(data: st.DataObject) -> None:
    whole = base64.b64decode(packed(json.dumps([TEST] * 3)))
    part = base64.b64encode(whole[: data.draw(st.integers(0, len(whole)))])
    with contextlib.suppress(ValueError):
        assert list(map(json.loads, unpacking.unpacked(iter([part])))) == [TEST] * 3


@pytest.mark.parametrize("pack", [packed, str])
def test_lcb_tests_are_put_on_disk_and_not_in_memory(tmp_path: Path, pack: Callable[[str], str]) -> None:
    tests = [{**TEST, "input": f"{number:30}\n" * (1 << 15)} for number in range(20)]
    livecodebench(tmp_path, private_test_cases=pack(json.dumps(tests)))
    tracemalloc.start()
    problem = lcb.load("p", lcb.find(tmp_path)["p"])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12 << 20
    assert [case.input.read() for case in problem.cases] == [test["input"].encode() for test in tests]


def test_lcb_finds_its_fields_wherever_pieces_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private = packed(json.dumps([{**TEST, "input": "3"}]))
    content = 'says "private_test_cases": "x" and "question_id": "q"'
    for size in (1, 2, 7, 1000):
        monkeypatch.setattr(lines, "_PIECE", size)
        problem = livecodebench(tmp_path, question_content=content, private_test_cases=private)
        assert [case.input.read() for case in problem.cases] == [b"3"]


def test_dmoj_ignores_what_says_nothing_here(tmp_path: Path) -> None:
    problem = dmoj(
        tmp_path, SIMPLE + LAUGHS + "short_circuit: false\nhints: [x]\nchecker:\nwall_time_factor: 0\n"
    )
    assert (problem.checker.name, problem.wall_factor, len(problem.cases)) == ("standard", 3, 1)


def test_dmoj_adds_the_last_line_feed(tmp_path: Path) -> None:
    files = {"1.in": b"a\r\nb", "1.out": b""}
    (case,) = dmoj(tmp_path, SIMPLE, files).cases
    assert (case.input.read(), case.answer.read()) == (b"a\nb\n", b"")
    (case,) = dmoj(tmp_path, SIMPLE + "binary_data: true\n", files).cases
    assert case.input.read() == b"a\r\nb"


def test_dmoj_cases_and_batches_may_have_names(tmp_path: Path) -> None:
    patterns = {
        "input_format": r"^(?P<batch>[a-z]+)?-?(?P<case>\w+)\.in$",
        "output_format": r"^(?P<batch>[a-z]+)?-?(?P<case>\w+)\.out$",
    }
    names = ("2", "10", "b-1", "a-x")
    files = {f"{name}.{end}": b"" for name in names for end in ("in", "out")}
    problem = dmoj(tmp_path, json.dumps({"archive": "a.zip", "test_cases": patterns}), files)
    assert [(case.name, case.batch) for case in problem.cases] == [
        ("2.in", None), ("10.in", None), ("a-x.in", 1), ("b-1.in", 2),
    ]  # fmt: skip


def test_dmoj_guesses_from_the_archive_only(tmp_path: Path) -> None:
    dmoj(tmp_path, "archive: a.zip\n")
    for name in ("9.in", "9.out"):
        (tmp_path / "ICPC" / "p" / name).write_bytes(b"")
    assert [case.name for case in dmoj(tmp_path, "archive: a.zip\ntest_cases:\n").cases] == ["1.in"]


@pytest.mark.parametrize(
    ("options", "language", "arguments", "exits"),
    [
        ("lang: CPP17", "cpp", ("in.txt", "out.txt", "ans.txt"), "plain"),
        ("type: testlib", "cpp", ("in.txt", "out.txt", "ans.txt"), "testlib"),
        ("lang: C11", "c", ("in.txt", "out.txt", "ans.txt"), "plain"),
        ("lang: PY3", "python", ("in.txt", "out.txt", "ans.txt"), "plain"),
        (
            "args_format_string: '-q {answer_file} {output_file}'",
            "cpp",
            ("-q", "ans.txt", "out.txt"),
            "plain",
        ),
    ],
)
def test_dmoj_bridged_checkers(
    tmp_path: Path, options: str, language: str, arguments: tuple[str, ...], exits: str
) -> None:
    init = f"{SIMPLE}checker: {{name: bridged, args: {{files: c.cpp, {options}}}}}\n"
    helper = dmoj(tmp_path, init, {"1.in": b"", "1.out": b"", "c.cpp": b""}).checker.program
    assert (helper.source.language, helper.arguments, helper.exits) == (language, arguments, exits)


def test_dmoj_interactors_of_type_default_get_input_and_answer(tmp_path: Path) -> None:
    files = {"1.in": b"", "1.out": b"", "i.cpp": b""}
    helper = dmoj(tmp_path, SIMPLE + "interactive: {files: i.cpp}\n", files).interactor
    assert (helper.arguments, helper.exits, helper.unbuffered) == (("in.txt", "ans.txt"), "plain", True)
    helper = dmoj(tmp_path, SIMPLE + "interactive: {files: i.cpp, type: testlib}\n", files).interactor
    assert helper.arguments == ("in.txt", "out.txt", "ans.txt")


def test_dmoj_links_to_standard_streams_lead_to_descriptors(tmp_path: Path) -> None:
    problem = dmoj(tmp_path, SIMPLE + "symlinks: {data.in: /dev/stdin}\nunbuffered: true\n")
    assert (dict(problem.links), problem.unbuffered) == ({"data.in": "/proc/self/fd/0"}, True)


@pytest.mark.parametrize(
    ("config", "seconds"),
    [
        ("time_limit: 0\ntime: 3s\n" + CONFIG, 3),
        ("time_limit:\n" + CONFIG, 1),
        ("time: 2s\nsubtasks:\n- n_cases: 1\n  cases: [{input: x.in, output: x.ans}]\n", 2),
        ("time: 2s\nsubtasks:\n- cases: [{input: 1.in, output: 1.ans, time_limit: 8s}]\n", 2),
        ("time: 2s\nsubtasks:\n- cases: [{input: 1.in, output: 1.ans, time: 8s}]\n", 8),
        ("subtasks:\n- time_limit: 4s\n  cases: [{input: 1.in, output: 1.ans, time: 0}]\n", 4),
    ],
)
def test_lightcp_empty_limits_and_double_lists(tmp_path: Path, config: str, seconds: float) -> None:
    assert [(case.name, case.time_s) for case in lightcp(tmp_path, config).cases] == [("1.in", seconds)]
