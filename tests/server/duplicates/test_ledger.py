"""Where SpendLogs cannot remember which requests were counted, the ledger does (invariant 3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from conftest import discard, new_database
from harness.cluster import Cluster
from harness.database import Database, Record
from harness.records import assert_counted, counted, spend_record, spend_records, totals, unnamed
from harness.remembering import SUPPRESS_LOG_ROWS, configure, send, write_proxy_row
from harness.waiting import wait_until

ENTRIES = "SELECT count(*) FROM litellm_spend.ledger"
DUPLICATES = "SELECT duplicates FROM litellm_spend.status"
REUSED = "SELECT reused_ids FROM litellm_spend.status"

# An older ledger held this of a request, before starts told requests apart: the hashes of its id and its call id.
OLD_ENTRY = """
    INSERT INTO litellm_spend.ledger_0 (request_hash, call_hash)
    SELECT substring(encode(sha256(id::bytea), 'hex') FOR 32)::uuid,
           ('x' || substring(encode(sha256(id::bytea), 'hex') FOR 16))::bit(64)::bigint
    FROM (VALUES (%s)) AS v (id)"""

Configure = Callable[..., Database]


@pytest.fixture
def configured(cluster: Cluster) -> Iterator[Configure]:
    """A function that creates a database with its own settings. Its worker has them from the start."""
    made: list[Database] = []

    def make(**settings: str) -> Database:
        database = new_database(cluster, extension=False)
        made.append(database)
        configure(database, **settings)
        database.execute("CREATE EXTENSION litellm_spend")
        return database

    yield make
    for database in made:
        discard(database)


def assert_sums(database: Database, records: list[Record]) -> None:
    """Every target but the log holds exactly these records."""
    expected = (len(records), pytest.approx(sum(record["spend"] for record in records)))
    for name, (requests, spend) in totals(database).items():
        if name != "logs":
            assert (len(records) if requests is None else requests, spend) == expected, name


def test_without_log_rows_a_request_in_a_later_batch_counts_once(configured: Configure) -> None:
    database = configured(write_spend_logs="off")
    record, other = spend_records(2)
    send(database, record, record)
    send(database, other, record)
    send(database, record)
    assert_sums(database, [record, other])
    assert counted(database) == 0
    assert database.value(DUPLICATES) == 3
    assert database.value(ENTRIES) == 2


def test_without_log_rows_a_known_id_with_another_call_id_is_another_request(configured: Configure) -> None:
    database = configured(write_spend_logs="off")
    first, second, third = (spend_record(request_id="reused", spend=spend) for spend in (0.25, 0.5, 1.0))
    send(database, first)
    send(database, second, third, second)
    send(database, third, first, second)
    # The request is also known under the id with which it was counted.
    send(database, {**second, "request_id": f"reused#{second['litellm_call_id']}"})
    assert_sums(database, [first, second, third])
    assert (database.value(REUSED), database.value(DUPLICATES)) == (2, 5)


def test_without_a_call_id_a_known_id_is_a_duplicate(configured: Configure) -> None:
    database = configured(write_spend_logs="off")
    nameless, named = (spend_record(request_id=request_id) for request_id in ("nameless", "named"))
    del nameless["litellm_call_id"]
    send(database, nameless, named)
    send(database, {**nameless, "litellm_call_id": "late"}, {**named, "litellm_call_id": ""})
    assert_sums(database, [nameless, named])


def test_without_log_rows_a_request_that_the_proxy_logged_counts_nowhere_again(configured: Configure) -> None:
    database = configured(write_spend_logs="off")
    known, new = spend_records(2)
    write_proxy_row(database, known)
    send(database, known, new)
    reused = spend_record(request_id=known["request_id"], spend=0.5)
    send(database, reused)
    assert_sums(database, [new, reused])
    assert (database.value(REUSED), database.value(DUPLICATES)) == (1, 1)


def test_a_call_counts_once_though_the_ledger_and_the_log_know_another_one_of_its_id(configured: Configure) -> None:
    database = configured(ledger="on")
    ours, proxys = (spend_record(request_id="reused") for _ in range(2))
    send(database, ours)
    # The retention job of the proxy deletes our row, and the proxy logs a request with the same id.
    database.execute('DELETE FROM "LiteLLM_SpendLogs"')
    write_proxy_row(database, proxys)
    send(database, ours, proxys)
    assert_sums(database, [ours])
    assert database.value(DUPLICATES) == 2


def test_requests_under_one_call_id_are_known_each(configured: Configure) -> None:
    database = configured(write_spend_logs="off")
    first, second = unnamed(0), unnamed(1000, 0.5)
    send(database, first)
    send(database, second, first)
    send(database, second)
    assert totals(database)["daily user"] == (2, 0.75)
    assert database.value(DUPLICATES) == 2


def test_a_record_that_is_sent_again_after_an_upgrade_is_a_duplicate(configured: Configure) -> None:
    database = configured(write_spend_logs="off")
    # A fold has then created its row of the rotation.
    send(database, spend_record())
    database.execute(OLD_ENTRY, "job-7")
    send(database, unnamed(0), unnamed(1000))
    assert totals(database)["daily user"] == (1, 0.25)
    assert database.value(DUPLICATES) == 2


def test_a_missing_log_table_is_skipped_and_a_repeated_request_counts_once(configured: Configure) -> None:
    database = configured()
    database.execute('DROP TABLE "LiteLLM_SpendLogs" CASCADE')
    record, other = spend_records(2)
    send(database, record)
    send(database, record, other)
    assert database.query('SELECT api_requests, spend FROM "LiteLLM_DailyUserSpend"') == [(2, 0.5)]


def test_a_request_whose_log_row_was_deleted_counts_once_where_the_ledger_is_on(configured: Configure) -> None:
    database = configured(ledger="on")
    record, other = spend_records(2)
    send(database, record)
    database.execute('DELETE FROM "LiteLLM_SpendLogs"')
    send(database, record, other)
    assert_sums(database, [record, other])
    # A known request is not logged again.
    assert database.query('SELECT request_id FROM "LiteLLM_SpendLogs"') == [(other["request_id"],)]


def test_a_log_row_that_a_trigger_suppresses_counts_once_where_the_ledger_is_on(configured: Configure) -> None:
    database = configured(ledger="on")
    database.execute(SUPPRESS_LOG_ROWS)
    record = spend_record()
    send(database, record)
    send(database, record)
    assert_sums(database, [record])


def test_where_the_log_remembers_no_ledger_is_kept(database: Database) -> None:
    record = spend_record()
    send(database, record)
    send(database, record)
    assert_counted(database, [record])
    assert database.value(ENTRIES) == 0


def test_switching_the_log_off_and_on_again_forgets_no_request(configured: Configure) -> None:
    database = configured()
    logged, unlogged, late = spend_records(3)
    send(database, logged)
    configure(database, write_spend_logs="off")
    send(database, logged, unlogged)
    configure(database, write_spend_logs="on")
    send(database, logged, unlogged, late)
    assert_sums(database, [logged, unlogged, late])
    assert counted(database) == 2
    # The ledger no longer needs the ids that the log remembers.
    assert database.value(ENTRIES) == 1


def test_a_log_without_its_unique_index_holds_the_fold_also_if_it_is_only_read(configured: Configure) -> None:
    database = configured(write_spend_logs="off")
    database.execute('ALTER TABLE "LiteLLM_SpendLogs" DROP CONSTRAINT "LiteLLM_SpendLogs_pkey"')
    record = spend_record()
    database.record(record)
    wait_until(lambda: "unique index on just (request_id)" in (database.status()["last_error"] or ""))
    database.execute('ALTER TABLE "LiteLLM_SpendLogs" ADD PRIMARY KEY (request_id)')
    database.wait_folded()
    assert_sums(database, [record])


def test_only_a_superuser_says_whether_and_where_requests_are_remembered(database: Database) -> None:
    settings = "SELECT name, context FROM pg_settings WHERE name ~ '^litellm_spend.(write_spend_logs|ledger|dedupe)'"
    assert dict(database.query(settings)) == {
        "litellm_spend.write_spend_logs": "superuser",
        "litellm_spend.ledger": "superuser",
        "litellm_spend.dedupe_window": "sighup",
    }
