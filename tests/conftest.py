"""What holds for every test: the repository root is importable, and in CI a skipped test is no passed one."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import structlog

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

for name in [name for name in os.environ if name.startswith("HEADWAY_")]:
    del os.environ[name]  # the settings of whoever runs the tests are not theirs
for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "grpc_proxy"):
    os.environ.pop(name, None)  # nor is their way out of the network
    os.environ.pop(name.upper(), None)


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background job; every process below would ignore it
    signal.signal(signal.SIGINT, signal.default_int_handler)

hypothesis.settings.register_profile("headway", deadline=None)  # a busy machine stops a process for longer
hypothesis.settings.load_profile("headway")


@pytest.fixture(autouse=True)
def _logs_as_they_come() -> Iterator[None]:
    """One test's log settings are not the next one's."""
    yield
    structlog.reset_defaults()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if os.environ.get("CI", "").lower() not in ("true", "1") or exitstatus != pytest.ExitCode.OK:
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = len(terminalreporter.stats.get("skipped", []))
    if skipped and os.environ.get("CI"):
        terminalreporter.write_line(f"CI: {skipped} tests were skipped, which counts as a failure", red=True)
