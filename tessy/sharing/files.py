"""Trajectories as a file for other tools: JSON Lines (plain, .gz, .zst) or Parquet."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tessy.artifacts import replacing, write_table
from tessy.errors import UserError
from tessy.records import Trajectory
from tessy.sharing.shapes import Layout, row

_ENDINGS = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet")
_ROWS_AT_ONCE = 256


@dataclass(slots=True)
class Exported:
    """Rows written, traces left out by why they ended, and of `checked` rows how many had the ids that are
    trained on when the student's own template and tokenizer rendered them."""

    rows: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    checked: int = 0
    same_ids: int = 0


def export(
    trajectories: Iterable[Trajectory],
    path: Path,
    layout: Layout,
    tokenizer: Any = None,
    check: int = 0,
    progress: Callable[[int], object] = lambda _: None,
) -> Exported:
    """Write the finished trajectories to `path`; with a `tokenizer` that has a chat template, render the
    first `check` of them again. `progress` is told how many rows are written."""
    if not path.name.endswith(_ENDINGS):
        raise UserError(f"{path}: the file must end in {', '.join(_ENDINGS)}")
    done = Exported()

    def rows() -> Iterator[dict[str, Any]]:
        for one in trajectories:
            if one.stop_reason != "finished":
                done.left_out[one.stop_reason] += 1
                continue
            made = row(one, layout)
            if tokenizer is not None and done.checked < check:
                done.checked += 1
                done.same_ids += renders_same(one, made, tokenizer)
            done.rows += 1
            progress(done.rows)
            yield made

    if path.suffix == ".parquet":
        write_table(path, rows(), _ROWS_AT_ONCE)
    else:
        write_lines(path, rows())
    return done


def renders_same(trajectory: Trajectory, made: Mapping[str, Any], tokenizer: Any) -> bool:
    """Whether the student's template and tokenizer give the trajectory's ids for a row of any shape; what the
    template writes behind the end of the turn does not count."""
    messages = made.get("messages") or trajectory.messages
    ids = tokenizer.apply_chat_template(messages, tokenize=True, return_dict=True)["input_ids"]
    ours = trajectory.student_token_ids
    return bool(list(ids[: len(ours)]) == list(ours))


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write JSON Lines, compressed as the ending of `path` says."""
    import pyarrow as pa

    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, pa.output_stream(str(temporary), compression="detect") as stream:
        for one in rows:
            stream.write(json.dumps(one, ensure_ascii=False).encode() + b"\n")
