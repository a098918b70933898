"""How the public sets of problems are laid out: which files, which columns, and what of a row is the
statement.

Layouts are those of the sets' published cards. Each reader gets a row as plain values and returns a
`Described`, or raises `Unfit` with the rule that the row breaks. Pure.

Not covered: reading files (`tessy.sources`), and tests that call a function or need a checker.
"""

from __future__ import annotations

import json
from ast import literal_eval
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tessy.config.problems import PRESET_NAMES, PresetName
from tessy.sources import Layout, Unfit, prompt_of

Row = Mapping[str, Any]

ELSEWHERE = "-"
"""What OpenCodeReasoning has in place of a statement that stands in another set."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A statement that stands in row `index` of `split` of another set."""

    preset: PresetName
    split: str
    index: int


@dataclass(frozen=True, slots=True)
class Described:
    """What a row says of its problem; empty where it says nothing.

    `tests` are (input, output) pairs for standard input and output. `reference` is where the prompt stands
    instead, `id` the row's own name for the problem, `date` an ISO day.
    """

    prompt: str
    id: str = ""
    license: str = ""
    origin: str = ""
    topics: tuple[str, ...] = ()
    difficulty: str = ""
    language: str = ""
    date: str = ""
    tests: Sequence[tuple[str, str]] = ()
    reference: Reference | None = None


@dataclass(frozen=True, slots=True)
class Preset:
    """A public set: its hub id, the (subset, split) pairs to read, its licence, and its reader.

    `columns` are those that are needed, `test_columns` those that are read in addition where tests are
    wanted: they are most of a set's bytes.
    """

    hub: str
    parts: tuple[tuple[str | None, str], ...]
    columns: tuple[str, ...]
    license: str
    read: Callable[[Row], Described]
    test_columns: tuple[str, ...] = ()


def text(row: Row, column: str) -> str:
    """The text in a column, empty for null; raises `Unfit` where it is something else."""
    value = row.get(column)
    if value is None or value != value:  # NaN
        return ""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise Unfit("not UTF-8", f"`{column}` at character {error.start}") from None
        return value
    if isinstance(value, int | float):
        return f"{value:g}" if isinstance(value, float) else str(value)
    raise Unfit("a column is no text", f"`{column}` is {type(value).__name__}")


def listed(value: Any) -> tuple[str, ...]:
    """A list of names, also where it is written as text (TACO: "['Sorting', 'Greedy']")."""
    if isinstance(value, str):
        try:
            value = literal_eval(value) if value.strip() else []
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            value = [value]
    if isinstance(value, Iterable):
        return tuple(name for one in value if (name := str(one)).strip() and _is_text(name))
    return ()


def _is_text(name: str) -> bool:
    """Whether it can be stored: half a surrogate cannot."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def pairs(inputs: Any, outputs: Any) -> list[tuple[str, str]]:
    """Tests from lists of inputs and outputs; those that are lists of lines are joined, others left out."""

    def joined(value: Any) -> str | None:
        if isinstance(value, str):
            return value
        if isinstance(value, list) and all(isinstance(line, str) for line in value):
            return "\n".join(value) + "\n"
        return None

    if not isinstance(inputs, list) or not isinstance(outputs, list):
        return []
    found = ((joined(given), joined(expected)) for given, expected in zip(inputs, outputs, strict=False))
    return [(given, expected) for given, expected in found if given is not None and expected is not None]


# Readers ------------------------------------------------------------------------------------------


def _openthoughts3(row: Row) -> Described:
    return Described(
        prompt=prompt_of(row, Layout(messages="conversations")),
        origin=text(row, "source"),
        topics=listed([text(row, "domain")]),
        difficulty=text(row, "difficulty"),
    )


_REFERRED: Mapping[str, PresetName] = {
    "taco": "taco", "apps": "apps", "code_contests": "codecontests", "open-r1/codeforces": "codeforces",
}  # fmt: skip


def _opencodereasoning(row: Row) -> Described:
    return _nvidia(row, text(row, "input"), text(row, "id"))


def _opencodereasoning2(row: Row) -> Described:
    return _nvidia(row, text(row, "question"), text(row, "question_id") or text(row, "id"))


def _nvidia(row: Row, prompt: str, name: str) -> Described:
    reference = None
    if prompt.strip() == ELSEWHERE:
        prompt, reference = "", _reference(row)
    difficulty = text(row, "difficulty")
    return Described(
        prompt,
        id=name,
        license=text(row, "license"),
        origin=text(row, "source"),
        difficulty="" if difficulty.upper().startswith("UNKNOWN") else difficulty,
        reference=reference,
    )


def _reference(row: Row) -> Reference:
    named, index = text(row, "dataset").strip(), text(row, "index").strip()
    if named not in _REFERRED:
        known = ", ".join(_REFERRED)
        raise Unfit("its statement is in an unknown set", f"`dataset` {named!r} is none of {known}")
    if not index.isdigit():
        raise Unfit("its statement is in no row of another set", f"`index` {index!r} in {named}")
    return Reference(_REFERRED[named], text(row, "split").strip(), int(index))


def _taco(row: Row) -> Described:
    return Described(
        prompt=text(row, "question"),
        origin=text(row, "source"),
        topics=listed(row.get("tags")) or listed(row.get("raw_tags")),
        difficulty=text(row, "difficulty").removeprefix("UNKNOWN_DIFFICULTY"),
        date=day(text(row, "date")),
        tests=_input_output(row),
    )


def _apps(row: Row) -> Described:
    # The .jsonl files call it `id`, their conversion to Parquet `problem_id`.
    name = text(row, "problem_id") or text(row, "id")
    site = text(row, "url").removeprefix("https://").removeprefix("http://").partition("/")[0]
    return Described(
        prompt=text(row, "question"),
        id=name,
        origin=site.removeprefix("www."),
        difficulty=text(row, "difficulty"),
        tests=_input_output(row),
    )


def _input_output(row: Row) -> list[tuple[str, str]]:
    """TACO's and APPS' tests; none where they call a function."""
    try:
        found = json.loads(text(row, "input_output") or "{}")
    except (ValueError, RecursionError):
        return []
    if not isinstance(found, dict) or found.get("fn_name"):
        return []
    return pairs(found.get("inputs"), found.get("outputs"))


_SITES = ("", "CodeChef", "Codeforces", "HackerEarth", "CodeJam", "AtCoder", "Aizu")
_LEVELS = ("", "easy", "medium", "hard", "harder", "hardest", "", *"ABCDEFGHIJKLMNOPQRSTUV")


def _codecontests(row: Row) -> Described:
    if row.get("input_file") or row.get("output_file"):
        tests: list[tuple[str, str]] = []
    else:
        kinds = ("public_tests", "private_tests", "generated_tests")
        tests = [test for kind in kinds for test in _columns(row.get(kind))]
    rating = row.get("cf_rating")
    return Described(
        prompt=text(row, "description"),
        id=text(row, "name"),
        origin=_named(_SITES, row.get("source")),
        topics=listed(row.get("cf_tags")),
        difficulty=str(rating)
        if isinstance(rating, int) and rating
        else _named(_LEVELS, row.get("difficulty")),
        tests=tests,
    )


def _columns(tests: Any) -> list[tuple[str, str]]:
    """CodeContests' tests: inputs and outputs as two lists, or a list of both."""
    if isinstance(tests, Mapping):
        return pairs(tests.get("input"), tests.get("output"))
    rows = [one for one in tests or () if isinstance(one, Mapping)]
    return pairs([one.get("input") for one in rows], [one.get("output") for one in rows])


def _named(names: Sequence[str], number: Any) -> str:
    return names[number] if isinstance(number, int) and 0 <= number < len(names) else ""


def _codeforces(row: Row) -> Described:
    """The statement put together as its parts stand on the site."""
    parts = [text(row, "title"), text(row, "description")]
    if not parts[1].strip():
        raise Unfit("no statement", "`description` is empty")
    headings = {
        "Input": "input_format",
        "Output": "output_format",
        "Interaction": "interaction_format",
    }
    parts += [f"{title}\n{found}" for title, column in headings.items() if (found := text(row, column))]
    examples = [one for one in row.get("examples") or () if isinstance(one, Mapping)]
    for number, example in enumerate(examples, start=1):
        given, expected = text(example, "input").rstrip("\n"), text(example, "output").rstrip("\n")
        parts.append(f"Example {number}\nInput:\n{given}\nOutput:\n{expected}")
    parts += [f"Note\n{note}" for note in [text(row, "note")] if note]
    started = row.get("contest_start")
    simple = row.get("input_mode") in (None, "", "stdio") and not row.get("generated_checker")
    return Described(
        prompt="\n\n".join(part.strip() for part in parts if part.strip()),
        id=text(row, "id"),
        origin="Codeforces",
        topics=listed(row.get("tags")),
        difficulty=text(row, "rating"),
        date=datetime.fromtimestamp(started, UTC).date().isoformat() if isinstance(started, int) else "",
        tests=_columns(row.get("official_tests")) if simple else [],
    )


def _deepmath(row: Row) -> Described:
    return Described(
        prompt=text(row, "question"),
        topics=tuple(part.strip() for part in text(row, "topic").split("->") if part.strip()),
        difficulty=text(row, "difficulty"),
    )


def _dialogs(row: Row) -> Described:
    return Described(prompt_of(row, Layout(messages="dialogs")), id=text(row, "id_ddm"))


def day(written: str) -> str:
    """The ISO day that a text begins with; empty where it begins with none."""
    try:
        return datetime.fromisoformat(written.strip()[:10]).date().isoformat()
    except ValueError:
        return ""


# Sets ---------------------------------------------------------------------------------------------

_NVIDIA = ("source", "license", "dataset", "split", "difficulty", "index")
_CODEFORCES = (
    *("id", "title", "description", "input_format", "output_format", "interaction_format", "examples"),
    *("note", "rating", "tags", "contest_start"),
)
_TRAIN = ((None, "train"),)


def _coop(name: str) -> Preset:
    return Preset(f"CoopReason/{name}", _TRAIN, ("id_ddm", "dialogs"), "apache-2.0", _dialogs)


PRESETS: Mapping[PresetName, Preset] = {
    "openthoughts3": Preset(
        "open-thoughts/OpenThoughts3-1.2M",
        _TRAIN,
        ("difficulty", "source", "domain", "conversations"),
        "apache-2.0",
        _openthoughts3,
    ),
    "opencodereasoning": Preset(
        "nvidia/OpenCodeReasoning",
        (("split_0", "split_0"), ("split_1", "split_1")),
        ("id", "input", *_NVIDIA),
        "cc-by-4.0",
        _opencodereasoning,
    ),
    "opencodereasoning2": Preset(
        "nvidia/OpenCodeReasoning-2",
        (("train", "python"), ("train", "cpp")),
        ("id", "question_id", "question", *_NVIDIA),
        "cc-by-4.0",
        _opencodereasoning2,
    ),
    "taco": Preset(
        "BAAI/TACO",
        (("ALL", "train"),),
        ("question", "difficulty", "raw_tags", "source", "tags", "date"),
        "apache-2.0",
        _taco,
        ("input_output",),
    ),
    "apps": Preset(
        "codeparrot/apps",
        _TRAIN,
        ("id", "problem_id", "question", "difficulty", "url"),
        "mit",
        _apps,
        ("input_output",),
    ),
    "codecontests": Preset(
        "deepmind/code_contests",
        _TRAIN,
        ("name", "description", "source", "difficulty", "cf_rating", "cf_tags"),
        "cc-by-4.0",
        _codecontests,
        ("public_tests", "private_tests", "generated_tests", "input_file", "output_file"),
    ),
    "codeforces": Preset(
        "open-r1/codeforces",
        _TRAIN,
        _CODEFORCES,
        "cc-by-4.0",
        _codeforces,
        ("official_tests", "input_mode", "generated_checker"),
    ),
    "deepmath": Preset("zwhe99/DeepMath-103K", _TRAIN, ("question", "difficulty", "topic"), "mit", _deepmath),
    "tessy_code": _coop("TESSY-Code-80K"),
    "tessy_math": _coop("TESSY-Math-12K"),
    "tessy_supergpqa": _coop("TESSY-SuperGPQA-3K"),
}
assert set(PRESETS) == set(PRESET_NAMES)
