"""before_send may change or drop a record, cannot change which request the record is of, and cannot stop the sender."""

from __future__ import annotations

import json
import logging
import sys
import types
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from litellm_spend._delivery import health
from litellm_spend._delivery.before_send import IDENTITY
from litellm_spend._delivery.outbox import Outbox
from litellm_spend._delivery.outgoing import Outgoing
from litellm_spend._delivery.sender import Sender
from litellm_spend._delivery.sink import ToMemory
from litellm_spend._record.capture import freeze, take
from litellm_spend._settings import Settings

Record = dict[str, Any]


def record(**members: Any) -> Record:
    return {
        "id": "chatcmpl-1",
        "litellm_call_id": "call-1",
        "status": "success",
        "startTime": 1.5,
        "call_type": "acompletion",
        "made_outside_proxy": True,
        "response_cost": 0.25,
        "metadata": {"team_id": "team-1"},
        **members,
    }


def finished(function: Callable[[Record], Any], **members: Any) -> Record | None:
    return Outgoing(Settings(before_send=function)).finish(record(**members))


def test_a_record_may_be_changed_in_place_or_replaced_or_dropped() -> None:
    def in_place(record: Record) -> Record:
        record["request_tags"] = ["new"]
        record["metadata"]["team_id"] = "other"
        del record["response_cost"]
        return record

    def replaced(record: Record) -> Record:
        return {**record, "response_cost": 0.5, "metadata": {}}

    changed = record(request_tags=["new"], metadata={"team_id": "other"})
    del changed["response_cost"]
    assert finished(in_place) == changed
    assert finished(replaced) == record(response_cost=0.5, metadata={})
    assert finished(lambda record: None) is None


def test_it_gets_the_defaults() -> None:
    seen: list[Record] = []
    outgoing = Outgoing(Settings(default_tags=("default",), before_send=lambda record: seen.append(record) or record))
    outgoing.finish(record())
    assert seen[0]["request_tags"] == ["default"]


@pytest.mark.parametrize("value", ["other", None, 7, True, ["a"]])
@pytest.mark.parametrize("name", IDENTITY)
def test_what_tells_a_request_apart_is_set_back(caplog: pytest.LogCaptureFixture, name: str, value: Any) -> None:
    def change(record: Record) -> Record:
        record["metadata"] |= {"status": "failure", "litellm_call_id": "other"}
        return {**record, name: value, "response_cost": 1.0}

    outgoing = Outgoing(Settings(before_send=change))
    for _ in range(2):
        changed = outgoing.finish(record())
        assert changed is not None
        kept = {other: changed.get(other) for other in IDENTITY}
        assert kept == {other: record().get(other) for other in IDENTITY}
        assert changed["made_outside_proxy"] is True
        assert (changed["response_cost"], changed["metadata"]) == (1.0, {"team_id": "team-1"})
    [warning] = caplog.records
    assert warning.levelno == logging.WARNING and "set back" in warning.getMessage()


def test_an_identity_that_is_removed_is_set_back_and_one_that_stays_is_not_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert finished(lambda record: {**record, "status": "success"}) == record() and not caplog.records
    assert finished(lambda record: {"response_cost": 1}, metadata={"status": "x"}) == {
        **{name: value for name, value in record().items() if name in IDENTITY},
        "response_cost": 1,
        "metadata": {"status": "x"},
    }


@pytest.mark.parametrize(("call_type", "price"), [("aget_responses", 0.0), ("avideo_status", 0.0), ("aresponses", 9.0)])
def test_the_price_of_a_retrieval_names_the_request_so_it_stays(call_type: str, price: float) -> None:
    changed = finished(
        lambda record: {**record, "response_cost": 9.0, "cost_breakdown": {"guardrail_cost": 9.0}},
        call_type=call_type,
        response_cost=0.0,
    )
    assert changed is not None and changed["response_cost"] == price
    assert ("cost_breakdown" in changed) is (price == 9.0)


def test_a_price_that_is_changed_in_place_is_set_back() -> None:
    def change(record: Record) -> Record:
        record["cost_breakdown"]["guardrail_cost"] = 9.0
        return record

    changed = finished(change, call_type="avideo_status", cost_breakdown={"guardrail_cost": 0.1})
    assert changed is not None and changed["cost_breakdown"] == {"guardrail_cost": 0.1}


class Ends(BaseException):
    pass


def raises(error: BaseException) -> Callable[[Record], Record]:
    def function(record: Record) -> Record:
        raise error

    return function


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (raises(KeyError("needle")), "KeyError"),
        (raises(SystemExit("needle")), "SystemExit"),
        (raises(Ends("needle")), "Ends"),
        (lambda record: "needle", "TypeError"),
        (lambda record: True, "TypeError"),
        (lambda record: {**record, "metadata": "needle"}, "TypeError"),
        (lambda: None, "TypeError"),
    ],
)
def test_a_record_for_which_it_fails_is_dropped_counted_and_told(
    caplog: pytest.LogCaptureFixture, function: Any, kind: str
) -> None:
    outbox = Outbox(max_queue=10, batch_size=10)
    sink: list[str] = []
    sender = Sender(outbox, ToMemory(sink), Outgoing(Settings(before_send=function)), 0)
    for _ in range(3):
        outbox.put(json.dumps(record()))
        sender._send_next()
    stats = outbox.stats()
    assert (stats.filtered, stats.sent, stats.refused, stats.queued, sink) == (3, 0, 0, 0, [])
    [line] = caplog.records
    assert line.levelno == logging.ERROR and kind in line.getMessage() and "needle" not in caplog.text


def test_ctrl_c_ends_the_process_also_within_it() -> None:
    with pytest.raises(KeyboardInterrupt):
        finished(raises(KeyboardInterrupt()))


def test_an_object_that_refers_to_itself_is_cut() -> None:
    def entangle(record: Record) -> Record:
        record["a"] = record["metadata"]["b"] = record
        record["metadata"]["c"] = object()
        return record

    text = Outgoing(Settings(before_send=entangle)).write(json.dumps(record()))
    assert text is not None and "<cut: more than" in text and json.loads(text)["metadata"]["c"] == "<object>"
    assert json.loads(text)["id"] == "chatcmpl-1"


def test_each_attempt_to_send_a_record_starts_from_what_was_captured() -> None:
    def count(record: Record) -> Record:
        record["metadata"]["times"] = record["metadata"].get("times", 0) + 1
        return record

    outbox = Outbox(max_queue=10, batch_size=10)
    sink: list[str] = []
    sender = Sender(outbox, ToMemory(sink), Outgoing(Settings(before_send=count)), 0)
    take_batch = sender.connection.record

    def away(batch: list[str], deadline: Callable[[], float]) -> int:
        sender.connection.record = take_batch  # type: ignore[method-assign]
        raise OSError

    sender.connection.record = away  # type: ignore[method-assign]
    outbox.put(json.dumps(record()))
    assert [sender._send_next(), sender._send_next()] == [False, True]
    [text] = sink
    assert json.loads(text)["metadata"]["times"] == 1


@pytest.mark.parametrize("number", ["0.1", "0.1000000000000000055511", "1e400", "7" * 40, "7" * 5000, "-0.0"])
def test_a_number_of_the_users_own_data_stays_exact(number: str) -> None:
    text = f'{{"id":"1","metadata":{{"spend_logs_metadata":{{"n":{number}}}}}}}'
    written = Outgoing(Settings(before_send=lambda record: record)).write(text)
    assert written is not None
    [kept] = json.loads(written, parse_float=Decimal, parse_int=Decimal)["metadata"]["spend_logs_metadata"].values()
    assert kept == Decimal(number)


def test_without_defaults_and_before_send_a_text_is_not_parsed() -> None:
    assert Outgoing().write("no JSON") == "no JSON"


def test_a_frozen_record_is_thawed_first() -> None:
    taken = take({"standard_logging_object": {"id": "a", "request_tags": ["own"]}, "litellm_call_id": "b"}, None)
    assert taken is not None
    written = Outgoing(Settings(default_tags=("default",))).write(freeze(taken))
    assert written is not None and json.loads(written)["request_tags"] == ["own", "default"]


def test_a_function_may_be_named_and_is_loaded_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    outgoing = Outgoing(Settings(before_send="hooks_of_an_application:Hooks.drop"))
    module = types.ModuleType("hooks_of_an_application")
    module.Hooks = types.SimpleNamespace(drop=lambda record: None)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "hooks_of_an_application", module)
    assert outgoing.finish(record()) is None


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no_such_module:f", "ModuleNotFoundError"),
        ("json:no_such_function", "AttributeError"),
        ("json:__name__", "it is no function"),
        ("json", "AttributeError"),
        ("", "ValueError"),
    ],
)
def test_records_wait_while_the_function_cannot_be_loaded(
    caplog: pytest.LogCaptureFixture, name: str, reason: str
) -> None:
    outbox = Outbox(max_queue=10, batch_size=10)
    sink: list[str] = []
    sender = Sender(outbox, ToMemory(sink), Outgoing(Settings(before_send=name)), 0)
    outbox.put(json.dumps(record()))
    assert [sender._send_next(), sender._send_next()] == [False, False]
    assert (outbox.pending(), sink) == (1, [])
    [line] = [line.getMessage() for line in caplog.records]
    assert line.startswith("cannot record spend: LITELLM_SPEND_BEFORE_SEND must be ") and reason in line
    assert health.check(sender.connection, sender.outgoing).problem == outbox.stats().last_error


def test_a_forked_child_gets_the_same_with_locks_of_its_own() -> None:
    outgoing = Outgoing(Settings(default_team="default", before_send=lambda record: {**record, "a": 1}))
    child = outgoing.copy_for_child()
    assert child._filter is not outgoing._filter
    assert child.finish(record(metadata={})) == record(metadata={"team_id": "default"}, a=1)
