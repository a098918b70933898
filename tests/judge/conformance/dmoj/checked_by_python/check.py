from dmoj.result import CheckerResult


def check(process_output, judge_output, judge_input, point_value, factor, **kwargs):
    assert (factor, judge_output) == (2, b"any pair\n")
    assert (point_value, kwargs["case_position"], kwargs["batch"]) in ((10, 0, 0), (5, 1, 1))
    assert kwargs["binary_data"] is False
    assert kwargs["submission_language"] in ("CPP17", "PYPY3")
    if process_output.startswith(b"source"):
        return b"import" in kwargs["submission_source"]
    if process_output.startswith(b"exit"):
        raise SystemExit(0)
    try:
        a, b = map(int, process_output.split())
    except ValueError:
        return CheckerResult(False, 0, "no two numbers")
    total, least = map(int, judge_input.split())
    if a + b != total:
        return False
    return True if min(a, b) >= least * factor else CheckerResult(True, point_value / 2)
