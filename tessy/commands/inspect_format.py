"""`tessy inspect-format`: what `format: auto` finds in a model's own chat template."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator, Mapping

import click

from tessy.chat.formats import ChatFormat
from tessy.chat.probing import Found

_PARTS = {
    "user": "prompt",
    "system_user": "with a system prompt",
    "open_thinking": "opens thinking",
    "close_thinking": "closes thinking",
    "no_thinking": "instead of thinking",
    "close_answer": "ends the answer",
}


@click.command(
    "inspect-format",
    epilog="""\b
Examples:
  tessy inspect-format Qwen/Qwen3-8B
  tessy inspect-format checkpoints/SmolLM2 --open '<think>\\n' --close '\\n</think>\\n\\n'
  tessy inspect-format openai/gpt-oss-20b --date 2026-01-01 --set reasoning_effort=high
""",
)
@click.argument("model")
@click.option("--revision", help="A commit of a model on the hub.")
@click.option("--open", "opening", help=r"What opens thinking, \n for a line break (models.*.thinking.open).")
@click.option("--close", "closing", help="What closes it (models.*.thinking.close).")
@click.option("--date", type=click.DateTime(["%Y-%m-%d"]), help="The day the template is told.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="A variable of the template.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def inspect_format_command(
    model: str,
    revision: str | None,
    opening: str | None,
    closing: str | None,
    date: datetime.datetime | None,
    settings: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show the chat format of MODEL, a checkpoint folder or a hub id: its prompt, what opens and closes
    thinking, what ends a turn, and which markers count as stray.

    Status 2 with the reason where the template cannot be used. No weights are loaded.
    """
    from tessy.chat import Renderer, load_tokenizer
    from tessy.chat.choosing import end_ids
    from tessy.chat.probing import find_format
    from tessy.chat.thinking import Marks

    if (opening is None) != (closing is None):
        raise click.UsageError("--open and --close go together")
    tokenizer = load_tokenizer(model, revision)
    found = find_format(
        tokenizer,
        thinking=Marks(_text(opening), _text(closing), "") if opening and closing else None,
        arguments=dict(_setting(one) for one in settings),
        date=date.date() if date else None,
        end_ids=end_ids(model, revision),
    )
    if as_json:
        click.echo(json.dumps({**found.format.plain, "evidence": dict(found.evidence)}, ensure_ascii=False))
        return
    chat = Renderer(tokenizer, found.format)
    for line in described(found, chat.end_spellings):
        click.echo(line)


def described(found: Found, end_spellings: tuple[str, ...]) -> Iterator[str]:
    """The format as lines for people; line breaks in its texts are spelled `\\n`."""
    form = found.format
    for name, title in _PARTS.items():
        yield f"{title:<22}{_shown(getattr(form, name))}"
    yield f"{'thinking is given as':<22}{form.reasoning or 'part of the content'}"
    if form.strips:
        yield f"{'white space dropped':<22}{', '.join(f'{n}: {s}' for n, s in form.strips.items())}"
    if end_spellings:
        yield f"{'ends thinking as text':<22}{', '.join(end_spellings)}: no token of its own"
    yield from _ends(form)
    for what, how in found.evidence.items():
        yield f"{what + ' found':<22}{how}"


def _ends(form: ChatFormat) -> Iterator[str]:
    for part, ends in form.ends.items():
        by_reason: dict[str, list[str]] = {}
        for marker, reason in sorted(ends.items()):
            by_reason.setdefault(reason, []).append(marker)
        for why, named in sorted(by_reason.items()):
            yield f"{f'{part}: {why}':<22}{' '.join(named)}"


def _shown(text: str) -> str:
    return json.dumps(text, ensure_ascii=False) if text else "none"


def _text(option: str | None) -> str:
    return (option or "").replace("\\n", "\n")


def _setting(option: str) -> tuple[str, str | bool | int]:
    name, separator, value = option.partition("=")
    if not separator:
        raise click.UsageError(f"--set {option}: give NAME=VALUE")
    known: Mapping[str, bool] = {"true": True, "false": False}
    return name, known[value] if value in known else int(value) if value.isdecimal() else value
