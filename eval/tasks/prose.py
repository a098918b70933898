"""Documents and scoring of the lm-eval tasks whose answer stands in prose: AIME, GPQA-Diamond, OlympiadBench.

Every repeat counts: the tasks hand all samples of a document over (`all_samples`), and each metric is their
mean, so that exact_match is pass@1 averaged over repeats. lm-eval does not tell why a response ended;
`truncated` here is the share that opened its thinking and never closed it, so leave `think_end_token` unset.

Not covered: thinking whose opening is part of the prompt; a cut there shows as `no_answer`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from statistics import fmean
from typing import Any

from eval import answers
from eval.equality import equal
from eval.official import Published, official_text
from tessy.errors import UserError

GPQA = Published("openai/simple-evals", "ee3b0318d8d1d9d72755a4120879be65f7c07e9e", "common.py")
CHOICES = ("Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")


def all_samples(resps: Any, docs: Any) -> Any:
    """The filter that picks nothing."""
    return resps


def _metrics(
    found: Sequence[str | None], right: Callable[[str], bool], responses: Sequence[str]
) -> dict[str, float]:
    return {
        "exact_match": fmean(answer is not None and right(answer) for answer in found),
        "no_answer": fmean(answer is None for answer in found),
        "truncated": fmean(answers.unfinished(response) for response in responses),
    }


# AIME ---------------------------------------------------------------------------------------------


def aime_prompt(doc: Mapping[str, Any]) -> str:
    """2024's fields are capitalised, 2025's are not."""
    return f"{doc.get('Problem') or doc['problem']}\nRemember to put your final answer within \\boxed{{}}."


def aime_target(doc: Mapping[str, Any]) -> str:
    return str(doc["Answer"] if "Answer" in doc else doc["answer"])


def aime_results(doc: Mapping[str, Any], results: Sequence[Sequence[str]]) -> dict[str, float]:
    found = [answers.boxed(answers.after_thinking(response)) for response in results[0]]
    return _metrics(found, partial(_equals, aime_target(doc)), results[0])


def _equals(expected: str, answer: str) -> bool:
    return equal(answer, expected)


# GPQA ---------------------------------------------------------------------------------------------


def gpqa_docs(dataset: Any) -> Any:
    """Add `choices` in an order drawn from the question itself, so it never depends on its neighbours."""
    return dataset.map(_shuffled)


def _shuffled(doc: Mapping[str, Any]) -> dict[str, Any]:
    order = list(CHOICES)
    random.Random(doc["Question"]).shuffle(order)
    return {"choices": [doc[name] for name in order], "answer": "ABCD"[order.index(CHOICES[0])]}


def gpqa_prompt(doc: Mapping[str, Any]) -> str:
    """In simple-evals' words, read where they are published; raises `UserError` where they cannot be had."""
    return _gpqa_template().format(Question=doc["Question"], **dict(zip("ABCD", doc["choices"], strict=True)))


@cache
def _gpqa_template() -> str:
    try:
        return official_text(GPQA).constant("QUERY_TEMPLATE_MULTICHOICE")
    except UserError as error:
        raise UserError(f"task tessy_gpqa_diamond: {error}; or take task tessy_gpqa_diamond_ours") from None


def gpqa_prompt_ours(doc: Mapping[str, Any]) -> str:
    choices = zip("ABCD", doc["choices"], strict=True)
    listed = "\n".join(f"{name}) {choice.strip()}" for name, choice in choices)
    return (
        "Choose the right answer to this question. Think it through, then finish with one line that reads "
        f"'Answer: X', where X is A, B, C or D.\n\n{doc['Question'].strip()}\n\n{listed}"
    )


def gpqa_results(doc: Mapping[str, Any], results: Sequence[Sequence[str]]) -> dict[str, float]:
    found = [answers.letter(answers.after_thinking(response)) for response in results[0]]
    return _metrics(found, str(doc["answer"]).__eq__, results[0])


# OlympiadBench ------------------------------------------------------------------------------------

_FORMS = {
    "Numerical": "a number",
    "Expression": "an expression",
    "Equation": "an equation",
    "Interval": "an interval",
    "Tuple": "a tuple",
}


def olympiad_docs(dataset: Any) -> Any:
    """Only what a program can compare."""
    return dataset.filter(lambda doc: doc["answer_type"] in _FORMS and doc["final_answer"])


def olympiad_prompt(doc: Mapping[str, Any]) -> str:
    form = _FORMS[doc["answer_type"]]
    if doc["is_multiple_answer"]:
        form = f"several answers, separated by commas, each {form}"
    unit = f", in {doc['unit']} and without the unit" if doc.get("unit") else ""
    context = f"{doc['context']}\n" if doc.get("context") else ""
    return (
        f"Solve this problem from an international {doc['subject'].lower()} competition. The answer is {form}"
        f"{unit}. Write formulas in LaTeX, and close with 'So the final answer is \\boxed{{answer}}.'\n\n"
        f"{context}{doc['question']}"
    )


def olympiad_target(doc: Mapping[str, Any]) -> str:
    return str(doc["final_answer"][0])


def olympiad_results(doc: Mapping[str, Any], results: Sequence[Sequence[str]]) -> dict[str, float]:
    read = [answers.after_thinking(response) for response in results[0]]
    found = [answers.boxed(response) or answers.stated(response) for response in read]
    return _metrics(found, partial(_olympiad_equals, doc), results[0])


def _olympiad_equals(doc: Mapping[str, Any], answer: str) -> bool:
    """Within the data set's own error; where that is a list, its entries belong to the parts in order. As in
    the official scorer, tuples have none."""
    errors = [] if "Tuple" in doc["answer_type"] else _numbers(doc.get("error"))
    return equal(answer, olympiad_target(doc), errors)


def _numbers(listed: Any) -> list[float | None]:
    """The errors of a field like `0.1` or `0.1,,2`; what is not a number has none."""
    try:
        parts = str(listed or "").split(",")
        return [float(part) if part.strip() else None for part in parts]
    except ValueError:
        return []
