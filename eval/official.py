"""A benchmark's official prompts, read from its authors' repository at a pinned commit.

They are constants and functions of f-strings in Python files of the official evaluators. The file is fetched
once and kept, parsed and never executed, and its text is used verbatim; none of it is in this repository.
Set TESSY_RAW_GITHUB to a mirror of raw.githubusercontent.com where that cannot be reached.

Not covered: whether the authors still recommend the file, and prompts made by anything but constants, joined
strings and conditions on a problem's fields.
"""

from __future__ import annotations

import ast
import hashlib
import os
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from eval.sandbox.helper import cache_dir, keep
from tessy.errors import UserError

TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Published:
    """A file on GitHub at a commit, which is what pins it; and, where it is known, by what is in it."""

    repository: str
    commit: str
    path: str
    sha256: str | None = None

    def __str__(self) -> str:
        return f"{self.path} of {self.repository}@{self.commit}"

    @property
    def address(self) -> str:
        mirror = os.environ.get("TESSY_RAW_GITHUB", "https://raw.githubusercontent.com")
        return f"{mirror}/{self.repository}/{self.commit}/{self.path}"


class OfficialText:
    """The strings of a Python file by name: `NAME`, `Class.NAME`, or `Class.name` for what a method sets on
    `self`; and functions that join them with a problem's fields. `sha256` is the file's."""

    def __init__(self, where: str, content: bytes) -> None:
        self.where, self.sha256 = where, hashlib.sha256(content).hexdigest()
        try:
            tree = ast.parse(content)
        except (SyntaxError, ValueError) as error:
            raise UserError(f"{where}: not a Python file: {error}; give the official one") from None
        self._constants = dict(_constants(tree.body))
        self._functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}

    def constant(self, name: str) -> str:
        """The string called `name`; raises `UserError` where there is none."""
        if name not in self._constants:
            raise self._lacks(name)
        return self._constants[name]

    def filled(self, name: str, fields: Mapping[str, str]) -> str:
        """What the function `name` returns for a problem with these `fields`; raises `UserError` where it is
        made of anything but strings."""
        if name not in self._functions:
            raise self._lacks(name)
        function = self._functions[name]
        problem = function.args.args[0].arg if function.args.args else ""
        known = self._constants | {f"{problem}.{field}": text for field, text in fields.items()}
        try:
            returned = _returned(function.body, known)
        except KeyError as error:
            raise UserError(
                f"{self.where}: {name} is made of more than strings and conditions ({error.args[0]}); give "
                "the prompt as `instruction`"
            ) from None
        if returned is None:
            raise self._lacks(f"{name} that returns a string")
        return returned

    def _lacks(self, name: str) -> UserError:
        return UserError(
            f"{self.where}: has no {name}, where the official prompt stood; give the file as it was, or "
            "`instruction: ours` or a text"
        )


def official_text(published: Published, copy: Path | None = None) -> OfficialText:
    """The published file: its local `copy`, or what was fetched now or before; raises `UserError`."""
    if copy is not None:
        try:
            return OfficialText(str(copy), copy.read_bytes())
        except OSError as error:
            raise UserError(f"prompt_file {copy}: cannot be read ({error}); give the official file") from None
    kept = cache_dir() / "official" / published.repository / published.commit / published.path
    if kept.is_file():
        return OfficialText(str(published), kept.read_bytes())
    content = _fetched(published)
    text = OfficialText(str(published), content)
    if published.sha256 not in (None, text.sha256):
        raise UserError(
            f"official prompt: {published.address} has SHA-256 {text.sha256}, and the authors' file has "
            f"{published.sha256}; use another mirror, or give a copy you trust as `prompt_file`"
        )
    keep(kept, content)
    return text


def _fetched(published: Published) -> bytes:
    try:
        with urllib.request.urlopen(published.address, timeout=TIMEOUT_S) as response:
            content: bytes = response.read()
    except (OSError, HTTPException, ValueError) as error:
        raise UserError(
            f"official prompt: {published.address} cannot be fetched ({error}); use the network once, or "
            "give a local copy of that file as `prompt_file`, or a text as `instruction` (`ours` for this "
            "project's own words)"
        ) from None
    return content


# Reading ------------------------------------------------------------------------------------------


def _constants(body: Sequence[ast.stmt], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Strings that are set at the top, in classes, and on `self` in their methods."""
    for node in body:
        match node:
            case ast.ClassDef(name=name) if not prefix:
                yield from _constants(node.body, f"{name}.")
            case ast.FunctionDef() if prefix:
                yield from _constants(node.body, prefix)
            case ast.Assign(
                targets=[ast.Name(id=name) | ast.Attribute(value=ast.Name(id="self"), attr=name)]
            ):
                try:
                    yield prefix + name, _text(node.value, {})
                except KeyError:
                    continue


def _returned(body: Sequence[ast.stmt], known: dict[str, str]) -> str | None:
    """What these statements return, with `known` as the values of names; None where they only set some.
    Raises `KeyError` on any that does neither."""
    for statement in body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                known[name] = _text(value, known)
            case ast.AugAssign(target=ast.Name(id=name), op=ast.Add(), value=value):
                known[name] = known[name] + _text(value, known)
            case ast.If(test=test, body=then, orelse=otherwise):
                returned = _returned(then if _text(test, known) else otherwise, known)
                if returned is not None:
                    return returned
            case ast.Return(value=ast.expr() as value):
                return _text(value, known)
            case ast.Expr(value=ast.Constant()):
                continue
            case _:
                raise KeyError(ast.unparse(statement))
    return None


def _text(node: ast.expr, known: Mapping[str, str]) -> str:
    """The value of a string expression; raises `KeyError` with what is none, or not known."""
    match node:
        case ast.Constant(value=str() as text):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_text(part, known) for part in parts)
        case ast.FormattedValue(value=inner, conversion=-1, format_spec=None):
            return _text(inner, known)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _text(left, known) + _text(right, known)
        case ast.Call(func=ast.Attribute(value=inner, attr="strip"), args=[], keywords=[]):
            return _text(inner, known).strip()
        case ast.Name() | ast.Attribute():
            return known[ast.unparse(node)]
        case _:
            raise KeyError(ast.unparse(node))
