"""Processes that judge the same do it under the same conditions, and say under which."""

from __future__ import annotations

from pathlib import Path

import pytest

from eval.judge import conditions
from eval.judge.conditions import in_common, require_alike
from tessy.errors import UserError

HERE = {"memory limited by": "cgroup2", "g++": "g++ 12"}


def test_each_format_names_its_tools() -> None:
    tools = {"dmoj": {"g++", "pypy3"}, "lightcp": {"g++"}, "lcb": {"python3"}, "asserts": {"python3"}}
    for format, names in tools.items():
        assert conditions.conditions(format).keys() == {conditions.MEMORY, *names}
    assert conditions.conditions("lcb")["python3"].startswith("Python 3.")


def test_a_tool_that_is_not_there_is_missing() -> None:
    assert conditions._version("/nowhere/g++") == "missing"


@pytest.mark.parametrize(
    ("there", "said"),
    [
        (HERE | {"memory limited by": "rlimits"}, "memory limited by rlimits here, and cgroup2 where"),
        (HERE | {"g++": "g++ 13"}, r"g\+\+ g\+\+ 13 here, and g\+\+ 12 where"),
        ({"memory limited by": "cgroup2"}, r"g\+\+ missing here, and g\+\+ 12 where"),
        (HERE | {"pypy3": "7.3"}, "pypy3 7.3 here, and missing where"),
    ],
)
def test_where_one_of_them_differs_nobody_judges(there: dict[str, str], said: str, tmp_path: Path) -> None:
    path = tmp_path / "conditions.json"
    require_alike(path, HERE, "")
    require_alike(path, HERE, "")
    assert in_common(path, there) == HERE
    with pytest.raises(
        UserError, match=f"^{said} judging was begun; judge on machines that are alike, or X$"
    ):
        require_alike(path, there, ", or X")
