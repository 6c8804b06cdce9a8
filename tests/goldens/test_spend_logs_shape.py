"""Each golden case, sent as LiteLLM's SpendLogs row, and counted by the worker."""

from __future__ import annotations

import pytest

from harness.database import Database

from .case import NAMES, golden
from .runner import check
from .shapes import Shape, records

SHAPE = Shape.SPEND_LOGS


@pytest.mark.parametrize("golden_name", NAMES)
def test_the_worker_leaves_what_litellm_leaves(worker_database: Database, golden_name: str) -> None:
    sent = records(golden(golden_name), SHAPE)
    check(worker_database, golden_name, SHAPE, sent, lambda database, _: database.wait_folded())
