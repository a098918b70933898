"""Tables as they lie around: each is read whole, or an error says what is wrong with which file, and the
remedy."""

from __future__ import annotations

import bz2
import gzip
import json
import math
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tessy.config.curation import Rules
from tessy.config.problems import ProblemSource
from tessy.config.sources import Columns, Source
from tessy.curate.examining import Rulebook, examine
from tessy.curate.reading import Draft, of_tables, opened
from tessy.curate.shards import Shards
from tessy.errors import UserError
from tessy.sources import Exchange, LeftOut, exchange_of, layout_of, open_table, prompt_of

ROWS = [{"Question": f"Frage {n}: Größe?\nzweite Zeile", "Answer": f"{n}; so"} for n in range(3)]


def read(path: Path, **fields: Any) -> list[dict[str, Any]]:
    """All rows; none may be left out."""
    left_out = LeftOut()
    found = [
        dict(row.values) for row in open_table(Source(source=str(path), **fields), "problems").rows(left_out)
    ]
    assert not left_out.counts
    return found


def whole(path: Path, fields: dict[str, Any]) -> None:
    """Everything that a stage does with a table."""
    table = open_table(Source(source=str(path), **fields), "problems")
    layout_of(Columns(), (row.values for row in table.first_rows()), "problems")
    list(table.rows(LeftOut()))


def refused(path: Path, said: str, **fields: Any) -> None:
    with pytest.raises(UserError, match=said) as raised:
        whole(path, fields)
    assert path.name in str(raised.value)


def spreadsheet(separator: str, before: str = "", end: str = "\r\n") -> bytes:
    lines = [separator.join(ROWS[0])]
    lines += [separator.join('"' + cell.replace('"', '""') + '"' for cell in row.values()) for row in ROWS]
    return (before + end.join(lines) + end).encode("utf-8-sig")


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("before", ["", "sep=X\r\n"])
def test_a_spreadsheet_is_read_whatever_separates_its_cells(
    tmp_path: Path, separator: str, before: str
) -> None:
    (tmp_path / "sheet.csv").write_bytes(spreadsheet(separator, before.replace("X", separator)))
    assert read(tmp_path / "sheet.csv") == ROWS
    layout = layout_of(Columns(), read(tmp_path / "sheet.csv"), "problems")
    assert (layout.prompt, layout.response) == ("Question", "Answer")


def test_one_column_with_separators_in_its_cells_stays_one(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text('prompt\n"a; b"\nc; d\n')
    assert read(tmp_path / "one.csv") == [{"prompt": "a; b"}, {"prompt": "c; d"}]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (
            "open.csv",
            b'prompt,answer\na,b\n"c,d\ne,f\ng,h\n',
            r"open.csv: cannot be read behind row 1: a quotation",
        ),
        ("twice.csv", b"prompt,x,prompt\na,b,c\n", "twice.csv: two columns are called 'prompt'; rename one"),
        (
            "latin.csv",
            "prompt,Lösung\na,b\n".encode("latin-1"),
            "latin.csv: its header is not UTF-8; save it as",
        ),
        ("wide.csv", "prompt\na\n".encode("utf-16"), "wide.csv: it is UTF-16; save it as UTF-8"),
        ("wide.jsonl", '{"prompt": "a"}\n'.encode("utf-16"), "wide.jsonl: it is UTF-16"),
        (
            "columns.json",
            b'{"prompt": {"0": "a"}, "answer": {"0": "b"}}',
            "columns.json: it is one JSON object",
        ),
        ("inside.json", b'{"data": [{"prompt": "a"}]}', "inside.json: it is one JSON object"),
        ("pretty.json", b'{\n "prompt": {\n  "0": "a"\n }\n}', "pretty.json: it is one JSON object"),
        ("empty.csv", b"", "no row can be read: it is empty"),
        ("empty.jsonl", b"\n \n", "no row can be read: it is empty"),
        ("empty.json", b"", "no row can be read: it is empty"),
        ("empty.json", b"[]", "no row can be read: it is empty"),
        ("empty.parquet", b"", "empty.parquet: cannot be read behind row 0"),
        (
            "no.parquet",
            b"version https://git-lfs.github.com/spec/v1\n",
            "no.parquet: cannot be read behind row 0",
        ),
        ("no.jsonl.gz", b"no gzip", "no.jsonl.gz: cannot be read behind row 0"),
        ("text.jsonl", b"a\nb\n", "no row can be read: 2 rows left out, not JSON; the first: text.jsonl:1: "),
        ("book.xlsx", b"PK", r"book.xlsx: a table ends in .jsonl"),
    ],
)
def test_what_cannot_be_read_says_why(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    refused(tmp_path / name, said)


LINES = "".join(json.dumps({"prompt": f"p{n}"}) + "\n" for n in range(2000)).encode()


def zstd(content: bytes) -> bytes:
    return pa.compress(content, codec="zstd", asbytes=True)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("ending", "pack"),
    [("gz", gzip.compress), ("zst", zstd), ("bz2", bz2.compress)],
    ids=("gz", "zst", "bz2"),
)
def test_compressed_files_may_have_been_joined(
    tmp_path: Path, ending: str, pack: Callable[[bytes], bytes]
) -> None:
    """As parallel compressors and `cat` write them; a piece that is cut off is an error."""
    path = tmp_path / f"a.jsonl.{ending}"
    path.write_bytes(pack(LINES[:9999]) + pack(b"") + pack(LINES[9999:]))
    assert [row["prompt"] for row in read(path)] == [f"p{n}" for n in range(2000)]
    path.write_bytes(pack(LINES) + pack(LINES[::-1])[:-9])
    with pytest.raises(UserError, match=r"cannot be read behind row \d+"):
        list(open_table(Source(source=str(path)), "problems").rows(LeftOut()))


def test_json_of_many_kinds_of_values(tmp_path: Path) -> None:
    giant = "x" * (5 << 20)
    rows = [
        {"prompt": "a", "n": math.nan, "big": 10**400},
        {"prompt": giant, "n": {"deep": [1, None, {"x": True}]}},
        {"prompt": 7, "big": -1e308},
        {"prompt": math.nan},
        {"question": "in another column"},
        {"prompt": ["a", "list"]},
    ]
    path = tmp_path / "mixed.jsonl"
    path.write_text("".join(json.dumps(row) + "\r\n" for row in rows))
    source = ProblemSource(source=str(path))
    found = list(of_tables(opened(source, "sources", False), tmp_path, "sources").drafts())
    assert [draft.statement.prompt for draft in found] == ["a", giant, "7", "", "", ""]
    assert [str(draft.unread) for draft in found[3:]] == [
        "empty prompt",
        "empty prompt: no column 'prompt' among question",
        "prompt is no text: it is list",
    ]


def test_parquet_of_many_types(tmp_path: Path) -> None:
    texts = ["first", "second", None]
    table = pa.table(
        {
            "Prompt": pa.array(texts, pa.large_string()),
            "id": pa.array([1.0, 2.0, math.nan]),
            "source": pa.array(["a", "b", "a"]).dictionary_encode(),
            "tags": pa.array([["x", "y"], [], None], pa.list_(pa.string())),
            "meta": pa.array([{"a": {"b": [1]}}, None, {"a": None}]),
            "when": pa.array([1, 2, 3], pa.timestamp("ns")),
            "late": pa.array([10**17, 0, 0], pa.timestamp("ms")),
            "date": pa.array(["2024-05-01", "2024-05-02", None]).cast(pa.date32()),
            "money": pa.array([Decimal("1.50"), None, None]),
        }
    )
    pq.write_table(table, tmp_path / "types.parquet")
    source = ProblemSource(source=str(tmp_path / "types.parquet"))
    one, two, gone = of_tables(opened(source, "sources", False), tmp_path, "sources").drafts()
    assert (one.statement.prompt, one.id, one.statement.topics) == ("first", "1", ("x", "y"))
    assert (two.statement.origin, two.statement.date) == ("b", "2024-05-02")
    assert str(gone.unread) == "empty prompt"
    pq.write_table(pa.table({"prompt": [b"bytes of Hive", b"\xff"]}), tmp_path / "hive.parquet")
    found = of_tables(
        opened(ProblemSource(source=str(tmp_path / "hive.parquet")), "sources", False), tmp_path, "sources"
    ).drafts()
    assert [draft.statement.prompt or str(draft.unread) for draft in found] == [
        "bytes of Hive",
        "not UTF-8: `prompt` at character 0",
    ]
    pq.write_table(pa.table([["a"], ["b"]], names=["prompt", "prompt"]), tmp_path / "twice.parquet")
    refused(tmp_path / "twice.parquet", "two columns are called 'prompt'")


def test_no_value_of_any_column_breaks_the_shard_it_is_written_to(tmp_path: Path) -> None:
    """Half a surrogate cannot be stored, wherever it stands."""
    columns = ("id", "license", "source", "topics", "difficulty", "language", "date")
    rows: list[dict[str, Any]] = [
        {"prompt": f"Print the {name} of all numbers.", name: "\ud83d"} for name in columns
    ]
    rows += [{"prompt": "Print the sum.", "topics": ["\ud83d", 3, None, {"a": 1}], "id": {"x": 1}}]
    path = tmp_path / "half.jsonl"
    path.write_text("".join(json.dumps({"topics": None} | row) + "\n" for row in rows))
    source = ProblemSource(source=str(path), columns=Columns(id="id"))
    found: list[Draft] = list(of_tables(opened(source, "sources", False), tmp_path, "sources").drafts())
    shards = Shards(tmp_path / "shards", ["half"])
    shards.write(0, 0, examine(found, Rulebook(Rules(), None)), {})
    assert len(list(shards.rows())) == len(rows)


def test_a_folder_says_what_it_does_not_read_and_goes_behind_links(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "set", tmp_path / "elsewhere"
    for place in (folder, elsewhere):
        place.mkdir()
    (folder / "A.JSONL").write_bytes(b"".join(LINES.splitlines(keepends=True)[:2]))
    (folder / "empty.csv").write_bytes(b"")
    (folder / "book.xlsx").write_bytes(b"PK")
    (folder / "README.md").write_bytes(b"# A set")
    (elsewhere / "b.jsonl").write_bytes(LINES.splitlines()[0])
    (folder / "linked").symlink_to(elsewhere)
    (elsewhere / "round").symlink_to(folder)
    table = open_table(Source(source=str(folder)), "problems")
    assert table.said == ("1 files are no tables and are not read: book.xlsx",)
    found = list(table.rows(LeftOut()))
    assert [row.origin for row in found] == ["A.JSONL:1", "A.JSONL:2", "linked/b.jsonl:1"]
    (folder / "gone.jsonl").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"gone\.jsonl: a link to a file that is not there"):
        open_table(Source(source=str(folder)), "problems")


PART = {"type": "text", "text": "Q"}
TALK = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ({"Messages": [{"role": "system", "content": "S"}, *TALK]}, Exchange("Q", "A", system="S")),
        ({"conversations": [{"from": "system", "value": "S"}, {"from": "human", "value": "Q"},
                            {"from": "gpt", "value": "A"}]}, Exchange("Q", "A", system="S")),
        ({"dialogs": TALK, "id_ddm": 1}, Exchange("Q", "A")),
        ({"messages": [{"role": "user", "content": [PART]}, TALK[1]]}, Exchange("Q", "A")),
        ({"messages": [{"role": "user", "content": [PART, {"type": "image", "url": "x"}]}, TALK[1]]},
         "content is no text: a part that is no text"),
        ({"messages": str(TALK)}, "conversation is no list of turns"),
        ({"messages": ["Q", "A"]}, "conversation is no list of turns: a turn is str"),
        ({" Question ": "Q", "ANSWER": "A"}, Exchange("Q", "A")),
    ],
)  # fmt: skip
def test_conversations_of_many_kinds(row: dict[str, Any], found: Exchange | str) -> None:
    layout = layout_of(Columns(), [row], "traces")
    if isinstance(found, Exchange):
        assert exchange_of(row, layout) == found
    else:
        with pytest.raises(ValueError, match=found):
            exchange_of(row, layout)


@pytest.mark.slow
def test_what_pandas_and_datasets_write_is_read(tmp_path: Path) -> None:
    import datasets
    import pandas as pd

    rows = [{"id": n, "prompt": f'p{n}, ü\n"q"', "messages": TALK} for n in range(130)]
    plain = [{"id": row["id"], "prompt": row["prompt"]} for row in rows]
    frame, made = pd.DataFrame(plain), datasets.Dataset.from_list(rows)
    frame.to_json(tmp_path / "records.jsonl", orient="records", lines=True)
    frame.to_json(tmp_path / "array.json", orient="records")
    frame.to_parquet(tmp_path / "frame.parquet")
    frame.to_feather(tmp_path / "frame.feather")
    frame.to_csv(tmp_path / "index.csv")
    frame.to_csv(tmp_path / "semicolon.csv", sep=";", index=False, encoding="utf-8-sig")
    frame.to_csv(tmp_path / "packed.csv.gz", index=False)
    made.to_json(tmp_path / "set.jsonl")
    made.to_json(tmp_path / "set.json", lines=False)
    made.to_parquet(tmp_path / "set.parquet")
    made.remove_columns("messages").to_csv(tmp_path / "set.csv")
    files = [file for file in sorted(tmp_path.iterdir()) if file.is_file()]
    assert len(files) == 11
    for file in files:
        found = read(file)
        assert [(int(row["id"]), row["prompt"]) for row in found] == [
            (n["id"], n["prompt"]) for n in plain
        ], file
        layout = layout_of(Columns(), found, "problems")
        assert prompt_of(found[3], layout) == ("Q" if "messages" in found[0] else plain[3]["prompt"])
    frame.to_json(tmp_path / "columns.json")
    refused(tmp_path / "columns.json", "orient='records'")
    made.save_to_disk(tmp_path / "saved", num_shards=2)
    assert read(tmp_path / "saved") == rows
    datasets.DatasetDict(train=made, test=made.select(range(3))).save_to_disk(tmp_path / "splits")
    assert len(read(tmp_path / "splits")) == 130
    assert len(read(tmp_path / "splits", split="test")) == 3
    refused(tmp_path / "splits", "has the splits train, test; name one", split="dev")
    damaged = next((tmp_path / "saved").glob("*.arrow"))
    damaged.write_bytes(damaged.read_bytes()[:999])
    refused(tmp_path / "saved", "cannot be read behind row 0")
