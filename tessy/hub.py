"""The hub: models and data sets by their names there, each at one commit for as long as a stage lasts.

A name without a revision means whatever the branch `main` is at; which commit that was when it was looked up
is kept, so that a result can say it. What the hub, the network or the cache cannot give is said as a
`UserError` that names repository, revision and remedy, and nothing that is half there is handed out.

Not covered: reading what was fetched, and checkpoints themselves: transformers and vLLM fetch those.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from tessy.errors import UserError

TIMEOUT_S = 30
"""For the question whether a revision exists."""


def is_commit(revision: str | None) -> bool:
    """Whether a revision can never name anything else."""
    return re.fullmatch(r"[0-9a-f]{40}", revision or "") is not None


def recorded_as(source: str, revision: str | None) -> str:
    """What a model is called where its commit is put on record."""
    return f"{source}@{revision or 'main'}"


def commit_of(source: str, revision: str | None) -> str | None:
    """The commit that the model `source` is at, or None for a folder; raises `UserError` if nobody knows.

    Where the hub cannot be asked, it is the one that the cache was last told.
    """
    if Path(source).is_dir():
        return None
    from huggingface_hub import HfApi

    try:
        return str(HfApi().resolve_revision(source, revision=revision).resolved)
    except Exception as error:
        raise UserError(unusable(f"model {source}", revision, error)) from error


def snapshot(dataset: str, revision: str, files: Sequence[str] | None = None) -> Path:
    """A folder with the data set at that commit, or with those of its `files` that match a pattern.

    Where the hub cannot be asked, it is the cached one, if it is whole. Raises `UserError`.
    """
    from huggingface_hub import HfApi, snapshot_download

    patterns = None if files is None else list(files)
    try:
        # The download alone asks a hub that is down for half a minute before it says so.
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
    """What a client library's `error` over the repository `what` means to its user, and the remedy."""
    reason, remedy = _meaning(error)
    at = f" at revision {revision}" if revision else ""
    return f"{what}{at}: {reason}; {remedy}, or name a local copy instead"


def _meaning(error: BaseException) -> tuple[str, str]:
    """Reason and remedy, read from the error and what caused it."""
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
