"""A row or lock that another session holds stops only the records that need it (invariant 7)."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from conftest import Tell, discard, new_database
from harness.cluster import Cluster
from harness.database import Database
from harness.records import DAY, assert_counted, spend_record, spend_records
from harness.remembering import configure

SECTION = "rows and locks that another session holds"
POSTPONED = "SELECT postponed FROM litellm_spend.status"
USER, TEAM, TAG = "held user", "held team", "held tag"
DAILY_ROW = f"""
    UPDATE "LiteLLM_DailyUserSpend" SET spend = spend WHERE user_id = '{USER}' AND model = 'held model'"""
MEMBER = f"""
    INSERT INTO "LiteLLM_UserTable" (user_id) VALUES ('member');
    INSERT INTO "LiteLLM_TeamTable" (team_id, admins, members, models, members_with_roles)
    VALUES ('{TEAM}', '{{}}', '{{}}', '{{}}', '[{{"role": "user", "user_id": "member"}}]')"""

# {what is held: (what is there before, how it is held, fields of records that need it, fields of those that do not)}
HELD = {
    "user row": (
        "",
        f"UPDATE \"LiteLLM_UserTable\" SET spend = spend WHERE user_id = '{USER}'",
        {"user": USER},
        {"user": "another user"},
    ),
    "daily row": ("", DAILY_ROW, {"user": USER, "model": "held model"}, {"user": USER, "model": "another model"}),
    "advisory lock of a team": (
        MEMBER,
        f"SELECT pg_advisory_xact_lock(hashtext('{TEAM}'))",
        {"user": "member", "team_id": TEAM},
        {"user": "another user", "team_id": TEAM},
    ),
    "user that is being created": (
        "",
        "INSERT INTO \"LiteLLM_UserTable\" (user_id) VALUES ('new user')",
        {"user": "new user"},
        {"user": "another user"},
    ),
    "tag that is being created": (
        "",
        "INSERT INTO \"LiteLLM_TagTable\" (tag_name) VALUES ('new tag')",
        {"request_tags": ["new tag"]},
        {"request_tags": ["another tag"]},
    ),
    "row for update": (
        "",
        f"SELECT FROM \"LiteLLM_UserTable\" WHERE user_id = '{USER}' FOR UPDATE",
        {"user": USER},
        {"user": "another user"},
    ),
}


@contextmanager
def holding(database: Database, statement: str) -> Iterator[int]:
    """Another session has run this and left its transaction open, which it rolls back at the end; its process id."""
    with database.connect(autocommit=False) as holder:
        holder.execute(statement)
        yield holder.info.backend_pid
        holder.rollback()


def prepare(database: Database, before: str) -> None:
    if before:
        database.execute(before)
    database.record([spend_record(user=USER, team_id=TEAM, request_tags=[TAG], model="held model")])
    database.wait_folded()


def totals(database: Database) -> list[tuple]:
    return database.query(
        'SELECT (SELECT count(*) FROM "LiteLLM_SpendLogs"), (SELECT sum(spend) FROM "LiteLLM_SpendLogs"), '
        '(SELECT sum(api_requests)::int FROM "LiteLLM_DailyUserSpend"), (SELECT sum(spend) FROM "LiteLLM_UserTable")'
    )


@pytest.mark.parametrize("name", HELD)
def test_what_is_held_stops_only_its_own_records(database: Database, name: str, tell: Tell) -> None:
    before, statement, needing, free = HELD[name]
    prepare(database, before)
    waiting = [spend_record(**needing) for _ in range(5)]
    others = [spend_record(**free) for _ in range(20)]
    database.execute("INSERT INTO \"LiteLLM_UserTable\" (user_id) VALUES ('bystander')")
    bystanding = "UPDATE \"LiteLLM_UserTable\" SET spend = spend WHERE user_id = 'bystander'"
    with holding(database, bystanding) as bystander, holding(database, statement) as pid:
        database.record([*waiting[:2], *others[:10]])
        logged = 'SELECT count(*) FROM "LiteLLM_SpendLogs"'
        database.wait_for(logged, 11)
        database.record([*others[10:], *waiting[2:]])
        database.wait_for(logged, 21)
        database.wait_for(POSTPONED, 5)
        status = database.status()
        assert status["worker"] == "running" and status["backlog"] == 5
        assert f"process {pid}" in status["last_error"], status["last_error"]
        # Nobody can tell who creates a row that does not exist yet.
        assert f"process {bystander}" not in status["last_error"] or "created" in name, status["last_error"]
        tell(SECTION, f"{name}: {status['last_error']}")
        with database.connect() as session:
            notices: list[str] = []
            session.add_notice_handler(lambda notice: notices.append(notice.message_primary))
            assert session.execute("SELECT litellm_spend.flush('300 ms')").fetchone() == (False,)
            assert f"process {pid}" in notices[0]
        # The request is sent again meanwhile.
        database.record(waiting[0])
        database.wait_for(POSTPONED, 6)
    database.wait_folded()
    assert database.value(POSTPONED) == 0
    database.wait_for("SELECT last_error IS NULL FROM litellm_spend.status", True)
    assert totals(database)[0][:3] == (26, 6.5, 26)
    assert database.value("SELECT count(*) FROM litellm_spend.rejected") == 0
    assert database.value("SELECT duplicates FROM litellm_spend.status") == 1


def test_a_request_that_another_session_is_logging_waits_alone(database: Database) -> None:
    record, *others = spend_records(6)
    insert = f"""
        INSERT INTO "LiteLLM_SpendLogs" (request_id, call_type, api_key, spend, "startTime", "endTime")
        VALUES ('{record["request_id"]}', 'acompletion', '', 0.25, '{DAY} 12:00', '{DAY} 12:00:01')"""
    with holding(database, insert):
        database.record([record, *others])
        database.wait_for('SELECT count(*) FROM "LiteLLM_SpendLogs"', 5)
        database.wait_for(POSTPONED, 1)
    database.wait_folded()
    assert_counted(database, [record, *others])


def test_a_partition_or_table_that_is_locked_holds_the_fold_and_postpones_nothing(database: Database) -> None:
    record = spend_record()
    with database.held_fold():
        database.record(record)
        database.wait_for("SELECT worker FROM litellm_spend.status", "held")
        assert database.value(POSTPONED) == 0
    database.wait_folded()
    assert_counted(database, [record])


def test_most_of_a_batch_holds_the_fold_and_stays_in_staging(database: Database) -> None:
    users = [f"u{n}" for n in range(700)]
    database.record([spend_record(user=user) for user in users])
    database.wait_folded()
    with holding(database, 'UPDATE "LiteLLM_UserTable" SET spend = spend'):
        with database.held_fold():
            records = [spend_record(user=user) for user in users]
            database.record(records)
        database.wait_for("SELECT last_error ~ 'most records need them' FROM litellm_spend.status", True)
        status = database.status()
        assert (status["worker"], status["postponed"], status["backlog"]) == ("held", 0, 700)
    database.wait_folded()
    assert database.value('SELECT count(*) FROM "LiteLLM_SpendLogs"') == 1400
    assert database.value("SELECT sum(spend) FROM \"LiteLLM_UserTable\" WHERE user_id <> ''") == 350


def test_fold_returns_0_when_nothing_but_postponed_rows_is_left(unloaded_cluster: Cluster) -> None:
    database = new_database(unloaded_cluster)
    database.record(spend_record(user=USER))
    assert database.fold() == 1
    with holding(database, HELD["user row"][1]):
        database.record([spend_record(user=USER), spend_record(user="another")])
        assert database.fold() == 2
        assert database.value(POSTPONED) == 1
        assert database.fold() == 0
        database.execute("CALL litellm_spend.fold_all()")
    assert database.fold() == 1
    assert database.fold() == 0
    assert database.value("SELECT sum(spend) FROM \"LiteLLM_UserTable\" WHERE user_id <> ''") == 0.75


def test_fold_all_folds_a_backlog_that_one_fold_does_not(unloaded_cluster: Cluster) -> None:
    database = new_database(unloaded_cluster)
    database.execute("ALTER SYSTEM SET litellm_spend.fold_rows = 100")
    database.execute("ALTER SYSTEM SET litellm_spend.batch_rows = 50")
    database.execute("SELECT pg_reload_conf()")
    records = spend_records(1000)
    database.record(records)
    database.wait_for("SHOW litellm_spend.fold_rows", "100")
    assert database.fold() == 100
    database.execute("CALL litellm_spend.fold_all()")
    assert_counted(database, records)
    with pytest.raises(psycopg.Error) as error, database.connect(autocommit=False) as session:
        session.execute("CALL litellm_spend.fold_all()")
    assert error.value.sqlstate == "25001"


def test_new_members_of_many_teams_need_no_more_locks_than_a_server_has(unloaded_cluster: Cluster) -> None:
    database = new_database(unloaded_cluster)
    teams = 15_000
    database.execute(
        """INSERT INTO "LiteLLM_TeamTable" (team_id, admins, members, models, members_with_roles)
           SELECT 't' || n, '{}', '{}', '{}', jsonb_build_array(jsonb_build_object('role', 'user', 'user_id', 'm'))
           FROM generate_series(1, %s) AS n""",
        teams,
    )
    records = [spend_record(user="m", team_id=f"t{n}") for n in range(1, teams + 1)]
    database.record(records)
    database.execute("CALL litellm_spend.fold_all()")
    assert database.query('SELECT count(*), sum(spend) FROM "LiteLLM_TeamMembership"') == [(teams, teams / 4)]


def test_a_row_that_others_lock_again_and_again_is_counted(database: Database) -> None:
    prepare(database, "")
    stop = False

    def keep_updating() -> None:
        with database.connect() as session:
            while not stop:
                session.execute(
                    f"DO $$ BEGIN UPDATE \"LiteLLM_UserTable\" SET spend = spend WHERE user_id = '{USER}'; "
                    "PERFORM pg_sleep(0.005); END $$"
                )

    writers = [threading.Thread(target=keep_updating) for _ in range(4)]
    for writer in writers:
        writer.start()
    try:
        with database.connect() as recorder:
            for _ in range(50):
                payload = json.dumps(spend_record(user=USER))
                recorder.execute("SELECT litellm_record_spend(%s::jsonb)", (payload,))
        database.wait_folded()
        assert database.value(f"SELECT spend FROM \"LiteLLM_UserTable\" WHERE user_id = '{USER}'") == 51 * 0.25
    finally:
        stop = True
        for writer in writers:
            writer.join()


def test_the_ledger_forgets_nothing_while_a_record_is_postponed(cluster: Cluster) -> None:
    """If a repetition counts first, the fold must know it when it counts the postponed record."""
    database = new_database(cluster, extension=False)
    configure(database, write_spend_logs="off")
    database.execute("CREATE EXTENSION litellm_spend")
    prepare(database, "")
    record = spend_record(user=USER)
    age = """UPDATE litellm_spend.ledger_rotation
             SET started_at = ARRAY(SELECT t - '7 days'::interval FROM unnest(started_at) t)"""
    counts = 'SELECT sum(api_requests)::int FROM "LiteLLM_DailyUserSpend"'
    with holding(database, HELD["user row"][1]):
        database.record(record)
        database.wait_for(POSTPONED, 1)
        database.record({**record, "user": "another user"})
        database.wait_for(counts, 2)
        for number in range(6):
            database.execute(age)
            database.record(spend_record(user="another user"))
            database.wait_for(counts, 3 + number)
    database.wait_folded()
    assert database.value(counts) == 8
    discard(database)
