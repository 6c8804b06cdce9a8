"""Requests that were made outside a proxy, in the tables in which LiteLLM's proxies count what they answered."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from conftest import new_database
from harness.cluster import Cluster
from harness.database import Database
from harness.records import DAY, assert_counted, spend_record, spend_records
from harness.remembering import configure

REQUESTS = """SELECT date, category, route, successful_requests, failed_requests
    FROM "LiteLLM_DailyGatewayRequests" ORDER BY date, route"""
FAILED = """SELECT date, category, route, status_code, failed_requests
    FROM "LiteLLM_DailyGatewayFailedRequests" ORDER BY date, route, status_code"""
GROUPS = """SELECT l.model_group, d.model_group FROM "LiteLLM_SpendLogs" AS l
    JOIN "LiteLLM_DailyUserSpend" AS d ON d.user_id = l."user" AND d.model = l.model"""
OURS = (DAY, "llm", "sdk")
# A proxy has answered these requests on that day.
OF_A_PROXY = f"""
    INSERT INTO "LiteLLM_DailyGatewayRequests"
        (date, category, route, successful_requests, failed_requests, updated_at)
    VALUES ('{DAY}', 'llm', '/chat/completions', 7, 2, now());
    INSERT INTO "LiteLLM_DailyGatewayFailedRequests"
        (date, category, route, status_code, failed_requests, updated_at)
    VALUES ('{DAY}', 'llm', '/chat/completions', 429, 2, now())"""


def outside(**fields: Any) -> dict[str, Any]:
    return spend_record(made_outside_proxy=True, **fields)


def failure(code: str | None, **fields: Any) -> dict[str, Any]:
    return outside(spend=0.0, status="failure", error_information={"error_code": code}, **fields)


def count(database: Database, *records: dict[str, Any]) -> None:
    database.record(list(records))
    database.wait_folded()


def test_requests_are_counted_by_day_and_failures_by_status_beside_those_of_a_proxy(database: Database) -> None:
    database.execute(OF_A_PROXY)
    count(database, outside(), outside(), failure("429"), failure("429"), failure("500"), failure("quota"))
    count(database, outside(), outside(startTime="2026-03-02T00:00:00Z"))
    of_proxy = (DAY, "llm", "/chat/completions")
    later = ("2026-03-02", "llm", "sdk", 1, 0)
    assert database.query(REQUESTS) == [(*of_proxy, 7, 2), (*OURS, 3, 4), later]
    counted = [(*OURS, 0, 1), (*OURS, 429, 2), (*OURS, 500, 1)]
    assert database.query(FAILED) == [(*of_proxy, 429, 2), *counted]


def test_a_record_without_the_mark_is_not_counted_and_keeps_its_model_group(database: Database) -> None:
    count(database, spend_record(), spend_record(made_outside_proxy=False), spend_record(made_outside_proxy="true"))
    assert database.query(REQUESTS) == database.query(FAILED) == []
    assert set(database.query(GROUPS)) == {("", "")}


def test_the_model_is_the_group_of_what_was_made_outside_a_proxy(database: Database) -> None:
    count(database, outside(user="a"), outside(user="b", model_group="mine"))
    assert sorted(database.query(GROUPS)) == [("gpt-4o-mini", "gpt-4o-mini"), ("mine", "mine")]


@pytest.mark.parametrize("mark", [{"internal_call_origin": "judge"}, {"billed_retry_attempt": True}])
def test_what_is_no_request_in_the_daily_rows_is_none_here(database: Database, mark: dict[str, Any]) -> None:
    count(database, outside(**mark), failure("500", **mark))
    assert database.query(REQUESTS) == database.query(FAILED) == []
    assert database.value('SELECT sum(api_requests)::int FROM "LiteLLM_DailyUserSpend"') == 0


def test_a_repeated_record_counts_once(database: Database) -> None:
    record = outside()
    count(database, record, record)
    count(database, record)
    assert database.query(REQUESTS) == [(*OURS, 1, 0)]


def test_a_setting_switches_it_off_and_rebuild_counts_what_was_left_out(database: Database) -> None:
    configure(database, count_gateway_requests="off")
    reason = "litellm_spend.count_gateway_requests is off"
    skipped = dict(database.query("SELECT target, reason FROM litellm_spend.targets WHERE action = 'skipped'"))
    assert skipped == dict.fromkeys(("LiteLLM_DailyGatewayRequests", "LiteLLM_DailyGatewayFailedRequests"), reason)
    count(database, outside(), failure("500"))
    assert database.query(REQUESTS) == database.query(FAILED) == []
    assert database.value("SELECT count(*) FROM litellm_spend.verify(%s, %s)", DAY, DAY) == 0
    configure(database, count_gateway_requests="on")
    count(database, outside())
    assert database.query(REQUESTS) == [(*OURS, 1, 0)]
    database.query("SELECT * FROM litellm_spend.rebuild(%s, %s, false)", DAY, DAY)
    assert database.query(REQUESTS) == [(*OURS, 2, 1)]
    assert database.query(FAILED) == [(*OURS, 500, 1)]


def test_a_session_that_has_folded_takes_notice_of_the_setting(unloaded_cluster: Cluster) -> None:
    database = new_database(unloaded_cluster)
    for value in ("on", "off", "on"):
        database.execute(f"SET litellm_spend.count_gateway_requests = {value}")
        database.record(outside())
        assert database.fold() == 1
    assert database.query(REQUESTS) == [(*OURS, 2, 0)]


def test_what_a_proxy_has_answered_is_not_verified(database: Database) -> None:
    count(database, outside(), failure("429"))
    database.execute(OF_A_PROXY)
    verify = "SELECT target, key ->> 'route', column_name, difference::int FROM litellm_spend.verify(%s, %s)"
    assert database.query(verify, DAY, DAY) == []
    database.execute('UPDATE "LiteLLM_DailyGatewayRequests" SET failed_requests = failed_requests + 5')
    assert database.query(verify, DAY, DAY) == [("LiteLLM_DailyGatewayRequests", "sdk", "failed_requests", 5)]


@pytest.mark.parametrize("table", ["LiteLLM_DailyGatewayRequests", "LiteLLM_DailyGatewayFailedRequests"])
def test_where_a_table_is_missing_the_rest_is_counted(database: Database, table: str) -> None:
    database.execute(f'DROP TABLE "{table}"')
    records = [outside(), failure("500")]
    count(database, *records)
    assert_counted(database, records)


def test_a_table_without_its_key_holds_the_fold_unless_the_setting_is_off(database: Database) -> None:
    database.execute('ALTER TABLE "LiteLLM_DailyGatewayRequests" DROP CONSTRAINT "LiteLLM_DailyGatewayRequests_pkey"')
    record = outside()
    database.record(record)
    database.wait_for("SELECT worker FROM litellm_spend.status", "held")
    assert "LiteLLM_DailyGatewayRequests" in database.status()["last_error"]
    configure(database, count_gateway_requests="off")
    database.wait_folded()
    assert_counted(database, [record])


def test_a_row_that_another_session_holds_postpones_only_what_it_counts(database: Database) -> None:
    first = outside()
    count(database, first)
    others = spend_records(3)
    with database.connect(autocommit=False) as session:
        session.execute('UPDATE "LiteLLM_DailyGatewayRequests" SET successful_requests = successful_requests')
        second = outside()
        database.record([*others, second])
        database.wait_for("SELECT postponed FROM litellm_spend.status", 1)
        database.wait_for('SELECT count(*) FROM "LiteLLM_SpendLogs"', 4)
    database.wait_folded()
    assert_counted(database, [first, *others, second])
    assert database.query(REQUESTS) == [(*OURS, 2, 0)]


def test_a_record_that_the_table_refuses_is_rejected_and_the_others_count(database: Database) -> None:
    database.execute(
        'ALTER TABLE "LiteLLM_DailyGatewayFailedRequests" ADD CONSTRAINT no_418 CHECK (status_code <> 418)'
    )
    records = [*spend_records(3), outside(), failure("500")]
    count(database, *records, failure("418"))
    assert_counted(database, records)
    assert database.query("SELECT sqlstate FROM litellm_spend.rejected") == [("23514",)]
    assert database.query(REQUESTS) == [(*OURS, 1, 1)]


def test_the_setting_is_a_superusers(cluster: Cluster, database: Database) -> None:
    cluster.execute("CREATE ROLE app LOGIN IN ROLE litellm_spend_writer")
    try:
        with database.connect(user="app") as session:
            session.execute("SELECT litellm_record_spend('[]')")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute("SET litellm_spend.count_gateway_requests = off")
    finally:
        database.execute("DROP OWNED BY app")
        cluster.execute("DROP ROLE app")
