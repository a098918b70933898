"""The page of a diagnosis in a real browser: it renders, fits a phone, and runs nothing it was given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from diagnosis_samples import shown
from report_samples import HOSTILE

from tessy.report.diagnosis import write_diagnosis

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_diagnosis(shown(), tmp_path_factory.mktemp("diagnosis")).as_uri()


def test_hostile_text_is_visible_and_did_not_run(page: Any) -> None:
    assert page.title() == f"TESSY diagnosis: traces {HOSTILE}"
    assert HOSTILE in page.locator("#phrases").text_content()
    assert HOSTILE in page.locator("#typical").text_content()


def test_the_finding_names_the_part_with_the_largest_gap(page: Any) -> None:
    assert "A token of style costs the student 2.10 nats more" in page.locator(".headline").text_content()


@pytest.mark.parametrize("width", [360, 768])
def test_nothing_sticks_out_sideways(page: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_page_can_be_kept(page: Any, tmp_path: Path) -> None:
    page.screenshot(path=tmp_path / "diagnosis.png", full_page=True)
    assert (tmp_path / "diagnosis.png").stat().st_size > 10_000
