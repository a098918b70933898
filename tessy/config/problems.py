"""The recipe's section `problems`: where training prompts come from."""

from __future__ import annotations

from typing import Literal

from tessy.config.sources import Source


class Problems(Source):
    """Where training prompts come from; their responses are always synthesised."""

    source: str
    """`miniature`, or a table of prompts: a file, a folder, or a hub id (`tessy.config.sources`)."""
    too_long: Literal["leave_out", "refuse"] = "leave_out"
    """What becomes of a prompt that leaves no room for a response of `synthesis.max_tokens` in
    `train.max_length`, or in what a model can read at once: it is left out and counted, or nothing is run."""
