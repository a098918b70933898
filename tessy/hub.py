"""The Hugging Face hub: models and data sets by name, each at one commit for the duration of a stage.

A name without a revision means the branch `main`; the commit that it points to at the look-up is kept, so
that results can state it. What the hub, the network or the cache cannot provide raises a `UserError` with
repository, revision and remedy; incomplete snapshots are never returned.

Not covered: reading what was fetched, and fetching checkpoints, which transformers and vLLM do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from tessy.errors import UserError

TIMEOUT_S = 30
"""For the question whether a revision exists."""


def is_commit(revision: str | None) -> bool:
    """Whether a revision is a full commit hash, which never changes its meaning."""
    return re.fullmatch(r"[0-9a-f]{40}", revision or "") is not None


def recorded_as(source: str, revision: str | None) -> str:
    """The key of a model in records of commits."""
    return f"{source}@{revision or 'main'}"


def commit_of(source: str, revision: str | None) -> str | None:
    """The current commit of the model `source`, None for a folder; raises `UserError` if it is unknown.

    Without access to the hub, it is the commit last recorded in the cache.
    """
    if Path(source).is_dir():
        return None
    from huggingface_hub import HfApi

    try:
        return str(HfApi().resolve_revision(source, revision=revision).resolved)
    except Exception as error:
        raise UserError(unusable(f"model {source}", revision, error)) from error


def snapshot(dataset: str, revision: str, files: Sequence[str] | None = None) -> Path:
    """A folder with the data set at that commit, or with those of its files that match a pattern in `files`.

    Without access to the hub, it is the cached snapshot, if complete. Raises `UserError`.
    """
    from huggingface_hub import HfApi, snapshot_download

    patterns = None if files is None else list(files)
    try:
        # The download itself would retry for half a minute before it reports that the hub is down.
        HfApi().dataset_info(dataset, revision=revision, timeout=TIMEOUT_S)
        return Path(
            snapshot_download(dataset, repo_type="dataset", revision=revision, allow_patterns=patterns)
        )
    except Exception as error:
        try:
            cached = snapshot_download(
                dataset,
                repo_type="dataset",
                revision=revision,
                allow_patterns=patterns,
                local_files_only=True,
            )
        except Exception:
            raise UserError(unusable(f"data set {dataset}", revision, error)) from error
        return Path(cached)


def unusable(what: str, revision: str | None, error: BaseException) -> str:
    """The `UserError` for a client library's `error` about the repository `what`, with the remedy."""
    reason, remedy = _meaning(error)
    at = f" at revision {revision}" if revision else ""
    return f"{what}{at}: {reason}; {remedy}, or name a local copy instead"


def _meaning(error: BaseException) -> tuple[str, str]:
    """Reason and remedy, derived from the error and its cause."""
    from huggingface_hub import errors

    chain = [error]
    while following := chain[-1].__cause__ or chain[-1].__context__:
        chain.append(following)
    for one in chain:
        status = getattr(getattr(one, "response", None), "status_code", None)
        if isinstance(one, errors.GatedRepoError):
            return f"the hub refuses it ({status}), because it is gated", "accept its terms and set HF_TOKEN"
        if isinstance(one, errors.RevisionNotFoundError):
            return "the repository has no such revision (any more)", "give a commit from its history"
        if isinstance(one, errors.RepositoryNotFoundError):
            return f"the hub knows none ({status}) that it shows to you", "check its name, or set HF_TOKEN"
        if isinstance(one, errors.OfflineModeIsEnabled):
            return "the cache does not hold all of it, and HF_HUB_OFFLINE is set", "unset that once"
        if status == 403:
            return "the hub refuses it (403)", "set HF_TOKEN to one that may read it"
        if status is not None:
            return f"the hub answers {status}", "try again later"
    return (
        f"it could not be fetched, and the cache does not hold all of it ({_first_line(chain[-1])})",
        "check the network and run the same command again",
    )


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
