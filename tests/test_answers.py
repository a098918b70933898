"""Answers in prose: found where they stand, equal when they mean the same, and no text takes long."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.answers import after_thinking, boxed, letter, stated, unfinished
from eval.equality import decided, equal
from eval.tasks import prose

SAME = [
    ("42", "042"), ("1,000", "1000"), (r"\frac{1}{2}", "0.5"), (r"\dfrac12", "1/2"), ("13.", "13"),
    (r"2\sqrt{3}", r"\sqrt{12}"), (r"\sqrt[3]{8}", "2"), ("x=5", "5"), ("f(x)=2x", "2x"), (r"\$5", "5"),
    ("1, 2", "2,1"), (r"\{1,2\}", r"\{2,1\}"), (r"\pm 3", "3,-3"), ("x=1, y=2", "1,2"), ("(1,2)", "(1, 2)"),
    (r"\left[0,\frac12\right)", "[0,0.5)"), ("x^2+y^2=1", "2x^2+2y^2=2"), (r"\frac{n^2+n}{2}", "n(n+1)/2"),
    (r"90^\circ", "90"), (r"12\text{ cm}", "12"), (r"50\%", "50"), (r"\binom{10}{3}", "120"),
    (r"e^{i\pi}", "-1"), (r"\log_2 8", "3"), (r"\sin^2 x+\cos^2 x", "1"), (r"10^{-5}", "0.00001"),
    (r"a_1+a_{2}", "a_2+a_1"), (r"\text{even}", "even"), (r"x\in[1,2]", "[1,2]"), (r"\mathbf{7}", "7"),
    ("f(x+1)", "f(1+x)"), ("2f(x)f'(x)", "f(x)f'(x)+f'(x)f(x)"), ("f(f(2x))", "f(f(x+x))"),
    ("f(4/2)", "f(2)"), (r"|\max(1,|x|)|", r"\max(|x|,1)"),
    ("f(x,y+1)+1", "1+f(x,1+y)"), ("g(1+x)", "g+gx"), ("f+gx", "f+xg"), ("f_0(1+x)", "f_0+f_0x"),
]  # fmt: skip
DIFFERENT = [
    ("1", "2"), ("", "1"), ("(2,1)", "(1,2)"), ("[0,1]", "[0,1)"), ("1,2", "1"), ("1,1", "1,2"),
    ("12345678901234567890", "12345678901234567891"), (r"\frac{1}{0}", "1"), ("x+1", "x+2"), ("ab", "a+b"),
    (r"\lfloor n/2\rfloor+1", r"\lceil n/2\rceil"), (r"\max_{x} f", "f"),
    ("x^2+y^2=1", "x^2+y^2=2"), ("__import__('os')", "1"), (r"\sqrt{2}", "1.4142"),
    ("f(x+1)", "f(x)+f(1)"), ("f(2x)", "2f(x)"), ("f(x,y)", "f(y,x)"), ("f'(x)", "f(x)"),
    ("f(f(x))", "f(x)^2"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "two"), SAME)
def test_answers_that_mean_the_same(one: str, two: str) -> None:
    assert equal(one, two)
    assert equal(two, one)


@pytest.mark.parametrize(("one", "two"), DIFFERENT)
def test_answers_that_do_not(one: str, two: str) -> None:
    assert not equal(one, two)


def test_an_error_is_the_data_set_s_and_absolute() -> None:
    assert equal("3.14", r"\pi", [1e-2])
    assert not equal("3.14", r"\pi")
    assert not equal("505", "500", [0.1])
    assert equal("0.002, 5.2", "5.21, 0.0021", [0.1, 0.001])
    assert not equal("0.05, 5.2", "5.21, 0.0021", [0.1, 0.001])


def test_an_error_is_in_the_unit_of_the_answer() -> None:
    assert equal(r"9.75\mathrm{~m}", r"9.8\mathrm{~m}", [0.1])
    assert equal(r"45.2^\circ", r"45^\circ", [0.5])
    assert equal("45.2", r"45^\circ", [0.5])
    assert not equal(r"45.9^\circ", r"45^\circ", [0.5])
    assert not equal("0.7", r"45^\circ", [1])
    assert not equal("0.4", r"50\%", [0.5])


PIECES = [
    *r"0129xekn+-*/^_!|(){}[],=.\ " + '":;&~`√²₂≡', r"\frac", r"\sqrt", r"\pi", r"\text{", r"\pmod", r"\pm",
    r"\in", r"\{", r"\}", r"\cup", r"\gcd(", r"\lfloor", r"\sinh^{-1}", r"\overline{12}", "2^{2024}",
    "10^{400}", "2024!", "e-1", "x10^", r"\text{ for all }", r"\text{ million}", r"\begin{vmatrix}",
    r"\end{vmatrix}", "(a)", r"\Rightarrow", r"\forall", "<", r"\ge", "_{(3)}", r"\boxed{",
]  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(*[st.lists(st.sampled_from(PIECES), max_size=14).map("".join)] * 2)
def test_every_text_is_judged_and_equals_itself(one: str, two: str) -> None:
    """Beneath the guard that `equal` is for faults that nobody has thought of, too."""
    assert equal(one, one)
    for expected in (two, "1", "x=2^{2024}"):
        with contextlib.suppress(ValueError):
            decided(one, expected)


def test_what_cannot_be_computed_takes_no_other_answer_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> bool:
        raise IndexError

    monkeypatch.setattr("eval.equality.decided", broken)
    assert not equal("1", "2")
    assert equal("1", "1")


HOSTILE = {
    "a tower": "9^{9^{9^{9^9}}}",
    "large powers": "+".join(f"3^{{{20000 - k}}}/2^{{{15000 + k}}}" for k in range(80)),
    "factorials": "3000!" * 300,
    "nested brackets": "(" * 900 + "1" + ")" * 900,
    "nested groups": "{" * 900 + "1" + "}" * 900,
    "nested fractions": r"1\frac{" * 200 + "1" + "}{2}" * 200,
    "nested text": r"\text{" * 300 + "1" + "}" * 300,
    "signs": "-" * 1899 + "1",
    "bars": "|" * 1900,
    "digits": "9" * 1900 + "!",
    "list": "1," * 900,
    "variables": "".join(f"x_{{{k}}}" for k in range(280)),
    "chain": "=".join(["x^2+1"] * 300),
    "units": r"\mathrm{kg}" * 180,
    "functions": r"\sin" * 450 + "x",
    "applied functions": "f(" * 59 + "x" + ")" * 59,
    "a megabyte": "1+" * 500_000 + "1",
    "spaces": " " * 1_000_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_answer_takes_long(text: str) -> None:
    start = time.process_time()
    assert not equal(text, "x+1")
    assert not equal("x+1", text)
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    "text",
    [
        r"\boxed{",
        r"\boxed{1}",
        "{",
        "}",
        "Answer: ",
        "answer:",
        "Answer:\n",
        "Answer: $",
        r"\boxed{1} ",
        r"\(",
        "$",
        "- ",
        "final answer is ",
        r"\boxed{1}(a) ",
        "<think></think>",
    ],
)
def test_no_response_takes_long(text: str) -> None:
    response = text * (1_000_000 // len(text))
    start = time.process_time()
    boxed(response)
    stated(response)
    after_thinking(response)
    letter(response + " " * 100_000)
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    ("response", "found"),
    [
        (r"so \boxed{\frac{1}{2}} holds", r"\frac{1}{2}"),
        (r"\boxed{1}, no, \boxed{2}.", "2"),
        (r"\boxed{3} then \boxed{4", "3"),
        (r"\boxed{\{1,2\}}", r"\{1,2\}"),
        (r"\fbox{7}", "7"),
        (r"\boxed 7$ is it", "7"),
        (r"as \boxed{4} shows." "\n" r"So the final answer is \boxed{1}, \boxed{2}.", "1,2"),
        (r"\boxed{9} is too large; the roots are $\boxed{-2}$ and $\boxed{1}$.", "-2,1"),
        (r"\[\boxed{1},\quad\boxed{2} \quad\text{ and }\quad \boxed{(1,2)}\]", "1,2,(1,2)"),
        (r"\boxed{\frac12}, that is \boxed{0.5}", "0.5"),
        (r"\boxed{1} \boxed{2}", "2"),
        (r"(a) $\boxed{1}$" "\n\n" r"(b) $\boxed{2}$", "1,2"),
        ("1. $\\boxed{1}$\n2. $\\boxed{2}$\n", "1,2"),
        ("- \\boxed{1}\n- \\boxed{2}", "1,2"),
        (r"$x=\boxed{1}$, $y=\boxed{2}$", "1,2"),
        (r"$x=\boxed{1}$ and $y=\boxed{2}$", "1,2"),
        (r"\(\boxed{1}\) & \(\boxed{2}\)", "1,2"),
        (r"\boxed{7} - \boxed{3}", "3"),
        (r"$\boxed{7}$ $x=\boxed{3}$", "3"),
        (r"**Final Answer:** \boxed{42}" "\n\n" r"Note: \boxed{} is used.", "42"),
        (r"\\boxed{42}", "42"),
        (r"1 \\\boxed{42}", "42"),
        (r"\boxed{}", None),
        ("no box", None),
    ],
)
def test_the_last_whole_box_counts(response: str, found: str | None) -> None:
    assert boxed(response) == found


@pytest.mark.parametrize(
    ("response", "found"),
    [
        ("Answer: C", "C"), ("**Answer: C**", "C"), ("**Answer:** (B)", "B"), (r"Answer: $\boxed{D}$", "D"),
        (r"Answer: \(C\)", "C"), (r"Answer: $\mathbf{C}$", "C"), ("Answer:\nC", "C"),
        ("Answer:\n\nConsider A", None), ("Answer:\nA carbon atom moves", None),
        ("Answer:\nA\nso it is", "A"),
        ("**Answer:**\n\n**C**", "C"), (r"Answer: \[\boxed{\text{C}}\]", "C"), (r"\textbf{Answer: C}", "C"),
        ("answer: A\nAnswer: **B**", "B"), ("Answer: Because", None), ("C", None), ("Answer: E", None),
    ],
)  # fmt: skip
def test_the_last_stated_letter_counts(response: str, found: str | None) -> None:
    assert letter(response) == found


def test_only_what_follows_the_thinking_is_read() -> None:
    assert after_thinking("<think>\\boxed{1}</think>\\boxed{2}") == "\\boxed{2}"
    assert after_thinking("opened in the prompt</think>2") == "2"
    assert after_thinking("<think>still going \\boxed{1}") == ""
    assert unfinished("<think>still going")
    assert after_thinking("\\boxed{3}") == "\\boxed{3}"
    assert after_thinking("<think>x</think>\\boxed{2}<think>hmm</think>\n") == "\\boxed{2}"
    assert after_thinking("<think>x</think>") == ""


@pytest.mark.parametrize(
    ("response", "found"),
    [
        ("So the final answer is 42.", "42"), ("So the final answer is $42$.", "42"), ("42", "42"),
        (r"So the final answer is $\frac{1}{2}$.", r"\frac{1}{2}"), ("So the final answer is **42**.", "42"),
        ("Thus $x=4$.\nThe answer is $42$.", "42"), (r"Both \(1\) and \(2\)", "1,2"), ("I don't know", None),
        (r"So the final answer is \boxed{}", None), ("", None), ("The answer is 42.", None),
    ],
)  # fmt: skip
def test_without_a_box_olympiads_read_the_last_line(response: str, found: str | None) -> None:
    assert stated(response) == found
    doc = {"answer_type": "Numerical", "final_answer": [found or "42"]}
    scores = prose.olympiad_results(doc, [[response]])
    assert scores["exact_match"] == (found is not None)
    assert scores["no_answer"] == (found is None)
    assert prose.aime_results({"answer": "42"}, [[response]])["no_answer"] == 1
