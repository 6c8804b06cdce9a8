"""SpendLogs as LiteLLM's partitioning script leaves it: partitions by "startTime", ids that are not unique."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from harness.database import Database
from harness.records import DAY, assert_counted, counted, logged, spend_record, spend_records, unnamed
from harness.remembering import SUPPRESS_LOG_ROWS, send, write_proxy_row
from harness.waiting import wait_until

# The steps of LiteLLM's db_scripts/partition_spend_logs.sql, except its DEFAULT partition.
PARTITION = f"""
    ALTER TABLE "LiteLLM_SpendLogs" RENAME TO "LiteLLM_SpendLogs_legacy";
    ALTER INDEX "LiteLLM_SpendLogs_pkey" RENAME TO "LiteLLM_SpendLogs_legacy_pkey";
    CREATE TABLE "LiteLLM_SpendLogs" (LIKE "LiteLLM_SpendLogs_legacy" INCLUDING DEFAULTS INCLUDING GENERATED)
        PARTITION BY RANGE ("startTime");
    ALTER TABLE "LiteLLM_SpendLogs" ADD PRIMARY KEY ("request_id", "startTime");
    CREATE TABLE "LiteLLM_SpendLogs_p20260301" PARTITION OF "LiteLLM_SpendLogs"
        FOR VALUES FROM ('{DAY}') TO ('2026-03-02')"""
MORE_DAYS = 'CREATE TABLE "LiteLLM_SpendLogs_more" PARTITION OF "LiteLLM_SpendLogs" {}'
DAILY = 'SELECT sum(api_requests)::int, sum(spend) FROM "LiteLLM_DailyUserSpend"'
DUPLICATES = "SELECT duplicates FROM litellm_spend.status"


@pytest.fixture
def partitioned(database: Database) -> Database:
    """A database whose SpendLogs has one partition, for DAY."""
    database.execute(PARTITION)
    return database


def test_a_repeated_request_counts_once_with_the_same_and_with_another_start(partitioned: Database) -> None:
    record, other = spend_records(2)
    send(partitioned, record)
    send(partitioned, record, other, {**record, "startTime": f"{DAY}T12:00:00.250Z"})
    send(partitioned, {**other, "startTime": f"{DAY}T23:00:00Z"}, record)
    assert_counted(partitioned, [record, other])
    assert partitioned.value(DUPLICATES) == 4


def test_a_known_id_with_another_call_id_is_logged_under_both(partitioned: Database) -> None:
    first, second = (spend_record(request_id="reused") for _ in range(2))
    send(partitioned, first)
    send(partitioned, second, first)
    assert_counted(partitioned, [first, {**second, "request_id": f"reused#{second['litellm_call_id']}"}])


def test_requests_under_one_call_id_are_logged_each(partitioned: Database) -> None:
    first, second = unnamed(0), unnamed(1000, 0.5)
    send(partitioned, first)
    send(partitioned, second, first)
    send(partitioned, second)
    assert_counted(partitioned, [first, logged(second, 1000)])


def test_a_request_that_the_proxy_logged_within_a_day_counts_nowhere_again(partitioned: Database) -> None:
    near, exact, far, new = spend_records(4)
    partitioned.execute(MORE_DAYS.format("DEFAULT"))
    for record, start in ((near, f"{DAY} 11:59"), (exact, f"{DAY} 12:00"), (far, "2026-02-20 12:00")):
        write_proxy_row(partitioned, record, start)
    reused = spend_record(request_id=exact["request_id"])
    send(partitioned, near, exact, new)
    send(partitioned, reused)
    assert partitioned.query(DAILY) == [(2, 0.5)]
    assert partitioned.value(DUPLICATES) == 2
    # To look further, a fold would have to read every partition.
    send(partitioned, far)
    assert partitioned.query(DAILY) == [(3, 0.75)]


def test_a_fold_touches_no_partition_that_is_days_away(partitioned: Database) -> None:
    partitioned.execute(MORE_DAYS.format("FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')"))
    records = spend_records(2)
    with partitioned.connect(autocommit=False) as maintenance:
        maintenance.execute('LOCK TABLE "LiteLLM_SpendLogs_more" IN ACCESS EXCLUSIVE MODE')
        send(partitioned, records[0])
        send(partitioned, *records)
    assert_counted(partitioned, records)


def test_a_missing_partition_holds_the_fold_which_names_the_days_and_then_catches_up(partitioned: Database) -> None:
    today, later = spend_record(), spend_record(startTime="2026-03-03T00:00:01Z")
    partitioned.record([today, later])
    partitioned.wait_for("SELECT worker FROM litellm_spend.status", "held")
    error = partitioned.status()["last_error"]
    assert "23514" in error and "for the days from 2026-03-03 to 2026-03-03" in error, error
    assert counted(partitioned) == 1
    partitioned.execute(MORE_DAYS.format("FOR VALUES FROM ('2026-03-03') TO ('2026-03-04')"))
    partitioned.wait_folded()
    assert_counted(partitioned, [today, later])
    send(partitioned, later)
    assert_counted(partitioned, [today, later])


@pytest.mark.parametrize("start", ["1971-01-01T00:00:00Z", "2099-01-01T00:00:00Z"])
def test_a_start_far_from_every_partition_costs_one_record(partitioned: Database, start: str) -> None:
    good = spend_records(20)
    partitioned.record([*good[:10], spend_record(request_id="outlier", startTime=start), *good[10:]])
    partitioned.wait_folded()
    assert_counted(partitioned, good)
    rejected = "SELECT sqlstate, payload ->> 'request_id' FROM litellm_spend.rejected"
    assert partitioned.query(rejected) == [("23514", "outlier")]


def test_a_start_that_is_yet_to_come_costs_one_record_where_today_has_its_partition(partitioned: Database) -> None:
    today, tomorrow = datetime.now(UTC).date(), datetime.now(UTC).date() + timedelta(days=1)
    partitioned.execute(MORE_DAYS.format(f"FOR VALUES FROM ('{today}') TO ('{tomorrow}')"))
    good = spend_records(5, startTime=datetime.now(UTC).isoformat())
    partitioned.record([*good, spend_record(request_id="early", startTime=f"{tomorrow}T00:30:00Z")])
    partitioned.wait_folded()
    assert_counted(partitioned, good)
    rejected = "SELECT sqlstate, payload ->> 'request_id' FROM litellm_spend.rejected"
    assert partitioned.query(rejected) == [("23514", "early")]


def test_fold_tells_its_caller_of_a_missing_partition(partitioned: Database) -> None:
    partitioned.record(spend_record(startTime="2026-03-03T00:00:01Z"))
    wait_until(lambda: "DEFAULT partition" in (partitioned.status()["last_error"] or ""))
    with pytest.raises(psycopg.Error, match="DEFAULT partition") as error:
        partitioned.fold()
    assert error.value.sqlstate == "23514"
    # The session goes on.
    partitioned.execute(MORE_DAYS.format("DEFAULT"))
    partitioned.fold()
    assert counted(partitioned) == 1


def test_a_log_row_that_a_trigger_suppresses_counts_once(partitioned: Database) -> None:
    partitioned.execute(SUPPRESS_LOG_ROWS)
    record = spend_record()
    send(partitioned, record)
    send(partitioned, record)
    assert counted(partitioned) == 0
    assert partitioned.query(DAILY) == [(1, 0.25)]


def test_a_partitioned_log_without_its_unique_index_holds_the_fold(partitioned: Database) -> None:
    record = spend_record()
    partitioned.execute('ALTER TABLE "LiteLLM_SpendLogs" DROP CONSTRAINT "LiteLLM_SpendLogs_pkey"')
    partitioned.record(record)
    wait_until(lambda: "(request_id, startTime)" in (partitioned.status()["last_error"] or ""))
    partitioned.execute('ALTER TABLE "LiteLLM_SpendLogs" ADD PRIMARY KEY ("request_id", "startTime")')
    partitioned.wait_folded()
    assert_counted(partitioned, [record])
