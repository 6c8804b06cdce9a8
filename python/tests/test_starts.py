"""Calls that share a call id start some milliseconds apart, however close together they began."""

from __future__ import annotations

from typing import Any

import pytest

from litellm_spend.starts import Starts


def event(start: float, id_: str = "job-7", status: str = "success") -> dict[str, Any]:
    payload = {"id": id_, "status": status, "startTime": start}
    return {"litellm_call_id": "job-7", "standard_logging_object": payload}


def starts_of(events: list[dict[str, Any]]) -> list[float]:
    starts = Starts()
    return [starts.apart(each)["standard_logging_object"]["startTime"] for each in events]


def test_calls_of_one_id_differ_in_milliseconds_cut_or_rounded() -> None:
    starts = starts_of([event(1.7711), event(1.7714), event(1.7719), event(1.7711), event(1.790)])
    assert (starts[0], starts[-1]) == (1.7711, 1.790), "what is apart stays as it is"
    millis = [{int(start * 1000 + 1e-6), round(start * 1000)} for start in starts]
    assert all(not one & other for at, one in enumerate(millis) for other in millis[:at]), millis


@pytest.mark.parametrize("other", [{"id_": "chatcmpl-1"}, {"status": "failure"}])
def test_a_call_with_an_id_of_the_providers_or_that_failed_keeps_its_start(other: dict[str, Any]) -> None:
    assert starts_of([event(1.7711, **other), event(1.7711, **other)]) == [1.7711, 1.7711]


def test_the_applications_own_event_stays_as_it_is() -> None:
    starts, first, second = Starts(), event(1.7711), event(1.7711)
    starts.apart(first)
    assert starts.apart(second) is not second
    assert second == event(1.7711)
