"""Loads that show how the judge behaves when there is much to do: a whole contest, and very many large tests.

    python -m eval.judge.bench contest [PROBLEMS TESTS SUBMISSIONS]
    python -m eval.judge.bench memory [TESTS [dmoj | lcb]]
    python -m eval.judge.bench small [SUBMISSIONS TESTS]
    python -m eval.judge.bench write FOLDER [SUBMISSIONS TESTS TURN]

They write test data and remove it: in OJBench's layout, where every test is run whatever came before, or as
LiveCodeBench's packed lines. Not covered, except in `small`: compiling; the programs are few and built before
the clock starts.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import pickle
import random
import resource
import subprocess
import tempfile
import threading
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from eval.judge.checkers import standard
from eval.judge.compile import DMOJ, build
from eval.judge.extract import Format
from eval.judge.records import MIB, Judgement, Source, Submission
from eval.judge.run import judge

_SUM = """#include <cstdio>
int main() {{ long long x, sum = 0; while (scanf("%lld", &x) == 1) {{ {} }} printf("%lld\\n", {}); }}
"""
_PROGRAMS = {
    "right": _SUM.format("sum += x;", "sum"),
    "wrong": _SUM.format("sum += x;", "sum + 1"),
    "wrong on large": _SUM.format("sum += x % 999;", "sum"),
    "crashes": _SUM.format("sum += x; if (x == 13) __builtin_trap();", "sum"),
}
_SLOW = "#include <ctime>\n" + _PROGRAMS["right"].replace("printf", "while (clock() < 200000); printf")
T = TypeVar("T")
_USES = (
    "vector<long long> v; for (long long x; cin >> x;) v.push_back(x);\n"
    "    sort(v.begin(), v.end(), [](auto a, auto b) { return a % SALT < b % SALT; });\n"
    "    cout << accumulate(v.begin(), v.end(), 0LL) << '\\n';",
    "map<long long, int> m; for (long long x; cin >> x;) m[x]++;\n"
    "    long long sum = SALT - SALT; for (auto& [x, n] : m) sum += x * n;\n    cout << sum << endl;",
    "queue<pair<int, long long>> q; for (long long x; cin >> x;) q.push({SALT, x});\n"
    "    long long sum = 0; while (!q.empty()) { sum += q.front().second; q.pop(); }\n"
    "    cout << sum << '\\n';",
    "string s, all; long long sum = 0; while (cin >> s) { all += s + ' '; sum += stoll(s); }\n"
    "    set<char> used(all.begin(), all.end());\n    cout << (used.size() < SALT + 20 ? sum : -1) << '\\n';",
)
_HEADS = (  # as people and models write them: what the program needs, in several orders, and a little more
    ("iostream vector algorithm numeric", "vector iostream numeric algorithm", "iostream map",
     "iostream map string", "iostream queue", "iostream queue vector utility", "iostream string set",
     "iostream set string"),
    ("iostream vector algorithm numeric cmath", "algorithm iostream vector numeric", "iostream map vector",
     "cstdio iostream map", "iostream vector queue algorithm", "queue iostream", "iostream string set map",
     "iostream algorithm string set"),
)  # fmt: skip
_WHOLE = "{}using namespace std;\nint main() {{\n    ios::sync_with_stdio(false);\n    {}\n}}\n"
_SMALL = {
    "with bits/stdc++.h": [_WHOLE.format("#include <bits/stdc++.h>\n", uses) for uses in _USES],
    "other C++": [
        _WHOLE.format("".join(f"#include <{name}>\n" for name in names.split()), _USES[number // 2])
        for heads in _HEADS
        for number, names in enumerate(heads)
    ],
    "python": ["import sys\nprint(sum(int(x) for x in sys.stdin.read().split()) + SALT - SALT)\n"],
}
_KINDS = [name for name in _SMALL for _ in range(2 if name == "python" else 1)]
_COUNT = {
    "cpp": """#include <cstdio>
int main() { long n = 0; while (getchar_unlocked() != EOF) n++; printf("%ld\\n", n); }
""",
    "python": "import sys\nprint(len(sys.stdin.read()))\n",
}


def contest(problems: int = 100, tests: int = 20, submissions: int = 10) -> dict[str, Any]:
    """Seconds for `problems` x `tests` x `submissions` runs of small C++ programs: bare and one by one, then
    judged with one worker, and with one per core; then one slow submission of `tests` tests alone, which only
    sharing out its tests can speed up. `per_run` says where the time went (`_spent`); `peak_mib` is this
    process's."""
    with tempfile.TemporaryDirectory() as folder:
        root, rng = Path(folder), random.Random(0)
        for number in range(problems):
            _write_sums(root / f"p{number}", tests, rng)
        names = [rng.choice(list(_PROGRAMS)) for _ in range(problems * submissions)]
        todo = [
            Submission(f"p{number % problems}", "cpp", code=_PROGRAMS[name])
            for number, name in enumerate(names)
        ]
        slow = [Submission("p0", "cpp", code=_SLOW)]
        _judged(root, [*todo[: len(_PROGRAMS) * 8], *slow], 2)  # fills the compile cache
        bare_s, passed = timed(lambda: _one_by_one(root, todo, tests))
        counts = sorted({1, len(os.sched_getaffinity(0))})
        whole, per_run = {}, {}
        for count in counts:
            before = _spent()
            whole[count] = timed(partial(_judged, root, todo, count))
            per_run[count] = {
                name: round((value - before[name]) / len(todo) / tests, 3) for name, value in _spent().items()
            }
        alone = {count: timed(partial(_judged, root, slow, count))[0] for count in counts}
        verdicts = [[judgement.verdict for judgement in judged] for _, judged in whole.values()]
    runs = problems * tests * submissions
    return {
        "runs": runs,
        "one_by_one_bare_s": round(bare_s, 2),
        "judged_s": {str(count): round(seconds, 2) for count, (seconds, _) in whole.items()},
        "runs_per_s": {str(count): round(runs / seconds) for count, (seconds, _) in whole.items()},
        "per_run": {str(count): spent for count, spent in per_run.items()},
        "scaling": round(whole[counts[0]][0] / whole[counts[-1]][0], 2),
        "slow_submission_s": {str(count): round(seconds, 2) for count, seconds in alone.items()},
        "verdicts": dict(Counter(verdicts[0])),
        "verdicts_agree": all(some == verdicts[0] for some in verdicts)
        and [verdict == "AC" for verdict in verdicts[0]] == passed,
        "peak_mib": _status("VmHWM"),
    }


def small(submissions: int = 400, tests: int = 3) -> dict[str, Any]:
    """Seconds from start to finish, and of processor time, for many different small programs, half C++ (and
    half of that with `bits/stdc++.h`), half Python; nothing is built before. Then each kind by itself."""
    with tempfile.TemporaryDirectory() as folder, _fresh_cache():
        root, rng = Path(folder), random.Random(0)
        _write_sums(root / "sums", tests, rng)
        found: dict[str, Any] = {}
        for turn, only in enumerate(("all", *_SMALL)):
            chosen = [_KINDS[number % len(_KINDS)] for number in range(submissions)]
            todo = [
                Submission("sums", "python" if kind == "python" else "cpp", code=_small(kind, turn, number))
                for number, kind in enumerate(chosen)
                if only in ("all", kind)
            ]
            before = _spent()
            seconds, judged = timed(partial(_judged, root, todo, len(os.sched_getaffinity(0))))
            if any(judgement.verdict != "AC" for judgement in judged):
                raise RuntimeError("the load was not judged as expected")
            found[only] = {"submissions": len(todo), "seconds": round(seconds, 1), "cpu_s": _cpu_s(before)}
    return found


def write_small(folder: str, submissions: int = 400, tests: int = 3, turn: int = 0) -> str:
    """The programs of `small` as files, for any version of `tessy judge`; another `turn`, other programs."""
    _write_sums(Path(folder, "problems", "sums"), tests, random.Random(0))
    with Path(folder, "responses.jsonl").open("w") as out:
        for number in range(submissions):
            kind = _KINDS[number % len(_KINDS)]
            row = {
                "id": f"r{number}",
                "problem_id": "sums",
                "language": "python" if kind == "python" else "cpp",
            }
            out.write(json.dumps(row | {"code": _small(kind, turn, number)}) + "\n")
    return folder


def _cpu_s(before: dict[str, float]) -> float:
    after = _spent()
    return round(sum(after[name] - before[name] for name in ("judge_ms", "sandboxes_ms")) / 1000, 1)


def _small(kind: str, turn: int, number: int) -> str:
    """A program like no other, as the compile cache would know it."""
    bodies = _SMALL[kind]
    return bodies[number // 4 % len(bodies)].replace("SALT", str(1000 * turn + number + 7))


@contextlib.contextmanager
def _fresh_cache() -> Iterator[None]:
    before = os.environ.get("XDG_CACHE_HOME")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        try:
            yield
        finally:
            os.environ.pop("XDG_CACHE_HOME")
            if before is not None:
                os.environ["XDG_CACHE_HOME"] = before


def memory(tests: int = 10_000, format: Format = "dmoj") -> dict[str, Any]:
    """Memory while one submission goes through `tests` tests of 1 MiB, streamed from a zip file or (at most a
    thousand) from a packed line, in MiB: resident in this process at the start, at most in the first tenth,
    at most in all; and shared memory, where inputs and outputs live, beyond what the machine had in use."""
    with tempfile.TemporaryDirectory() as folder:
        write, language = {"dmoj": (_write_large, "cpp"), "lcb": (_write_packed, "python")}[format]
        write(Path(folder, "large"), tests)
        todo = [Submission("large", language, code=_COUNT[language])]
        before, shared = _status("VmRSS"), _shared_mib()
        seen: list[tuple[float, float, float]] = []
        with _sampled(seen):
            seconds, (judgement,) = timed(lambda: _judged(Path(folder), todo, 1, format))
    if judgement.verdict != "AC" or len(judgement.tests) != tests:
        raise RuntimeError(f"the load was not judged as expected: {judgement.verdict} {judgement.detail}")
    first = [resident for at, resident, _ in seen if at <= seen[0][0] + seconds / 10]
    return {
        "tests": tests,
        "seconds": round(seconds, 1),
        "rss_at_start": before,
        "rss_first_tenth": max(first),
        "rss_peak": max(resident for _, resident, _ in seen),
        "shared_peak": round(max(amount for _, _, amount in seen) - shared, 1),
    }


# Test data ----------------------------------------------------------------------------------------


def _write_sums(folder: Path, tests: int, rng: random.Random) -> None:
    folder.mkdir(parents=True)
    cases = []
    with zipfile.ZipFile(folder / "cases.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(1, tests + 1):
            values = [rng.randrange(10 ** rng.randrange(1, 6)) for _ in range(200)]
            archive.writestr(f"{number}.in", " ".join(map(str, values)) + "\n")
            archive.writestr(f"{number}.out", f"{sum(values)}\n")
            cases.append({"in": f"{number}.in", "out": f"{number}.out"})
    (folder / "init.yml").write_text(json.dumps({"archive": "cases.zip", "test_cases": cases}))


def _write_large(folder: Path, tests: int) -> None:
    folder.mkdir()
    cases = []
    with zipfile.ZipFile(folder / "cases.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number, data in _large(tests):
            archive.writestr(f"{number}.in", data)
            archive.writestr(f"{number}.out", f"{MIB}\n")
            cases.append({"in": f"{number}.in", "out": f"{number}.out"})
    (folder / "init.yml").write_text(json.dumps({"archive": "cases.zip", "test_cases": cases}))


def _write_packed(path: Path, tests: int) -> None:
    listed = [
        {"input": data.decode(), "output": f"{MIB}\n", "testtype": "stdin"} for _, data in _large(tests)
    ]
    packed = base64.b64encode(zlib.compress(pickle.dumps(json.dumps(listed)), level=1)).decode()
    row = {"question_id": "large", "public_test_cases": "[]", "private_test_cases": packed}
    path.with_suffix(".jsonl").write_text(json.dumps(row) + "\n")


def _large(tests: int) -> Iterator[tuple[int, bytes]]:
    rest = random.Random(0).randbytes(MIB // 256).hex().encode() * 128
    return ((number, (b"%d\n" % number + rest)[:MIB]) for number in range(1, tests + 1))


# Runs ---------------------------------------------------------------------------------------------


def _judged(root: Path, todo: Sequence[Submission], workers: int, format: Format = "dmoj") -> list[Judgement]:
    return list(judge(todo, format=format, problems=root, workers=workers))


def _spent() -> dict[str, float]:
    """Milliseconds so far: wall clock; CPU time of the judge, of its sandboxes with their programs, of all
    else that runs here, as a rule the kernel's own threads; idle time of all cores. And how often the judge's
    threads stopped to wait, once per run at least: for a program, a file or the interpreter's lock."""
    own, sandboxes = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    ticks = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    idle, busy = sum(ticks[3:5]), sum(ticks[:3]) + sum(ticks[5:])
    spent_s = {"judge": own.ru_utime + own.ru_stime, "sandboxes": sandboxes.ru_utime + sandboxes.ru_stime}
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    spent_s |= {"wall": time.perf_counter(), "idle": idle * tick_s}
    spent_s["elsewhere"] = busy * tick_s - spent_s["judge"] - spent_s["sandboxes"]
    return {f"{name}_ms": 1000 * value for name, value in spent_s.items()} | {"waits": own.ru_nvcsw}


def _one_by_one(root: Path, todo: Sequence[Submission], tests: int) -> list[bool]:
    """The same programs and tests as plain child processes: no isolation, no limits, no accounting."""
    passed = []
    for submission in todo:
        program = build(DMOJ["cpp"], Source("cpp", {"main.cpp": (submission.code or "").encode()}))
        path = root / "program"
        path.unlink(missing_ok=True)
        path.write_bytes(next(iter(program.files.values())).read())
        path.chmod(0o755)
        program.close()
        with zipfile.ZipFile(root / submission.problem_id / "cases.zip") as archive:
            right = [_passes(path, archive, number) for number in range(1, tests + 1)]
        passed.append(all(right))
    return passed


def _passes(program: Path, archive: zipfile.ZipFile, number: int) -> bool:
    done = subprocess.run([program], input=archive.read(f"{number}.in"), stdout=subprocess.PIPE)
    return done.returncode == 0 and standard(done.stdout, archive.read(f"{number}.out"), {})


def timed(action: Callable[[], T]) -> tuple[float, T]:
    """Seconds it took, and its result."""
    start = time.perf_counter()
    result = action()
    return time.perf_counter() - start, result


# Memory -------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _sampled(seen: list[tuple[float, float, float]]) -> Iterator[None]:
    """Append (clock, resident, shared) of now and then while the context is open."""
    over = threading.Event()

    def sample() -> None:
        while not over.wait(0.05):
            seen.append((time.perf_counter(), _status("VmRSS"), _shared_mib()))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _status(field: str) -> float:
    """A size of this process in MiB."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return round(int(lines[field].split()[0]) / 1024, 1)


def _shared_mib() -> float:
    lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    return round(int(lines["Shmem"].split()[0]) / 1024, 1)
