"""Writes one problem in each benchmark's layout and loads it: the small files that loaders are tried on."""

from __future__ import annotations

import base64
import json
import pickle
import zipfile
import zlib
from pathlib import Path

from eval.judge.formats import FORMATS
from eval.judge.records import JudgeProblem

SIMPLE = "archive: a.zip\ntest_cases:\n- {in: 1.in, out: 1.out}\n"
CONFIG = "subtasks:\n- n_cases: 1\n"
TEST = {"input": "1", "output": "2", "testtype": "stdin"}


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def dmoj(root: Path, init: str, files: dict[str, bytes] | None = None) -> JudgeProblem:
    folder = root / "ICPC" / "p"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "init.yml").write_text(init)
    zipped(folder / "a.zip", {"1.in": b"1\n", "1.out": b"2\n"} if files is None else files)
    return FORMATS["dmoj"].load("p", FORMATS["dmoj"].find(root)["p"])


def lightcp(root: Path, config: str, files: dict[str, bytes] | None = None) -> JudgeProblem:
    tests = {"testdata/1.in": b"1", "testdata/1.ans": b"2"} if files is None else files
    zipped(root / "p.zip", {"config.yaml": config.encode(), "chk.cc": b"int main() {}", **tests})
    return FORMATS["lightcp"].load("p", FORMATS["lightcp"].find(root)["p"])


def livecodebench(root: Path, **fields: object) -> JudgeProblem:
    row = {
        "question_id": "p",
        "public_test_cases": "[]",
        "private_test_cases": "[]",
        "metadata": "{}",
        **fields,
    }
    (root / "test.jsonl").write_text(json.dumps({"question_id": "other"}) + "\n" + json.dumps(row) + "\n")
    return FORMATS["lcb"].load("p", FORMATS["lcb"].find(root)["p"])


def packed(value: object) -> str:
    return base64.b64encode(zlib.compress(pickle.dumps(value))).decode()
