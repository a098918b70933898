"""The judge: did these programs solve these problems? As LiveCodeBench-Pro, OJBench, LiveCodeBench decide.

`strict` is the official verdict, `fixed` the same with that judge's known faults repaired:

- extraction takes the last program in the right language after any thinking, however it is tagged;
- a crashed or failing checker is IE, not WA;
- an interactor that hangs up on a wrong program decides, not the signal the program then dies of;
- a program that dies (RTE, IR) in DMOJ's confinement, where address space counts, used or not, and sleeping,
  timers, other programs, waiting for children and /dev/stdin are refused, is run again without it;
- OJBench's clock is CPU time, so that sleeping is bounded by its wall factor only;
- LiveCodeBench programs run as real processes, each test in one of its own. So nothing survives from test to
  test; reading on after reading, by iteration, line by line from the buffer or from the descriptor, writing
  to a buffer or an imported stdout, `global`, `from __future__`, code after the main guard, a class
  `Solution` in a program or a comment, and modules that are taken away work; integers have any number of
  digits; tuples and arrays are lists at any depth; wrong answers to problems in its errata are SKIP;
- a compile error is CE in both; officially LiveCodeBench-Pro calls it "Judge Failed".

Both can be had at once: a program is run once where the modes agree on what is run and for how long, and
its outcome read in both ways. LiveCodeBench's are run twice: `strict` runs all tests in one process, as its
own code does (`dialogue`), at the newest commit that is known or at another one (`commit`).

Useful alone: no torch, no model, no container service.
`judge` yields one `Judgement` per `Submission`, in order.
"""

from eval.judge.extract import Format, extract_code
from eval.judge.records import CaseResult, Judgement, Mode, Submission, Verdict
from eval.judge.run import judge, unusable

__all__ = [
    "CaseResult",
    "Format",
    "Judgement",
    "Mode",
    "Submission",
    "Verdict",
    "extract_code",
    "judge",
    "unusable",
]
