"""Loads a recipe: YAML with bases and overrides, checked against the schema. Errors name the field, the
value, the rule and the nearest known name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from tessy.config.base import Section
from tessy.config.cluster import CLUSTERS
from tessy.config.curation_recipe import CurationRecipe
from tessy.config.evaluate import CodeKind
from tessy.config.given import BY_NAME, GIVEN
from tessy.config.recipe import Recipe
from tessy.errors import UserError, nearest

UNIONS = (*get_args(CodeKind), "lm_eval", BY_NAME, GIVEN, *CLUSTERS)
"""Kinds of a field's values, which stand in the place of an error and in no recipe."""


def load(path: Path | str, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe at `path` with `section.key=value` overrides applied; raises `UserError`.

    A recipe may name another as its `base`, by a path relative to its own, and overrides its values: sections
    are merged key by key, everything else is replaced, and null removes a key.
    """
    return check(read(path, overrides), str(path))


def load_curation(path: Path | str, overrides: Sequence[str] = ()) -> Recipe | CurationRecipe:
    """What `tessy curate` is given: problems alone, or a recipe, which has a section `synthesis`."""
    raw = read(path, overrides)
    return check(raw, str(path)) if "synthesis" in raw else check(raw, str(path), CurationRecipe)


def read(path: Path | str, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The file at `path` as plain data, with its bases and `overrides`; raises `UserError`."""
    raw = _read(Path(path))
    for override in overrides:
        _apply(raw, override)
    return raw


def _read(path: Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The merged content of the file at `path` and its bases; `above` are the recipes that include it."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = sorted(str(p) for p in Path("recipes").rglob("*.yaml"))
        named = f", the base of {above[-1]}" if above else ""
        raise UserError(f"recipe {path}{named}: no such file{nearest(str(path), known)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"recipe {path}: cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise UserError(f"recipe {path}: not valid YAML: {error}") from None
    if not isinstance(raw, dict):
        raise UserError(
            f"recipe {path}: {'it is empty' if raw is None else f'the top level is {type(raw).__name__}'}; "
            "it must map section names to values"
        )
    if "base" not in raw:
        return raw
    base = path.parent / str(raw.pop("base"))
    if base in (*above, path):
        raise UserError(f"recipe {path}: its base {base} is based on it; break the circle")
    return _merged(_read(base, (*above, path)), raw)


def _merged(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """`base` overridden by `own`, recursively."""
    shared = [key for key in own if isinstance(own[key], dict) and isinstance(base.get(key), dict)]
    laid = {**base, **own, **{key: _merged(base[key], own[key]) for key in shared}}
    return {key: value for key, value in laid.items() if value is not None}


S = TypeVar("S", bound=Section)


def check(raw: Mapping[str, Any], where: str, kind: type[S] = Recipe) -> S:  # type: ignore[assignment]
    """Validate plain data against the schema; errors call it `where`."""
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        problems = [_explain(detail, kind) for detail in error.errors()]
        raise UserError("\n".join(f"{where}: {problem}" for problem in problems)) from None


def dump(recipe: Section) -> str:
    """The resolved recipe as YAML, with all defaults."""
    return as_yaml(recipe.plain)


def as_yaml(plain: Mapping[str, Any]) -> str:
    """Plain data in YAML's wide form."""
    return yaml.safe_dump(dict(plain), sort_keys=False, allow_unicode=True, width=100)


def _apply(raw: dict[str, Any], override: str) -> None:
    key, separator, value = override.partition("=")
    if not separator or not all(part for part in key.split(".")):
        raise UserError(f"override {override!r}: must read section.key=value, for example train.epochs=2")
    *sections, last = key.split(".")
    place: Any = raw
    for part in sections:
        if isinstance(place, list) and part.isdecimal() and int(part) < len(place):
            place = place[int(part)]
            continue
        place = place.setdefault(part, {}) if isinstance(place, dict) else None
        if place is None:
            raise UserError(f"override {override!r}: {part!r} is not a section; check the dotted path")
    if not isinstance(place, dict):
        raise UserError(
            f"override {override!r}: {key.rsplit('.', 1)[0]!r} is not a section; check the dotted path"
        )
    try:
        place[last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise UserError(f"override {override!r}: the value is not valid YAML: {error}") from None


def _explain(detail: Any, kind: type[Section]) -> str:
    location = [str(part) for part in detail["loc"] if part not in UNIONS]
    field, message = ".".join(location) or "recipe", detail["msg"].removeprefix("Value error, ")
    if detail["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"{field}: unknown key{nearest(location[-1], _siblings(detail['loc'], kind))}"
    if detail["type"] == "missing":
        return f"{field}: required, and missing; add it"
    if isinstance(detail["input"], Mapping | BaseModel):
        return f"{field}: {message}"
    return f"{field}: {detail['input']!r} is not allowed: {message}"


def _siblings(location: Sequence[str | int], kind: type[Section]) -> list[str]:
    """The names allowed in place of an unknown key, taken from the schema."""
    schema = kind.model_json_schema()
    node: Any = schema
    for part in location[:-1]:
        node = _resolve(node, schema)
        node = node.get("items", {}) if isinstance(part, int) else node.get("properties", {}).get(part, node)
    return list(_resolve(node, schema).get("properties", {}))


def _resolve(node: Any, schema: Any) -> Any:
    """Resolve `$ref`, `anyOf` and `oneOf` to an object schema; unions merge their fields."""
    if "$ref" in node:
        return _resolve(schema["$defs"][node["$ref"].rsplit("/", 1)[1]], schema)
    options = node.get("anyOf") or node.get("oneOf")
    if not options:
        return node
    merged: dict[str, Any] = {}
    for option in options:
        resolved = _resolve(option, schema)
        merged.update(resolved.get("properties", {}))
    return {"properties": merged}
