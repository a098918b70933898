"""The judge: did these programs solve these problems? As LiveCodeBench-Pro, OJBench, LiveCodeBench decide.

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
