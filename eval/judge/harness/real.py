"""One test of a submission as a process of its own that nobody interferes with (mode `fixed`)."""

from __future__ import annotations

import builtins
import json
import os
import sys
from typing import Any

from .common import PATH, PRELUDE, code, described
from .limits import Limits


def program() -> None:
    """The submission is the main program, with real standard streams."""
    compiled, fresh = compile(code(), PATH, "exec", dont_inherit=True), _namespace("__main__")
    scope = sys.modules["__main__"].__dict__
    scope.clear()
    scope.update(fresh)
    real = sys.stdout
    try:
        exec(compiled, scope)
    except SystemExit:
        sys.exit(0)  # officially its code says nothing
    finally:
        if not real.closed:
            real.flush()  # a program that has replaced it leaves that to the end of the process


def call(function: str, result: str) -> None:
    """Standard input holds the arguments, one JSON value a line; the value goes to the file `result`."""
    dump, write, close, given = json.dumps, os.write, os.close, sys.stdin.read()
    handle = os.open(result, os.O_WRONLY)
    scope, limits = _namespace("tmp_sol"), Limits()
    exec(compile(code(), PATH, "exec", dont_inherit=True), scope)
    arguments = [json.loads(line) for line in given.split("\n") if line.strip()]
    target = scope["Solution"]() if "Solution" in scope else None
    value = (getattr(target, function) if target is not None else scope[function])(*arguments)
    with limits:
        text = dump(described(value)).encode()
    while text:
        text = text[write(handle, text) :]
    close(handle)


def _namespace(name: str) -> dict[str, Any]:
    scope = {"__name__": name, "__builtins__": __builtins__, "__file__": PATH}
    exec(PRELUDE, scope)
    for built_in, value in vars(builtins).items():  # found where they are, which a program may change
        if scope.get(built_in) is value:
            del scope[built_in]
    sys.set_int_max_str_digits(0)
    return scope
