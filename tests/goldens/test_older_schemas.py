"""Each golden case on the schemas of older LiteLLMs: they show the newest one's result, in the tables and columns that
they have."""

from __future__ import annotations

import pytest

from harness.litellm_schema import SCHEMAS

from .case import NAMES, golden
from .runner import by_worker, check
from .shapes import Shape, records
from .site import Site

OLDER = SCHEMAS[:-1]


@pytest.mark.parametrize("older_site", OLDER, ids=[schema.litellm for schema in OLDER], indirect=True, scope="module")
@pytest.mark.parametrize("golden_name", NAMES)
def test_an_older_schema_holds_what_it_has_columns_for(older_site: Site, golden_name: str) -> None:
    check(older_site, golden_name, Shape.SPEND_LOGS, records(golden(golden_name), Shape.SPEND_LOGS), by_worker)
