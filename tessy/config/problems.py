"""The recipe's section `problems`: where training prompts come from."""

from __future__ import annotations

from tessy.config.base import Positive, Section


class Problems(Section):
    """Where training prompts come from; their responses are always synthesised."""

    source: str
    """`miniature`, or a .jsonl or .parquet file with the columns `id` and `prompt`."""
    limit: Positive | None = None
    """Use only this many, from the front."""
