"""The page as text: hostile content stays text, and what is missing has no section."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from report_samples import HOSTILE, cooperative_spans, full_report, results, trace

from tessy.report import LineageRow, ReportInput
from tessy.report.contract import parse_results
from tessy.report.page import render_page, stages, trace_view

SECTIONS = [
    "scores",
    "breakdown",
    "instrument",
    "synthesis",
    "predictors",
    "training",
    "traces",
    "lineage",
    "reproduce",
]


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.handlers: list[str] = []
        self.sections: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        if tag == "section":
            self.sections += [value or "" for name, value in attrs if name == "id"]


def elements(page: str) -> _Elements:
    parser = _Elements()
    parser.feed(page)
    return parser


def test_the_full_page_has_every_section_in_order() -> None:
    assert elements(render_page(full_report())).sections == SECTIONS


def test_missing_parts_leave_no_empty_section() -> None:
    bare = ReportInput(results(rows=[], synthesis={}, timing={}), command="make reproduce")
    assert elements(render_page(bare)).sections == ["reproduce"]


def test_hostile_text_is_shown_not_run() -> None:
    spans = cooperative_spans(HOSTILE)
    hostile = trace("TESSY", spans, problem_id=HOSTILE)
    report = ReportInput(
        results(recipe=HOSTILE),
        command=HOSTILE,
        traces=[hostile],
        recipe_yaml=HOSTILE,
        lineage=[LineageRow(stage=HOSTILE, fingerprint=HOSTILE, seconds=1.0, inputs=(HOSTILE,))],
        environment={HOSTILE: HOSTILE},
        curves={HOSTILE: [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}]},
    )
    page = render_page(report)
    found = elements(page)
    assert found.tags.count("script") == 1
    assert "img" not in found.tags
    assert not found.handlers
    assert "&lt;script&gt;document.title" in page


def test_the_page_asks_for_nothing_from_outside() -> None:
    page = render_page(full_report())
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)
    assert "url(" not in page.replace("url(#", "")
    assert "default-src 'none'" in page


def test_the_papers_numbers_are_marked_as_the_papers() -> None:
    page = render_page(full_report())
    assert "paper 25.4" in page
    assert "never the level" in page
    assert "Not measured here" in page


def test_spans_carry_author_kind_and_text_in_order() -> None:
    page = render_page(ReportInput(results(), command="x", traces=[trace("TESSY", cooperative_spans())]))
    article = page[page.index("<article") : page.index("</article>")]
    authors = re.findall(r'<span class="span (student|teacher)( markup)?" title="\1 · (\w+)', article)
    assert [(author, kind) for author, _, kind in authors] == [
        (s.author, s.kind) for s in cooperative_spans()
    ]


def test_a_trace_is_split_at_its_answer() -> None:
    view = trace_view(trace("TESSY", cooperative_spans()))
    assert [span.kind for span in view.answer] == ["answer"]
    assert view.hand_overs == 6
    assert view.tokens == {"student": 99, "teacher": 31}


@pytest.mark.parametrize("count", [0, 3])
def test_an_unfinished_trace_has_no_answer(count: int) -> None:
    view = trace_view(trace("TESSY", cooperative_spans()[:count]))
    assert view.answer == []
    assert len(view.thinking) == count


def test_timed_stages_without_lineage_are_kept() -> None:
    lineage = [LineageRow(stage="worlds", fingerprint="f", seconds=4.2, inputs=())]
    rows = stages(parse_results(results()), lineage)
    assert [row["stage"] for row in rows] == ["worlds", "train-student", "synthesise-TESSY", "evaluate"]


def test_predictors_are_shown_with_calibration_agreement_and_right_traces() -> None:
    page = render_page(full_report())
    for text in ("calibration error", "kappa of two annotations 0.871", "accepted 1490, no_json 10", "87.5"):
        assert text in page


def test_a_checkpoint_that_does_not_always_stop_is_warned_of_at_the_top() -> None:
    page = render_page(full_report())
    warnings = re.findall(r'class="warning" role="alert"><b>(.*?)</b>', page)
    assert warnings == [
        "Teacher-Only seed 0 does not stop by itself.",
        "TESSY seed 0 does not always stop by itself.",
    ]
    assert page.index('class="warning"') < page.index("<main>")
    assert 'class="warning"' not in render_page(ReportInput(results(), command="x"))
