"""Each golden case, sent as LiteLLM's StandardLoggingPayload, and counted by fold() in the caller's session."""

from __future__ import annotations

import pytest

from .case import NAMES, golden
from .runner import by_caller, check, check_replay
from .shapes import Shape, records
from .site import Site

SHAPE = Shape.STANDARD_LOGGING


@pytest.mark.parametrize("golden_name", NAMES)
def test_fold_leaves_what_litellm_leaves(caller_site: Site, golden_name: str) -> None:
    check(caller_site, golden_name, SHAPE, records(golden(golden_name), SHAPE), by_caller)


@pytest.mark.parametrize("golden_name", NAMES)
def test_a_replayed_request_counts_once(caller_site: Site, golden_name: str) -> None:
    check_replay(caller_site, golden_name, SHAPE, records(golden(golden_name), SHAPE), by_caller)
