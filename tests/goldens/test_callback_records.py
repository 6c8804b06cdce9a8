"""The callback of python/ sends each golden case, and the worker or fold() counts it."""

from __future__ import annotations

import pytest

from .case import NAMES, golden
from .runner import Way, check
from .shapes import Shape, Source


@pytest.mark.parametrize("golden_name", NAMES)
def test_the_callbacks_record_leaves_what_litellm_leaves(way: Way, source: Source, golden_name: str) -> None:
    sent = source(golden(golden_name), Shape.CALLBACK)
    check(way.site, golden_name, Shape.CALLBACK, sent, way.fold)
