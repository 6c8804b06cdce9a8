"""Every role that may record may send a record of any size. The record is counted without its documents, and no process
needs much memory or time for it. This holds for both entrances, and for a fold of rows that were staged another way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from conftest import discard, new_database
from harness.cluster import Cluster
from harness.database import Database
from harness.memory import peak_kb
from harness.records import DAY, assert_counted, spend_record, spend_records, totals
from harness.waiting import wait_for_value, wait_until

OWN_METADATA = "metadata.spend_logs_metadata"
NULLS = 4_000_000
# A process of the server has touched some 40 MB before it does anything. The nulls take 200 MB when decoded.
MOST_KB = 140_000
WORKER = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'litellm_spend worker' AND datname = current_database()"
DROPPED = "SELECT metadata -> 'litellm_spend_dropped' FROM \"LiteLLM_SpendLogs\" WHERE request_id = %s"
INBOX = "INSERT INTO litellm_spend.inbox (payload) VALUES (%s)"
# This stages as an older version, a restore or a subscription might: without any of the checks.
STAGE = """INSERT INTO litellm_spend.staging_0 (origin, seq, payload)
    SELECT (SELECT origin FROM litellm_spend.fold_cursor), 0, {}"""


def nulls(count: int) -> str:
    return f"[{','.join(['null'] * count)}]"


def with_nulls(count: int) -> str:
    """SQL that builds a record with this many nulls in the user's own metadata. Sending one would take long."""
    record = json.dumps(spend_record(request_id="large"))
    return (
        f"jsonb_set('{record}', '{{metadata,spend_logs_metadata}}', to_jsonb(array_fill(NULL::bool, ARRAY[{count}])))"
    )


@pytest.fixture(scope="module")
def bounded_cluster() -> Iterator[Cluster]:
    """A server with the smallest bounds that can be set."""
    with Cluster({"litellm_spend.max_record_size": "1MB", "litellm_spend.max_record_values": "1000"}) as cluster:
        yield cluster


@pytest.fixture
def bounded(bounded_cluster: Cluster) -> Iterator[Database]:
    database = new_database(bounded_cluster)
    yield database
    discard(database)


def fold_watched(database: Database, statement: str, count: int) -> int:
    """Run the statement and wait until this many records are folded. Returns the worker's peak memory in kB."""
    folded = "SELECT coalesce(sum(folded), 0)::bigint FROM litellm_spend.fold_cursor"
    with database.connect() as connection:
        connection.execute(statement)
    peak = 0

    def is_folded() -> bool:
        nonlocal peak
        for (pid,) in database.query(WORKER):
            peak = max(peak, peak_kb(pid))
        return database.value(folded) >= count

    wait_until(is_folded, deadline=60, what=f"{count} folded records", show=lambda _: database.status())
    return peak


def test_millions_of_nulls_in_a_record_cost_neither_its_money_nor_memory(database: Database) -> None:
    peak = fold_watched(database, f"SELECT litellm_record_spend({with_nulls(NULLS)})", 1)
    assert_counted(database, [spend_record(request_id="large")])
    assert database.value(DROPPED, "large") == [OWN_METADATA]
    assert peak < MOST_KB


def test_a_row_that_was_staged_without_bounds_is_cut_before_it_is_decoded(database: Database) -> None:
    first = spend_record()
    database.record(first)
    database.wait_folded()
    # The commit of another record wakes the worker.
    after = json.dumps(spend_record(request_id="after"))
    peak = fold_watched(
        database,
        f"BEGIN; {STAGE.format(with_nulls(NULLS))}; COMMIT; SELECT litellm_record_spend('{after}')",
        3,
    )
    assert_counted(database, [first, spend_record(request_id="large"), spend_record(request_id="after")])
    assert database.value(DROPPED, "large") == [OWN_METADATA]
    assert peak < MOST_KB


def test_a_worker_that_is_refused_memory_holds_the_fold_and_ends_no_process(database: Database) -> None:
    """Rust ends a process that is refused memory, and Postgres then ends all other processes."""
    record = spend_record()
    database.record(record)
    database.wait_folded()
    witness = database.connect()
    large = f"SELECT litellm_record_spend({with_nulls(400_000)} || %s::jsonb)"
    names = [f"large-{n}" for n in range(4)]
    with database.held_fold():
        for name in names:
            database.execute(large, json.dumps({"request_id": name}))
        [(pid,)] = wait_until(lambda: database.query(WORKER), what="the worker to run")
        size = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmSize"))
        database.cluster.limit_memory(pid, str((int(size.split()[1]) + 30_000) * 1024))
    wait_until(lambda: "out of memory" in (database.status()["last_error"] or ""), what="the fold to be held")
    assert witness.execute("SELECT 1").fetchone() == (1,)
    witness.close()
    database.cluster.limit_memory(pid, "unlimited")
    database.wait_folded("60 s")
    assert database.value('SELECT count(*) FROM "LiteLLM_SpendLogs"') == 5


@pytest.mark.parametrize("on_invalid", ["error", "reject"])
def test_an_array_of_millions_is_refused_before_memory_is_taken_for_it(database: Database, on_invalid: str) -> None:
    database.execute(f"CREATE TABLE public.sent AS SELECT to_jsonb(array_fill(NULL::bool, ARRAY[{NULLS}])) AS payload")
    # Nothing else has used the memory of this new session.
    with database.connect() as connection:
        with pytest.raises(psycopg.errors.InvalidParameterValue, match="more than 1000000 spend records"):
            connection.execute("SELECT litellm_record_spend(payload, %s) FROM public.sent", (on_invalid,))
        assert peak_kb(connection.info.backend_pid) < MOST_KB


def test_an_array_of_millions_in_the_inbox_costs_its_own_row(database: Database) -> None:
    good = spend_record()
    database.execute(f"{INBOX}, (%s)", json.dumps(good), nulls(1_500_000))
    database.wait_folded()
    assert_counted(database, [good])
    [rejected] = database.rows("SELECT sqlstate, payload FROM litellm_spend.rejected")
    assert rejected == {"sqlstate": "22023", "payload": {"type": "array", "length": 1_500_000}}


def test_elements_that_are_no_records_are_read_once_each(database: Database) -> None:
    """Reading the whole text again for each element would take the square of its length."""
    bad = [spend_record(request_id=f"r-{n}", spend="no number") for n in range(20_000)]
    with database.connect() as connection:
        connection.execute("SET statement_timeout = '60 s'")
        connection.execute(INBOX, (json.dumps(bad),))
    found = "SELECT count(*), min(message), count(DISTINCT detail) FROM litellm_spend.rejected"
    assert database.query(found) == [(20_000, '"spend" of the spend record is not a finite number', 20_000)]


LONG = "x" * (3 << 20)
# case: (fields of a record, what its log row says that it lost)
ABSURD: dict[str, tuple[dict[str, Any], list[str] | None]] = {
    "own metadata": ({"metadata": {"spend_logs_metadata": [[]] * 30_000}}, [OWN_METADATA]),
    "metadata as text": ({"metadata": json.dumps({"spend_logs_metadata": [[]] * 30_000})}, [OWN_METADATA]),
    "one long text": ({"metadata": {"spend_logs_metadata": LONG}}, [OWN_METADATA]),
    "a list": ({"metadata": {"applied_guardrails": ["g"] * 30_000 + [1]}}, ["metadata.applied_guardrails"]),
    "a list as text": ({"tool_calls": json.dumps([f"t{n}" for n in range(3_000)])}, ["tool_calls"]),
    "a long name": ({"cache_key": LONG}, ["cache_key"]),
    "unknown keys": ({f"k{n}": n for n in range(30_000)}, None),
    "prompts that are not stored": ({"messages": [{"content": LONG}] * 2, "response": [[]] * 30_000}, None),
    "a number of many digits": ({"total_tokens": int("7" * 300), "z": [[]] * 30_000}, None),
    "nesting": ({"metadata": {"spend_logs_metadata": [json.loads("[" * 100 + "]" * 100)] * 300}}, [OWN_METADATA]),
}


@pytest.mark.parametrize("kind", ABSURD)
@pytest.mark.parametrize("entrance", ["litellm_record_spend", "inbox", "a row that was staged without bounds"])
def test_an_absurd_record_counts_and_says_what_it_lost(bounded: Database, entrance: str, kind: str) -> None:
    fields, lost = ABSURD[kind]
    records = [spend_record(request_id="before"), spend_record(request_id="absurd", **fields)]
    bounded.record(records[0])
    bounded.wait_folded()
    if entrance == "litellm_record_spend":
        bounded.record(records[1])
    elif entrance == "inbox":
        bounded.execute(INBOX, json.dumps(records[1]))
    else:
        bounded.execute(STAGE.format("%s::jsonb"), json.dumps(records[1]))
        bounded.fold()
    bounded.wait_folded()
    assert_counted(bounded, records)
    if "messages" in fields and entrance.startswith("a row"):
        # The staged documents are to be stored, whatever the setting is by now.
        lost = ["messages", "response"]
    assert bounded.value(DROPPED, "absurd") == lost
    if not entrance.startswith("a row"):
        staged = "SELECT payload -> 'metadata' -> 'litellm_spend_dropped' FROM litellm_spend.staging WHERE seq = 0"
        assert bounded.query(f"{staged} ORDER BY xid DESC LIMIT 1") == [(lost,)]
    assert bounded.query("SELECT * FROM litellm_spend.rejected") == []


def test_a_row_that_is_postponed_is_cut_when_its_turn_comes(bounded: Database) -> None:
    first = spend_record()
    large = spend_record(request_id="large", metadata={"spend_logs_metadata": [[]] * 30_000})
    bounded.record(first)
    bounded.wait_folded()
    with bounded.connect(autocommit=False) as holder:
        holder.execute('UPDATE "LiteLLM_UserTable" SET user_alias = $$held$$')
        bounded.execute(STAGE.format("%s::jsonb"), json.dumps(large))
        bounded.fold()
        assert bounded.value("SELECT count(*) FROM litellm_spend.postponed") == 1
        holder.rollback()
    bounded.wait_folded()
    assert_counted(bounded, [first, large])
    assert bounded.value(DROPPED, "large") == [OWN_METADATA]


def test_prompts_go_before_the_users_own_metadata(bounded_cluster: Cluster, bounded: Database) -> None:
    bounded.execute(f'ALTER DATABASE "{bounded.name}" SET litellm_spend.store_prompts = on')
    bounded.close()
    small, large = [[1]], [[1]] * 600
    for name, messages, own in (("kept", small, small), ("prompts", large, small), ("both", small, large)):
        record = spend_record(request_id=name, messages=messages, metadata={"spend_logs_metadata": {"own": own}})
        bounded.record(record)
    bounded.wait_folded()
    row = 'SELECT messages, metadata -> %s -> %s FROM "LiteLLM_SpendLogs" WHERE request_id = %s'
    kept = {name: bounded.query(row, "spend_logs_metadata", "own", name)[0] for name in ("kept", "prompts", "both")}
    assert kept == {"kept": (small, small), "prompts": ({}, small), "both": ({}, None)}
    assert bounded.value(DROPPED, "prompts") == ["messages"]
    assert sorted(bounded.value(DROPPED, "both")) == ["messages", OWN_METADATA]


def test_bounds_that_are_lowered_hold_for_what_is_staged_already(own_cluster: Cluster) -> None:
    database = new_database(own_cluster)
    record = spend_record(metadata={"spend_logs_metadata": [[]] * 30_000})
    with database.held_fold():
        database.record(record)
        own_cluster.execute("ALTER SYSTEM SET litellm_spend.max_record_values = 1000")
        own_cluster.execute("SELECT pg_reload_conf()")
        # This process begins after the server has read the setting.
        show = "SHOW litellm_spend.max_record_values"
        wait_for_value(lambda: own_cluster.query(show), [("1000",)], what=show)
        own_cluster.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type ~ 'spend worker'")
    database.wait_folded()
    assert_counted(database, [record])
    assert database.value(DROPPED, record["request_id"]) == [OWN_METADATA]


def test_the_first_hundred_names_of_a_list_count_and_the_log_row_keeps_all(database: Database) -> None:
    tags = [f"tag-{n}" for n in range(150)]
    record = spend_record(
        request_tags=tags[:1] + tags,
        tool_calls=[f"tool-{n}" for n in range(130)],
        request_model_access_groups=[f"group-{n}" for n in range(101)],
    )
    database.record(record)
    database.wait_folded()
    for table, column in (
        ("LiteLLM_DailyTagSpend", "tag"),
        ("LiteLLM_TagTable", "tag_name"),
        ("LiteLLM_DailyToolSpend", "tool_name"),
        ("LiteLLM_SpendLogToolIndex", "tool_name"),
    ):
        prefix = "tag" if "Tag" in table else "tool"
        names = {name for (name,) in database.query(f'SELECT {column} FROM "{table}"')}
        assert names == {f"{prefix}-{n}" for n in range(100)}, table
    assert database.value('SELECT request_tags FROM "LiteLLM_SpendLogs"') == tags[:1] + tags
    assert database.status()["names_not_counted"] == 50 + 30 + 1
    for check in ("verify", "rebuild"):
        assert database.query(f"SELECT * FROM litellm_spend.{check}('{DAY}', '{DAY}')") == []


@pytest.mark.stress
def test_records_of_many_names_are_folded_in_small_batches(database: Database) -> None:
    """A batch of 5,000 such rows would hold sums for a million rows of LiteLLM's tables."""
    count = 5_000
    tags = "(SELECT jsonb_agg(format('tag-%s-%s', n, i)) FROM generate_series(1, 100) AS i)"
    record = json.dumps(spend_record())
    statement = f"""SELECT litellm_record_spend(jsonb_agg('{record}'::jsonb || jsonb_build_object(
        'request_id', 'r-' || n, 'request_tags', {tags}))) FROM generate_series(1, {count}) AS n"""
    peak = fold_watched(database, statement, count)
    assert database.value('SELECT count(*) FROM "LiteLLM_DailyTagSpend"') == count * 100
    assert peak < 2 * MOST_KB


# type of a column: the largest number that it holds
FULL = {"bigint": 2**63 - 1, "integer": 2**31 - 1, "smallint": 2**15 - 1}


@pytest.mark.parametrize("column_type", FULL)
def test_a_count_stays_at_the_limit_of_its_column(database: Database, column_type: str) -> None:
    database.execute(f'ALTER TABLE "LiteLLM_DailyUserSpend" ALTER prompt_tokens TYPE {column_type}')
    most = FULL[column_type]
    database.record(spend_records(3, "first", prompt_tokens=2**62))
    database.wait_folded()
    database.execute('UPDATE "LiteLLM_DailyUserSpend" SET prompt_tokens = %s', most - 5)
    for prefix, tokens in (("more", 4), ("too-many", 10), ("absurd", 2**62)):
        database.record(spend_records(2, prefix, prompt_tokens=tokens))
        database.wait_folded()
    row = 'SELECT prompt_tokens, api_requests, spend FROM "LiteLLM_DailyUserSpend"'
    assert database.query(row) == [(most, 9, 9 * 0.25)]
    database.record(spend_record(prompt_tokens=-7))
    database.wait_folded()
    assert database.query(row) == [(most - 7, 10, 10 * 0.25)]
    assert database.query("SELECT * FROM litellm_spend.rejected") == []


def test_a_sum_of_money_stays_finite_in_every_table(database: Database) -> None:
    record = spend_record()
    database.record(record)
    database.wait_folded()
    most = 1.7976931348623157e308
    tables = [f"LiteLLM_{name}" for name in ("UserTable", "TeamTable", "TagTable", "DailyUserSpend", "DailyTagSpend")]
    for table in tables:
        database.execute(f'UPDATE "{table}" SET spend = %s::float8', most)
    # Counts how often the user's row is updated, because parts of the batch, each too small to change the row, would
    # raise no error either.
    database.execute("CREATE SEQUENCE public.updates")
    database.execute(
        """CREATE FUNCTION public.note_update() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN PERFORM nextval('public.updates'); RETURN NEW; END $$"""
    )
    database.execute(
        'CREATE TRIGGER t BEFORE UPDATE ON "LiteLLM_UserTable" FOR EACH ROW EXECUTE FUNCTION public.note_update()'
    )
    database.record(spend_records(200, "dear", spend=1e300))
    database.wait_folded()
    assert database.value("SELECT nextval('public.updates')") == 2
    assert [database.value(f'SELECT spend FROM "{table}"') for table in tables] == [most] * len(tables)
    assert totals(database)["logs"][0] == 201
    database.record(spend_records(200, "refund", spend=-1e300))
    database.wait_folded()
    assert database.value('SELECT spend FROM "LiteLLM_UserTable"') < most


def test_old_rows_with_null_in_their_key_fill_a_count_and_hold_nothing(database: Database) -> None:
    record = spend_record(prompt_tokens=10)
    database.record(record)
    database.wait_folded()
    # An old proxy left the row of this very key with NULL in place of ''.
    database.execute(
        'UPDATE "LiteLLM_DailyUserSpend" SET mcp_namespaced_tool_name = NULL, prompt_tokens = %s', 2**63 - 5
    )
    again = spend_record(prompt_tokens=10)
    database.record(again)
    database.wait_folded()
    assert_counted(database, [record, again])
    assert database.value('SELECT prompt_tokens FROM "LiteLLM_DailyUserSpend"') == 2**63 - 1


def test_retries_of_large_rejected_records_are_taken_some_at_a_time(bounded: Database) -> None:
    record = json.dumps(spend_record())
    large = f"jsonb_set('{record}', '{{metadata,spend_logs_metadata}}', to_jsonb(repeat('x', 1000000)))"
    bounded.execute(
        f"""INSERT INTO litellm_spend.rejected (payload, sqlstate, message)
            SELECT {large} || jsonb_build_object('request_id', 'r-' || n), '22023', ''
            FROM generate_series(1, 180) AS n"""
    )
    with bounded.connect() as connection:
        assert connection.execute("SELECT litellm_spend.retry_rejected()").fetchone() == (180,)
        assert peak_kb(connection.info.backend_pid) < MOST_KB
    bounded.wait_folded()
    assert totals(bounded)["logs"] == (180, 180 * 0.25)
