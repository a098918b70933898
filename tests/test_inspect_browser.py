"""The page of `tessy inspect` in a real browser: keys turn the traces, and nothing else gets in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from report_samples import HOSTILE, cooperative_spans, trace

from tessy.report.traces import inspected, render_traces

pytestmark = pytest.mark.browser
TRACES = 12


@pytest.fixture(scope="module")
def page_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    hostile = cooperative_spans(HOSTILE)
    hostile[1] = replace(hostile[1], discarded=HOSTILE)
    traces = [replace(trace("TESSY", hostile, "hostile" * 40), stop_reason="failed", failure="gone" * 99)]
    traces += [trace("TESSY", cooperative_spans(), f"problem-{i}") for i in range(1, TRACES)]
    path = tmp_path_factory.mktemp("traces") / "traces.html"
    path.write_text(render_traces(inspected(traces), "a test"))
    return path.as_uri()


def shown(page: Any) -> list[int]:
    """Which traces can be seen."""
    visible: list[int] = page.evaluate(
        "[...document.querySelectorAll('.trace')].flatMap((t, i) => t.checkVisibility() ? [i] : [])"
    )
    return visible


def test_keys_go_through_the_traces_and_stop_at_the_ends(page: Any) -> None:
    assert shown(page) == [0]
    for keys, expected in (
        (["k"], 0),
        (["j", "j"], 2),
        (["ArrowRight"], 3),
        (["ArrowLeft", "k"], 1),
        (["End"], TRACES - 1),
        (["j"], TRACES - 1),
        (["Home"], 0),
    ):
        for key in keys:
            page.keyboard.press(key)
        assert shown(page) == [expected], keys
    page.get_by_label("Next trace").click()
    assert page.locator(".controls output").text_content() == f"2 of {TRACES}"


def test_rolled_back_text_can_be_hidden(page: Any) -> None:
    discarded = page.locator(".trace.current del")
    assert discarded.is_visible()
    page.keyboard.press("d")
    assert not discarded.is_visible()
    page.get_by_role("button", name="rolled back text").click()
    assert discarded.is_visible()


def test_hostile_text_is_visible_and_did_not_run(page: Any) -> None:
    assert page.title() == "Traces: a test"
    assert page.locator(".trace").first.text_content().count(HOSTILE) == 2


@pytest.mark.parametrize("width", [360, 768])
def test_nothing_sticks_out_sideways(page: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_without_script_every_trace_is_listed(browser: Any, page_url: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(page_url)
    assert len(shown_without_script(page)) == TRACES
    context.close()


def shown_without_script(page: Any) -> list[Any]:
    return [one for one in page.locator(".trace").all() if one.is_visible()]


def test_the_page_can_be_kept(page: Any, tmp_path: Path) -> None:
    page.screenshot(path=tmp_path / "traces.png")
    assert (tmp_path / "traces.png").stat().st_size > 10_000
