"""Runs inside the sandbox: Python that comes with a DMOJ problem, called as DMOJ's documentation says.

    python3 dmoj_bridge.py check PROBLEM.py ARGS FACTS INPUT OUTPUT ANSWER
    python3 dmoj_bridge.py interact PROBLEM.py ARGS FACTS INPUT ANSWER

A checker is a function `check(process_output, judge_output, **kwargs)`; an interactive grader a class
`Grader` with `interact(case, interactor)`, standard input and output being the submission's. ARGS and FACTS
are JSON: what `init.yml` gives the checker, and what is known of the test. Exits with 0 for right, 1 for
wrong; what raises is a fault of the problem's. Standard library only. Written from the documentation; what
that does not say is not here: then the problem's code fails, and says so.

Not covered: graders that launch the submission themselves, variables that survive from one test to the next.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import math
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NoReturn, cast


class CheckerResult:
    """What a function may return in place of a boolean. `points` do not count, only `passed`."""

    def __init__(
        self, passed: bool, points: float = 0, feedback: str | None = None, *_: Any, **__: Any
    ) -> None:
        self.passed, self.points, self.feedback = passed, points, feedback


class Result:
    """Documented as what `interact` may return, though the official judge takes that for a fault."""

    AC, WA = 0, 1

    def __init__(self, case: Any = None, result_flag: int = 0, **more: Any) -> None:
        self.case, self.result_flag = case, result_flag
        vars(self).update(more)


class InteractiveGrader:
    """What a grader inherits from."""


class WrongAnswer(BaseException):
    """The submission said something that is no such number."""


class Unknown:
    """Stands for what is not known here. Any use of it is an error."""

    def __init__(self, name: str) -> None:
        object.__setattr__(self, "_name", name)

    def __getattribute__(self, name: str) -> NoReturn:
        raise RuntimeError(f"{object.__getattribute__(self, '_name')} is not known here")

    def __len__(self) -> int:
        raise RuntimeError(f"{object.__getattribute__(self, '_name')} is not known here")

    __bool__ = __iter__ = __eq__ = __str__ = __bytes__ = __float__ = __int__ = __len__  # type: ignore[assignment]
    __hash__ = None  # type: ignore[assignment]


class Case:
    """A test, as graders see it."""

    def __init__(self, facts: dict[str, Any], given: bytes, answer: bytes) -> None:
        self.position, self.points, self.batch = facts["position"], facts["points"], facts["batch"]
        self._given, self._answer = given, answer

    def input_data(self) -> bytes:
        return self._given

    def output_data(self) -> bytes:
        return self._answer


class Interactor:
    """The submission's side of the talk, in bytes. Where it has ended there is an `OSError`."""

    def __init__(self) -> None:
        self._from, self._to, self._rest = sys.stdin.buffer, sys.stdout.buffer, b""

    def read(self) -> bytes:
        return _something(self._from.read())

    def readln(self, strip_newline: bool = True) -> bytes:
        line = _something(self._from.readline())
        return line.rstrip() if strip_newline else line

    def readtoken(self, delim: bytes | None = None) -> bytes:
        """The last token of a line, or the only one, is all that is left of it, blanks before it included."""
        token = self._rest or self.readln()
        parts = token.split(delim, 1)
        token, self._rest = parts if len(parts) == 2 else (token, b"")
        return token

    def readint(self, lo: float = -math.inf, hi: float = math.inf, delim: bytes | None = None) -> int:
        return self._number(int, lo, hi, delim)

    def readfloat(self, lo: float = -math.inf, hi: float = math.inf, delim: bytes | None = None) -> float:
        return self._number(float, lo, hi, delim)

    def _number(self, kind: Callable[[bytes], Any], lo: float, hi: float, delim: bytes | None) -> Any:
        token = self.readtoken(delim)
        try:
            value = kind(token)
        except ValueError:
            raise WrongAnswer(f"{token[:50]!r} is no number") from None
        if not lo <= value <= hi:
            raise WrongAnswer(f"{value} is not between {lo} and {hi}")
        return value

    def write(self, val: Any) -> None:
        self._to.write(str(val).encode())
        self._to.flush()

    def writeln(self, val: Any) -> None:
        self.write(f"{val}\n")

    def close(self) -> None:
        self._from.close()
        self._to.close()


def _something(said: bytes) -> bytes:
    if not said:
        raise OSError("the submission said nothing more")
    return said


class Documented:
    """Imports of `dmoj` and what is in it find what is documented."""

    NAMES: ClassVar = {one.__name__: one for one in (CheckerResult, Result, InteractiveGrader)}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name.partition(".")[0] != "dmoj":
            return None
        return importlib.machinery.ModuleSpec(name, cast(Any, self), is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        return None

    def exec_module(self, module: types.ModuleType) -> None:
        vars(module).update(self.NAMES)


def check(
    scope: dict[str, Any], args: dict[str, Any], facts: dict[str, Any], given: bytes, *rest: bytes
) -> bool:
    output, answer = rest
    result = scope["check"](
        output, answer, judge_input=given, point_value=facts["points"], case_position=facts["position"],
        batch=facts["batch"], submission_language=facts["language"], binary_data=facts["binary"],
        execution_time=facts["seconds"], problem_id=facts["problem"], **args,
        **{name: Unknown(name) for name in ("submission_source", "result")},
    )  # fmt: skip
    return _decided(result)


def interact(scope: dict[str, Any], _: dict[str, Any], facts: dict[str, Any], *data: bytes) -> bool:
    grader = scope["Grader"]
    try:
        result = grader.interact(object.__new__(grader), Case(facts, *data), Interactor())
    except (WrongAnswer, OSError) as error:
        print(error, file=sys.stderr)
        return False
    return _decided(result)


def _decided(result: Any) -> bool:
    passed = result.passed if isinstance(result, CheckerResult) else result
    if not isinstance(passed, bool):
        raise TypeError(f"the result is {result!r}; it must be a boolean or a CheckerResult of one")
    return passed


RUNS: Mapping[str, Callable[..., bool]] = {"check": check, "interact": interact}


def main() -> None:
    what, path, args, facts, *files = sys.argv[1:]
    sys.meta_path.insert(0, cast(Any, Documented()))
    scope = {"__name__": "problem", "__file__": path, **Documented.NAMES}
    data = [Path(name).read_bytes() for name in files]
    try:
        exec(compile(Path(path).read_bytes(), path, "exec", dont_inherit=True), scope)
        right = RUNS[what](scope, json.loads(args), json.loads(facts), *data)
    except SystemExit as error:
        raise RuntimeError(f"{path} ended the process") from error
    sys.exit(0 if right else 1)


if __name__ == "__main__":
    try:
        main()
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(3)
