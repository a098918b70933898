"""Small but realistic reports for the tests of `tessy.report`; every number here is made up."""

from __future__ import annotations

from typing import Any

from tessy.records import Span, Trajectory
from tessy.report import LineageRow, ReportInput

HOSTILE = "<script>document.title = 'owned'</script><img src=x onerror=alert(1)>"
PAPER = {"OJBench-mini": {"Student": 0.1875, "Teacher-Only": 0.0873, "TESSY": 0.2543}}


def row(method: str, benchmark: str, value: float, half: float = 0.05, **changes: Any) -> dict[str, Any]:
    """A result row whose interval reaches `half` to either side, within 0 and 1."""
    return {
        "method": method,
        "benchmark": benchmark,
        "metric": "pass@1",
        "value": value,
        "ci_low": max(0.0, value - half),
        "ci_high": min(1.0, value + half),
        "n_problems": 200,
        "n_samples": 4,
        "seeds": [0, 1, 2],
        "paper": PAPER.get(benchmark, {}).get(method),
    } | changes


def results(**changes: Any) -> dict[str, Any]:
    """The required keys of `results.json`: the ordering is seen in domain and open out of domain."""
    rows = []
    for benchmark, scores in {
        "OJBench-mini": (0.5, 0.312, 0.675),
        "LCBPro-mini": (0.46, 0.295, 0.58),
        "chains-mini": (0.715, 0.68, 0.722),
    }.items():
        for method, value in zip(("Student", "Teacher-Only", "TESSY"), scores, strict=True):
            rows.append(row(method, benchmark, value))
    return {
        "recipe": "mini",
        "fingerprint": "3f9a1c77e0b2",
        "created": "2026-01-05T10:00:00+00:00",
        "rows": rows,
        "synthesis": {
            "Teacher-Only": synthesis(384, 0, 171.2, 1.0),
            "TESSY": synthesis(381, 3, 148.9, 0.712),
        },
        "timing": {"worlds": 4.2, "train-student": 88.0, "synthesise-TESSY": 141.5, "evaluate": 95.25},
        "out_of_domain": ["chains-mini"],
    } | changes


def synthesis(trajectories: int, failed: int, mean_tokens: float, share: float) -> dict[str, Any]:
    return {
        "trajectories": trajectories,
        "failed": failed,
        "mean_tokens": mean_tokens,
        "teacher_token_share": share,
    }


KINDS = ("style", "capability")


def full_results() -> dict[str, Any]:
    """`results` with every optional key."""
    return results(
        predictors={
            "student": predictor(0.981, 0.952, 0.021, 0.013, 0.875),
            "teacher": predictor(0.973, 0.938, 0.018, 0.026),
        },
        predictor_training={
            "student": {
                **dict.fromkeys(
                    (
                        *(f"{kind}_{name}" for kind in KINDS for name in ("precision", "recall", "f1")),
                        *("boundary_f1", "boundary_f1_within_2", "threshold"),
                    ),
                    0.9,
                ),
                "calibration_error": 0.014,
                "held_out_tokens": 1083,
                "segments": 1500,
                "outcomes": {"accepted": 1490, "no_json": 10},
                "kappa": 0.871,
            }
        },
        epochs=[row("TESSY", "OJBench-mini", 0.55) | {"epoch": epoch} for epoch in (1, 2)],
        losses={
            "TESSY seed 0": {
                "style": {"tokens": 50_836.0, "nll": 0.349, "share_of_loss": 0.796},
                "capability": {"tokens": 39_724.0, "nll": 0.113, "share_of_loss": 0.202},
            }
        },
        stopping=[
            stopping("Teacher-Only seed 0", 0),
            stopping("TESSY seed 0", 7),
            stopping("TESSY seed 1", 8),
        ],
        instrument=[
            check("Teacher beats student on new problems", 0.94, "above 0.80", True),
            check("Gold solutions accepted", "400 of 400", "all", True, "each also judged after mutation"),
            check("Mutated solutions refused", "396 of 400", "all", False, "four mutants are equivalent"),
            check("Right traces, TESSY", 0.913, "reported, not judged", None),
        ],
        breakdown=[
            {"group": group, "n_problems": 100} | estimate(row(method, benchmark, value))
            for benchmark in ("OJBench-mini", "LCBPro-mini")
            for group, scores in {"known": (0.99, 0.41, 0.97), "new": (0.02, 0.22, 0.38)}.items()
            for method, value in zip(("Student", "Teacher-Only", "TESSY"), scores, strict=True)
        ],
    )


def stopping(run: str, stopped: int) -> dict[str, Any]:
    counts = {"prompts": 8, "stopped": stopped, "as_trained": 8, "max_new_tokens": 768}
    return {"run": run, "engine": "transformers", **counts}


def predictor(*values: float) -> dict[str, float]:
    names = ("token_f1", "boundary_f1", "style_leak", "capability_leak", "right_traces")
    return dict(zip(names, values, strict=False))


def check(
    name: str, value: float | str, expectation: str, passed: bool | None, note: str = ""
) -> dict[str, Any]:
    return {"name": name, "value": value, "expectation": expectation, "passed": passed, "note": note}


def estimate(cell: dict[str, Any]) -> dict[str, Any]:
    return {key: cell[key] for key in ("method", "benchmark", "value", "ci_low", "ci_high")}


def trace(method: str, spans: list[Span], problem_id: str = "halve-palindromes-count") -> Trajectory:
    """A finished trajectory made of `spans`."""
    tokens = sum(span.tokens for span in spans)
    prompt = "Of the palindromic integers in the list, each halved, print the count."
    return Trajectory(
        sample_id=f"{problem_id}#0",
        problem_id=problem_id,
        method=method,
        prompt=prompt,
        messages=[{"role": "user", "content": prompt}],
        spans=spans,
        student_token_ids=list(range(tokens + 20)),
        prompt_tokens=20,
        stop_reason="finished",
        generated_tokens=tokens + 31,
        rolled_back_tokens=31,
        seed=7,
        sampler={"temperature": 0.6},
        models={"student": "student-0.4M", "teacher": "teacher-0.9M"},
    )


ANSWER = """```python
xs = list(map(int, input().split()))
ys = [x for x in xs if str(x) == str(x)[::-1]]
ys = [y // 2 for y in ys]
print(len(ys))
```"""


def cooperative_spans(thought: str = "keep x where str(x) == str(x)[::-1]") -> list[Span]:
    """A cooperative trace: style by the student, capability by the teacher, the student's answer."""
    return [
        Span("student", "markup", "<think>\n", 2, "template"),
        Span(
            "student", "style", "Okay, so first of all, I should look at which numbers stay. ", 14, "boundary"
        ),
        Span("teacher", "capability", thought, 16, "boundary"),
        Span("student", "style", ". Right, and then, if I see this correctly, ", 12, "boundary"),
        Span("teacher", "capability", "each one becomes y // 2", 9, "boundary"),
        Span("student", "style", ". Now at the very end we simply need ", 10, "boundary"),
        Span("teacher", "capability", "print(len(ys))", 6, "end_of_thinking"),
        Span("student", "markup", "\n</think>\n\n", 3, "template"),
        Span("student", "answer", ANSWER, 58, "end_of_answer"),
    ]


def teacher_spans() -> list[Span]:
    """A Teacher-Only trace."""
    thought = "We need: filter x: str(x) == str(x)[::-1]. Map: y // 2. Reduce: print(len(ys)). Done."
    return [
        Span("teacher", "thinking", thought, 38, "end_of_thinking"),
        Span("student", "markup", "\n</think>\n\n", 3, "template"),
        Span("teacher", "answer", ANSWER, 58, "end_of_answer"),
    ]


def full_report() -> ReportInput:
    """A report with every section, one trace of it hostile."""
    curves = {
        f"{method} seed {seed}": [
            {"step": step, "loss": floor + start * 0.93**step + 0.02 * ((step * 7 + seed * 3) % 5)}
            for step in range(1, 97)
        ]
        for method, start, floor in (("Teacher-Only", 2.4, 0.35), ("TESSY", 1.1, 0.2))
        for seed in range(3)
    }
    inputs = {"worlds": (), "train-student": ("worlds",), "synthesise-TESSY": ("worlds", "train-student")}
    timing = full_results()["timing"]
    return ReportInput(
        results=full_results(),
        command="make reproduce RECIPE=recipes/mini.yaml",
        curves=curves,
        traces=[
            trace("TESSY", cooperative_spans()),
            trace("TESSY", cooperative_spans(HOSTILE), "hostile-problem"),
            trace("Teacher-Only", teacher_spans()),
        ],
        recipe_yaml="name: mini\nsynthesis:\n  methods: [Teacher-Only, TESSY]\n  k: 20\n",
        lineage=[
            LineageRow(stage=stage, fingerprint=f"{i}f00dcafe1234567", seconds=timing[stage], inputs=reads)
            for i, (stage, reads) in enumerate(inputs.items())
        ],
        environment={"python": "3.11.2", "torch": "2.13.0", "cpu": "2 cores"},
    )
