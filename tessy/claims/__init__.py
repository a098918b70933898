"""Who works on what, where several processes share the work of one folder.

An owner is one process. It takes keys (sample ids, stages), one at a time, and says every few seconds that it
lives. A key belongs to the owner that took it last; it may be taken from an owner that has died. Every take
has a number, one higher than the one before, so that what a slow owner still writes after it has lost a key
can be told from the work of its successor.

No implementation relies on `flock`, which network file systems have or lack as they please:

- `files.FileClaims`: files that are created exclusively, for workers that share a folder;
- `tessy.cluster.coordinator`: an actor, for workers of a Ray cluster.

Not covered: what the work is, and where its results are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

BEAT_S = 5.0
"""How often an owner shows that it lives."""
LEASE_S = 40.0
"""An owner that has not shown itself for so long is taken for dead. With the time it takes to notice, what
it had is taken over within a minute."""


class Claims(Protocol):
    """The claims of one folder as one owner sees them."""

    @property
    def owner(self) -> str:
        """This owner's name, of letters and digits."""
        ...

    def take(self, key: str) -> int | None:
        """Take `key` unless another living owner has it; returns the number of the claim."""
        ...

    def holds(self, key: str) -> bool:
        """Whether nobody has taken `key` since this owner did."""
        ...

    def alive(self, owner: str) -> bool:
        """Whether `owner` still shows that it lives."""
        ...

    def show(self, state: Mapping[str, float | int | str]) -> None:
        """What the next signs of life should say about this owner's progress."""
        ...

    def close(self) -> None:
        """End this owner: all it holds may be taken at once."""
        ...
