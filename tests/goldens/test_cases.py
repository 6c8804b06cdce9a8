"""Each golden case is sent in both of LiteLLM's shapes, and the worker or fold() in the caller's session counts it."""

from __future__ import annotations

import pytest

from .case import NAMES, golden
from .runner import Way, by_caller, check, check_replay
from .shapes import LITELLMS_OWN, Shape, records
from .site import Site

PAYLOAD = Shape.STANDARD_LOGGING


@pytest.mark.parametrize("shape", LITELLMS_OWN, ids=lambda shape: shape.name)
@pytest.mark.parametrize("golden_name", NAMES)
def test_a_case_leaves_what_litellm_leaves(way: Way, golden_name: str, shape: Shape) -> None:
    check(way.site, golden_name, shape, records(golden(golden_name), shape), way.fold)


@pytest.mark.parametrize("golden_name", NAMES)
def test_a_replayed_request_counts_once(caller_site: Site, golden_name: str) -> None:
    check_replay(caller_site, golden_name, PAYLOAD, records(golden(golden_name), PAYLOAD), by_caller)
