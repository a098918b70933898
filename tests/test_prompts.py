"""What a model is asked, where the words are the authors' own: read where they are published, never run."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import pytest
from benchmark_samples import livecodebench, ojbench, pro_statement, pro_zips, write_jsonl
from hypothesis import given
from hypothesis import strategies as st
from official_samples import LCB_FILE, PRO_FILE, served, write_published
from pydantic import ValidationError

from eval.benchmarks import faults, load
from eval.official import OfficialText, official_text
from eval.prompts import LCB, PRO
from eval.scores import scorecard
from tessy.config.evaluate import CodeBenchmark
from tessy.errors import UserError


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that would be served; the cache is empty, and nothing can be fetched."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TESSY_RAW_GITHUB", "http://127.0.0.1:9")
    return write_published(tmp_path / "raw")


def prompts(kind: str, source: Path, **fields: Any) -> list[str]:
    benchmark = CodeBenchmark(name="b", kind=kind, source=str(source), **fields)
    return [problem.prompt for problem in load(benchmark).problems]


STDIN = "Be {good}.\n\n# Q\nDouble it (abc380_a).\n# F: Start from nothing.\n```\n# A\n"
FUNCTIONAL = (
    "Be {good}.\n\n# Q\nDouble it (3600).\n# F: Go on with this.\n"
    "```python\nclass Solution:\n    def double(self, x: int) -> int:\n        \n```\n# A\n"
)


def test_official_prompts_are_fetched_once_and_used_to_the_letter(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pro = pro_zips(tmp_path / "pro", "a")
    write_jsonl(pro / "statements.jsonl", [pro_statement("a")])
    with served(published) as address:
        monkeypatch.setenv("TESSY_RAW_GITHUB", address)
        first = prompts("livecodebench_pro", pro)
    assert first == ["\n        Do it in C++. Double it (a)."]
    assert prompts("livecodebench_pro", pro) == first


def test_another_file_than_the_authors_is_neither_used_nor_kept(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = (published / LCB.repository / LCB.commit / LCB.path).read_bytes()
    right = dataclasses.replace(LCB, sha256=hashlib.sha256(content).hexdigest())
    with served(published) as address:
        monkeypatch.setenv("TESSY_RAW_GITHUB", address)
        with pytest.raises(UserError, match=rf"has SHA-256 {right.sha256}, and the authors' .* {LCB.sha256}"):
            official_text(LCB)
        assert not (tmp_path / "cache").exists()
        assert official_text(right).sha256 == right.sha256


def test_a_local_copy_needs_no_network_and_the_card_says_which_text_it_was(
    published: Path, tmp_path: Path
) -> None:
    lcb = livecodebench(tmp_path / "lcb")
    copy = tmp_path / "prompts.py"
    copy.write_text(LCB_FILE)
    fields: dict[str, Any] = {"kind": "livecodebench_v5", "source": str(lcb), "prompt_file": str(copy)}
    benchmark = CodeBenchmark(name="b", **fields)
    assert benchmark.files == [str(lcb), str(copy)]
    contest = load(benchmark)
    assert [problem.prompt for problem in contest.problems] == [STDIN, FUNCTIONAL]
    protocol = scorecard(benchmark, contest, {}, [], 0)["protocol"]
    assert (
        protocol["prompt"] == f"official, from {copy} (SHA-256 {OfficialText('', copy.read_bytes()).sha256})"
    )
    ours = benchmark.model_copy(update={"prompt_file": None, "instruction": "ours"})
    other = scorecard(ours, load(ours), {}, [], 0)["protocol"]
    assert other["prompt"].startswith("a request for Python, the statement")
    assert other["prompts_sha256"] != protocol["prompts_sha256"]


def test_without_a_network_the_three_ways_out_are_named(published: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        prompts("livecodebench_v5", livecodebench(tmp_path / "lcb"))
    said = str(caught.value)
    assert f"http://127.0.0.1:9/{LCB.repository}/{LCB.commit}/{LCB.path} cannot be fetched" in said
    assert all(way in said for way in ("use the network once", "`prompt_file`", "`instruction`", "`ours`"))
    assert prompts("ojbench", ojbench(tmp_path / "oj"))[0] == "Double it (a)."
    assert prompts("ojbench", tmp_path / "oj", instruction="Now: ")[0] == "Now: Double it (a)."


def test_without_a_network_the_data_is_looked_at_all_the_same(published: Path, tmp_path: Path) -> None:
    fields: dict[str, Any] = {"name": "b", "kind": "livecodebench_v5"}
    prompt, *data = faults(CodeBenchmark(**fields, source=str(livecodebench(tmp_path / "lcb"))))
    assert "cannot be fetched" in prompt
    assert not data
    missing = str(tmp_path / "none")
    both = list(faults(CodeBenchmark(**fields, source=missing)))
    assert both[0] == prompt
    assert both[1].startswith(f"source {missing}: no such folder")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("SYSTEM_MESSAGE_GENERIC", "SYSTEM"), "has no PromptConstants.SYSTEM_MESSAGE_GENERIC"),
        (("get_generic_question", "get_question"), "has no get_generic_question_template_answer"),
        (
            ("    return prompt", "    return str(prompt)"),
            r"more than strings and conditions \(str\(prompt\)\)",
        ),
        (("    return prompt", "    for x in prompt:\n        pass"), "more than strings and conditions"),
        (("    return prompt", ""), "answer that returns a string"),
        (("class PromptConstants:", "class PromptConstants"), "not a Python file"),
    ],
)
def test_a_file_that_is_another_than_it_was_is_refused(
    published: Path, tmp_path: Path, change: tuple[str, str], said: str
) -> None:
    assert change[0] in LCB_FILE
    (tmp_path / "p.py").write_text(LCB_FILE.replace(*change))
    with pytest.raises(UserError, match=said):
        prompts("livecodebench_v5", livecodebench(tmp_path / "lcb"), prompt_file=str(tmp_path / "p.py"))


def test_what_is_no_prompt_file_is_not_kept(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = published / PRO.repository / PRO.commit / PRO.path
    path.write_text("<html>Please log in</html>")
    with served(published) as address:
        monkeypatch.setenv("TESSY_RAW_GITHUB", address)
        with pytest.raises(UserError, match="not a Python file"):
            official_text(PRO)
        path.write_text(PRO_FILE)
        assert official_text(PRO).constant("LLMInterface.prompt").endswith("C++. ")


@given(st.text(), st.text(), st.text())
def test_any_text_comes_out_as_it_is_written(constant: str, before: str, statement: str) -> None:
    source = (
        f"class C:\n    X = {constant!r}\ndef f(p):\n"
        f"    t = {before!r} + C.X\n    t += f'{{p.s}}|{{t}}'\n    return t\n"
    )
    text = OfficialText("", source.encode("utf-8", "surrogatepass"))
    assert text.constant("C.X") == constant
    assert text.filled("f", {"s": statement}) == f"{before}{constant}{statement}|{before}{constant}"


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "ojbench", "source": "x"},
        {"kind": "livecodebench_v5", "source": "x", "instruction": "ours"},
        {"kind": "livecodebench_pro", "source": "miniature"},
    ],
)
def test_a_prompt_file_that_nobody_would_read_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="`prompt_file` is where the `official` instruction"):
        CodeBenchmark(**{"name": "b", "prompt_file": "x.py", **fields})
