"""A broken environment holds the fold and rejects nothing. The fold catches up when the environment is fixed
(invariant 7). test_held.py has targets that lack their key or table, and test_partitioned_log.py has missing
partitions."""

from __future__ import annotations

import pytest

from conftest import new_database
from harness.cluster import Cluster
from harness.database import Database
from harness.records import assert_counted, spend_record, spend_records

RAISES = """CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not now'; END $$;
    CREATE TRIGGER t BEFORE {event} ON "{table}" FOR EACH ROW EXECUTE FUNCTION public.refuse()"""
KEY = "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b"


def assert_held_until_mended(database: Database, records: list, mends: str, error: str) -> None:
    database.record(records)
    database.wait_for("SELECT worker FROM litellm_spend.status", "held")
    assert error in database.status()["last_error"]
    database.execute(mends)
    database.wait_folded()
    assert database.status()["rejected"] == 0


@pytest.mark.parametrize(
    ("event", "table"),
    [
        ("INSERT", "LiteLLM_SpendLogs"),
        ("INSERT", "LiteLLM_UserTable"),
        ("UPDATE", "LiteLLM_UserTable"),
        ("INSERT", "LiteLLM_DailyTeamSpend"),
        ("UPDATE", "LiteLLM_DailyTeamSpend"),
    ],
)
@pytest.mark.parametrize("beside", [0, 20], ids=["alone", "beside others"])
def test_a_trigger_that_always_raises(database: Database, event: str, table: str, beside: int) -> None:
    """This also holds where the record is the only one that meets the trigger."""
    before = spend_records(1, "before")
    database.record(before)
    database.wait_folded()
    database.execute(RAISES.format(event=event, table=table))
    mine = "alice" if event == "UPDATE" else "zoe"
    others = spend_records(beside, "other", user="zoe" if event == "UPDATE" else "alice", team_id="")
    record = spend_record(user=mine, team_id="team-a" if event == "UPDATE" else "team-z")
    assert_held_until_mended(database, [record, *others], f'DROP TRIGGER t ON "{table}"', "not now")
    assert database.status()["folded"] == 2 + beside


REFUSES_AT_FIRST = """CREATE SEQUENCE public.refusals; CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN IF nextval('public.refusals') <= {times} THEN RAISE 'not yet'; END IF; RETURN NEW; END $$;
    CREATE TRIGGER t BEFORE INSERT ON "LiteLLM_DailyTeamSpend" FOR EACH ROW EXECUTE FUNCTION public.refuse()"""


@pytest.mark.parametrize("times", range(1, 7))
def test_a_trigger_that_stops_to_raise_at_whatever_step_costs_no_record(database: Database, times: int) -> None:
    """At one of these steps the trigger raises for the record, and later not for the valid one tried in its place."""
    database.execute(REFUSES_AT_FIRST.format(times=times))
    records = spend_records(1)
    database.record(records)
    database.wait_folded()
    assert_counted(database, records)
    assert database.status()["rejected"] == 0
    assert database.value("SELECT last_value FROM public.refusals") > times


def test_a_trigger_that_always_raises_on_keys_which_few_records_have(database: Database) -> None:
    database.execute(
        'INSERT INTO "LiteLLM_VerificationToken" (token, models, spend) VALUES (%s, %s, 0)', KEY, ["gpt-4o-mini"]
    )
    database.execute(RAISES.format(event="UPDATE", table="LiteLLM_VerificationToken"))
    records = [spend_record(api_key=KEY), *spend_records(100)]
    assert_held_until_mended(database, records, 'DROP TRIGGER t ON "LiteLLM_VerificationToken"', "not now")
    assert_counted(database, records)


def test_a_revoked_privilege(database: Database) -> None:
    database.execute("DROP ROLE IF EXISTS litellm_poor; CREATE ROLE litellm_poor")
    try:
        database.execute('ALTER TABLE "LiteLLM_TagTable" OWNER TO litellm_poor')
        database.execute('REVOKE UPDATE ON "LiteLLM_TagTable" FROM litellm_poor')
        database.execute("GRANT USAGE ON SCHEMA public TO litellm_poor")
        records = spend_records(5)
        mends = 'GRANT UPDATE ON "LiteLLM_TagTable" TO litellm_poor'
        assert_held_until_mended(database, records, mends, "permission denied for table LiteLLM_TagTable")
        assert_counted(database, records)
    finally:
        database.execute("DROP OWNED BY litellm_poor CASCADE; DROP ROLE litellm_poor")


def test_timeouts_of_the_database_and_the_role_do_not_reach_the_fold(own_cluster: Cluster) -> None:
    """Each timeout is shorter than the fold, which a trigger delays. The test's own session is older than they are."""
    database = new_database(own_cluster)
    database.execute(
        "CREATE FUNCTION public.wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.1);"
        " RETURN NULL; END $$;"
        ' CREATE TRIGGER t AFTER INSERT ON "LiteLLM_SpendLogs" FOR EACH STATEMENT EXECUTE FUNCTION public.wait()'
    )
    timeouts = ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"]
    if database.value("SELECT current_setting('server_version_num')::int") >= 170000:
        timeouts.append("transaction_timeout")
    for timeout in timeouts:
        database.execute(f"ALTER DATABASE {database.name} SET {timeout} = '10ms'")
        database.execute(f"ALTER ROLE postgres SET {timeout} = '10ms'")
    records = spend_records(5)
    database.record(records)
    database.wait_folded()
    assert_counted(database, records)


LARGEST_FILE = 17 << 20
FILL = f"""DO $$ DECLARE n int := 0; BEGIN
    WHILE pg_relation_size('"LiteLLM_SpendLogs"') < {LARGEST_FILE} LOOP
        INSERT INTO "LiteLLM_SpendLogs" (request_id, call_type, "startTime", "endTime", messages)
        SELECT 'filler-' || i, 'x', now(), now(), to_jsonb(repeat(md5(i::text), 8))
        FROM generate_series(n + 1, n + 5000) i;
        n := n + 5000;
    END LOOP; END $$"""


def test_a_full_disk(own_cluster: Cluster) -> None:
    """A limit on the size of files stands for a full disk: the log's file reaches it, and WAL files are smaller."""
    database = new_database(own_cluster)
    database.execute(FILL)
    own_cluster.limit_files(str(LARGEST_FILE))
    database.record(spend_records(500))
    database.wait_for("SELECT worker FROM litellm_spend.status", "held")
    assert "could not extend file" in database.status()["last_error"]
    own_cluster.limit_files("unlimited")
    database.wait_folded()
    status = database.status()
    assert (status["folded"], status["rejected"]) == (500, 0)
