"""A plugin of pytest that counts the golden cases' verdicts, and checks that a run of a whole file ran every case.

Where the tests are distributed over processes (pytest -n), each process marks its reports, and the process that gets
all reports counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from conftest import is_worker, tell
from harness.litellm_schema import NEWEST, SCHEMAS, LiteLLMSchema

from .case import NAMES
from .verdicts import VERDICTS

# {version of LiteLLM's schema: {case: whether it failed}}; a report does not know the configuration of its run.
_failed: dict[str, dict[str, bool]] = {}
# Whether the run includes every test of the named files.
_whole = pytest.StashKey[bool]()
# The names of the files with a test to run.
_files = pytest.StashKey[set[str]]()
FILE_OF_NEWEST, FILE_OF_OLDER = "test_cases.py", "test_older_schemas.py"
FAILED, MISSING = "failed", "MISSING"


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_whole] = not config.option.collectonly and not any("::" in arg for arg in config.args)
    config.stash[_files] = set()


def pytest_deselected(items: list[pytest.Item]) -> None:
    """A deselected case is not missing. Deselected tests of other files, such as the long forms that no ordinary run
    has, do not matter."""
    for item in items:
        if item.path.name in (FILE_OF_NEWEST, FILE_OF_OLDER):
            item.config.stash[_whole] = False


def pytest_collection_finish(session: pytest.Session) -> None:
    session.config.stash[_files] |= {item.path.name for item in session.items}


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Mark the report of a case, because only a test's reports reach the process that counts."""
    report = (yield).get_result()
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    name = parameters.get("golden_name")
    if name and (report.failed or (report.when == "call" and report.passed)):
        schema: LiteLLMSchema = parameters.get("older_site", NEWEST)
        report.golden = [schema.litellm, name]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if hasattr(report, "golden"):
        schema, name = report.golden
        failed = _failed.setdefault(schema, {})
        failed[name] = failed.get(name, False) or report.failed


def pytest_sessionfinish(session: pytest.Session) -> None:
    if is_worker(session.config):
        session.config.workeroutput["whole"] = session.config.stash[_whole]
        session.config.workeroutput["files"] = sorted(session.config.stash[_files])
    else:
        _judge(session)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A process of the run has ended. Each process collects all tests, and one that died sends nothing."""
    output = getattr(node, "workeroutput", {})
    node.config.stash[_whole] &= output.get("whole", True)
    node.config.stash[_files] |= set(output.get("files", ()))


def _judge(session: pytest.Session) -> None:
    """Count the cases. If a whole file was named and one of its cases did not run, the run has failed."""
    config = session.config
    for schema in SCHEMAS:
        ran = _failed.get(schema.litellm, {})
        file = FILE_OF_NEWEST if schema is NEWEST else FILE_OF_OLDER
        is_whole = config.stash[_whole] and file in config.stash[_files]
        missing = [name for name in NAMES if name not in ran] if is_whole else []
        if missing and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if ran or missing:
            _summarise(config, schema, ran, missing)


def _summarise(config: pytest.Config, schema: LiteLLMSchema, ran: dict[str, bool], missing: list[str]) -> None:
    by_kind: dict[str, list[str]] = {kind: [] for kind in sorted({verdict.kind for verdict in VERDICTS.values()})}
    by_kind |= {FAILED: [], MISSING: missing}
    for name, failed in ran.items():
        by_kind[FAILED if failed else VERDICTS[name].kind].append(name)
    section = f"golden cases, LiteLLM {schema.litellm}'s schema"
    for kind, names in by_kind.items():
        if names and (schema is NEWEST or kind in (FAILED, MISSING)):
            tell(config, section, f"{kind}: {', '.join(names)}")
    counts = ", ".join(f"{kind} {len(names)}" for kind, names in by_kind.items() if names or kind != MISSING)
    tell(config, section, f"goldens {schema.litellm}: {len(ran)} of {len(NAMES)} cases ran: {counts}")
