"""Calls that share a call id are recorded with starts some milliseconds apart, however close they were."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from litellm_spend._intake.starts import Starts


def event(start: float, id_: str = "job-7", status: str = "success") -> dict[str, Any]:
    payload = {"id": id_, "status": status, "startTime": start}
    return {"litellm_call_id": "job-7", "standard_logging_object": payload}


def failure(start: float, id_: str = "job-7") -> dict[str, Any]:
    return {"id": id_, "litellm_call_id": id_, "status": "failure", "startTime": start}


def starts_of(events: list[dict[str, Any]]) -> list[float]:
    starts = Starts()
    return [starts.with_distinct_start(each)["standard_logging_object"]["startTime"] for each in events]


def test_calls_of_one_id_differ_in_milliseconds_cut_or_rounded() -> None:
    starts = starts_of([event(1.7711), event(1.7714), event(1.7719), event(1.7711), event(1.790)])
    assert (starts[0], starts[-1]) == (1.7711, 1.790), "what is apart stays as it is"
    millis = [{int(start * 1000 + 1e-6), round(start * 1000)} for start in starts]
    assert all(not one & other for at, one in enumerate(millis) for other in millis[:at]), millis


@pytest.mark.parametrize("other", [{"id_": "chatcmpl-1"}, {"status": "failure"}])
def test_an_event_with_an_id_of_the_providers_or_of_a_failure_keeps_its_start(other: dict[str, Any]) -> None:
    assert starts_of([event(1.7711, **other), event(1.7711, **other)]) == [1.7711, 1.7711]


def test_the_applications_own_event_stays_as_it_is() -> None:
    starts, first, second = Starts(), event(1.7711), event(1.7711)
    starts.with_distinct_start(first)
    assert starts.with_distinct_start(second) is not second
    assert second == event(1.7711)


def test_failures_of_one_id_are_sent_with_starts_of_their_own_beside_its_successes() -> None:
    starts, records = Starts(), [failure(1.7711), failure(1.7711), failure(1.7711, "job-8")]
    succeeded = starts.with_distinct_start(event(1.7711))["standard_logging_object"]["startTime"]
    for record in records:
        starts.make_start_distinct(record)
    assert records[2]["startTime"] == 1.7711, "another id"
    assert sorted(round(1000 * start) for start in (succeeded, *(each["startTime"] for each in records[:2]))) == [
        1771,
        1773,
        1775,
    ]


def test_a_failure_with_another_id_than_its_calls_keeps_its_start() -> None:
    starts, records = Starts(), [failure(1.7711) | {"id": "other"} for _ in range(2)]
    for record in records:
        starts.make_start_distinct(record)
    assert [record["startTime"] for record in records] == [1.7711, 1.7711]


def test_the_id_of_a_call_may_be_a_uuid() -> None:
    job = UUID(int=7)
    starts = Starts()
    events = [event(1.7711, str(job)) | {"litellm_call_id": job} for _ in range(2)]
    assert [starts.with_distinct_start(each)["standard_logging_object"]["startTime"] for each in events] == [
        1.7711,
        1.773,
    ]


def test_thousands_of_calls_at_once_find_free_starts_in_few_tries_each(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[int] = []
    is_reserved = Starts._is_reserved
    monkeypatch.setattr(Starts, "_is_reserved", lambda *arguments: tries.append(1) or is_reserved(*arguments))
    starts = starts_of([event(1.0 + number / 10_000) for number in range(4000)])
    assert len({round(start * 1000) for start in starts}) == 4000
    assert max(starts) < 1.0 + 4000 * 0.002 + 1, "they are as close as can be"
    assert len(tries) < 4000 * 30
