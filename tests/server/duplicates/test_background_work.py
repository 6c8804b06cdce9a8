"""Work that a provider does in the background costs once, whoever reports it: payloads of LiteLLM's other loggers, the
callback's records, or the rows of a LiteLLM proxy."""

from __future__ import annotations

from typing import Any

import pytest

from harness.database import Database, Record
from harness.records import DAY, spend_record, totals
from harness.remembering import configure, send


def payload(call: int, id_: str, call_type: str, **fields: Any) -> Record:
    """The payload as LiteLLM gives it to a logger."""
    return {
        "id": id_,
        "litellm_call_id": f"call-{call}",
        "call_type": call_type,
        "status": "success",
        "response_cost": 0.25,
        "startTime": f"{DAY}T12:00:0{call}Z",
        "metadata": {"user_api_key_user_id": "alice"},
        **fields,
    }


def charged(database: Database) -> list[tuple]:
    database.wait_folded()
    rows = database.query('SELECT request_id, spend FROM "LiteLLM_SpendLogs" WHERE spend > 0')
    assert totals(database)["user"] == (None, sum(spend for _, spend in rows))
    return rows


@pytest.mark.parametrize(
    ("call_types", "suffix"),
    [
        (("aget_responses", "get_responses", "acancel_responses", "cancel_responses"), "_background_cost"),
        (("avideo_status", "video_status"), "_video_cost"),
    ],
)
def test_payloads_of_another_logger_charge_work_in_the_background_once(
    database: Database, call_types: tuple[str, ...], suffix: str
) -> None:
    database.record(payload(0, "work", call_types[0], response_cost=0.0))
    for call, call_type in enumerate(call_types * 2, start=1):
        database.record(payload(call, "work", call_type))
        if call % 3 == 0:
            database.wait_folded()
    assert charged(database) == [(f"work{suffix}", 0.25)]


def test_without_a_log_the_ledger_knows_work_in_the_background_by_its_id(database: Database) -> None:
    configure(database, write_spend_logs="off")
    for call, call_type in enumerate(("aresponses", "aget_responses", "aget_responses")):
        send(database, payload(call, "resp_1_background_cost", call_type))
    assert totals(database)["user"] == (None, 0.25)
    assert totals(database)["logs"] == (0, 0.0)


def test_each_poll_of_a_video_pays_for_its_own_guardrails(database: Database) -> None:
    guardrails = {"cost_breakdown": {"guardrail_cost": 0.25}}
    for call in (1, 2, 2):
        database.record(payload(call, "video_1", "avideo_status", **guardrails))
    assert sorted(charged(database)) == [("call-1_guardrail_cost", 0.25), ("call-2_guardrail_cost", 0.25)]


@pytest.mark.parametrize(
    ("id_", "call_type"), [("resp_1_background_cost", "aget_responses"), ("video_1_video_cost", "avideo_status")]
)
def test_what_a_proxy_charged_for_work_in_the_background_is_not_charged_again(
    database: Database, id_: str, call_type: str
) -> None:
    database.execute(
        """INSERT INTO "LiteLLM_SpendLogs"
               (request_id, litellm_call_id, call_type, api_key, spend, "startTime", "endTime")
           VALUES (%s, 'a call of the proxy', %s, '', 0.25, %s, %s)""",
        *(id_, call_type, f"{DAY} 12:00", f"{DAY} 12:00:01"),
    )
    database.record(spend_record(request_id=id_, litellm_call_id=id_, call_type=call_type))
    database.wait_folded()
    assert totals(database)["user"] == (None, 0.0)
    assert totals(database)["logs"] == (1, 0.25)
