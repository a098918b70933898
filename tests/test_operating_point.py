"""What a predictor says of its own use, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tessy.boundary.operating_point import FILE, OperatingPoint, operating_point, write_operating_point
from tessy.errors import UserError


def test_written_and_read(tmp_path: Path) -> None:
    write_operating_point(tmp_path, OperatingPoint(0.3, 64))
    assert operating_point(str(tmp_path), 64) == OperatingPoint(0.3, 64)


def test_a_checkpoint_without_one_takes_its_callers_window(tmp_path: Path) -> None:
    assert operating_point(str(tmp_path), 200) == OperatingPoint(0.5, 200)
    assert operating_point("someone/on-the-hub", 200) == OperatingPoint(0.5, 200)


def test_another_window_than_in_training_is_refused(tmp_path: Path) -> None:
    write_operating_point(tmp_path, OperatingPoint(0.3, 64))
    with pytest.raises(UserError, match=r"window_tokens 200.*windows of 64"):
        operating_point(str(tmp_path), 200)


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"format": 1}', '{"format": 1, "threshold": 2, "window_tokens": 64}']
)
def test_an_unusable_file_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    with pytest.raises(UserError, match=r"predictor\.json"):
        operating_point(str(tmp_path), 64)


def test_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"format": 9, "threshold": 0.5, "window_tokens": 64}')
    with pytest.raises(UserError, match="format 9"):
        operating_point(str(tmp_path), 64)
