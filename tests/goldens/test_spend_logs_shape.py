"""Each golden case, sent as LiteLLM's SpendLogs row, and counted by the worker."""

from __future__ import annotations

import pytest

from harness.database import Database

from .case import NAMES
from .runner import check
from .shapes import SPEND_LOGS


@pytest.mark.parametrize("golden_name", NAMES)
def test_the_worker_leaves_what_litellm_leaves(worker_database: Database, golden_name: str) -> None:
    check(worker_database, golden_name, SPEND_LOGS, lambda database, _: database.wait_folded())
