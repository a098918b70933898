"""The chat side of an exported checkpoint: what others need, so that it speaks and stops elsewhere.

A model is exported with the tokenizer files and generation settings of the model whose chat format it was
trained on, which is not always the one that training started from: a base model stops at a token that was
never trained. Config, generation config and tokenizer then name the token that ended the training sequences.

Not covered: whether the model stops, which is tried (`train.answer`); tools.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tessy.artifacts import read_json, write_json, write_text
from tessy.chat import Renderer
from tessy.runtime.job import Source
from train.examples import Example

TOKENIZER_FILES = ("tokenizer", "special_tokens", "vocab", "merges", "chat_template", "generation_config")
"""How the names of files begin that travel with a model as they are."""
TEMPLATE = "chat_template.jinja"
_TURN, _SYSTEM = "tessy-user-turn", "tessy-system-turn"
"""Stand for a user's and a system message."""


@dataclass(frozen=True, slots=True)
class Chat:
    """How a trained model is talked to: `source` has the tokenizer files and generation settings, `ends` are
    the ids that ended its training sequences, the most frequent first, `end` is the first of them as text.
    `template` is written where `source` has no chat template, and empty where it has one."""

    source: Source
    ends: Sequence[int]
    end: str
    template: str


def trained_chat(source: Source, renderer: Renderer, examples: Sequence[Example]) -> Chat:
    """The chat format that training on `examples` teaches."""
    ends = [token for token, _ in Counter(int(example.ids[-1]) for example in examples).most_common()]
    missing = not has_template(local_files(source))
    return Chat(source, ends, renderer.decode(ends[:1]), plain_template(renderer) if missing else "")


def plain_template(renderer: Renderer) -> str:
    """A chat template for one exchange, from the renderer's own prompts: a system message where the format
    has one, a question, and an answer with its thinking in its content."""
    alone = _literal(renderer.decode(renderer.prompt_ids(_TURN)), "messages[0].content")
    behind = "{{- raise_exception('this model has no system prompt') -}}"
    if renderer.format.system_user:
        whole = renderer.decode(renderer.prompt_ids(_TURN, _SYSTEM))
        behind = _literal(whole, "messages[1].content", "messages[0].content")
    end = _literal(renderer.decode(renderer.close_answer_ids()))
    return (
        "{%- if messages[0].role == 'system' -%}" + behind + "{%- set rest = messages[2:] -%}"
        "{%- else -%}" + alone + "{%- set rest = messages[1:] -%}{%- endif -%}"
        "{%- for message in rest -%}{{- message.content -}}" + end + "{%- endfor -%}"
    )


def _literal(text: str, turn: str = "", system: str = "") -> str:
    """Jinja that writes `text`, with the variables `turn` and `system` in their places."""
    names = {_TURN: turn, _SYSTEM: system}
    parts = re.split(f"({_TURN}|{_SYSTEM})", text)
    return "{{- " + " + ".join(names.get(part) or repr(part) for part in parts) + " -}}"


def write_chat(folder: Path, chat: Chat) -> None:
    """Put the chat's files and end token into the exported checkpoint in `folder`."""
    copy_tokenizer(chat.source, folder)
    write_json(folder / "config.json", _ending(read_json(folder / "config.json"), chat))
    _change(folder / "generation_config.json", lambda old: _generation(old, chat))
    _change(folder / "tokenizer_config.json", lambda old: {**old, "eos_token": chat.end})
    if (folder / "special_tokens_map.json").exists():
        _change(folder / "special_tokens_map.json", lambda old: {**old, "eos_token": chat.end})
    if chat.template:
        write_text(folder / TEMPLATE, chat.template)


def has_template(folder: Path) -> bool:
    """Whether a checkpoint has a chat template, in a file of its own or in the tokenizer's settings."""
    settings = folder / "tokenizer_config.json"
    named = settings.exists() and read_json(settings).get("chat_template")
    return bool(named) or any(folder.glob("chat_template.*"))


def local_files(source: tuple[str, str | None]) -> Path:
    """The folder of a checkpoint's small files; those of a hub id are fetched."""
    name, revision = source
    if Path(name).is_dir():
        return Path(name)
    from huggingface_hub import snapshot_download

    patterns = ["config.json", *(f"{name}*" for name in TOKENIZER_FILES)]
    return Path(snapshot_download(name, revision=revision, allow_patterns=patterns))


def copy_tokenizer(source: tuple[str, str | None], folder: Path) -> None:
    """Copy the tokenizer files and generation settings of a checkpoint as they are."""
    for file in local_files(source).iterdir():
        if file.name.startswith(TOKENIZER_FILES) and file.is_file():
            shutil.copy2(file, folder / file.name)


def _ending(config: Mapping[str, Any], chat: Chat) -> dict[str, Any]:
    """A model's config that ends with the trained token; of a nested config, the text model's, too."""
    end = chat.ends[0] if len(chat.ends) == 1 else list(chat.ends)
    changed = {**config, "eos_token_id": end, "use_cache": True}
    if isinstance(nested := config.get("text_config"), Mapping):
        changed["text_config"] = {**nested, "eos_token_id": end, "use_cache": True}
    return changed


def _generation(old: Mapping[str, Any], chat: Chat) -> dict[str, Any]:
    """Generation settings that stop at the trained ends first, and wherever they stopped before."""
    before = old.get("eos_token_id")
    stops = [*chat.ends, *(before if isinstance(before, list) else [before])]
    unique = list(dict.fromkeys(stop for stop in stops if stop is not None))
    kept = {key: value for key, value in old.items() if key != "use_cache"}
    return {**kept, "eos_token_id": unique if len(unique) > 1 else unique[0]}


def _change(file: Path, change: Any) -> None:
    write_json(file, change(read_json(file) if file.exists() else {}))
