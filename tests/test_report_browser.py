"""The page in a real browser: it renders, answers the keyboard, fits a phone, and prints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from report_samples import HOSTILE, full_report

from tessy.report import write_report

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_report(full_report(), tmp_path_factory.mktemp("report")).as_uri()


def shown(page: Any) -> list[int]:
    """Which traces can be seen."""
    visible: list[int] = page.evaluate(
        "[...document.querySelectorAll('.trace')].flatMap((t, i) => t.checkVisibility() ? [i] : [])"
    )
    return visible


def test_hostile_text_is_visible_and_did_not_run(page: Any) -> None:
    assert page.title() == "TESSY report: mini"
    assert HOSTILE in page.locator(".trace").nth(1).text_content()


def test_arrow_keys_and_buttons_turn_the_traces(page: Any) -> None:
    page.locator("#traces").scroll_into_view_if_needed()
    assert shown(page) == [0]
    page.keyboard.press("ArrowRight")
    assert shown(page) == [1]
    page.get_by_label("Next trace").click()
    assert shown(page) == [2]
    assert page.locator(".controls output").text_content() == "Teacher-Only, 3 of 3"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    assert shown(page) == [2]


def test_arrow_keys_are_left_alone_elsewhere(page: Any) -> None:
    page.keyboard.press("ArrowRight")
    assert shown(page) == [0]


def test_without_script_every_trace_is_listed(browser: Any, page_url: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(page_url)
    assert page.locator(".trace").count() == 3
    assert all(page.locator(".trace").nth(i).is_visible() for i in range(3))
    assert not page.locator(".controls").is_visible()
    context.close()


@pytest.mark.parametrize("width", [360, 768])
def test_nothing_sticks_out_sideways(page: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_background(page: Any, scheme: str) -> None:
    """WCAG AA, 4.5 : 1, for body, muted and span text against each ground they are used on."""
    page.emulate_media(color_scheme=scheme)
    lowest = page.evaluate(
        """() => {
          const channel = (c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
          const probe = document.body.appendChild(document.createElement("i"));
          const light = (name) => {
            probe.style.color = `var(--${name})`;
            const [r, g, b] = getComputedStyle(probe).color.match(/[0-9.]+/g).map(Number);
            return 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
          };
          const pairs = [];
          for (const ink of ["ink", "muted"])
            for (const ground of ["paper", "wash", "student-wash", "teacher-wash"]) pairs.push([ink, ground]);
          for (const ink of ["student", "teacher", "tessy", "bad"]) pairs.push([ink, "paper"]);
          return Math.min(...pairs.map(([ink, ground]) => {
            const [low, high] = [light(ink), light(ground)].sort((a, b) => a - b);
            return (high + 0.05) / (low + 0.05);
          }));
        }"""
    )
    assert lowest >= 4.5


def test_print_shows_every_trace_and_unfolds_details(page: Any, tmp_path: Path) -> None:
    page.emulate_media(media="print")
    assert shown(page) == [0, 1, 2]
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 0
    page.pdf(path=tmp_path / "report.pdf", format="A4")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
