"""The operating point of a trained predictor (threshold and window), stored in a file next to its weights.

Values given by the caller override the file. A checkpoint without the file, such as the published ones, is
used at `DEFAULT_THRESHOLD` with the window that the caller gives.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from tessy.artifacts import read_json, write_json
from tessy.errors import UserError
from tessy.hub import is_commit

FILE = "predictor.json"
FORMAT = 1
DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A token is style where its probability is above `threshold`; windows have `window_tokens` tokens."""

    threshold: float
    window_tokens: int

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise ValueError(f"threshold {self.threshold} is not between 0 and 1")
        if self.window_tokens < 2:
            raise ValueError(f"window_tokens {self.window_tokens} is under 2")


def write_operating_point(folder: Path, point: OperatingPoint) -> None:
    write_json(folder / FILE, {"format": FORMAT, **asdict(point)})


def operating_point(
    source: str, window_tokens: int | None, *, revision: str | None = None, threshold: float | None = None
) -> OperatingPoint:
    """How the checkpoint `source` (a folder or a hub id) is used: as given, or where None, as its file says.

    Raises `UserError` where neither gives a window, and where the file cannot be used.
    """
    if window_tokens is None or threshold is None:
        own = _own(source, revision)
        if own is not None:
            window_tokens, threshold = window_tokens or own.window_tokens, threshold or own.threshold
    if window_tokens is None:
        raise UserError(
            f"switch.window_tokens is not set, and predictor {source} has no {FILE} that says it; set it"
        )
    return OperatingPoint(threshold or DEFAULT_THRESHOLD, window_tokens)


def _own(source: str, revision: str | None) -> OperatingPoint | None:
    """The content of the file next to the weights; None where there is none."""
    path = Path(source) / FILE if Path(source).is_dir() else _from_hub(source, revision)
    if path is None or not path.is_file():
        return None
    try:
        raw = read_json(path)
        found = OperatingPoint(float(raw["threshold"]), int(raw["window_tokens"]))
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: not an operating point of format {FORMAT}: {error}; train the predictor again"
        ) from None
    if raw.get("format") != FORMAT:
        raise UserError(f"{path}: format {raw.get('format')}, this version reads {FORMAT}; train it again")
    return found


def _from_hub(source: str, revision: str | None) -> Path | None:
    """The cached file of a hub checkpoint, fetched if needed; None where the checkpoint has none. A commit is
    looked up once, because its content never changes.

    If the hub cannot be reached, it is not known whether the file exists: the cache alone decides only in
    offline mode.
    """
    from huggingface_hub import _CACHED_NO_EXIST, hf_hub_download, try_to_load_from_cache
    from huggingface_hub.constants import HF_HUB_OFFLINE
    from huggingface_hub.errors import (
        EntryNotFoundError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
    )

    try:
        known = try_to_load_from_cache(source, FILE, revision=revision) if is_commit(revision) else None
        if known is _CACHED_NO_EXIST:
            return None
        return Path(hf_hub_download(source, FILE, revision=revision))
    except LocalEntryNotFoundError as error:
        if HF_HUB_OFFLINE:
            return None
        raise UserError(
            f"predictor {source}: cannot find out whether it has a {FILE} ({error.__cause__ or error}); name "
            "its threshold and window_tokens in the recipe, or go by what is cached with HF_HUB_OFFLINE=1"
        ) from None
    except EntryNotFoundError:
        return None
    except (HfHubHTTPError, HFValidationError) as error:
        raise UserError(f"predictor {source}: no such folder, and on the hub: {error}") from None
