"""The renderer of a model as a recipe describes it: its tokenizer, and the format named there or found."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tessy.chat.probing import Found, find_format
from tessy.chat.renderer import Renderer
from tessy.chat.thinking import Marks
from tessy.chat.vocabulary import load_tokenizer
from tessy.config.models import GptOss, ModelReference, Template


def load_renderer(
    source: str,
    revision: str | None,
    model: ModelReference,
    formats: Mapping[str, str] = MappingProxyType({}),
    tokenizer: Any = None,
) -> Renderer:
    """The renderer of the model at `source`, in the format of the reference `model`, or in the one that
    `formats` has for it; raises `UserError` where `auto` finds none.

    `tokenizer` is used in place of the model's own, whose vocabulary it has to have: a base model is trained
    in its chat model's format.
    """
    settings = _opening(model.gpt_oss) if model.gpt_oss else None
    if model.format != "auto":
        named = formats.get(model.format, model.format)
        return Renderer(tokenizer or load_tokenizer(source, revision), named, settings)
    own = load_tokenizer(source, revision)
    return Renderer(tokenizer or own, found_format(own, source, revision, model).format)


def _opening(settings: GptOss) -> dict[str, str]:
    """The fields of gpt-oss's system message."""
    return {"reasoning_effort": settings.reasoning_effort, "date": settings.date.isoformat()}


def found_format(tokenizer: Any, source: str, revision: str | None, model: ModelReference) -> Found:
    """What `auto` finds for the model at `source`."""
    template, given = model.template or Template(), model.thinking
    return find_format(
        tokenizer,
        thinking=Marks(given.open, given.close, given.no_thinking) if given else None,
        arguments=template.arguments,
        date=template.date,
        end_ids=end_ids(source, revision),
    )


def end_ids(source: str, revision: str | None = None) -> list[int]:
    """End tokens named by a checkpoint's generation_config.json, else by its config.json."""
    from transformers.utils.hub import cached_file

    for name in ("generation_config.json", "config.json"):
        path = cached_file(source, name, revision=revision, _raise_exceptions_for_missing_entries=False)
        named = json.loads(Path(path).read_text(encoding="utf-8")).get("eos_token_id") if path else None
        if named is not None:
            return list(named) if isinstance(named, list) else [named]
    return []
