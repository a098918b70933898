"""In CI nothing is skipped: a part that is missing there is a fault, not an excuse."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.vllm_server import Host


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """One real vLLM server for all tests that need one: it takes the better part of a minute to start."""
    from tests.vllm_server import vllm_server

    with vllm_server(tmp_path_factory.mktemp("vllm")) as running:
        yield running


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if skipped and os.environ.get("CI") and session.exitstatus == pytest.ExitCode.OK:
        reporter.write_line(f"CI: {len(skipped)} skipped; install what they need", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
