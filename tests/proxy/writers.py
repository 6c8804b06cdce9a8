"""The same traffic through two proxies at once: one that writes itself, and one that records through the callback."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import provider

from harness.database import Database
from harness.litellm_tables import LOGS
from harness.waiting import wait_until

from . import traffic
from .comparing import KEYS
from .documented import ONE_WRITER, merged
from .server import Proxy

# If the provider billed a request's attempts, each earlier attempt has a row of its own: the first of `fails-timeout`.
ROWS = len(traffic.SUCCESSES) + len(traffic.FAILURES) + len(traffic.IN_ORDER) + 1
# A pass-through endpoint is none of LiteLLM's own routes, and a request that is not logged is answered too.
ANSWERS = ROWS - 2 + len(traffic.UNRECORDED)


@dataclass(frozen=True)
class Written:
    """A proxy that has served the traffic, and what it wrote."""

    proxy: Proxy
    database: Database
    address: str
    """The address of its provider."""
    statuses: dict[str, int]
    """The status of its answers, by request."""


@contextmanager
def both_writers(
    databases: tuple[Database, Database], make_proxy: Callable[..., Proxy]
) -> Iterator[tuple[Written, Written]]:
    """LiteLLM's own writer and the callback, after both have written everything."""
    with ExitStack() as stack, ThreadPoolExecutor(2) as threads:

        def serve(database: Database, options: dict[str, Any]) -> Written:
            address = provider.start()
            proxy = stack.enter_context(make_proxy(database, **merged(traffic.options(address), options)))
            traffic.prepare(proxy, database)
            statuses = traffic.send(proxy)
            still = Unchanged(database)
            wait_until(
                lambda: is_written(database, by_litellm=not options) and still(),
                deadline=120,
                what="all to be written",
                show=lambda _: repr(database.rows(STATE)),
            )
            return Written(proxy, database, address, statuses)

        own, callback = threads.map(serve, databases, ({}, ONE_WRITER))
        yield own, callback


# The callback leaves these tables empty.
LITELLMS_ALONE = ("LiteLLM_ToolTable", "LiteLLM_DailyGuardrailMetrics", "LiteLLM_SpendLogGuardrailIndex")
# LiteLLM charges each target some time after the log.
STATE = """
    SELECT (SELECT count(*) FROM "LiteLLM_SpendLogs") AS rows,
           (SELECT count(*) FROM "LiteLLM_SpendLogs" WHERE metadata->>'billed_retry_attempt' IS DISTINCT FROM 'true')
           = (SELECT sum(api_requests) FROM "LiteLLM_DailyUserSpend") AS users_day,
           (SELECT sum(jsonb_array_length(request_tags)) FROM "LiteLLM_SpendLogs"
             WHERE metadata->>'billed_retry_attempt' IS DISTINCT FROM 'true')
           = (SELECT sum(api_requests) FROM "LiteLLM_DailyTagSpend") AS tags_day,
           (SELECT count(*) FROM "LiteLLM_SpendLogs" WHERE status = 'failure'
             AND metadata->>'billed_retry_attempt' IS DISTINCT FROM 'true')
           = (SELECT sum(failed_requests) FROM "LiteLLM_DailyRequestErrors") AS errors,
           (SELECT abs(sum(spend) - (SELECT spend FROM "LiteLLM_UserTable" WHERE user_id = 'litellm-proxy-budget'))
                   < 1e-9 FROM "LiteLLM_SpendLogs") AS proxy_budget,
           (SELECT sum(successful_requests + failed_requests) FROM "LiteLLM_DailyGatewayRequests") AS answers"""


class Unchanged:
    """Whether nothing has been written for longer than LiteLLM's writer waits between two of its tables."""

    SECONDS = 3.0

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: list[Any] = []
        self._since = time.monotonic()

    def __call__(self) -> bool:
        seen = [self._database.value(f'SELECT sum(hashtext(t::text)) FROM "{table}" t') for table in self._tables()]
        if seen != self._seen:
            self._seen, self._since = seen, time.monotonic()
        return time.monotonic() - self._since >= self.SECONDS

    def _tables(self) -> list[str]:
        return [table for table in (LOGS, *KEYS) if self._database.value("SELECT to_regclass(%s)", f'"{table}"')]


def is_written(database: Database, *, by_litellm: bool) -> bool:
    if by_litellm and not all(database.value(f'SELECT count(*) FROM "{table}"') for table in LITELLMS_ALONE):
        return False
    [state] = database.rows(STATE)
    return state.pop("rows") == ROWS and state.pop("answers") == ANSWERS and all(state.values())
