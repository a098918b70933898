"""Small copies of the public sets of problems, with files, cards, column names and nesting as published.

Every row is of our own making. What the cards say was read there; no set has been downloaded.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

TEXT = pa.string()
LISTS = pa.struct([("input", pa.list_(TEXT)), ("output", pa.list_(TEXT))])
PAIRS = pa.list_(pa.struct([("input", TEXT), ("output", TEXT)]))
SUM = "You are given two integers a and b. Print their sum. The input is one line with both numbers."
PATH = "A tree has n vertices. Find the length of its longest path. The first line of the input has n."
TRUTH = "Evaluate the limit of the sequence a_n = (1 + 1/n)^n as n grows without any bound at all."


def card(folder: Path, configs: dict[str, dict[str, str]], licence: str) -> None:
    """The head of a README that says which files belong to which configuration and split."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["---", f"license: {licence}", "configs:"]
    for name, splits in configs.items():
        lines += [f"- config_name: {name}", "  data_files:"]
        for split, path in splits.items():
            lines += [f"  - split: {split}", f"    path: {path}"]
    (folder / "README.md").write_text("\n".join([*lines, "---", "", "# A copy"]))


def table(path: Path, rows: list[dict[str, Any]], fields: list[tuple[str, pa.DataType]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, pa.schema(fields)), path)


def openthoughts3(folder: Path) -> None:
    card(folder, {"default": {"train": "data/train-*"}}, "apache-2.0")
    turns = pa.list_(pa.struct([("from", TEXT), ("value", TEXT)]))
    fields = [("difficulty", pa.int64()), ("source", TEXT), ("domain", TEXT), ("conversations", turns)]

    def row(prompt: str, answer: str, difficulty: int | None) -> dict[str, Any]:
        said = [{"from": "human", "value": prompt}, {"from": "gpt", "value": answer}]
        return {
            "difficulty": difficulty,
            "source": "stackexchange_codegolf",
            "domain": "code",
            "conversations": said,
        }

    answers = [row(SUM, f"<think>\n{n}\n</think>\nprint(a + b)", 7) for n in range(3)]
    table(folder / "data/train-00000-of-00002.parquet", answers, fields)
    table(folder / "data/train-00001-of-00002.parquet", [row(PATH, "dfs", None)], fields)


_OCR = ["source", "license", "dataset", "split", "difficulty", "solution"]


def opencodereasoning(folder: Path) -> None:
    configs = {name: {name: f"{name}/train-*"} for name in ("split_0", "split_1")}
    card(folder, configs, "cc-by-4.0")
    fields = [(name, TEXT) for name in ("id", "input", "output", *_OCR)]
    common = {"source": "codeforces", "license": "cc-by-4.0", "difficulty": "EASY", "solution": "x"}
    here = {"id": "h1", "input": SUM, "output": "x", "dataset": "code_contests", "split": "train", **common}
    table(folder / "split_0/train-00000-of-00001.parquet", [here, {**here, "output": "y"}], fields)
    there = {**here, "id": "h2", "input": "-", "dataset": "taco", "index": "1"}
    lost = {**there, "id": "h3", "index": "99"}
    table(folder / "split_1/train-00000-of-00001.parquet", [there, lost], [*fields, ("index", TEXT)])


def opencodereasoning2(folder: Path) -> None:
    languages = {"python": "train/python/train-*", "cpp": "train/cpp/train-*"}
    card(folder, {"train": languages}, "cc-by-4.0")
    names = ["question", "r1_generation", "qwq_critique", "judgement", "pass_rate", "index", "id"]
    fields = [(name, TEXT) for name in [*names, "question_id", *_OCR]]
    row = dict.fromkeys([*names, *_OCR], "x") | {"question": "-", "license": "apache-2.0", "split": "train"}
    python = [
        {**row, "id": "1", "question_id": "q1", "dataset": "taco", "index": "0"},
        {**row, "id": "2", "question_id": "q2", "dataset": "apps", "index": "0"},
        {**row, "id": "3", "question_id": "q3", "dataset": "code_contests", "index": "0", "split": "valid"},
    ]
    cpp = [{**row, "id": "4", "question_id": "q4", "dataset": "open-r1/codeforces", "index": "0"}]
    table(folder / "train/python/train-00000-of-00001.parquet", python, fields)
    table(folder / "train/cpp/train-00000-of-00001.parquet", cpp, fields)


def taco(folder: Path) -> None:
    card(folder, {"ALL": {"train": "ALL/train-*", "test": "ALL/test-*"}}, "apache-2.0")
    names = [
        *(
            "question",
            "solutions",
            "starter_code",
            "input_output",
            "difficulty",
            "raw_tags",
            "name",
            "source",
        ),
        *("tags", "skill_types", "url", "Expected Auxiliary Space", "time_limit", "date", "picture_num"),
        *("memory_limit", "Expected Time Complexity"),
    ]
    fields = [(name, TEXT) for name in names]
    row: dict[str, Any] = dict.fromkeys(names) | {
        "question": SUM,
        "solutions": '["print(sum(map(int, input().split())))"]',
        "input_output": json.dumps({"inputs": ["1 2\n", ["3 4"]], "outputs": ["3\n", ["7"]]}),
        "difficulty": "EASY",
        "raw_tags": "[]",
        "tags": "['Mathematics', 'Implementation']",
        "source": "codeforces",
        "date": "2019-12-31T00:00:00",
    }
    called = row | {
        "question": PATH,
        "input_output": json.dumps({"fn_name": "f", "inputs": [[1]], "outputs": [1]}),
        "difficulty": "UNKNOWN_DIFFICULTY",
        "date": None,
        "tags": "[]",
    }
    table(folder / "ALL/train-00000-of-00001.parquet", [row, called], fields)
    table(folder / "ALL/test-00000-of-00001.parquet", [row], fields)


def apps(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    row = {
        "id": 17,
        "question": SUM,
        "solutions": "[]",
        "input_output": json.dumps({"inputs": ["1 2\n"], "outputs": ["3\n"]}),
        "difficulty": "introductory",
        "url": "https://www.codewars.com/kata/1",
        "starter_code": "",
    }
    for split in ("train", "test"):
        (folder / f"{split}.jsonl").write_text(json.dumps(row) + "\n")


def codecontests(folder: Path) -> None:
    splits = {split: f"data/{split}-*" for split in ("train", "valid", "test")}
    card(folder, {"default": splits}, "cc-by-4.0")
    solutions = pa.struct([("language", pa.list_(pa.int64())), ("solution", pa.list_(TEXT))])
    fields = [
        *(("name", TEXT), ("description", TEXT)),
        *((f"{kind}_tests", LISTS) for kind in ("public", "private", "generated")),
        *(("source", pa.int64()), ("difficulty", pa.int64())),
        *(("solutions", solutions), ("incorrect_solutions", solutions)),
        *(("cf_contest_id", pa.int64()), ("cf_index", TEXT), ("cf_points", pa.float32())),
        *(("cf_rating", pa.int32()), ("cf_tags", pa.list_(TEXT))),
        *(("is_description_translated", pa.bool_()), ("untranslated_description", TEXT)),
        *(("time_limit", pa.struct([("seconds", pa.int64()), ("nanos", pa.int64())])),),
        *(("memory_limit_bytes", pa.int64()), ("input_file", TEXT), ("output_file", TEXT)),
    ]
    row = {
        "name": "1_A. Sum",
        "description": SUM,
        "public_tests": {"input": ["1 2\n"], "output": ["3\n"]},
        "private_tests": {"input": ["5 6\n"], "output": ["11\n"]},
        "generated_tests": {"input": [], "output": []},
        "source": 2,
        "difficulty": 7,
        "cf_rating": 800,
        "cf_tags": ["math"],
        "input_file": "",
        "output_file": "",
    }
    aizu = row | {"name": "p1", "source": 6, "difficulty": 0, "cf_rating": 0, "cf_tags": [""]}
    for split in splits:
        table(folder / f"data/{split}-00000-of-00001.parquet", [row, aizu], fields)


def codeforces(folder: Path) -> None:
    splits = {"train": "data/train-*", "test": "data/test-*"}
    card(folder, {"default": splits}, "cc-by-4.0")
    texts = [
        *("id", "contest_id", "contest_name", "contest_type", "index", "title", "description"),
        *("input_format", "output_format", "interaction_format", "note", "editorial", "input_mode"),
        "generated_checker",
    ]
    fields = [
        *((name, TEXT) for name in texts),
        *(("aliases", pa.list_(TEXT)), ("contest_start", pa.int64()), ("contest_start_year", pa.int64())),
        *(("time_limit", pa.float64()), ("memory_limit", pa.float64()), ("examples", PAIRS)),
        *(("rating", pa.int64()), ("tags", pa.list_(TEXT)), ("testset_size", pa.int64())),
        *(("official_tests", PAIRS), ("official_tests_complete", pa.bool_())),
        *(("executable", pa.bool_()), ("generated_tests", pa.int64())),
    ]
    row = {
        "id": "1/A",
        "title": "A + B",
        "description": "You are given two integers a and b. Print their sum.",
        "input_format": "One line with both numbers.",
        "output_format": "Their sum.",
        "examples": [{"input": "1 2", "output": "3"}],
        "note": "Do not overthink it.",
        "contest_start": 1_577_836_800,
        "rating": 800,
        "tags": ["implementation", "math"],
        "official_tests": [{"input": "1 2\n", "output": "3\n"}],
        "input_mode": "stdio",
    }
    checked = row | {"id": "1/B", "generated_checker": "def check(): ...", "rating": None}
    gone = row | {"id": "1/C", "description": None}
    for split in splits:
        table(folder / f"data/{split}-00000-of-00001.parquet", [row, checked, gone], fields)


def deepmath(folder: Path) -> None:
    card(folder, {"default": {"train": "data/train-*"}}, "mit")
    solutions = [(f"r1_solution_{n}", TEXT) for n in (1, 2, 3)]
    fields = [("question", TEXT), ("final_answer", TEXT), ("difficulty", pa.float64()), ("topic", TEXT)]
    row = {
        "question": TRUTH,
        "final_answer": "e",
        "difficulty": 4.5,
        "topic": "Mathematics -> Calculus -> Limits",
    }
    table(folder / "data/train-00000-of-00001.parquet", [row], [*fields, *solutions])


def tessy(folder: Path) -> None:
    """The paper authors' sets: JSON lines of dialogs."""
    folder.mkdir(parents=True, exist_ok=True)
    dialogs = [{"role": "user", "content": SUM}, {"role": "assistant", "content": "<think>\nx\n</think>\ny"}]
    row = {"id_ddm": "da7bada6-0e9b-4fa4-b4c4-cea75a1435ea", "dialogs": dialogs}
    (folder / "tessy.jsonl").write_text(json.dumps(row) + "\n")


MAKERS = {
    **{one.__name__: one for one in (openthoughts3, opencodereasoning, opencodereasoning2, taco, apps)},
    **{one.__name__: one for one in (codecontests, codeforces, deepmath)},
    **dict.fromkeys(("tessy_code", "tessy_math", "tessy_supergpqa"), tessy),
}
