"""In CI nothing is skipped: a part that is missing there is a fault, not an excuse."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from tests.hub import Hub
    from tests.vllm_server import Host


# How long an example takes is the machine's business.
settings.register_profile("timeless", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("timeless")

BROWSER_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """One real vLLM server for all tests that need one: it takes the better part of a minute to start."""
    from tests.vllm_server import vllm_server

    with vllm_server(tmp_path_factory.mktemp("vllm")) as running:
        yield running


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A hub of the test's own, without repositories; it takes no time to start."""
    from tests.hub import serving

    with serving() as running:
        yield running


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    executable = shutil.which("chromium") or shutil.which("google-chrome")
    assert executable, "no Chromium found: apt-get install chromium"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=executable, args=BROWSER_FLAGS)
        yield started
        started.close()


@pytest.fixture
def page(browser: Any, page_url: str) -> Iterator[Any]:
    """The page at `page_url`; the test fails if the console complains or anything else is requested."""
    opened = browser.new_page(viewport={"width": 1200, "height": 900})
    complaints: list[str] = []
    requests: list[str] = []
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("request", lambda request: requests.append(request.url))
    opened.goto(page_url)
    yield opened
    opened.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith("data:")] == [page_url]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that may take longest come first, and so do those with many tests: none is left to run alone at
    the end while another process has nothing to do."""
    files = {path: list(group) for path, group in groupby(items, lambda item: item.path)}
    items.sort(key=lambda item: (-_limit_s(files[item.path]), -len(files[item.path])))


def _limit_s(items: list[pytest.Item]) -> float:
    """The longest time that one of the tests may take by its own word."""
    return max((mark.args[0] for item in items for mark in item.iter_markers("timeout")), default=0)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if skipped and os.environ.get("CI") and session.exitstatus == pytest.ExitCode.OK:
        reporter.write_line(f"CI: {len(skipped)} skipped; install what they need", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
