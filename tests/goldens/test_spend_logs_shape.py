"""Each golden case, sent as LiteLLM's SpendLogs row, and counted by the worker."""

from __future__ import annotations

import pytest

from .case import NAMES, golden
from .runner import by_worker, check
from .shapes import Shape, records
from .site import Site

SHAPE = Shape.SPEND_LOGS


@pytest.mark.parametrize("golden_name", NAMES)
def test_the_worker_leaves_what_litellm_leaves(worker_site: Site, golden_name: str) -> None:
    sent = records(golden(golden_name), SHAPE)
    check(worker_site, golden_name, SHAPE, sent, by_worker)
