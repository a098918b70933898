"""Runs inside the sandbox: one LiveCodeBench submission, in the way a mode wants.

    python3 harness.py strict|fixed -|FUNCTION [RESULT]

`fixed`: the submission is the main program of a real process with real standard streams, or a call of
FUNCTION. `strict`: as the official judge runs it, which is in a function of a process that has its
standard streams replaced, so that some right programs fail (`eval.judge` lists them).
A call's result goes to the file RESULT as JSON: what is compared is data, whatever the submission
patched. Not covered: isolation; the sandbox around this process is what contains the submission.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import sys
from typing import Any, NoReturn

PREAMBLE = "\n".join(
    f"from {name} import *"
    for name in [
        "string",
        "re",
        "datetime",
        "collections",
        "heapq",
        "bisect",
        "copy",
        "math",
        "random",
        "statistics",
        "itertools",
        "functools",
        "operator",
        "io",
        "sys",
        "json",
        "builtins",
        "typing",
    ]
) + "".join(
    f"\nimport {name}"
    for name in [
        "string",
        "re",
        "datetime",
        "collections",
        "heapq",
        "bisect",
        "copy",
        "math",
        "random",
        "statistics",
        "itertools",
        "functools",
        "operator",
        "io",
        "sys",
        "json",
    ]
)
PATH = "/box/main.py"


def main() -> None:
    mode, function, result = [*sys.argv[1:], ""][:3]
    sys.setrecursionlimit(50000)
    with open(PATH, encoding="utf-8", errors="replace") as stream:
        code = stream.read()
    sys.argv = [PATH]
    if function != "-":
        call(code, function, result, mode)
    elif mode == "fixed":
        as_program(code)
    else:
        as_function(code)


def call(code: str, function: str, result: str, mode: str) -> None:
    dump, write, close, given = json.dumps, os.write, os.close, sys.stdin.read()
    handle = os.open(result, os.O_WRONLY)
    scope = namespace("__main__" if mode == "fixed" else "submission")
    exec(compile(code, PATH, "exec", dont_inherit=True), scope)
    arguments = [json.loads(line) for line in given.split("\n") if line.strip()]
    target = scope["Solution"]() if "Solution" in scope else None
    value = (getattr(target, function) if target is not None else scope[function])(*arguments)
    value = plain(value, nested=mode == "fixed")
    text = dump(value).encode()
    while text:
        text = text[write(handle, text) :]
    close(handle)


def plain(value: Any, nested: bool) -> Any:
    """Tuples as lists: officially the outermost only. What JSON would quietly turn into something equal
    to an answer is refused."""
    if isinstance(value, tuple):
        value = list(value)
    return json_like(value, nested)


def json_like(value: Any, nested: bool) -> Any:
    if value is None or isinstance(value, (str, int, float)):
        return value
    if type(value) is list or (nested and isinstance(value, (tuple, list))):
        return [json_like(one, nested) for one in value]
    if isinstance(value, dict) and all(type(key) is str for key in value):
        return {key: json_like(one, nested) for key, one in value.items()}
    return {"not comparable": type(value).__name__}


def namespace(name: str) -> dict[str, Any]:
    scope = {"__name__": name, "__builtins__": __builtins__, "__file__": PATH}
    exec(PREAMBLE, scope)
    return scope


def as_program(code: str) -> None:
    program, fresh = compile(code, PATH, "exec", dont_inherit=True), namespace("__main__")
    scope = sys.modules["__main__"].__dict__
    scope.clear()
    scope.update(fresh)
    exec(program, scope)


class Input(io.StringIO):
    """Standard input as the official judge fakes it: whole reads and line reads, nothing else."""

    def __iter__(self) -> NoReturn:
        raise TypeError("standard input cannot be iterated over here")

    __next__ = __iter__


def as_function(code: str) -> None:
    tree = ast.parse(code)
    last = tree.body[-1] if tree.body else None
    if isinstance(last, ast.If) and is_main_guard(last.test):
        tree.body[-1:] = last.body
    imports = [node for node in tree.body if is_import(node)]
    rest = [node for node in tree.body if node not in imports]
    scope = namespace("submission")
    exec(compile(ast.Module(imports, []), PATH, "exec", dont_inherit=True), scope)
    wrapper = ast.parse("def solve(): pass")
    if rest:
        wrapper.body[0].body = rest  # type: ignore[attr-defined]
    exec(compile(ast.fix_missing_locations(wrapper), PATH, "exec", dont_inherit=True), scope)
    given, real = sys.stdin.read(), sys.stdout
    sys.stdin, sys.stdout = Input(given), io.StringIO()
    # What writes past the replaced stream is lost there, so it must not count here.
    kept = os.dup(1)
    os.dup2(os.open("/dev/null", os.O_WRONLY), 1)
    scope["open"] = no_files
    with contextlib.suppress(SystemExit):
        scope["solve"]()
    said = sys.stdout.getvalue()
    sys.stdout = real
    with os.fdopen(kept, "w", encoding="utf-8", errors="replace") as out:
        out.write(said)


def no_files(*_: object, **__: object) -> NoReturn:
    raise OSError("there are no files here")


def is_import(node: ast.stmt) -> bool:
    return isinstance(node, ast.Import) or (isinstance(node, ast.ImportFrom) and node.module != "__future__")


def is_main_guard(test: ast.expr) -> bool:
    return isinstance(test, ast.Compare) and isinstance(test.left, ast.Name) and test.left.id == "__name__"


if __name__ == "__main__":
    main()
