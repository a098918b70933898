"""What is left out of a benchmark because it cannot be read, by name with the reason: one bad row or problem
never takes the others with it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


class Spoiled(dict[str, str]):
    """Reasons by the name of a problem, or by the file and line of a row that has none."""

    @contextlib.contextmanager
    def unless(self, name: str) -> Iterator[None]:
        """What goes wrong inside, as data can be wrong, is a reason of `name`."""
        try:
            yield
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            said = f"no {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
            self[name] = f"{name}: {said}"
