"""A proxy whose own writer is off refuses a spender who has used up a budget, before the tables show it.

Folds are held meanwhile, so only the proxy's counters can know.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harness.database import Database
from harness.waiting import wait_until

from .conftest import MakeProxy
from .documented import ONE_WRITER
from .server import Proxy
from .spenders import KINDS, spender, with_proxy_budget

WINDOW_ROWS = """SELECT spend FROM "LiteLLM_BudgetWindowSpend" WHERE entity_type = %s"""


@pytest.fixture(scope="module")
def proxy(proxy_database: Database, make_proxy: MakeProxy) -> Iterator[Proxy]:
    with make_proxy(proxy_database, **with_proxy_budget(ONE_WRITER)) as proxy:
        yield proxy


@contextmanager
def held_folds(database: Database) -> Iterator[None]:
    """Let no fold end meanwhile, while everybody can read."""
    with database.connect(autocommit=False) as blocker:
        blocker.execute('LOCK TABLE "LiteLLM_DailyUserSpend" IN SHARE MODE')
        yield


def spend_until_refused(proxy: Proxy, key: str, model: str, body: dict[str, object]) -> float:
    """The amount that was spent until the proxy said that a budget is used up."""
    spent: list[float] = []

    def is_refused() -> bool:
        answer = proxy.chat(key, model, **body)
        if answer.status == 200:
            spent.append(float(answer.headers["x-litellm-response-cost"]))
            return False
        assert "budget" in answer.text.lower(), answer
        return True

    wait_until(is_refused, what="the proxy to refuse")
    return sum(spent)


@pytest.mark.parametrize("budget_of", KINDS)
def test_a_used_up_budget_is_refused_before_the_tables_tell(
    proxy_database: Database, proxy: Proxy, budget_of: str
) -> None:
    key, body = spender(proxy, budget_of)
    with held_folds(proxy_database):
        spent = spend_until_refused(proxy, key, "dear", body)
    # The proxy also refuses a request that would exceed the budget.
    assert spent
    if "window" in budget_of:
        # Each request is in its row once: the proxy raised its counter of the window, but adds nothing to the row.
        assert_window_has(proxy_database, "key" if budget_of == "window of a key" else "team", spent)


def assert_window_has(database: Database, entity_type: str, spent: float) -> None:
    rows: list[tuple[float]] = []

    def is_there() -> bool:
        rows[:] = database.query(WINDOW_ROWS, entity_type)
        return rows == [(pytest.approx(spent),)]

    wait_until(is_there, what=f"the window's row to have {spent}", show=lambda _: str(rows))
    # LiteLLM would write its queues within a second or two.
    proxy_writes = database.value("SELECT now()")
    wait_until(lambda: database.value("SELECT now() - %s > '3 s'", proxy_writes), what="the proxy's next write")
    assert database.query(WINDOW_ROWS, entity_type) == rows


def test_the_proxys_own_budget_is_refused_before_the_tables_tell(proxy_database: Database, proxy: Proxy) -> None:
    key, _ = spender(proxy, "nobody")
    with held_folds(proxy_database):
        spent = spend_until_refused(proxy, key, "ruinous", {})
    assert spent
