"""The databases of the golden cases, which each case seeds anew; and the count of their verdicts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import pytest

from conftest import discard, new_database
from harness.cluster import Cluster
from harness.database import Database

from .verdicts import VERDICTS

_failed = pytest.StashKey[dict[str, bool]]()


@pytest.fixture(scope="module")
def worker_database(cluster: Cluster) -> Iterator[Database]:
    """Where the worker folds."""
    database = new_database(cluster)
    yield database
    discard(database)


@pytest.fixture(scope="module")
def caller_database() -> Iterator[Database]:
    """Where nobody folds but the caller: a server without the library preloaded has no worker."""
    with Cluster({"shared_preload_libraries": ""}) as cluster:
        database = new_database(cluster)
        yield database
        database.close()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_failed] = {}


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = (yield).get_result()
    name = getattr(item, "callspec", None) and item.callspec.params.get("golden_name")
    if name and (report.when == "call" or report.failed):
        failed = item.config.stash[_failed]
        failed[name] = failed.get(name, False) or report.failed


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    ran = config.stash[_failed]
    if not ran:
        return
    by_kind: dict[str, list[str]] = defaultdict(list)
    for name, failed in ran.items():
        by_kind["FAILED" if failed else VERDICTS[name].kind].append(name)
    terminalreporter.section("golden cases")
    for kind, names in sorted(by_kind.items()):
        terminalreporter.write_line(f"{kind}: {', '.join(names)}")
    counts = ", ".join(f"{kind} {len(names)}" for kind, names in sorted(by_kind.items()))
    terminalreporter.write_line(f"goldens: {len(ran)} of {len(VERDICTS)} cases ran: {counts}")
