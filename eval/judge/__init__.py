"""The judge: did these programs solve these problems? As LiveCodeBench-Pro, OJBench, LiveCodeBench decide.

`strict` is the official verdict, `fixed` the same with that judge's known faults repaired:

- extraction takes the last program in the right language after any thinking, however it is tagged;
- a crashed or failing checker is IE, not WA;
- an interactor that hangs up on a wrong program decides, not the signal the program then dies of;
- a program that dies (RTE, IR) in DMOJ's confinement, where address space counts, used or not, and sleeping,
  timers, other programs, waiting for children and /dev/stdin are refused, is run again without it;
- OJBench's clock is CPU time, so that sleeping is bounded by its wall factor only;
- LiveCodeBench programs run as real processes: reading standard input by iteration, through its buffer or
  descriptor, writing to a buffer or an imported stdout, `global`, `from __future__` and code after the main
  guard work; wrong answers to problems in its errata are SKIP;
- a compile error is CE in both; officially LiveCodeBench-Pro calls it "Judge Failed".

Both can be had at once: a program is run once where the modes agree on what is run and for how long, and
its outcome read in both ways. LiveCodeBench's are run twice.

Useful alone: no torch, no model, no container service.
`judge` yields one `Judgement` per `Submission`, in order.
"""

from eval.judge.extract import Format, extract_code
from eval.judge.records import CaseResult, Judgement, Mode, Submission, Verdict
from eval.judge.run import check_problems, judge

__all__ = [
    "CaseResult",
    "Format",
    "Judgement",
    "Mode",
    "Submission",
    "Verdict",
    "check_problems",
    "extract_code",
    "judge",
]
