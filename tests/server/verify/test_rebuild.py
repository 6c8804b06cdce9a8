"""litellm_spend.rebuild: it repairs daily numbers from the log, and leaves some days alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random

import psycopg
import pytest

from harness.cluster import Cluster
from harness.database import Database
from harness.records import DAY, spend_record, spend_records
from mixed import world
from mixed.generator import first_day, random_calls, record_of

COLUMNS = "target, key, column_name, logged::float8, stored::float8, difference::float8"
VERIFY = f"SELECT {COLUMNS} FROM litellm_spend.verify(%s, %s)"
REBUILD = f"SELECT {COLUMNS} FROM litellm_spend.rebuild(%s, %s, %s)"
TABLES = ("UserSpend", "TeamSpend", "TagSpend", "ModelUsage")


def verify(database: Database, last: str = DAY) -> list[tuple]:
    return database.query(VERIFY, DAY, last)


def rebuild(database: Database, *, dry_run: bool = False, last: str = DAY) -> list[tuple]:
    return database.query(REBUILD, DAY, last, dry_run)


def rows(database: Database, table: str) -> list[tuple]:
    """The whole table except the times at which its rows were written."""
    return database.query(
        f"""SELECT to_jsonb(d) - 'id' - 'created_at' - 'updated_at' - 'request_id'
            FROM "LiteLLM_Daily{table}" AS d ORDER BY 1"""
    )


@pytest.fixture
def counted(database: Database) -> Database:
    """Three requests of two daily rows that are counted."""
    database.record([*spend_records(2), spend_record(request_id="other", model="other")])
    database.wait_folded()
    return database


def damage(database: Database) -> None:
    database.execute(
        """UPDATE "LiteLLM_DailyUserSpend" SET spend = 9, prompt_tokens = 1 WHERE model = 'other';
           DELETE FROM "LiteLLM_DailyTeamSpend" WHERE model = 'other';
           DELETE FROM "LiteLLM_DailyModelUsage";
           UPDATE "LiteLLM_DailyTagSpend" SET api_requests = 0, completion_tokens = 99"""
    )


def test_a_rebuild_lists_what_verify_lists_and_repairs_it(counted: Database) -> None:
    before = {table: rows(counted, table) for table in TABLES}
    damage(counted)
    listed = verify(counted)
    assert rebuild(counted) == listed != []
    assert verify(counted) == []
    assert {table: rows(counted, table) for table in TABLES} == before
    assert rebuild(counted) == []


def test_a_rebuild_is_a_dry_run_unless_told_otherwise(counted: Database) -> None:
    damage(counted)
    before = {table: rows(counted, table) for table in TABLES}
    listed = verify(counted)
    assert counted.query(f"SELECT {COLUMNS} FROM litellm_spend.rebuild(%s, %s)", DAY, DAY) == listed
    assert rebuild(counted, dry_run=True) == listed
    assert {table: rows(counted, table) for table in TABLES} == before


def test_a_rebuild_that_is_rolled_back_changes_nothing(counted: Database) -> None:
    damage(counted)
    listed = verify(counted)
    with counted.connect(autocommit=False) as connection:
        connection.execute(REBUILD, (DAY, DAY, False))
        assert connection.execute(VERIFY, (DAY, DAY)).fetchall() == []
        connection.rollback()
    assert verify(counted) == listed


def test_days_of_every_kind_of_record_are_rebuilt_from_nothing(database: Database) -> None:
    random = Random(5)
    world.build(database)
    first = first_day()
    records = [record_of(call, random) for call in random_calls(random, 600, first)]
    database.record(records)
    database.wait_folded()
    days = f"'{first:%Y-%m-%d}', (now() AT TIME ZONE 'UTC')::date"
    tables = ("UserSpend", "TeamSpend", "OrganizationSpend", "EndUserSpend", "AgentSpend", "TagSpend", "ModelUsage")
    for table in (*tables, "RequestErrors", "GatewayRequests", "GatewayFailedRequests"):
        database.execute(f'DELETE FROM "LiteLLM_Daily{table}"')
    lost = database.value(f"SELECT count(*) FROM litellm_spend.verify({days})")
    assert database.value(f"SELECT count(*) FROM litellm_spend.rebuild({days}, false)") == lost > 1000
    assert database.value(f"SELECT count(*) FROM litellm_spend.verify({days})") == 0


def test_an_old_row_with_null_in_its_key_is_repaired_and_merged(counted: Database) -> None:
    before = rows(counted, "UserSpend")
    counted.execute("""UPDATE "LiteLLM_DailyUserSpend" SET mcp_namespaced_tool_name = NULL, spend = 0.125""")
    assert [row[2:5] for row in rebuild(counted)] == [("spend", 0.5, 0.125), ("spend", 0.25, 0.125)]
    assert verify(counted) == []
    assert rows(counted, "UserSpend") == before


def test_what_is_folded_after_a_rebuild_adds_up(counted: Database) -> None:
    damage(counted)
    rebuild(counted)
    counted.record(spend_records(3, prefix="later"))
    counted.wait_folded()
    assert verify(counted) == []
    damage(counted)
    assert rebuild(counted) != []
    assert verify(counted) == []


def assert_refused(database: Database, message: str, *, last: str = DAY) -> None:
    """Check that rebuild refuses with a hint, as a dry run or not, and changes nothing."""
    before = {table: rows(database, table) for table in TABLES}
    for dry_run in (True, False):
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match=re.escape(message)) as refusal:
            rebuild(database, dry_run=dry_run, last=last)
        assert refusal.value.diag.message_hint
    assert {table: rows(database, table) for table in TABLES} == before


def test_a_day_whose_log_is_trimmed_is_refused(counted: Database) -> None:
    counted.execute("""DELETE FROM "LiteLLM_SpendLogs" WHERE request_id = 'r-0'""")
    assert_refused(counted, f"{DAY} cannot be rebuilt: its log holds 2 of 3 requests")
    counted.execute('DELETE FROM "LiteLLM_SpendLogs"')
    assert_refused(counted, f"{DAY} cannot be rebuilt: its log holds 0 of 3 requests")


def test_a_refused_day_keeps_the_others_from_being_rebuilt(counted: Database) -> None:
    times = {"startTime": "2026-03-02T12:00:00Z", "endTime": "2026-03-02T12:00:01Z"}
    counted.record(spend_record(request_id="next", **times))
    counted.wait_folded()
    damage(counted)
    counted.execute("""DELETE FROM "LiteLLM_SpendLogs" WHERE request_id = 'next'""")
    assert_refused(counted, "2026-03-02 cannot be rebuilt: its log holds 0 of 1 requests", last="2026-03-02")
    assert rebuild(counted) != []


def proxy_logs(database: Database, request_id: str) -> None:
    """A LiteLLM proxy logs a request like the first one."""
    database.execute(
        """INSERT INTO "LiteLLM_SpendLogs"
           SELECT (jsonb_populate_record(l, jsonb_build_object('request_id', %s::text))).*
           FROM "LiteLLM_SpendLogs" AS l WHERE request_id = 'other'""",
        request_id,
    )


def test_a_day_that_a_proxy_logs_too_is_refused(counted: Database) -> None:
    proxy_logs(counted, "of the proxy")
    assert_refused(counted, f"{DAY} cannot be rebuilt: its log holds 4 requests, of which folds have counted 3")
    # This also holds where as many requests are gone as are new.
    counted.execute("""DELETE FROM "LiteLLM_SpendLogs" WHERE request_id = 'r-0'""")
    assert_refused(counted, f"{DAY} cannot be rebuilt: its log holds other requests than folds have")


def test_a_day_that_no_fold_counted_is_refused(counted: Database) -> None:
    counted.execute("DELETE FROM litellm_spend.counted_days")
    damage(counted)
    assert_refused(counted, f"{DAY} cannot be rebuilt: no fold has counted a request of that day")


def test_a_row_that_counts_more_than_the_log_is_refused(counted: Database) -> None:
    """A proxy that keeps no log adds to the same rows."""
    counted.execute("""UPDATE "LiteLLM_DailyUserSpend" SET api_requests = api_requests + 1 WHERE model = 'other'""")
    assert_refused(counted, '"LiteLLM_DailyUserSpend" counts more requests than the log')


def test_a_row_without_a_request_is_refused(counted: Database) -> None:
    counted.execute("""UPDATE "LiteLLM_DailyTeamSpend" SET team_id = 'of the proxy' WHERE model = 'other'""")
    assert_refused(counted, '"LiteLLM_DailyTeamSpend" has a row without a request in the log')


def test_a_day_without_a_difference_is_never_refused(counted: Database) -> None:
    counted.execute("DELETE FROM litellm_spend.counted_days")
    assert rebuild(counted) == []


def test_nothing_is_rebuilt_while_no_log_is_written(counted: Database) -> None:
    damage(counted)
    counted.execute("SET litellm_spend.write_spend_logs = off")
    assert_refused(counted, "litellm_spend.rebuild() needs the log, and litellm_spend.write_spend_logs is off")


def test_a_day_some_of_whose_requests_were_not_logged_is_refused(counted: Database) -> None:
    counted.execute(
        """CREATE FUNCTION public.suppress() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
           CREATE TRIGGER t BEFORE INSERT ON "LiteLLM_SpendLogs" FOR EACH ROW EXECUTE FUNCTION public.suppress()"""
    )
    counted.record(spend_record(request_id="unlogged"))
    counted.wait_folded()
    assert_refused(counted, f"{DAY} cannot be rebuilt: its log holds 3 of 4 requests")


def test_no_fold_runs_while_a_rebuild_does(counted: Database) -> None:
    """A dry run takes no other lock for which a fold would wait."""
    with counted.connect(autocommit=False) as rebuilding:
        rebuilding.execute(REBUILD, (DAY, DAY, True))
        counted.record(spend_record(request_id="meanwhile"))
        waiting = """SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database()
            AND application_name = 'litellm_spend worker' AND wait_event_type = 'Lock'"""
        counted.wait_for(waiting, True)
        assert counted.value("""SELECT count(*) FROM "LiteLLM_SpendLogs" WHERE request_id = 'meanwhile'""") == 0
        rebuilding.commit()
    counted.wait_folded()
    assert verify(counted) == []


@pytest.fixture
def owner(cluster: Cluster, counted: Database) -> Iterator[str]:
    """A role without any privilege that owns LiteLLM's tables."""
    cluster.execute("CREATE ROLE rebuilt_owner")
    for (table,) in counted.query("SELECT tablename FROM pg_tables WHERE tablename LIKE 'LiteLLM_%'"):
        counted.execute(f'ALTER TABLE "{table}" OWNER TO rebuilt_owner')
    yield "rebuilt_owner"
    counted.execute("REASSIGN OWNED BY rebuilt_owner TO postgres; DROP OWNED BY rebuilt_owner")
    cluster.execute("DROP ROLE rebuilt_owner")


def test_a_rebuild_writes_as_the_tables_owner(counted: Database, owner: str) -> None:
    counted.execute(
        """CREATE TABLE public.witness (who text, path text);
           GRANT INSERT ON public.witness TO PUBLIC;
           CREATE FUNCTION public.bear_witness() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN
                INSERT INTO public.witness VALUES (current_user, current_setting('search_path'));
                RETURN NULL;
              END $$;
           CREATE CONSTRAINT TRIGGER t AFTER INSERT OR UPDATE ON "LiteLLM_DailyUserSpend"
           DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.bear_witness()"""
    )
    damage(counted)
    counted.execute("DELETE FROM public.witness")
    assert rebuild(counted) != []
    assert counted.query("SELECT DISTINCT who, path FROM public.witness") == [(owner, "pg_catalog, pg_temp")]


def test_a_column_of_the_owners_making_is_read_as_the_owner(counted: Database, owner: str) -> None:
    """A cast of the owner runs when a daily row is read. It must not run with the caller's power."""
    counted.execute(
        f"""GRANT CREATE ON SCHEMA public TO {owner}; SET ROLE {owner};
            CREATE TYPE public.planted AS (name text);
            CREATE FUNCTION public.climb(public.planted) RETURNS text LANGUAGE plpgsql AS
            $$ BEGIN
                 IF current_user <> '{owner}' THEN EXECUTE 'ALTER ROLE {owner} SUPERUSER'; END IF;
                 RETURN ($1).name;
               END $$;
            CREATE CAST (public.planted AS text) WITH FUNCTION public.climb(public.planted);
            ALTER TABLE "LiteLLM_DailyTagSpend" ALTER tag TYPE public.planted USING ROW(tag)::public.planted;
            RESET ROLE"""
    )
    assert verify(counted) == []
    assert counted.value("SELECT rolsuper FROM pg_roles WHERE rolname = %s", owner) is False


def test_a_daily_table_that_the_logs_owner_may_not_read_is_named(counted: Database, owner: str) -> None:
    counted.execute('ALTER TABLE "LiteLLM_DailyTagSpend" OWNER TO postgres')
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match=r"may not read .*_DailyTagSpend") as error:
        verify(counted)
    assert error.value.diag.message_hint
    counted.execute(f'GRANT SELECT ON "LiteLLM_DailyTagSpend" TO {owner}')
    assert verify(counted) == []
