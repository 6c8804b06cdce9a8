"""With litellm_spend.write_spend_logs off, as with LiteLLM's disable_spend_logs, the log and the tables that depend on
it stay empty. Everything else is counted as usual."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .case import golden
from .runner import assert_same, by_caller, expectation, record_and_fold
from .shapes import Shape, records
from .site import Site

SHAPE = Shape.STANDARD_LOGGING
OF_THE_LOG = ("LiteLLM_SpendLogs", "LiteLLM_SpendLogToolIndex", "LiteLLM_DailyToolSpend")
NAMES = ["basic_full_identity", "tool_calls", "mcp_tool_call", "duplicate_request_id", "failure_rate_limit"]


@pytest.fixture
def site(caller_site: Site) -> Iterator[Site]:
    """A site where the log is off in the caller's session."""
    caller_site.database.execute("SET litellm_spend.write_spend_logs = off")
    yield caller_site
    caller_site.database.execute("RESET litellm_spend.write_spend_logs")


@pytest.mark.parametrize("golden_name", NAMES)
def test_without_the_log_all_else_is_counted_once(site: Site, golden_name: str) -> None:
    case = golden(golden_name)
    before = site.seed(case)
    for _ in range(2):
        record_and_fold(site.database, case, records(case, SHAPE), by_caller)
    expected = expectation(case, SHAPE, before) | {table: before[table] for table in OF_THE_LOG}
    assert_same(expected, site.read(), f"{golden_name} without the log")
