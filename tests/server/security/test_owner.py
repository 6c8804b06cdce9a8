"""A fold writes each table with the power of its owner and no more, deferred triggers included (invariant 10)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.cluster import Cluster
from harness.database import Database
from harness.records import assert_counted, spend_records

WITNESS = """
    CREATE TABLE public.witness (who text, path text);
    GRANT INSERT ON public.witness TO PUBLIC;
    CREATE FUNCTION public.bear_witness() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO public.witness VALUES (current_user, current_setting('search_path')); RETURN NULL; END $$
"""


@pytest.fixture
def owner(cluster: Cluster, database: Database) -> Iterator[str]:
    """A role without any privilege that owns LiteLLM's log, user table and daily user table."""
    cluster.execute("CREATE ROLE litellm_owner")
    database.execute(WITNESS)
    for table in ("SpendLogs", "UserTable", "DailyUserSpend"):
        database.execute(f'ALTER TABLE "LiteLLM_{table}" OWNER TO litellm_owner')
    yield "litellm_owner"
    database.execute("REASSIGN OWNED BY litellm_owner TO postgres; DROP OWNED BY litellm_owner")
    cluster.execute("DROP ROLE litellm_owner")


@pytest.mark.parametrize("table", ["SpendLogs", "UserTable", "DailyUserSpend"])
@pytest.mark.parametrize(
    "trigger",
    [
        "TRIGGER t AFTER INSERT OR UPDATE ON {} FOR EACH ROW",
        "CONSTRAINT TRIGGER t AFTER INSERT OR UPDATE ON {} DEFERRABLE INITIALLY DEFERRED FOR EACH ROW",
    ],
    ids=["immediate", "deferred"],
)
def test_triggers_run_as_the_tables_owner(database: Database, owner: str, table: str, trigger: str) -> None:
    relation = f'"LiteLLM_{table}"'
    database.execute(f"CREATE {trigger.format(relation)} EXECUTE FUNCTION public.bear_witness()")
    records = spend_records(3)
    database.record(records)
    database.wait_folded()
    assert_counted(database, records)
    assert database.query("SELECT DISTINCT who, path FROM public.witness") == [(owner, "pg_catalog, pg_temp")]


def test_a_trigger_cannot_leave_the_owners_role(database: Database, owner: str) -> None:
    database.execute(
        """CREATE FUNCTION public.climb() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN EXECUTE 'RESET SESSION AUTHORIZATION'; RETURN NULL; END $$;
           CREATE TRIGGER t AFTER INSERT OR UPDATE ON "LiteLLM_UserTable"
           FOR EACH ROW EXECUTE FUNCTION public.climb()"""
    )
    database.record(spend_records(1))
    database.wait_for("SELECT worker FROM litellm_spend.status", "held")
    assert "security-restricted operation" in database.status()["last_error"]
    # Nothing is lost: once the trigger is gone the fold catches up.
    database.execute('DROP TRIGGER t ON "LiteLLM_UserTable"')
    database.wait_folded()
    database.wait_for('SELECT count(*) FROM "LiteLLM_SpendLogs"', 1)


def test_a_trigger_cannot_make_the_worker_run_the_owners_operators(database: Database, owner: str) -> None:
    database.execute(
        f"""CREATE SCHEMA planted AUTHORIZATION {owner}; SET ROLE {owner};
            CREATE FUNCTION planted.add(bigint, bigint) RETURNS bigint LANGUAGE plpgsql AS
            $$ BEGIN
                 IF current_user <> '{owner}' THEN EXECUTE 'ALTER ROLE {owner} SUPERUSER'; END IF;
                 RETURN $1 OPERATOR(pg_catalog.+) $2;
               END $$;
            CREATE OPERATOR planted.+ (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = planted.add);
            CREATE FUNCTION planted.lead() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN
                 PERFORM set_config('search_path', 'planted, pg_catalog', true);
                 PERFORM set_config('synchronous_commit', 'off', false);
                 RETURN NULL;
               END $$;
            RESET ROLE;
            CREATE TRIGGER t AFTER INSERT OR UPDATE ON "LiteLLM_UserTable" EXECUTE FUNCTION planted.lead()"""
    )
    records = spend_records(3)
    database.record(records[:2])
    database.wait_folded()
    with database.held_fold():
        database.record(records[2:])
    database.fold()
    database.wait_folded()
    assert_counted(database, records)
    assert database.value("SELECT rolsuper FROM pg_roles WHERE rolname = %s", owner) is False
    assert database.value("SHOW synchronous_commit") == "on", "a trigger's settings end with its table"


def test_a_trigger_that_suppresses_log_rows_loses_no_spend(database: Database) -> None:
    database.execute(
        """CREATE FUNCTION public.suppress() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
           CREATE TRIGGER t BEFORE INSERT ON "LiteLLM_SpendLogs" FOR EACH ROW EXECUTE FUNCTION public.suppress()"""
    )
    database.record(spend_records(4))
    database.wait_folded()
    assert database.value('SELECT count(*) FROM "LiteLLM_SpendLogs"') == 0
    assert database.query('SELECT api_requests, spend FROM "LiteLLM_DailyUserSpend"') == [(4, 1.0)]
