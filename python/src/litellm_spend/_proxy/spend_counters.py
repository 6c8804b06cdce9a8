"""Raises the spend counters of a LiteLLM proxy whose own writer is off, so that the proxy enforces budgets in time.

A proxy compares budgets with counters in memory or Redis. Its own writer raises them after each request, and LiteLLM
reads them again from the tables about once a minute. With `disable_spend_updates` nobody raises them, and the proxy
lets requests through until it reads the tables. So this module raises them with each record that costs something, by
LiteLLM's own functions. The functions write no table here, because the fold writes the rows of budget windows.

These functions are no public interface of LiteLLM. If they differ from those of the tested versions, one warning says
that the proxy enforces budgets by the tables alone.
Source: _PROXY_track_cost_callback (litellm/proxy/hooks/proxy_track_cost_callback.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import os
import threading
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import datetime, timezone
from typing import Any, Final

from .._intake.seen import Recent
from .._record.retrievals import COST_ID_ENDINGS
from . import proxy

log = logging.getLogger("litellm_spend")

# The arguments that the callback passes to LiteLLM's two functions.
_COUNTERS: Final = frozenset(
    (
        "token",
        "team_id",
        "user_id",
        "response_cost",
        "org_id",
        "end_user_id",
        "tags",
        "request_started_at",
        "model_access_groups",
        "project_id",
    )
)
_CACHE: Final = frozenset(("token", "user_id", "end_user_id", "team_id", "response_cost", "parent_otel_span", "tags"))
_WITHOUT_WINDOW_ROWS: Final = "windows_from_ledger"
# The function that queues the rows in LiteLLM 1.109.
_QUEUE_WINDOW_ROW: Final = "_enqueue_window_spend_row_update"
_ENFORCED_LATER: Final = "The proxy enforces budgets by the tables alone, which it reads about once a minute"

# The costs that were added to the counters. A proxy has one set of counters, but may have several loggers.
_raised_costs = Recent()
_is_raising: ContextVar[bool] = ContextVar("litellm_spend_is_raising", default=False)


class SpendCounters:
    """Raises the counters of the proxy in this process by the cost of records."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._lock = threading.Lock()
        self._is_prepared = False
        # Further arguments for `increment_spend_counters`; None if this LiteLLM's function is not known.
        self._options: dict[str, bool] | None = None
        self._has_failed = False

    def remember_loop(self) -> None:
        """Remembers the running event loop. LiteLLM's hooks call this; the counters are raised on the proxy's loop."""
        with contextlib.suppress(RuntimeError):
            self._loop = asyncio.get_running_loop()

    def raise_by(self, record: Mapping[str, Any]) -> None:
        """Raises the counters of everyone whom the record charges, a moment later on the proxy's loop."""
        self.remember_loop()
        loop = self._loop
        if not record.get("response_cost") or loop is None or loop.is_closed():
            return
        if not self._knows_litellm() or not _raised_costs.add(_cost_of(record)):
            return
        loop.call_soon_threadsafe(self._start, record)

    def _start(self, record: Mapping[str, Any]) -> None:
        task = asyncio.ensure_future(self._raise_by(record))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _raise_by(self, record: Mapping[str, Any]) -> None:
        litellm_proxy = proxy.module()
        _is_raising.set(True)
        try:
            charged = charged_by(record)
            await litellm_proxy.increment_spend_counters(**charged, **(self._options or {}))
            cached = {name: value for name, value in charged.items() if name in _CACHE}
            await litellm_proxy.update_cache(parent_otel_span=None, **cached)
        except Exception as error:
            if not self._has_failed:
                self._has_failed = True
                log.warning(
                    "the proxy's spend counters could not be raised: %s. %s", type(error).__name__, _ENFORCED_LATER
                )

    def _knows_litellm(self) -> bool:
        with self._lock:
            if not self._is_prepared:
                self._is_prepared, self._options = True, _prepare(proxy.module())
                if self._options is None:
                    log.warning(
                        "litellm_spend does not know how this LiteLLM's proxy counts spend. %s", _ENFORCED_LATER
                    )
            return self._options is not None


def charged_by(record: Mapping[str, Any]) -> dict[str, Any]:
    """Whom a record charges, and how much, as arguments of LiteLLM's `increment_spend_counters`."""
    metadata = record.get("metadata") or {}
    started = record.get("startTime")
    return {
        "token": record.get("api_key") or None,
        "user_id": metadata.get("user_api_key_user_id") or None,
        "team_id": metadata.get("user_api_key_team_id") or None,
        "org_id": metadata.get("user_api_key_org_id") or None,
        "project_id": metadata.get("user_api_key_project_id") or record.get("project_id") or None,
        "end_user_id": metadata.get("user_api_key_end_user_id") or record.get("end_user") or None,
        "tags": record.get("request_tags"),
        "model_access_groups": record.get("request_model_access_groups"),
        "response_cost": record["response_cost"],
        "request_started_at": datetime.fromtimestamp(started, timezone.utc) if started else None,
    }


def _cost_of(record: Mapping[str, Any]) -> tuple[Any, ...]:
    """The key of a cost. Each retrieval of work such as a batch reports the same cost, so its id alone is the key."""
    name = str(record.get("id"))
    if name.endswith(COST_ID_ENDINGS):
        return (name,)
    return name, record.get("litellm_call_id"), record.get("startTime"), record.get("status")


def _prepare(module: Any) -> dict[str, bool] | None:
    """The argument that keeps LiteLLM from writing rows of windows; None if its functions take other arguments.

    LiteLLM 1.109 has no such argument, so its function is wrapped instead.
    """
    try:
        if not _takes(module.increment_spend_counters, _COUNTERS) or not _takes(module.update_cache, _CACHE):
            return None
        if _takes(module.increment_spend_counters, {_WITHOUT_WINDOW_ROWS}):
            return {_WITHOUT_WINDOW_ROWS: True}
        _keep_window_rows_from(module)
    except (AttributeError, TypeError, ValueError):
        return None
    return {}


def _takes(function: Any, names: frozenset[str] | set[str]) -> bool:
    return names <= inspect.signature(function).parameters.keys()


def _keep_window_rows_from(module: Any) -> None:
    """Makes LiteLLM queue no row of a budget window when this module raises counters. Its own calls stay the same."""
    queue = getattr(module, _QUEUE_WINDOW_ROW)
    if getattr(queue, "leaves_rows_to_the_fold", False):
        return

    async def unless_raised_here(*arguments: Any, **named: Any) -> None:
        if not _is_raising.get():
            await queue(*arguments, **named)

    unless_raised_here.leaves_rows_to_the_fold = True  # type: ignore[attr-defined]
    setattr(module, _QUEUE_WINDOW_ROW, unless_raised_here)


def _reset_in_child() -> None:
    """Forgets the costs in a forked child, because another thread of the parent may have held the lock."""
    global _raised_costs
    _raised_costs = Recent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_in_child)
