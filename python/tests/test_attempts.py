"""Which of a Router's failed attempts count. Events come as LiteLLM 1.79 and 1.109 deliver them, in every order."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from litellm_spend._intake import attempts
from litellm_spend._intake.attempts import RouterAttempts
from litellm_spend._intake.router import is_attempt, is_first

FAILURE, SUCCESS = "failure", "success"


class Events:
    """Delivers events, and collects the sent records as (call id, whether it is marked as an attempt)."""

    def __init__(self, *, counters: bool = True, hold_seconds: float = 60.0) -> None:
        self.sent: list[tuple[str, bool]] = []
        self.ids: list[str] = []
        self.counters = counters
        self.costs: list[float] = []
        self.attempts = RouterAttempts(self._send, hold_seconds)

    def _send(self, record: dict[str, Any]) -> None:
        self.ids.append(record["id"])
        self.costs.append(record.get("response_cost", 0))
        if record["status"] == FAILURE:
            assert record["id"] == record["litellm_call_id"], "the server takes a failure's call id for its id"
        marked = record.get("metadata", {}).get("billed_retry_attempt", False)
        self.sent.append((record["litellm_call_id"].partition("_")[0], marked))

    def kwargs(self, call: str, number: int) -> dict[str, Any]:
        metadata: dict[str, Any] = {"model_group": "group"}
        if self.counters:
            metadata |= {"attempted_retries": number, "attempted_fallbacks": 0}
        elif number:
            metadata["previous_models"] = [{}] * number
        return {
            "litellm_trace_id": call,
            "litellm_call_id": f"{call}{number}",
            "litellm_params": {"metadata": metadata},
        }

    def start(self, call: str, number: int) -> None:
        self.attempts.started(self.kwargs(call, number))

    def finish(self, call: str, number: int, status: str, cost: float = 0.0) -> None:
        record = self.record(f"{call}{number}", number, status)
        if cost:
            record |= {"response_cost": cost, "prompt_tokens": int(10 * cost), "metadata": {"usage_object": {}}}
        self.attempts.finished(self.kwargs(call, number), record)

    def record(self, call_id: str, number: int, status: str) -> dict[str, Any]:
        id_ = call_id if status == FAILURE else "chatcmpl-1"
        return {"id": id_, "litellm_call_id": call_id, "status": status, "startTime": number + 0.5}

    def run(self, call: str, *statuses: str) -> None:
        for number, status in enumerate(statuses):
            self.start(call, number)
            self.finish(call, number, status)

    def wait_for(self, number: int) -> None:
        end = time.monotonic() + 30
        while len(self.sent) < number:
            assert time.monotonic() < end, f"30 s passed, and {self.sent} were sent"
            time.sleep(0.01)


class Clock:
    """A clock that only `advance` moves. It fires the timers that are due."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def timer(self, seconds: float, expire: Callable[[], None]) -> SimpleNamespace:
        return SimpleNamespace(start=lambda: self.timers.append((self.now + seconds, expire)))

    def advance(self, seconds: float) -> None:
        self.now += seconds
        due = [expire for at, expire in self.timers if at <= self.now]
        self.timers = [timer for timer in self.timers if timer[0] > self.now]
        for expire in due:
            expire()


@pytest.fixture(params=[True, False], ids=["litellm-1.109", "litellm-1.79"])
def events(request: pytest.FixtureRequest) -> Events:
    return Events(counters=request.param)


def test_failed_attempts_before_a_success_are_marked(events: Events) -> None:
    events.run("a", FAILURE, FAILURE, SUCCESS)
    assert events.sent == [("a0", True), ("a1", True), ("a2", False)]
    assert events.attempts.held() == 0


def test_a_failed_attempt_is_sent_when_the_next_starts(events: Events) -> None:
    events.run("a", FAILURE)
    events.start("a", 0)
    assert events.sent == []
    events.start("a", 1)
    assert events.sent == [("a0", True)]


def test_of_failed_attempts_alone_the_last_counts(events: Events) -> None:
    events.run("a", FAILURE, FAILURE, FAILURE)
    assert events.sent == [("a0", True), ("a1", True)] and events.attempts.held() == 1
    events.attempts.release()
    assert events.sent[2:] == [("a2", False)]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(attempts.time, "monotonic", lambda: clock.now)
    monkeypatch.setattr(attempts.threading, "Timer", clock.timer)
    return clock


def test_a_single_failure_counts_when_no_other_attempt_started_in_time(clock: Clock) -> None:
    events = Events(hold_seconds=60.0)
    events.run("a", FAILURE)
    clock.advance(59.9)
    assert events.sent == []
    clock.advance(0.2)
    assert events.sent == [("a0", False)] and events.attempts.held() == 0
    assert clock.timers == []


def test_each_failure_is_held_for_its_own_time(clock: Clock) -> None:
    events = Events(hold_seconds=60.0)
    events.run("a", FAILURE)
    clock.advance(40)
    events.run("b", FAILURE)
    clock.advance(30)
    assert events.sent == [("a0", False)]
    clock.advance(20)
    assert events.sent == [("a0", False)]
    clock.advance(20)
    assert events.sent == [("a0", False), ("b0", False)]


def test_a_failure_is_sent_by_a_timer_of_its_own() -> None:
    events = Events(hold_seconds=0.05)
    events.run("a", FAILURE)
    events.wait_for(1)
    assert events.sent == [("a0", False)]


def test_a_success_without_failures_leaves_nothing_behind(events: Events) -> None:
    for number in range(100):
        events.run(f"call-{number}", SUCCESS)
    assert len(events.sent) == 100 and not events.attempts._calls


def test_a_report_that_comes_late_is_known_as_an_attempt(events: Events) -> None:
    """LiteLLM delivers sync events from a pool of threads. Here the event of the first attempt comes last."""
    events.start("a", 0)
    events.start("a", 1)
    events.finish("a", 1, SUCCESS)
    events.finish("a", 0, FAILURE)
    assert events.sent == [("a1", False), ("a0", True)]
    events.start("b", 0)
    events.start("b", 1)
    events.finish("b", 1, FAILURE)
    events.finish("b", 0, FAILURE)
    events.attempts.release()
    assert events.sent[2:] == [("b0", True), ("b1", False)]


def test_attempts_whose_start_was_not_reported_are_told_by_their_end(events: Events) -> None:
    for number, status in enumerate([FAILURE, FAILURE, SUCCESS]):
        events.finish("a", number, status)
    assert events.sent == [("a0", True), ("a1", True), ("a2", False)]


def test_calls_that_share_an_id_of_the_callers_are_told_apart(events: Events) -> None:
    events.run("session", FAILURE, FAILURE)
    kwargs = events.kwargs("session", 0) | {"litellm_call_id": "next"}
    events.attempts.started(kwargs)
    assert events.sent == [("session0", True), ("session1", False)]
    events.attempts.finished(kwargs, events.record("next", 2, SUCCESS))
    assert events.sent[2:] == [("next", False)]


def test_attempts_that_share_the_callers_call_id_count_once_and_the_last_has_the_id(events: Events) -> None:
    for number in range(3):
        kwargs = events.kwargs("a", number) | {"litellm_call_id": "mine"}
        events.attempts.started(kwargs)
        events.attempts.finished(kwargs, events.record("mine", number, FAILURE))
    events.attempts.release()
    assert events.sent == [("mine", True), ("mine", True), ("mine", False)]
    assert events.ids == ["mine_attempt0.5", "mine_attempt1.5", "mine"]


def test_a_late_report_under_a_shared_id_is_no_repetition_of_an_earlier_one(events: Events) -> None:
    for number, status in enumerate([FAILURE, SUCCESS, FAILURE]):
        events.attempts.finished(
            events.kwargs("a", number) | {"litellm_call_id": "mine"}, events.record("mine", number, status)
        )
    assert events.sent == [("mine", True), ("mine", False), ("mine", True)]
    assert events.ids == ["mine", "chatcmpl-1", "mine_attempt2.5"]


def test_calls_outside_a_router_are_passed_on_at_once(events: Events) -> None:
    kwargs = {"litellm_trace_id": "t", "litellm_call_id": "plain", "litellm_params": {"metadata": None}}
    events.attempts.started(kwargs)
    events.attempts.finished(kwargs, events.record("plain", 0, FAILURE))
    assert events.sent == [("plain", False)]


def test_attempts_that_share_id_and_start_are_told_apart_by_when_they_were_sent(events: Events) -> None:
    """LiteLLM's proxy logs all attempts of a request with one object."""
    for number in range(3):
        sent = datetime.fromtimestamp(100 + number, timezone.utc)
        kwargs = events.kwargs("a", number) | {"litellm_call_id": "mine", "api_call_start_time": sent}
        events.attempts.finished(kwargs, events.record("mine", 0, FAILURE) | {"response_cost": 2.0})
    events.attempts.release()
    assert events.ids == ["mine_attempt100.0", "mine_attempt101.0", "mine"]
    assert events.costs == [2.0, 2.0, 2.0]


# Failed attempts with a cost.


def test_a_call_that_succeeds_costs_what_its_success_says(events: Events) -> None:
    events.start("a", 0)
    events.finish("a", 0, FAILURE, 2.0)
    events.start("a", 1)
    events.finish("a", 1, FAILURE)
    assert events.sent == [] and events.attempts.held() == 1
    events.start("a", 2)
    assert events.sent == [("a1", True)]
    events.finish("a", 2, SUCCESS, 5.0)
    assert events.sent == [("a1", True), ("a0", True), ("a2", False)]
    assert events.costs == [0, 0, 5.0] and events.attempts.held() == 0


def test_a_call_that_fails_costs_what_all_its_attempts_cost(events: Events) -> None:
    for number, cost in enumerate([2.0, 0.0, 3.0]):
        events.start("a", number)
        events.finish("a", number, FAILURE, cost)
    assert events.sent == [("a1", True)]
    events.attempts.release()
    assert events.sent == [("a1", True), ("a0", True), ("a2", False)]
    assert events.costs == [0.0, 2.0, 3.0] and events.attempts.held() == 0


def test_another_call_with_the_same_id_charges_the_one_before(events: Events) -> None:
    events.start("session", 0)
    events.finish("session", 0, FAILURE, 2.0)
    kwargs = events.kwargs("session", 0) | {"litellm_call_id": "next"}
    events.attempts.finished(kwargs, events.record("next", 1, SUCCESS) | {"response_cost": 5.0})
    assert events.sent == [("session0", False), ("next", False)] and events.costs == [2.0, 5.0]


@pytest.mark.parametrize("status, costs", [(SUCCESS, [0, 9, 3]), (FAILURE, [4, 9, 3])])
def test_an_end_that_is_reported_when_the_next_call_with_its_id_has_started_is_of_its_own_call(
    events: Events, status: str, costs: list[float]
) -> None:
    events.start("a", 0)
    events.finish("a", 0, FAILURE, 4)
    events.start("a", 1)
    other = events.kwargs("a", 0) | {"litellm_call_id": "b0"}
    events.attempts.started(other)
    events.finish("a", 1, status, 9)
    events.attempts.finished(other, events.record("b0", 0, FAILURE) | {"response_cost": 3})
    events.attempts.release()
    assert sorted(events.costs) == sorted(costs)


def test_a_cost_that_was_sent_before_the_success_is_left_out_of_it(clock: Clock) -> None:
    """A continued stream may run for longer than an attempt is held."""
    events = Events(hold_seconds=60.0)
    events.start("a", 0)
    events.finish("a", 0, FAILURE, 2.0)
    events.start("a", 1)
    clock.advance(61)
    assert events.sent == [("a0", True)] and events.attempts.held() == 0
    record = events.record("a1", 1, SUCCESS) | {"response_cost": 5.0, "prompt_tokens": 50, "completion_tokens": 7}
    events.attempts.finished(events.kwargs("a", 1), record)
    assert events.costs == [2.0, 3.0]
    assert (record["prompt_tokens"], record["completion_tokens"]) == (30, 7)


def test_what_is_sent_at_close_is_left_out_of_a_later_success(events: Events) -> None:
    events.start("a", 0)
    events.finish("a", 0, FAILURE, 2.0)
    events.attempts.release()
    events.finish("a", 1, SUCCESS, 1.5)
    assert events.costs == [2.0, 0]


def test_a_failure_that_is_reported_after_its_calls_success_costs_nothing(events: Events) -> None:
    """Only failures with a cost are recorded. The callback then notes no start of the first attempt."""
    events.finish("a", 1, SUCCESS, 5.0)
    events.finish("a", 0, FAILURE, 2.0)
    assert events.sent == [("a1", False), ("a0", True)] and events.costs == [5.0, 0]


def test_a_failure_that_is_reported_late_waits_for_the_end_of_its_call(events: Events) -> None:
    events.start("a", 0)
    events.start("a", 1)
    events.finish("a", 0, FAILURE, 2.0)
    assert events.sent == [] and events.attempts.held() == 1
    events.finish("a", 1, FAILURE, 3.0)
    events.attempts.release()
    assert events.sent == [("a0", True), ("a1", False)] and events.costs == [2.0, 3.0]


def test_what_is_pushed_out_is_charged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "_CALLS", 1)
    events = Events()
    events.finish("a", 0, FAILURE, 2.0)
    events.start("b", 0)
    assert events.sent == [("a0", False)] and events.costs == [2.0]


def test_starts_and_successes_concern_attempts_if_others_came_before(events: Events) -> None:
    first, second = events.kwargs("a", 0), events.kwargs("a", 1)
    assert not events.attempts.may_affect(first) and events.attempts.may_affect(second)
    events.finish("a", 0, FAILURE, 2.0)
    assert events.attempts.may_affect(first)
    assert not events.attempts.may_affect(second | {"litellm_trace_id": None})


def test_a_router_may_list_attempts_in_either_metadata() -> None:
    """LiteLLM 1.79 does so in fallbacks if the application gives `litellm_metadata`."""
    request = {"litellm_trace_id": "a", "metadata": {"previous_models": [{}]}}
    assert not is_first(request | {"litellm_metadata": {"model_group": "second"}})


def test_memory_is_bounded_and_what_is_pushed_out_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "_CALLS", 10)
    events = Events()
    for number in range(15):
        events.run(f"call-{number}-", FAILURE)
    assert events.sent == [(f"call-{number}-0", False) for number in range(5)]
    assert events.attempts.held() == 10


def test_a_call_without_a_first_attempt_grows_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "_ATTEMPTS", 10)
    events = Events()
    for number in range(1, 25):
        events.start("session", number)
    [call] = events.attempts._calls.values()
    assert len(call.attempts) == 10


def test_only_a_routers_call_is_an_attempt() -> None:
    kwargs = Events().kwargs("call", 0)
    assert is_attempt(kwargs)
    assert not is_attempt(kwargs | {"litellm_trace_id": None})
    assert not is_attempt(kwargs | {"litellm_params": {"metadata": {"tags": ["a"]}}})
