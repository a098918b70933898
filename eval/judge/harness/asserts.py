"""A submission and statements that test it, in one process: they pass if none raises (HumanEval, MBPP)."""

from __future__ import annotations

import io
import sys
from typing import NoReturn

from . import official
from .common import code


class _WriteOnly(io.StringIO):
    """All standard streams, as officially."""

    def _refuse(self, *_: object) -> NoReturn:
        raise OSError

    read = readline = readlines = _refuse


def run(limit_s: str) -> NoReturn:
    """Take the statements as the one test there is, and say what came of it."""
    clock, say, leave = official.Clock(limit_s=float(limit_s)), official.say, official.leave
    official.put_away()
    official.take_away(exit_too=True)
    sys.argv[1:] = []
    given = official.next_test() or ""
    try:
        compiled = compile(f"{code()}\n{given}", "<string>", "exec", dont_inherit=True)
    except official.NOT_PYTHON as error:
        say(b"X", clock, repr(error))
        leave(0)
    sys.stdin = sys.stdout = sys.stderr = _WriteOnly()
    try:
        with clock:
            exec(compiled, {})
        say(b"L" if clock.late else b"T", clock, "passed")
    except official.TimeoutException:
        say(b"L", clock, "")
    except BaseException as error:
        say(b"F", clock, repr(error))
    leave(0)
