"""If create_missing names the kinds that LiteLLM creates itself, the entity rows are LiteLLM's, in both shapes."""

from __future__ import annotations

import pytest

from harness.database import Database

from .case import golden
from .rules import created
from .runner import check
from .shapes import Shape, records
from .site import Site
from .verdicts import VERDICTS


def fold_without_creating(database: Database, staged: int) -> None:
    database.execute("SET litellm_spend.create_missing = 'end_user'")
    assert database.fold() == staged
    database.execute("RESET litellm_spend.create_missing")


@pytest.mark.parametrize("shape", [Shape.SPEND_LOGS, Shape.STANDARD_LOGGING])
@pytest.mark.parametrize("golden_name", [name for name, verdict in VERDICTS.items() if created in verdict.rules])
def test_no_row_is_created_that_litellm_does_not_create(caller_site: Site, golden_name: str, shape: Shape) -> None:
    sent = records(golden(golden_name), shape)
    check(caller_site, golden_name, shape, sent, fold_without_creating, but=created)
