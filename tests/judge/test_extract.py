"""Code extraction: each benchmark's rule, its quirks kept in `strict`, the author's meaning in `fixed`."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.judge import extract_code
from eval.judge.extract import _cpp_blocks

INCLUDE = "#include <cstdio>"
MAIN = "int main() { if (1) { puts(); } return 0; }"


def fenced(tag: str, code: str) -> str:
    return f"```{tag}\n{code}\n```\n"


def test_dmoj_takes_the_last_block_of_the_language() -> None:
    text = "First\n" + fenced("cpp", "old") + fenced("cpp", "new") + fenced("python", "other")
    assert extract_code("dmoj", "cpp", text) == "new"
    assert extract_code("dmoj", "python", text) == "other"


def test_dmoj_without_an_opener_compiles_everything_up_to_a_closer() -> None:
    assert extract_code("dmoj", "cpp", "int main() {}") == "int main() {}"
    assert extract_code("dmoj", "cpp", "prose\n```c++\ncode\n```") == "prose"


def test_dmoj_takes_an_unclosed_block_to_the_end() -> None:
    assert extract_code("dmoj", "python", "```python\nprint(1)") == "print(1)"


@pytest.mark.parametrize(
    ("code", "called"),
    [
        ("def main():\n    pass", True),
        ("def main():\n    pass\nmain()", False),
        ("def main(x):\n    pass", False),
        ("def main():\n    pass\n# main()", False),
        ("print(1)", False),
    ],
)
def test_dmoj_calls_a_main_that_nothing_calls(code: str, called: bool) -> None:
    assert extract_code("dmoj", "python", fenced("python", code)) == code + ("\nmain()" if called else "")
    assert extract_code("dmoj", "cpp", fenced("cpp", code)) == code


def test_lightcp_takes_the_last_block_with_an_include() -> None:
    first, second = f"{INCLUDE}\n{MAIN}\n", f"{INCLUDE}\n// two\n{MAIN}\n"
    text = f"```cpp\n{first}```\n```cpp\n{second}```\n```cpp\nint x;\n```\n"
    assert extract_code("lightcp", "cpp", text) == second.strip()


@pytest.mark.parametrize("opener", ["  ```cpp\n", "```c++\n", "````cpp\n"])
def test_lightcp_other_openers_reach_only_the_fallback(opener: str) -> None:
    text = f"{opener}// note\n{INCLUDE}\nusing namespace std;\n{MAIN}\n// after\n```"
    assert extract_code("lightcp", "cpp", text) == f"{INCLUDE}\nusing namespace std;\n{MAIN}"


def test_lightcp_fallback_drops_includes_above_a_blank_line() -> None:
    text = f"#include <map>\n\n{INCLUDE}\n#include <set>\nint x;\n{MAIN}"
    assert extract_code("lightcp", "cpp", text) == f"{INCLUDE}\n#include <set>\nint x;\n{MAIN}"


def test_lightcp_counts_braces_naively() -> None:
    text = f'{INCLUDE}\nint main() {{ puts("}}"); return 0; }}'
    assert extract_code("lightcp", "cpp", text) == f'{INCLUDE}\nint main() {{ puts("}}'


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no code",
        MAIN,
        f"{INCLUDE}\nsigned main() {{}}",
        f"{INCLUDE}\nint main();",
        f"{INCLUDE}\nmain() {{ }}",
    ],
)
def test_lightcp_finds_nothing(text: str) -> None:
    assert extract_code("lightcp", "cpp", text) is None


def test_lcb_takes_what_stands_between_the_last_two_fences() -> None:
    assert extract_code("lcb", "python", fenced("python", "one") + "text\n" + fenced("", "two")) == "two"
    assert extract_code("lcb", "python", "```python\nnever closed") == ""
    assert extract_code("lcb", "python", fenced("python", "code") + "then ``` in prose") == ""


@pytest.mark.parametrize(
    "text",
    [
        f"<think>```cpp\nwrong\n```</think>\nThe answer:\n```C++\n{INCLUDE}\nsigned main() {{}}\n```",
        f"~~~cpp\n{INCLUDE}\nsigned main() {{}}\n~~~",
        f"    ```cpp\n{INCLUDE}\nsigned main() {{}}\n    ```",
        f"```cpp\nold\n```\n```cpp\n{INCLUDE}\nsigned main() {{}}",
        f"```text\n3\n```\n```\n{INCLUDE}\nsigned main() {{}}\n```\n```text\n4\n```",
        f"{INCLUDE}\nsigned main() {{}}",
        f"```python\n{INCLUDE}\nsigned main() {{}}\n```\nIt prints\n```\n42\n```",
        f"```cpp\n{INCLUDE}\nsigned main() {{}}\n```\nThe heart of it:\n```cpp\nx = x + 1;\n```",
        f"Code: ```cpp\n{INCLUDE}\nsigned main() {{}}\n```",
        f"\ufeff```cpp\n{INCLUDE}\nsigned main() {{}}\n```",
        f"```cpp\n{INCLUDE}\nsigned main() {{}}```\nIt prints 42.",
        f"````markdown\n# Answer\n```cpp\n{INCLUDE}\nsigned main() {{}}\n```\n````",
        f"```markdown\n```cpp\n{INCLUDE}\nsigned main() {{}}\n```\n```",
    ],
)
@pytest.mark.parametrize("format", ["dmoj", "lightcp", "lcb"])
def test_fixed_finds_what_was_meant(format: str, text: str) -> None:
    assert extract_code(format, "cpp", text, "fixed") == f"{INCLUDE}\nsigned main() {{}}"


@pytest.mark.parametrize(
    "text", ["", "I cannot solve this.", "<think>```cpp\nint main() {}\n```</think> Sorry."]
)
def test_fixed_finds_nothing_where_nothing_is(text: str) -> None:
    assert extract_code("lightcp", "cpp", text, "fixed") is None


PIECES = st.sampled_from(
    ["```", "```cpp\n", "```python\n", "\n", "{", "}", "#include <a>\n", "int main(", "main()", "x", " "]
)


@given(st.lists(PIECES, max_size=40).map("".join))
def test_fixed_finds_something_wherever_livecodebench_pro_does(text: str) -> None:
    if extract_code("lightcp", "cpp", text) is not None:
        assert extract_code("lightcp", "cpp", text, "fixed") is not None


@given(st.one_of(st.text(), st.lists(PIECES, max_size=40).map("".join)))
def test_extraction_never_fails_and_invents_nothing(text: str) -> None:
    for format in ("dmoj", "lightcp", "lcb"):
        for language in ("cpp", "python"):
            for mode in ("strict", "fixed"):
                code = extract_code(format, language, text, mode)
                if code:
                    lines = set(text.split("\n"))
                    assert lines.issuperset(code.removesuffix("\nmain()").split("\n")[1:-1])


@given(st.lists(PIECES, max_size=40).map("".join))
def test_lightcp_finds_a_part_of_the_answer_with_an_include_and_no_blanks_around_it(text: str) -> None:
    code = extract_code("lightcp", "cpp", text)
    assert code is None or (code in text and "#include" in code and code == code.strip())


@given(
    st.text(" \n\t", min_size=1, max_size=3),
    st.text(" \n\t", max_size=3),
    st.sampled_from(["{ }", "{ f(); if (x) { }", "{"]),
)
def test_lightcp_finds_a_main_however_it_is_spaced_or_cut_off(wide: str, narrow: str, body: str) -> None:
    program = f"{INCLUDE}\nint{wide}main{narrow}() {body}"
    assert extract_code("lightcp", "cpp", f"Here:\n{program}") == program


@given(st.lists(st.sampled_from(["def main():", "main()", " ", "x", "\n"]), max_size=12).map("".join))
def test_dmoj_calls_main_where_it_is_defined_once_and_named_nowhere_else(code: str) -> None:
    found = extract_code("dmoj", "python", f"```python\n{code}\n```")
    alone = code.count("def main():") == 1 and code.count("main()") == 1
    assert found == code + ("\nmain()" if alone else "")


@given(st.lists(st.one_of(PIECES, st.sampled_from(["\r", "\t", "\u2028"])), max_size=40).map("".join))
def test_blocks_of_livecodebench_pro_are_those_of_its_rule(text: str) -> None:
    by_rule = re.findall(r"^```cpp\s*\n(.*?)\n```", text, re.DOTALL | re.MULTILINE)
    assert list(_cpp_blocks(text)) == by_rule


@pytest.mark.timeout(60)  # a rule that goes back at every line takes an hour for each
@pytest.mark.parametrize("text", ["```cpp" + "\n" * 400_000, "int main(){}\n" * 80_000 + INCLUDE])
def test_an_answer_that_repeats_itself_holds_nothing_up(text: str) -> None:
    assert extract_code("lightcp", "cpp", text) is None
