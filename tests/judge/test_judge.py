"""The judge as a whole: many submissions, in order, the same every time, leaving nothing."""

from __future__ import annotations

import contextlib
import json
import resource
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from eval.judge import Submission, judge, unusable
from eval.judge.command import judge_command
from eval.judge.selftest import _write_dmoj, _write_lightcp
from tessy.errors import UserError

pytestmark = pytest.mark.sandbox

ROOT = Path(__file__).resolve().parents[2]
SUM = '#include <cstdio>\nint main() {{ long long a, b; scanf("%lld %lld", &a, &b); {} }}'
KINDS = {
    "AC": SUM.format('printf("%lld", a + b);'),
    "WA": SUM.format('printf("%lld", a - b);'),
    "TLE": SUM.format("for (volatile int i = 0;; i = i + 1);"),
    "RTE": SUM.format("__builtin_trap();"),
    "CE": "int main() {",
}


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    return _write_lightcp(tmp_path / "lightcp")


def submissions(verdicts: list[str]) -> list[Submission]:
    return [Submission("sum", "cpp", code=KINDS[v], sample_id=str(n)) for n, v in enumerate(verdicts)]


def test_results_come_in_order_and_progress_counts(problems: Path) -> None:
    wanted = ["TLE", "AC", "CE", "WA", "AC", "RTE", "TLE", "AC"]
    seen: list[tuple[int, int]] = []
    todo = submissions(wanted)
    judged = list(
        judge(
            todo, format="lightcp", problems=problems, workers=2, on_progress=lambda *both: seen.append(both)
        )
    )
    assert [j.verdict for j in judged] == wanted
    assert [j.sample_id for j in judged] == [str(n) for n in range(len(wanted))]
    assert seen == [(n, len(wanted)) for n in range(1, len(wanted) + 1)]


def test_broken_test_data_is_our_fault(tmp_path: Path) -> None:
    folder = _write_dmoj(tmp_path / "dmoj") / "ICPC" / "sum"
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.writestr("1.in", "40 2\n" * 1000)
        archive.writestr("1.out", "42\n")
    data = (folder / "a.zip").read_bytes()
    (folder / "a.zip").write_bytes(data.replace(b"40 2\n" * 10, b"41 2\n" * 10))
    for name in ("1.in", "1.out"):
        (folder / name).unlink()
    (folder / "init.yml").write_text("archive: a.zip\ntest_cases: [{in: 1.in, out: 1.out}]")
    (judged,) = judge(submissions(["AC"]), format="dmoj", problems=tmp_path / "dmoj")
    assert (judged.verdict, judged.official) == ("IE", "IE")
    assert "1.in" in judged.detail


def test_memory_stays_flat_over_large_tests(tmp_path: Path) -> None:
    folder = tmp_path / "many" / "testdata"
    folder.mkdir(parents=True)
    for n in range(1, 61):
        (folder / f"{n}.in").write_bytes(b"7" * (4 << 20))
        (folder / f"{n}.ans").write_bytes(b"7" * (4 << 20))
    (folder.parent / "config.yaml").write_text("time: 5s\nsubtasks: [{n_cases: 60}]")
    (folder.parent / "chk.cc").write_text("int main() {}")
    copy = "#include <cstdio>\nint main() { for (int c; (c = getchar()) != EOF;) putchar(c); }"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (judged,) = judge([Submission("many", "cpp", code=copy)], format="lightcp", problems=tmp_path)
    assert judged.verdict == "AC"
    assert len(judged.tests) == 60
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


def test_unusable_input_is_refused_before_anything_runs(problems: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no tests in"):
        judge([Submission("other", "cpp", code="")], format="lightcp", problems=problems)
    with pytest.raises(ValueError, match="does not judge language 'python'"):
        judge([Submission("sum", "python", code="")], format="lightcp", problems=problems)
    with pytest.raises(ValueError, match="no such directory"):
        unusable("dmoj", tmp_path / "nowhere")
    with pytest.raises(ValueError, match="holds no OJBench"):
        unusable("dmoj", tmp_path)
    with pytest.raises(ValueError, match="exactly one of"):
        Submission("sum", "cpp", code="", response="")


def test_killed_judge_leaves_no_process(problems: Path, tmp_path: Path) -> None:
    code = "#include <unistd.h>\n" + SUM.format("pause();")
    row = {"problem_id": "sum", "language": "cpp", "code": code}
    (tmp_path / "in.jsonl").write_text((json.dumps(row) + "\n") * 50)
    script = (
        "from pathlib import Path; from eval.judge import *; import json;"
        f"rows = [json.loads(l) for l in open({str(tmp_path / 'in.jsonl')!r})];"
        f"problems = Path({str(problems)!r});"
        "list(judge([Submission(**r) for r in rows], format='lightcp', problems=problems, workers=2))"
    )
    process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)
    deadline = time.monotonic() + 60
    while not (inside := descendants(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    inside = descendants(process.pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(1)
    assert inside
    assert not [pid for pid in inside if alive(pid)]


def alive(pid: int) -> bool:
    """A zombie is dead: it waits for a process 1 that may be slow to reap, and runs nothing."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def descendants(pid: int) -> list[int]:
    found = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it ends while it is looked at
        for path in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in map(int, path.read_text().split()):
                found += [child, *descendants(child)]
    return found


def test_command_keeps_rows_and_adds_verdicts(problems: Path, tmp_path: Path) -> None:
    rows = [
        {"problem_id": "sum", "language": "cpp", "code": KINDS["AC"], "model": "a", "sample_id": 7},
        {"problem_id": "sum", "language": "cpp", "response": f"Sure:\n```cpp\n{KINDS['WA']}\n```\n"},
        {"problem_id": "sum", "language": "cpp", "response": "I do not know."},
    ]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    arguments = ["--format", "lightcp", "--problems", problems, "--responses", tmp_path / "in.jsonl"]
    result = CliRunner().invoke(judge_command, [*map(str, arguments), "--out", str(tmp_path / "out.jsonl")])
    assert result.exit_code == 0, result.output
    judged = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["verdict"] for row in judged] == ["AC", "WA", "NO_CODE"]
    assert [row["official"] for row in judged] == ["Accepted", "Wrong Answer", "Judge Failed"]
    assert judged[0]["model"] == "a"
    assert judged[0]["tests"][0].keys() >= {"verdict", "cpu_s", "wall_s", "peak_mib"}
    assert [{k: row[k] for k in before} for row, before in zip(judged, rows, strict=True)] == rows


def test_command_reports_both_modes_and_their_difference(problems: Path, tmp_path: Path) -> None:
    rows = [
        {"problem_id": "sum", "language": "cpp", "code": KINDS["AC"]},
        {"problem_id": "sum", "language": "cpp", "response": f"```cpp\n{KINDS['WA']}\n```"},
        {"problem_id": "sum", "language": "cpp", "response": f"```c++\n{KINDS['AC']}\n```"},
        {
            "problem_id": "sum",
            "language": "cpp",
            "response": f"```c++\n{KINDS['AC'].replace('int main', 'signed main')}",
        },
        {"problem_id": "sum", "language": "cpp", "response": "I do not know."},
    ]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    arguments = ["--format", "lightcp", "--problems", problems, "--responses", tmp_path / "in.jsonl"]
    verdicts = {}
    for mode in ("strict", "fixed", "both"):
        out = tmp_path / f"{mode}.jsonl"
        result = CliRunner().invoke(judge_command, [*map(str, arguments), "--out", str(out), "--mode", mode])
        assert result.exit_code == 0, result.output
        verdicts[mode] = [json.loads(line) for line in out.read_text().splitlines()]
    assert "fixed differs in 1: NO_CODE to AC 1" in result.output
    assert [row["verdict"] for row in verdicts["both"]] == [row["verdict"] for row in verdicts["strict"]]
    assert [row["fixed"]["verdict"] for row in verdicts["both"]] == [
        row["verdict"] for row in verdicts["fixed"]
    ]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "line 1: not JSON"),
        ("[]", "not an object"),
        ("{}", "problem_id is None"),
        ('{"problem_id": "sum", "language": "cpp"}', "exactly one of"),
        ('{"problem_id": "sum", "language": "cpp", "code": 5}', "code is int"),
        ('{"problem_id": "sum", "language": "rust", "code": ""}', "does not judge language 'rust'"),
        ('{"problem_id": "no", "language": "cpp", "code": ""}', "no tests in"),
        ("[" * 100_000, "nested too deeply"),
        ('{"problem_id": ' + "9" * 5000 + "}", "line 1"),
    ],
)
def test_command_refuses_a_file_of_bad_rows_by_its_first_line(
    problems: Path, tmp_path: Path, line: str, says: str
) -> None:
    (tmp_path / "in.jsonl").write_text(line + "\n")
    arguments = ["--format", "lightcp", "--problems", problems, "--responses", tmp_path / "in.jsonl"]
    result = CliRunner().invoke(judge_command, [*map(str, arguments), "--out", str(tmp_path / "out.jsonl")])
    assert isinstance(result.exception, UserError)
    assert says in str(result.exception)
    assert not (tmp_path / "out.jsonl").exists()
