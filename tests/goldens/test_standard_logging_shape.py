"""Each golden case, sent as LiteLLM's StandardLoggingPayload, and counted by fold() in the caller's session."""

from __future__ import annotations

import pytest

from harness.database import Database

from .case import NAMES, golden
from .runner import check, check_replay
from .shapes import Shape, records

SHAPE = Shape.STANDARD_LOGGING


def fold(database: Database, staged: int) -> None:
    assert database.fold() == staged


@pytest.mark.parametrize("golden_name", NAMES)
def test_fold_leaves_what_litellm_leaves(caller_database: Database, golden_name: str) -> None:
    check(caller_database, golden_name, SHAPE, records(golden(golden_name), SHAPE), fold)


@pytest.mark.parametrize("golden_name", NAMES)
def test_a_replayed_request_counts_once(caller_database: Database, golden_name: str) -> None:
    check_replay(caller_database, golden_name, SHAPE, records(golden(golden_name), SHAPE), fold)
