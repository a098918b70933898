"""`format: auto`: what a model's own template says, against the formats written by hand and every template
that TRL ships.

Tokenizers are folders in the official layout, loaded as users load them.
"""

from __future__ import annotations

import datetime
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from chat_models import PHI4_REASONING, SMOLLM2, SMOLLM3, TRL, Kind, template, write_tokenizer
from vocabularies import GPT_OSS, renderer

from tessy.chat import FORMATS, Renderer, load_tokenizer
from tessy.chat.choosing import end_ids
from tessy.chat.probing import Found, find_format
from tessy.chat.thinking import Marks
from tessy.errors import UserError

DATE = datetime.date(2026, 1, 1)
TEXT_MARKS = Marks("<think>\n", "\n</think>\n\n", "")
NO_THINKING, IMAGES = "it has no thinking", "content in parts"


def found(folder: Path, thinking: Marks | None = None, **arguments: str) -> tuple[Found, Any]:
    tokenizer = load_tokenizer(str(folder))
    how = find_format(
        tokenizer, thinking=thinking, arguments=arguments, date=DATE, end_ids=end_ids(str(folder))
    )
    return how, tokenizer


# Families written by hand -------------------------------------------------------------------------

FAMILY_ENDS = {
    "qwen3": ("qwen3", ["<|im_end|>", "<|endoftext|>"]),
    "gpt_oss": ("gptoss", ["<|return|>", "<|endoftext|>", "<|call|>"]),
    "deepseek_r1": ("deepseek_r1_distill", ["<｜end▁of▁sentence｜>"]),
}
WORDS = (
    *("Print", "the sum", "of all", " primes", "\n", "\n\n", "  ", "x_1", "3.14", "```python\nx = 1\n```"),
    *("é", "漢字", "😀", "{prompt}", "{x}", "Привет", "\t", "</b>", "<|", "|>", "wait.", "$x^2$", "  \n"),
)


def conversations(count: int) -> Iterator[tuple[str, str]]:
    """A question and a system prompt, half of them without; beginnings and ends are of any kind."""
    rng = random.Random(0)
    for number in range(count):
        question, system = ("".join(rng.choices(WORDS, k=rng.randrange(1, 12))) for _ in range(2))
        yield question, system if number % 2 else ""


@pytest.mark.parametrize("family", FAMILY_ENDS)
def test_auto_finds_what_was_written_by_hand(family: str) -> None:
    """The same ids on 200 conversations, through thinking and answer, with and without thinking. Ends mean
    the same; `auto` also ends where a tool is called, which the template of Qwen3 names."""
    by_hand, (named, ends) = renderer(family), FAMILY_ENDS[family]
    tokenizer = by_hand.tokenizer
    tokenizer.chat_template = template(named)
    how = find_format(
        tokenizer,
        arguments={"reasoning_effort": GPT_OSS["reasoning_effort"]},
        date=datetime.date.fromisoformat(GPT_OSS["date"]),
        end_ids=tokenizer.convert_tokens_to_ids(ends),
    )
    auto = Renderer(tokenizer, how.format)
    for question, system in conversations(200):
        assert parts(auto, question, system) == parts(by_hand, question, _as_engine(family, system))
    for part, known in FORMATS[family].ends.items():
        there = {marker: reason for marker, reason in known.items() if marker in tokenizer.get_vocab()}
        more = how.format.ends[part].items() - there.items()
        assert there.items() <= how.format.ends[part].items()
        assert {reason for _, reason in more} <= {"tool_call"}


def _as_engine(family: str, system: str) -> str:
    """gpt-oss's own renderer, which the format by hand follows, lacks the template's blank line."""
    return f"{system}\n\n" if family == "gpt_oss" and system else system


def parts(chat: Renderer, question: str, system: str) -> list[list[int]]:
    return [
        chat.prompt_ids(question, system),
        chat.open_thinking_ids(),
        chat.close_thinking_ids("so."),
        chat.close_thinking_ids("so.\n"),
        chat.no_thinking_ids(),
        chat.close_answer_ids(),
    ]


# Every template that TRL ships --------------------------------------------------------------------

QWEN, GEMMA4 = ["<|im_end|>", "<|endoftext|>"], ["<turn|>"]
ENDS: Mapping[str, Sequence[str]] = {
    "cohere": ["<|END_OF_TURN_TOKEN|>"],
    "deepseek": ["<｜end▁of▁sentence｜>"],
    "diffusion_gemma": GEMMA4,
    "gemma4": GEMMA4,
    "gemma": ["<end_of_turn>"],
    "glm4": ["<|endoftext|>", "<|user|>", "<|observation|>"],
    "gptoss": ["<|return|>", "<|endoftext|>", "<|call|>"],
    "idefics3": ["<end_of_utterance>"],
    "lfm2": ["<|im_end|>"],
    "llama3": ["<|eot_id|>"],
    "llava": ["</s>"],
    "muse": ["<|eot|>"],
    "nemotron": ["<|im_end|>"],
    "phi3": ["<|end|>"],
    "qwen": QWEN,
    "smolvlm": ["<end_of_utterance>"],
}
TEMPLATES = sorted(path.stem for path in TRL.glob("*.jinja"))


def folder_of(tmp_path: Path, name: str, kind: Kind = "bytes") -> Path:
    ends = next(ends for family, ends in ENDS.items() if name.startswith(family))
    text = template(name)
    bos = "<begin>" if "bos_token" in text else None
    return write_tokenizer(tmp_path / name, text, ends=ends, bos=bos, kind=kind)


GEMMA4_DROPS = ("gemma4", "gemma4_v2", "gemma4_v3", "gemma4_v4")
TEXT_ONLY = ("cohere", "gemma", "lfm2", "llama3", "phi3", "qwen2_5", "qwen3_instruct_2507", "qwen3_vl")
"""Models of these templates have no thinking of their own: the recipe says what opens and closes it."""
IMAGES_ONLY = ("idefics3", "llava_next", "smolvlm")
NAMED = ("gemma4_v5", "lfm2_2_5", "lfm2_2_5_v2", "lfm2_2_5_vl")
FAST = ("deepseek_r1_distill", "gemma3", "glm4moe", "gptoss", "idefics3", "llama3", "qwen3", "qwen3_5_think")


def kind_of(name: str) -> str:
    """`parts`, `text`, or `auto`: what this project makes of a template."""
    base = name.removesuffix("_training")
    if base in IMAGES_ONLY:
        return "parts"
    return "text" if base in GEMMA4_DROPS or (base.startswith(TEXT_ONLY) and base not in NAMED) else "auto"


@pytest.mark.parametrize(
    "name", [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in TEMPLATES]
)
def test_every_template_of_trl_works_or_is_refused_with_the_reason(name: str, tmp_path: Path) -> None:
    folder, kind = folder_of(tmp_path, name), kind_of(name)
    if kind == "parts":
        with pytest.raises(UserError, match=IMAGES):
            found(folder)
        return
    if kind == "text":
        with pytest.raises(UserError, match=NO_THINKING):
            found(folder)
    how, tokenizer = found(folder, TEXT_MARKS if kind == "text" else None)
    chat = Renderer(tokenizer, how.format)
    assert chat.end_spellings == (("</think>",) if kind == "text" else ())
    assert chat.close_answer_ids()[-1] in chat.answer_end_ids
    for question, system in conversations(20):
        messages = [{"role": "system", "content": system}] if system else []
        messages.append({"role": "user", "content": question})
        if not (system and not how.format.system_user):
            assert is_prompt(chat, how, question, system, as_users_do(tokenizer, messages))


def as_users_do(tokenizer: Any, messages: list[dict[str, str]]) -> list[int]:
    ids: list[int] = tokenizer.apply_chat_template(
        messages,
        add_generation_prompt=True,
        return_dict=False,
        enable_thinking=True,
        thinking=True,
        strftime_now=DATE.strftime,
    )
    return ids


def is_prompt(chat: Renderer, how: Found, question: str, system: str, ids: list[int]) -> bool:
    """Templates end where thinking is opened, or just before."""
    prompt = chat.prompt_ids(question, system)
    return ids in (prompt, [*prompt, *chat.open_thinking_ids()])


# Models that TRL has no template of ----------------------------------------------------------------


def test_smollm3_takes_its_marks_from_how_thinking_is_switched_off(tmp_path: Path) -> None:
    extra = ["<think>", "</think>"]
    folder = write_tokenizer(tmp_path, SMOLLM3, ends=["<|im_end|>"], extra=extra)
    how, tokenizer = found(folder)
    form = how.format
    assert (form.open_thinking, form.close_thinking, form.no_thinking) == (
        "<think>\n",
        "\n</think>\n",
        "<think>\n\n</think>\n",
    )
    assert "01 January 2026" in form.user
    assert form.strips == {"system": "right"}
    assert Renderer(tokenizer, form).end_spellings == ()


def test_a_template_that_writes_the_date_is_told_one_or_refused(tmp_path: Path) -> None:
    folder = write_tokenizer(tmp_path, SMOLLM3, ends=["<|im_end|>"])
    with pytest.raises(UserError, match=r"current date.*template: \{date: "):
        find_format(load_tokenizer(str(folder)))


def test_phi_4_reasoning_has_its_marks_in_the_vocabulary_and_no_system_prompt(tmp_path: Path) -> None:
    marks = ["<|im_start|>", "<|im_sep|>", "<|im_end|>"]
    folder = write_tokenizer(
        tmp_path, PHI4_REASONING, ends=marks[-1:], extra=["<think>", "</think>"], stripping=marks
    )
    how, tokenizer = found(folder)
    chat = Renderer(tokenizer, how.format)
    assert (how.format.open_thinking, how.format.close_thinking) == ("<think>\n", "\n</think>\n\n")
    assert "leaves it out" in how.evidence["system prompt"]
    with pytest.raises(UserError, match="no system prompt"):
        chat.prompt_ids("?", "Be brief.")
    # Its markers take the white space around them away.
    padded = chat.prompt_ids("  Print it. ")
    assert padded == chat.prompt_ids("Print it.")
    assert padded == as_users_do(tokenizer, [{"role": "user", "content": "  Print it. "}])


def test_smollm2_thinks_in_text(tmp_path: Path) -> None:
    folder = write_tokenizer(tmp_path, SMOLLM2, ends=["<|im_end|>"])
    with pytest.raises(UserError, match=NO_THINKING):
        found(folder)
    how, tokenizer = found(folder, TEXT_MARKS)
    chat = Renderer(tokenizer, how.format)
    assert chat.end_spellings == ("</think>",)
    assert chat.decode(chat.open_thinking_ids()) == "<think>\n"
    assert how.format.user.startswith("<|im_start|>system\nYou are a helpful assistant.<|im_end|>")
    assert how.format.ends["thinking"] == {"<|im_start|>": "stray", "<|im_end|>": "unclosed"}


def test_marks_of_the_recipe_that_are_tokens_are_used_as_tokens(tmp_path: Path) -> None:
    """Gemma 4's earlier templates render no thinking; its vocabulary has the channel markers."""
    folder = folder_of(tmp_path, "gemma4_v2")
    how, tokenizer = found(folder, Marks("<|channel>thought\n", "\n<channel|>"))
    chat = Renderer(tokenizer, how.format)
    assert chat.end_spellings == ()
    assert how.format.ends["thinking"]["<channel|>"] == "end"
    assert chat.no_thinking_ids() == chat.open_thinking_ids() + chat.close_thinking_ids("")


def test_distillations_lack_the_tool_markers_that_r1_has(tmp_path: Path) -> None:
    """Both by hand and by `auto`: a marker that the vocabulary lacks ends nothing."""
    text = template("deepseek_r1_distill")
    markers = ["<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>", "<think>", "</think>"]
    folder = write_tokenizer(tmp_path, "", ends=markers[2:3], bos="<｜begin▁of▁sentence｜>", extra=markers)
    (folder / "chat_template.jinja").write_text(text, encoding="utf-8")
    how, tokenizer = found(folder)
    auto, by_hand = Renderer(tokenizer, how.format), Renderer(tokenizer, "deepseek_r1")
    assert "<｜tool▁calls▁begin｜>" in FORMATS["deepseek_r1"].markers
    for question, system in conversations(20):
        assert parts(auto, question, system) == parts(by_hand, question, system)
    assert set(auto.thinking_end_ids) == set(by_hand.thinking_end_ids)
    assert set(auto.answer_end_ids) == set(by_hand.answer_end_ids)


def test_without_a_template_the_remedy_is_named(tmp_path: Path) -> None:
    folder = write_tokenizer(tmp_path, SMOLLM2, ends=["<|im_end|>"])
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(UserError, match=r"no chat_template in its tokenizer.*`format`"):
        found(folder)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{{ raise_exception('not today') }}", "not today"),
        ("{% for m in messages %}{{ m.content | upper }}{% endfor %}", "user's text 0 times"),
        ("{% for m in messages %}{{ m.content.replace('\\n', ' ') }}<|e|>{% endfor %}", "white space"),
        ("{% for m in messages %}{{ m.content }}{% endfor %}<|e|>{{ undefined.thing }}", "undefined"),
        ("{% for m in messages %}{{ m.content.replace('é', 'e') }}<|e|>{% endfor %}", "other ids"),
    ],
)
def test_templates_that_change_texts_are_refused(text: str, reason: str, tmp_path: Path) -> None:
    folder = write_tokenizer(tmp_path, text, ends=["<|e|>"])
    with pytest.raises(UserError, match=reason):
        found(folder, TEXT_MARKS)
