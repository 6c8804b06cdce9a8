"""An event that LiteLLM delivers twice is captured once. Two calls are captured twice, whatever they share."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from litellm_spend._intake import seen
from litellm_spend._intake.seen import Seen
from litellm_spend._record.capture import spend_record


def first_time(seen: Seen, call_id: str = "call-1", **payload: Any) -> bool:
    event = {"id": "chatcmpl-1", "status": "success", "call_type": "acompletion", "startTime": 1.0}
    return seen.is_new({"custom_llm_provider": "openai", **event, **payload}, {"litellm_call_id": call_id})


def test_the_same_event_is_new_once() -> None:
    events = Seen()
    ids = ("chatcmpl-1", "chatcmpl-1", "chatcmpl-1_cache_hit2")
    assert [first_time(events, id=id_) for id_ in ids] == [True, False, False]


def test_calls_retries_and_failures_are_told_apart() -> None:
    events = Seen()
    assert first_time(events)
    assert first_time(events, "call-2")
    assert first_time(events, status="failure")
    assert first_time(events, startTime=1.5)


@pytest.mark.parametrize("call_id", [["call"], {}, UUID(int=7), None], ids=str)
def test_a_call_is_known_whatever_its_application_has_for_a_call_id(call_id: Any) -> None:
    events = Seen()
    assert [first_time(events, call_id, id=id_) for id_ in ("chatcmpl-1", "chatcmpl-1")] == [True, False]


BEGAN = datetime(2026, 3, 1, 12)


def failure(start: datetime, sent: datetime | None = None, began: datetime = BEGAN) -> dict[str, Any]:
    """A report of a failed call. LiteLLM's object for the call started at `began`."""
    payload = {"id": "call-1", "status": "failure", "call_type": "aspeech", "startTime": start.timestamp()}
    return {
        "standard_logging_object": payload,
        "litellm_call_id": "call-1",
        "start_time": began,
        "api_call_start_time": sent,
    }


def new(events: Seen, report: dict[str, Any]) -> bool:
    return events.is_new(report["standard_logging_object"], report)


@pytest.mark.parametrize("order", [1, -1], ids=["outer first", "outer last"])
def test_a_failure_that_is_reported_with_two_starts_is_one_with_one_start(order: int) -> None:
    events = Seen()
    reports = [failure(BEGAN), failure(BEGAN + timedelta(milliseconds=3))][::order]
    assert [new(events, report) for report in reports] == [True, False]
    assert {(spend_record(report) or {})["startTime"] for report in reports} == {BEGAN.timestamp()}


def test_failed_calls_that_share_an_id_and_attempts_that_share_an_object_are_told_apart() -> None:
    events = Seen()
    later = BEGAN + timedelta(seconds=1)
    assert new(events, failure(BEGAN, sent=BEGAN))
    assert new(events, failure(BEGAN, sent=later))
    assert new(events, failure(later, sent=later, began=later))
    assert not new(events, failure(later, sent=later, began=later))


@pytest.mark.parametrize("order", [1, -1], ids=["completion first", "completion last"])
@pytest.mark.parametrize("outer", ["responses", "aresponses"])
@pytest.mark.parametrize("status", ["success", "failure"])
def test_of_a_call_and_the_completion_that_serves_it_the_completion_counts(outer: str, order: int, status: str) -> None:
    events = Seen()
    events.started({"litellm_call_id": "call-1", "call_type": outer.replace("responses", "completion")})
    reports = [{"startTime": 1.1}, {"call_type": outer, "custom_llm_provider": None}]
    assert [first_time(events, status=status, **report) for report in reports[::order]] == [True, False][::order]


def test_calls_that_share_an_id_are_two_unless_one_serves_the_other() -> None:
    events = Seen()
    events.started({"litellm_call_id": "call-1", "call_type": "acompletion"})
    assert first_time(events)
    assert first_time(events, call_type="aresponses", startTime=1.1)
    assert first_time(events, call_type="aembedding", startTime=1.2, custom_llm_provider=None)


def test_a_call_that_no_completion_serves_counts() -> None:
    assert first_time(Seen(), call_type="responses", custom_llm_provider=None)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen, "_GENERATION", 10)
    events = Seen()
    for number in range(1000):
        assert first_time(events, f"call-{number}")
        assert not first_time(events, f"call-{number}")
    for number in range(1000):
        events.started({"litellm_call_id": f"call-{number}", "call_type": "completion"})
    for kept in (events._events, events._chats):
        assert len(kept._recent) + len(kept._older) <= 20
