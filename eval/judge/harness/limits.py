"""What Python limits and a submission may change: how deep calls go, how many digits a number may have."""

from __future__ import annotations

import sys

DEPTH = 50_000
"""As deep as submissions may call unless they change it."""
# A submission may replace these where it finds them.
_depth, _set_depth = sys.getrecursionlimit, sys.setrecursionlimit
_digits, _set_digits = sys.get_int_max_str_digits, sys.set_int_max_str_digits


class Limits:
    """While entered, there is room for arguments and results whatever a submission has set since, and the
    limit of digits is the one of the time when this was made."""

    def __init__(self) -> None:
        self._then = _digits()

    def __enter__(self) -> None:
        self._before = _depth(), _digits()
        _set_depth(DEPTH)
        _set_digits(self._then)

    def __exit__(self, *_: object) -> None:
        depth, digits = self._before
        _set_depth(depth)
        _set_digits(digits)
