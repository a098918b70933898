"""What a model is asked: a code benchmark's official prompt, this project's own words, or a recipe's text.

OJBench's prompts come with its data, as the miniature's do. LiveCodeBench's and LiveCodeBench-Pro's stand in
their evaluators' source, from where they are read (`eval.official`). All are one user message.

LiveCodeBench formats by a model's style. Followed is `OpenAIReasonPreview`, one of those for models that
reason: the generic system message, an empty line and the generic question, all from the user. None is made
for Qwen3-8B or gpt-oss; Qwen's (`CodeQwenInstruct`) writes ChatML into the prompt, where here a model's own
template belongs, and forbids any text except the program.

Not covered: prompts for base models, and those of the other styles.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from eval.humaneval import OURS, TITLES
from eval.official import OfficialText, Published, official_text
from tessy.config.base import MINIATURE
from tessy.config.evaluate import CodeBenchmark

# A change to any of these requires a new revision of the stage `evaluate` (`tessy.stages.evaluate`).
LCB = Published(
    "LiveCodeBench/LiveCodeBench",
    "28fef95ea8c9f7a547c8329f2cd3d32b92c1fa24",
    "lcb_runner/prompts/code_generation.py",
    "7f360dc01016c277e10c70959f46efe27b37c1d2c4ef72b077f93f348b3fd826",
)
PRO = Published(
    "GavinZhengOI/LiveCodeBench-Pro", "9a9c0b7397973e7e614339ded196e8df39bf2c33", "api_interface.py"
)

_PRO_OURS = (
    "You take part in a programming contest. Write a C++ program that solves the problem below; its time and "
    "memory limits are part of the statement. Put the whole program into one block fenced with ```cpp.\n\n"
)
_LCB_OURS = (
    "Solve this programming problem in Python. Your program must meet the specification and pass every test."
    "\n\n"
)


@dataclass(frozen=True, slots=True)
class Asking:
    """`prompt` makes one of a statement and its starter code, if any; `words` tell a reader which it is."""

    words: str
    prompt: Callable[[str, str], str]


BARE = Asking("the dataset's own", lambda statement, _: statement)


def asking(benchmark: CodeBenchmark) -> Asking:
    """How `benchmark` asks; raises `UserError` where its official prompt cannot be had."""
    lcb = benchmark.kind.startswith("livecodebench_v")
    own = benchmark.kind == "ojbench" or benchmark.source == MINIATURE
    if benchmark.kind in TITLES:
        return _small(benchmark.instruction)
    copy = Path(benchmark.prompt_file) if benchmark.prompt_file else None
    match benchmark.instruction:
        case "official" | "ours" if own:
            return BARE
        case "official":
            return _lcb_official(official_text(LCB, copy)) if lcb else _pro_official(official_text(PRO, copy))
        case "ours":
            return _lcb(_LCB_OURS, "a request for Python") if lcb else _pro(_PRO_OURS, "a request for C++")
        case text:
            return _lcb(text, repr(text)) if lcb else _pro(text, repr(text))


def _small(instruction: str) -> Asking:
    """HumanEval and its like, whose authors ask with the problem alone."""
    if instruction == "official":
        return BARE
    before = OURS if instruction == "ours" else instruction
    words = "a request for a Python program" if instruction == "ours" else repr(instruction)
    return Asking(f"{words}, then the problem", lambda statement, _: before + statement)


def _pro_official(text: OfficialText) -> Asking:
    before = text.constant("LLMInterface.prompt")
    return Asking(_named(text), lambda statement, _: before + statement)


def _lcb_official(text: OfficialText) -> Asking:
    before = text.constant("PromptConstants.SYSTEM_MESSAGE_GENERIC")

    def prompt(statement: str, starter_code: str) -> str:
        fields = {"question_content": statement, "starter_code": starter_code}
        return f"{before}\n\n{text.filled('get_generic_question_template_answer', fields)}"

    return Asking(_named(text), prompt)


def _named(text: OfficialText) -> str:
    return f"official, from {text.where} (SHA-256 {text.sha256})"


def _pro(before: str, words: str) -> Asking:
    return Asking(f"{words}, then the statement", lambda statement, _: before + statement)


def _lcb(before: str, words: str) -> Asking:
    return Asking(
        f"{words}, the statement, its starter code if any, and a fence to fill",
        lambda statement, starter_code: f"{before}{statement}\n\n{_lcb_form(starter_code)}",
    )


def _lcb_form(starter_code: str) -> str:
    if starter_code:
        return (
            "Complete this starter code and put the result into a fenced block.\n\n"
            f"```python\n{starter_code}\n```\n"
        )
    return (
        "Read from standard input and write only the answer to standard output. Put the program into a "
        "fenced block.\n\n```python\n# your code\n```\n"
    )
