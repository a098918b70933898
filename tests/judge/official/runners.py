"""Our decision beside the official one, row by row.

A group is a folder with `about.json` (`source`: whose code decided; `commit`; `runner`: a name in
`RUNNERS`, and what that runner needs) and `rows.jsonl`. Every row has a `kind`, a `name` that is unique in
its group, the input, and `official`, the decision. A row with `differs` is one where this project decides
otherwise on purpose; the text says why, and the row fails if both agree after all.

With `"follow": true` in it our judge is asked to follow that commit, not the newest it knows.
Where `about.json` says `"fixed": true`, programs are judged in that mode, too. What passes officially must
pass there as well, but for rows with a `quirk`: why the program is right by the official code's fault only.

    python -m tests.judge.official.runners [GROUP ...]     prints the agreement by kind,
                                                           and what mode fixed repairs
"""

from __future__ import annotations

import base64
import contextlib
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.judge import Judgement, Submission, extract_code, judge
from eval.judge.checkers import DMOJ, Unfit
from tests.judge.official import repairs

HERE = Path(__file__).parent
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Compared:
    """One row's outcome; `note` helps to find why it is as it is. `fixed` is whether it passes in that mode,
    where it was asked."""

    row: Row
    agrees: bool
    ours: str
    note: str = ""
    fixed: bool | None = None

    @property
    def trouble(self) -> str:
        """What is wrong with the row, in one line; empty if nothing is."""
        row = self.row
        if row["official"] == "pass" and self.fixed is not None and self.fixed == ("quirk" in row):
            return f"{row['name']}: {'passes' if self.fixed else 'does not pass'} in mode fixed {self.note}"
        if self.agrees == ("differs" not in row):
            return ""
        if self.agrees:
            return f"{row['name']}: agrees, though it is listed as differing ({row['differs']})"
        return f"{row['name']}: officially {row['official']!r}, ours {self.ours!r} {self.note}".strip()


def groups() -> list[Path]:
    """The folders with rows, by name."""
    return sorted(path.parent for path in HERE.rglob("about.json"))


def about(group: Path) -> Row:
    return json.loads((group / "about.json").read_text(encoding="utf-8"))


def rows(group: Path) -> list[Row]:
    text = (group / "rows.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.split("\n") if line]


def compare(group: Path, every: int = 1) -> list[Compared]:
    """Every `every`-th row of `group` beside ours."""
    return list(RUNNERS[about(group)["runner"]](group, rows(group)[::every]))


# One function for each kind of decision ----------------------------------------------------------


def _judged(group: Path, given: Sequence[Row]) -> Iterator[Compared]:
    """Programs or answers judged on `problems`. `official` is pass or fail, one verdict, or a list of those
    that are right; `word`, if there, is the official word, `tests` are those of the tests."""
    todo = [
        Submission(row["problem"], row["language"], row.get("code"), row.get("response"), row["name"])
        for row in given
    ]
    known = about(group)
    mode = "both" if known.get("fixed") else "strict"
    commit = known["commit"] if known.get("follow") else None
    with problems(group) as folder:
        judged = list(
            judge(todo, format=known["format"], problems=folder, workers=2, mode=mode, commit=commit)
        )
    for row, judgement in zip(given, judged, strict=True):
        words = [test.official for test in judgement.tests]
        agrees = (
            _as_decided(row["official"], judgement)
            and row.get("tests", words) == words
            and row.get("word", judgement.official) == judgement.official
        )
        fixed = judgement.fixed.verdict == "AC" if judgement.fixed else None
        said = [judgement.detail, *([str(words)] if "tests" in row else [])]
        if fixed is False and judgement.fixed:
            said.append(judgement.fixed.detail)
        note = " ".join(said)
        yield Compared(row, agrees, judgement.verdict, note.strip()[-200:], fixed)


@contextlib.contextmanager
def problems(group: Path) -> Iterator[Path]:
    """The group's problems; many small folders lie in one file, a problem a line."""
    packed = group / "packed.jsonl"
    if not packed.exists():
        yield group / about(group).get("problems", "problems")
        return
    with tempfile.TemporaryDirectory() as folder:
        for line in packed.read_text(encoding="utf-8").splitlines():
            problem = json.loads(line)
            for name, content in problem["files"].items():
                path = Path(folder, problem["problem"], name)
                path.parent.mkdir(parents=True, exist_ok=True)
                text = isinstance(content, str)
                path.write_bytes(content.encode() if text else base64.b64decode(content["base64"]))
        yield Path(folder)


def _as_decided(official: str | Sequence[str], judgement: Judgement) -> bool:
    if official == "fail":
        return judgement.verdict not in ("AC", "IE", "SKIP")
    if isinstance(official, str):
        official = ["AC" if official == "pass" else official]
    return judgement.verdict in official


def _extracted(group: Path, given: Sequence[Row]) -> Iterator[Compared]:
    """Answers and the program found in them; `official` is that program, or null."""
    for row in given:
        code = extract_code(row["format"], row["language"], row["response"])
        yield Compared(row, code == row["official"], repr(code))


def _checked(group: Path, given: Sequence[Row]) -> Iterator[Compared]:
    """Outputs beside answers, bytes as Latin-1; `official` is a checker's word, IE where it raises."""
    for row in given:
        check = DMOJ[row["checker"]]
        try:
            with contextlib.suppress(Unfit):
                check(b"", b"", row["args"])  # as loaders ask
            passed = check(row["output"].encode("latin-1"), row["answer"].encode("latin-1"), row["args"])
        except (TypeError, ValueError, Unfit):
            word = "IE"
        else:
            word = "AC" if passed else "WA"
        yield Compared(row, word == row["official"], word)


RUNNERS: Mapping[str, Callable[[Path, Sequence[Row]], Iterator[Compared]]] = {
    "judge": _judged,
    "extract": _extracted,
    "checker": _checked,
}


# The table ----------------------------------------------------------------------------------------


def table(group: Path, compared: Sequence[Compared]) -> str:
    """Agreement by kind, and each row that is not as it should be."""
    known = about(group)
    kinds = Counter(one.row["kind"] for one in compared)
    agree = Counter(one.row["kind"] for one in compared if one.agrees)
    repaired = Counter(one.row["kind"] for one in compared if one.fixed and one.row["official"] == "fail")
    meant = Counter(one.row["kind"] for one in compared if "differs" in one.row)
    name = group.relative_to(HERE)
    lines = [
        f"{name}: {sum(agree.values())} of {len(compared)} as {known['source']} at {known['commit'][:7]}"
    ]
    for kind, count in kinds.items():
        on_purpose = f", {meant[kind]} differ on purpose" if meant[kind] else ""
        more = f", {repaired[kind]} more pass in mode fixed" if repaired[kind] else ""
        lines.append(f"  {kind:40} {agree[kind]:4} of {count}{on_purpose}{more}")
    if known.get("fixed"):
        failing = [one for one in compared if one.row["official"] == "fail"]
        repaired = [(one.row["name"], one.row["code"]) for one in failing if one.fixed]
        lines += repairs.listed(repaired, len(failing))
        quirks = sum("quirk" in one.row for one in compared)
        lines.append(f"  {quirks} pass officially by a fault of the official code, and fail in mode fixed")
    return "\n".join([*lines, *(f"  WRONG {one.trouble}" for one in compared if one.trouble)])


def main() -> None:
    wanted = [HERE / name for name in sys.argv[1:]] or groups()
    sound = True
    for group in wanted:
        compared = compare(group)
        print(table(group, compared), flush=True)
        sound &= not any(one.trouble for one in compared)
    sys.exit(not sound)


if __name__ == "__main__":
    main()
