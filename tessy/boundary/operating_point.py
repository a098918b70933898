"""How a trained predictor is to be used: written beside its weights, read by whoever loads it.

A checkpoint without the file, such as a published one, is used at `DEFAULT_THRESHOLD` with the window
its caller names.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from tessy.artifacts import read_json, write_json
from tessy.errors import UserError

FILE = "predictor.json"
FORMAT = 1
DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A token is style where its probability is above `threshold`, seen in windows of `window_tokens`."""

    threshold: float
    window_tokens: int

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise ValueError(f"threshold {self.threshold} is not between 0 and 1")
        if self.window_tokens < 2:
            raise ValueError(f"window_tokens {self.window_tokens} is under 2")


def write_operating_point(folder: Path, point: OperatingPoint) -> None:
    write_json(folder / FILE, {"format": FORMAT, **asdict(point)})


def operating_point(source: str, window_tokens: int) -> OperatingPoint:
    """That of the checkpoint folder `source`; raises `UserError` if it was made for other windows."""
    path = Path(source) / FILE
    if not path.is_file():
        return OperatingPoint(DEFAULT_THRESHOLD, window_tokens)
    try:
        raw = read_json(path)
        found = OperatingPoint(float(raw["threshold"]), int(raw["window_tokens"]))
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: not an operating point of format {FORMAT}: {error}; train the predictor again"
        ) from None
    if raw.get("format") != FORMAT:
        raise UserError(f"{path}: format {raw.get('format')}, this version reads {FORMAT}; train it again")
    if found.window_tokens != window_tokens:
        raise UserError(
            f"predictors.window_tokens {window_tokens}: predictor {source} was trained on windows of "
            f"{found.window_tokens}; use that, or train it again"
        )
    return found
