"""Programs that take all tests in one process: what a hostile one can win, and what it leaves.

Each program's verdict is decided outside its process; the honest one after it, in the same sandbox, finds
nothing of it.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from eval.judge import Judgement, Submission, judge
from eval.judge import interpreter as packages
from eval.judge.interpreter import PYPY, PYPY_ENVIRONMENT, interpreter, pypy
from eval.judge.verdicts import confine
from eval.sandbox import Interpreter, Limits, Sealed, run, scratch
from eval.sandbox.files import read_all

pytestmark = pytest.mark.sandbox

HONEST = "a, b = map(int, input().split())\nprint(a + b)\n"
TESTS = [("1 2", "3"), ("5 -2", "3"), ("100 1", "101")]
CALL = "class Solution:\n    def add(self, a, b):\n        return a + b\n"

# Against what runs beside the program, in its own process: none of it decides.
SAID = "sys.modules['harness.official'].SAID"
HOSTILE = {
    "exits early": "import os\nprint(3)\nos._exit(0)",
    "kills itself": "import os, signal\nsignal.raise_signal(signal.SIGKILL)",
    "says it passed": (
        "import os, struct, sys\n"
        f"for _ in range(9): os.write({SAID}, struct.pack('<cddQ', b'T', 0, 0, 2) + b'3\\n')\nos._exit(0)"
    ),
    "says kinds that do not exist": f"import os, sys\nos.write({SAID}, b'\\xff' * 10_000)\nos._exit(0)",
    "says it took no time": (
        "import os, struct, sys\nreply = struct.pack('<cddQ', b'T', float('nan'), -1e300, 2) + b'4\\n'\n"
        f"os.write({SAID}, reply)\nos._exit(0)"
    ),
    "announces more than there can be": (
        "import os, struct, sys, time\n"
        f"os.write({SAID}, struct.pack('<cddQ', b'T', 0, 0, 1 << 60))\ntime.sleep(100)"
    ),
    "floods": f"import os, sys\nwhile True: os.write({SAID}, b'T' * 65536)",
    "closes the way out and stays": f"import os, sys, time\nos.close({SAID})\ntime.sleep(100)",
    "closes everything and stays": "import os, time\nos.closerange(0, 1000)\ntime.sleep(100)",
    "patches what runs it": (
        "import sys\nharness = sys.modules['harness.official']\n"
        "harness._printed = lambda *_: '3'\nharness._say = lambda *_: None\nharness._exit = lambda *_: None\n"
        "print(3)"
    ),
    "does not hear that it is over": (
        "import sys, time\nsys.modules['harness.official']._exit = lambda *_: time.sleep(1000)\nprint(4)"
    ),
    "looks for answers": (
        "import gc, sys\n"
        "frames = []\nframe = sys._getframe()\n"
        "while frame: frames.append(repr(frame.f_locals)); frame = frame.f_back\n"
        "found = [o for o in gc.get_objects() if isinstance(o, dict) and 'expected' in map(str, o)]\n"
        "print(101 if '101' in ''.join(frames) + repr(found)[:1000] else 0)"
    ),
    "leaves a child that answers": (
        "import posix, time\n"
        "if posix.fork() == 0:\n    time.sleep(0.2)\n    print(3)\nelse:\n    posix._exit(0)"
    ),
    "leaves a daemon with the pipes": (
        "import posix, time\n"
        "if posix.fork() == 0:\n    posix.setsid()\n    if posix.fork() == 0: time.sleep(100)\n"
        "    posix._exit(0)\n"
        "posix._exit(0)"
    ),
    "takes all memory": "kept = []\nwhile True: kept.append(bytearray(1 << 26))",
    "swallows the alarm": (
        "import signal\nsignal.setitimer(signal.ITIMER_REAL, 0.2)\n"
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass"
    ),
}  # fmt: skip
ODD = {
    "equals everything": (
        "class E:\n    def __eq__(self, o): return True\n"
        "class Solution:\n    def add(self, a, b): return E()"
    ),
    "describes itself": (
        "import sys\nsys.modules['harness.official'].described = lambda v: "
        "{'@': 'numpy', 'dtype': '<U99999999', 'shape': [9], 'of': ['x']}\n" + CALL
    ),
    "is nested without end": (
        "class Solution:\n    def add(self, a, b):\n        x = []\n        x.append(x)\n        return x"
    ),
    "is enormous": "class Solution:\n    def add(self, a, b): return [0] * 10**7",
    "dumps what it likes": (
        "import json, sys\nsys.modules['harness.official']._dump = lambda v: '[' * 10**6\n" + CALL
    ),
}  # fmt: skip


def write_problems(folder: Path, tests: int = 3) -> None:
    stdin = [{"input": given + "\n", "output": out, "testtype": "stdin"} for given, out in TESTS] * (
        tests // 3
    )
    calls = [
        {"input": given.replace(" ", "\n"), "output": out, "testtype": "functional"} for given, out in TESTS
    ]
    rows = [
        {"question_id": "sum", "public_test_cases": json.dumps(stdin), "private_test_cases": "[]"},
        {"question_id": "call", "public_test_cases": json.dumps(calls), "private_test_cases": "[]",
         "metadata": json.dumps({"func_name": "add"})},
    ]  # fmt: skip
    (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def judged(folder: Path, *programs: str, problem: str = "sum") -> list[Judgement]:
    todo = [Submission(problem, "python", code=code) for code in programs]
    return list(judge(todo, format="lcb", problems=folder, workers=1))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_program_does_not_pass_nor_disturb_the_next(name: str, tmp_path: Path) -> None:
    write_problems(tmp_path)
    start = time.monotonic()
    hostile, honest = judged(tmp_path, HOSTILE[name], HONEST)
    assert hostile.verdict not in ("AC", "IE"), hostile
    json.dumps([test.wall_s for test in hostile.tests], allow_nan=False)
    assert honest.verdict == "AC", honest.detail
    assert time.monotonic() - start < 60


@pytest.mark.parametrize("name", ODD)
def test_an_odd_result_is_wrong_and_disturbs_nobody(name: str, tmp_path: Path) -> None:
    write_problems(tmp_path)
    odd, honest = judged(tmp_path, ODD[name], CALL, problem="call")
    assert odd.verdict not in ("AC", "IE"), odd
    assert honest.verdict == "AC", honest.detail


def test_a_program_can_only_know_what_it_was_given(tmp_path: Path) -> None:
    """The second answer is the first's: a process that remembers is wrong officially, and here."""
    write_problems(tmp_path)
    remembers = (
        "import sys\nsys.kept = getattr(sys, 'kept', None) or input()\nprint(sum(map(int, sys.kept.split())))"
    )
    (judgement,) = judged(tmp_path, remembers)
    assert [test.verdict for test in judgement.tests] == ["AC", "AC", "WA"]


def test_the_first_failure_ends_it(tmp_path: Path) -> None:
    write_problems(tmp_path)
    judgement, late = judged(
        tmp_path, "print(4)", "import time\ntime.sleep(1 if input() == '1 2' else 100)\nprint(3)"
    )
    assert [test.verdict for test in judgement.tests] == ["WA"]
    assert [test.verdict for test in late.tests] == ["AC", "TLE"]


def test_a_stopped_judge_does_not_wait_for_the_program(tmp_path: Path) -> None:
    write_problems(tmp_path)
    slow = "import time\ntime.sleep(5)\n" + HONEST
    todo = [Submission("sum", "python", code="print(1)"), *[Submission("sum", "python", code=slow)] * 3]
    results = judge(todo, format="lcb", problems=tmp_path, workers=1)
    next(results)
    start = time.monotonic()
    threading.Event().wait(0.5)
    results.close()
    assert time.monotonic() - start < 3


# What submissions do not find


def test_a_numpy_that_does_not_load_says_why() -> None:
    with tempfile.TemporaryDirectory() as name:  # open to others, unlike pytest's own
        package = Path(name, "numpy")
        package.mkdir()
        Path(name).chmod(0o755)
        (package / "__init__.py").write_text("raise ImportError('no library for matrices')\n")
        broken = replace(interpreter(), shown=((str(package), "/packages/numpy"),))
        assert output("", broken, "numpy") == "no library for matrices"
    assert output("", replace(broken, shown=()), "numpy") == "No module named 'numpy'"
    assert output("", None, "numpy") == ""


def test_what_is_not_installed_or_closed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "closed_to_others").mkdir()
    (tmp_path / "closed_to_others" / "__init__.py").touch()
    tmp_path.chmod(0o700)
    monkeypatch.syspath_prepend(tmp_path)
    assert packages._why_not(("nowhere_to_be_found",)) == "not installed"
    if os.geteuid() == 0:
        assert "cannot be read by everybody" in packages._why_not(("closed_to_others",))
    assert packages.described().startswith("Python 3.")


# A fork of the interpreter in place of a process of its own

LOOK = """
import os, sys
with open("/proc/self/maps") as stream:
    maps = stream.read()
mine = sorted(os.listdir("/proc/self/fd"))[:-1]
processes = [name for name in os.listdir("/proc") if name.isdigit()]
def refused(act):
    try:
        act()
    except OSError:
        return True
    return False
print(
    "shared memory" if any(line.split()[1] == "rw-s" for line in maps.splitlines()) else "private",
    mine == ["0", "1", "2"], processes == ["1", str(os.getpid())],
    refused(lambda: open("/proc/1/mem", "rb")), refused(lambda: os.listdir("/proc/1/fd")),
    refused(lambda: open("/packages/numpy/mark", "w")), refused(lambda: os.mkdir("/packages/mark")),
    "numpy" in sys.modules, sys.argv, __name__, len(os.listdir("/tmp")),
)
"""
MARK = """
import builtins, ctypes, os, signal, sys, string, numpy
builtins.mark = sys.mark = string.mark = numpy.mark = os.environ["MARK"] = "mark"
for folder in ("/tmp", "/box", "/packages", "."):
    try:
        open(folder + "/mark", "w")
    except OSError:
        pass
for number in range(1, 32):
    try:
        os.kill(1, number)
    except OSError:
        pass
ctypes.memset(id(string.digits) + 48, 65, 10)
if os.fork() == 0:
    os.setsid()
    import time
    time.sleep(100)
"""
SEEK = """
import builtins, os, string, sys, numpy
print([hasattr(one, "mark") for one in (builtins, sys, string, numpy)], "MARK" in os.environ, string.digits)
"""


def output(code: str, loaded: Interpreter | None = None, what: str = "program") -> str:
    out, err = scratch(), scratch()
    argv = (what, "/box/main.py") if loaded else (what,)
    limits = Limits(cpu_s=5, wall_s=10, memory=512 << 20, stdout=1 << 20, tmp=1 << 20)
    with Sealed(code.encode()) as content:
        outcome = run(
            argv, limits, files={"/box/main.py": content}, stdin=None, stdout=out, stderr=err,
            interpreter=loaded or interpreter(),
        )  # fmt: skip
    assert outcome.exit_code == 0, read_all(err).decode()
    try:
        return read_all(out).decode().strip()
    finally:
        os.close(out)
        os.close(err)


def test_a_fork_of_the_interpreter_has_nothing_of_the_sandbox() -> None:
    wanted = "private True True True True True True True ['/box/main.py'] __main__ 0"
    assert output(LOOK) == wanted


def test_a_fork_of_the_interpreter_leaves_no_mark_on_the_next() -> None:
    output(MARK)
    assert output(SEEK) == "[False, False, False, False] False 0123456789"
    assert len({output("import random; print(random.random())") for _ in range(3)}) == 3


def test_a_fork_of_pypy_is_what_a_process_of_its_own_would_be() -> None:
    look = LOOK.replace('refused(lambda: open("/packages/numpy/mark", "w")), ', "")
    wanted = "private True True True True True False ['/box/main.py'] __main__ 0"
    assert output(look, pypy()) == wanted
    names = (
        "import sys; print('exit' in dir(__builtins__), sorted(globals()), sys.path[0], sys.flags.no_site)"
    )
    dunder = ["__builtins__", "__cached__", "__doc__", "__file__", "__loader__", "__name__", "__package__"]
    assert output(names, pypy()) == f"False {[*dunder, '__spec__', 'sys']} /box 1"
    output("import os, sys; sys.mark = os.mark = 1; os.fork() or os.setsid()", pypy())
    assert output("import os, sys; print(hasattr(sys, 'mark'), hasattr(os, 'mark'))", pypy()) == "False False"


CONFINED = {
    "sleeps": "import time; time.sleep(0.1)",
    "sets an alarm": "import signal; signal.alarm(1)",
    "executes": "import os; os.execv('/bin/true', ['true'])",
    "starts a shell": "import os; os.system('true')",
    "waits for a child": "import os; os.fork() and os.wait()",
    "has a child": "import os; os.fork() and print(1)",
    "opens /dev/stdin": "open('/dev/stdin')",
    "takes address space": "kept = [bytearray(1 << 24) for _ in range(99)]",
    "looks": "import os, resource as r; print(os.listdir('/dev'), r.getrlimit(r.RLIMIT_AS))",
}


def ending(
    argv: tuple[str, ...], code: str, loaded: Interpreter | None
) -> tuple[int | None, int | None, bytes]:
    limits = confine(Limits(cpu_s=5, wall_s=10, memory=512 << 20, stdout=1 << 20), 128 << 20)
    out, err = scratch(), scratch()
    try:
        with Sealed(code.encode()) as content:
            outcome = run(
                argv, limits, files={"/box/main.py": content}, stdin=None, stdout=out, stderr=err,
                environment=PYPY_ENVIRONMENT, interpreter=loaded,
            )  # fmt: skip
        return outcome.exit_code, outcome.signal, read_all(out)
    finally:
        os.close(out)
        os.close(err)


@pytest.mark.parametrize("name", CONFINED)
def test_a_fork_of_pypy_is_confined_as_a_process_of_its_own_is(name: str) -> None:
    alone = ending((PYPY, "-BS", "/box/main.py"), CONFINED[name], None)
    assert ending(("program", "/box/main.py"), CONFINED[name], pypy()) == alone
    assert alone[:2] != (0, None) or name in ("has a child", "looks")


def test_how_much_memory_pypy_takes_does_not_depend_on_the_processor() -> None:
    nursery = "import gc; print(*(line for line in str(gc.get_stats()).splitlines() if 'nursery' in line))"
    for argv, loaded in (((PYPY, "-BS", "/box/main.py"), None), (("program", "/box/main.py"), pypy())):
        assert ending(argv, nursery, loaded)[2].split() == [b"nursery:", b"4.0MB"] * 2
