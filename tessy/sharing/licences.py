"""Licences of models: as a local checkpoint's card says, as the hub says, or as their publishers announced.

Not covered: what a licence permits.
"""

from __future__ import annotations

import re
from pathlib import Path

UNKNOWN = "not known here"
_ANNOUNCED = (
    ("Qwen/Qwen3", "apache-2.0"),
    ("openai/gpt-oss-", "apache-2.0"),
    ("deepseek-ai/DeepSeek-R1-Distill-Llama-", "mit, over Llama's own (llama3.1 for 8B, llama3.3 for 70B)"),
    ("deepseek-ai/DeepSeek-R1", "mit"),
    ("HuggingFaceTB/SmolLM", "apache-2.0"),
)
"""By how a hub id begins."""
_FIELD = re.compile(r"^license:\s*(\S.*?)\s*$", re.MULTILINE)


def licence_of(source: str, revision: str | None = None, *, ask_hub: bool = False) -> str:
    """The licence of the model `source`."""
    folder = Path(source)
    if folder.is_dir():
        return _in_card(folder / "README.md") or UNKNOWN
    announced = next((licence for start, licence in _ANNOUNCED if source.startswith(start)), None)
    return (_on_the_hub(source, revision) if ask_hub else None) or announced or UNKNOWN


def _in_card(card: Path) -> str | None:
    try:
        text = card.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    head = text.split("---")[1] if text.startswith("---") and text.count("---") > 1 else ""
    found = _FIELD.search(head)
    return found[1] if found else None


def _on_the_hub(source: str, revision: str | None) -> str | None:
    from huggingface_hub import HfApi

    from tessy.hub import TIMEOUT_S

    try:
        data = HfApi().model_info(source, revision=revision, timeout=TIMEOUT_S).card_data
    except Exception:
        # A card is not worth a failure: what was announced, or that nothing is known, is said instead.
        return None
    return str(data.license) if data and data.get("license") else None
