"""When a proxy's spend counters are raised, and when they are left alone. tests/proxy tests with real proxies that they
are raised."""

from __future__ import annotations

import asyncio
import sys
from types import ModuleType
from typing import Any

import pytest

from litellm_spend._intake.seen import Recent
from litellm_spend._proxy import spend_counters
from litellm_spend._proxy.spend_counters import SpendCounters, charged_by

RECORD = {
    "id": "chatcmpl-1",
    "api_key": "hash",
    "response_cost": 0.5,
    "startTime": 1.0,
    "end_user": "end",
    "request_tags": ["a"],
    "metadata": {"user_api_key_user_id": "u", "user_api_key_team_id": "", "user_api_key_org_id": None},
}


class Litellm(ModuleType):
    """A proxy's module whose functions record their arguments."""

    def __init__(self) -> None:
        super().__init__("litellm.proxy.proxy_server")
        self.raised: list[dict[str, Any]] = []

        async def increment_spend_counters(
            token: str | None,
            team_id: str | None,
            user_id: str | None,
            response_cost: float | None,
            org_id: str | None = None,
            end_user_id: str | None = None,
            tags: list[str] | None = None,
            request_started_at: object = None,
            model_access_groups: object = None,
            project_id: str | None = None,
            windows_from_ledger: bool = False,
        ) -> None:
            self.raised.append(locals())

        async def update_cache(
            token: str | None,
            user_id: str | None,
            end_user_id: str | None,
            team_id: str | None,
            response_cost: float | None,
            parent_otel_span: object,
            tags: list[str] | None = None,
        ) -> None:
            pass

        self.increment_spend_counters = increment_spend_counters
        self.update_cache = update_cache


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Litellm:
    module = Litellm()
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(spend_counters, "_raised_costs", Recent())
    return module


def raise_by(*records: dict[str, Any]) -> None:
    async def run() -> None:
        counters = SpendCounters()
        for record in records:
            counters.raise_by(record)
        # Neither function above waits for anything, so a few turns of the loop are enough.
        for _ in range(10):
            await asyncio.sleep(0)

    asyncio.run(run())


def test_whom_a_record_charges() -> None:
    charged = charged_by(RECORD)
    assert (charged["token"], charged["user_id"], charged["end_user_id"], charged["tags"]) == (
        "hash",
        "u",
        "end",
        ["a"],
    )
    # An empty name charges nobody, in LiteLLM too.
    assert charged["team_id"] is charged["org_id"] is charged["project_id"] is None
    assert charged["request_started_at"].timestamp() == 1.0


def test_each_record_with_a_cost_raises_the_counters_and_queues_no_row(proxy: Litellm) -> None:
    raise_by(RECORD, {**RECORD, "response_cost": 0.0}, {**RECORD, "id": "chatcmpl-2", "response_cost": 0.25})
    assert [call["response_cost"] for call in proxy.raised] == [0.5, 0.25]
    assert all(call["windows_from_ledger"] for call in proxy.raised)


def test_a_cost_that_each_poll_tells_again_is_counted_once(proxy: Litellm) -> None:
    raise_by(
        *[{**RECORD, "id": "batch_1_batch_cost", "startTime": float(second)} for second in range(3)],
        {**RECORD, "id": "batch_2_batch_cost"},
    )
    assert len(proxy.raised) == 2
    raise_by(*[{**RECORD, "id": "a client's_cost", "startTime": float(second)} for second in range(3)])
    assert len(proxy.raised) == 5


def test_a_record_of_two_loggers_raises_the_counters_once(proxy: Litellm) -> None:
    raise_by(RECORD)
    raise_by(RECORD, {**RECORD, "startTime": 2.0})
    assert len(proxy.raised) == 2


@pytest.mark.parametrize("name", ["increment_spend_counters", "update_cache"])
def test_functions_that_are_not_known_are_left_alone_with_one_warning(
    proxy: Litellm, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    async def unknown(who: str) -> None:
        proxy.raised.append({"who": who})

    setattr(proxy, name, unknown)
    raise_by(RECORD, {**RECORD, "id": "chatcmpl-2"})
    assert proxy.raised == []
    [line] = caplog.messages
    assert "by the tables alone" in line


def test_a_failure_is_told_once(proxy: Litellm, caplog: pytest.LogCaptureFixture) -> None:
    known = proxy.update_cache

    async def fails(
        token: str, user_id: str, end_user_id: str, team_id: str, response_cost: float, parent_otel_span: str, tags: str
    ) -> None:
        raise ConnectionError("redis://:secret@host is gone")

    proxy.update_cache = fails
    raise_by(RECORD, {**RECORD, "id": "chatcmpl-2"})
    [line] = caplog.messages
    assert "ConnectionError" in line and "secret" not in line
    proxy.update_cache = known


def test_without_an_event_loop_nothing_is_raised(proxy: Litellm) -> None:
    SpendCounters().raise_by(RECORD)
    assert proxy.raised == []
