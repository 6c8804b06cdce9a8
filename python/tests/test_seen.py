"""An event that LiteLLM delivers twice is captured once, and two calls are two, whatever they share."""

from __future__ import annotations

from typing import Any

import pytest

from litellm_spend import seen
from litellm_spend.seen import Seen


def first_time(seen: Seen, call_id: str = "call-1", **payload: Any) -> bool:
    event = {"id": "chatcmpl-1", "status": "success", "call_type": "acompletion", "startTime": 1.0, "endTime": 2.0}
    return seen.first_time({**event, **payload}, {"litellm_call_id": call_id})


def test_the_same_event_is_new_once() -> None:
    events = Seen()
    assert [first_time(events) for _ in range(3)] == [True, False, False]


def test_calls_retries_and_failures_are_told_apart() -> None:
    events = Seen()
    assert first_time(events)
    assert first_time(events, "call-2")
    assert first_time(events, status="failure")
    assert first_time(events, startTime=1.5)


@pytest.mark.parametrize("order", [1, -1], ids=["inner first", "outer first"])
@pytest.mark.parametrize("outer", ["aresponses", "anthropic_messages"])
@pytest.mark.parametrize("status", ["success", "failure"])
def test_a_call_and_the_completion_that_serves_it_are_one(outer: str, order: int, status: str) -> None:
    events = Seen()
    reports = [{"call_type": "acompletion", "startTime": 1.1}, {"call_type": outer, "endTime": 2.1}][::order]
    assert [first_time(events, status=status, **report) for report in reports] == [True, False]


def test_calls_that_share_an_id_but_not_the_time_or_are_no_such_pair_are_two() -> None:
    events = Seen()
    assert first_time(events)
    assert first_time(events, call_type="aresponses", startTime=3.0, endTime=4.0)
    assert first_time(events, call_type="aembedding", startTime=3.1, endTime=4.0)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen, "_GENERATION", 10)
    events = Seen()
    for number in range(1000):
        assert first_time(events, f"call-{number}")
        assert not first_time(events, f"call-{number}")
    assert len(events._recent) + len(events._older) <= 40
