"""In which order a fold locks rows, and how it gives way to a session that locks them in another order (invariant 8). A
circle that would be a deadlock costs the fold one attempt, and costs nobody else anything."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest

from conftest import discard, new_database
from harness.cluster import Cluster
from harness.database import Database
from harness.litellm_schema import NEWEST, NEWEST_WHEEL, SCHEMAS
from harness.records import spend_record
from harness.waiting import wait_until

ENTITIES = {
    "LiteLLM_UserTable": "user_id",
    "LiteLLM_EndUserTable": "user_id",
    "LiteLLM_VerificationToken": "token",
    "LiteLLM_TeamTable": "team_id",
    "LiteLLM_TeamMembership": "team_id",
    "LiteLLM_OrganizationTable": "organization_id",
    "LiteLLM_OrganizationMembership": "organization_id",
    "LiteLLM_ProjectTable": "project_id",
    "LiteLLM_TagTable": "tag_name",
    "LiteLLM_ModelAccessGroupBudgetTable": "access_group_name",
    "LiteLLM_AgentsTable": "agent_id",
}
DAYS = [f"LiteLLM_Daily{entity}Spend" for entity in ("User", "Team", "Organization", "EndUser", "Agent", "Tag")]
# The order of db_spend_update_writer.py up to 1.109.
OLD_ORDER = [*ENTITIES, *DAYS, "LiteLLM_DailyModelUsage"]
# The order of accounting/application.py and db_spend_update_writer.py since 1.110.
NEW_ORDER = [
    "LiteLLM_OrganizationTable",
    "LiteLLM_OrganizationMembership",
    "LiteLLM_TeamTable",
    "LiteLLM_UserTable",
    "LiteLLM_EndUserTable",
    "LiteLLM_TeamMembership",
    "LiteLLM_VerificationToken",
    "LiteLLM_ProjectTable",
    "LiteLLM_TagTable",
    "LiteLLM_ModelAccessGroupBudgetTable",
    "LiteLLM_AgentsTable",
    *sorted(DAYS),
    "LiteLLM_DailyModelUsage",
]
KEY = "0" * 64
ORGANIZATION, TEAM = "LiteLLM_OrganizationTable", "LiteLLM_TeamTable"
USER, TAG = "LiteLLM_UserTable", "LiteLLM_TagTable"
FOLD_WAITS = "query = 'litellm_spend fold' AND wait_event_type = 'Lock' AND datname = current_database()"
MET_A_DEADLOCK = "SELECT deadlocks > 0 FROM pg_stat_database WHERE datname = current_database()"


@pytest.fixture(scope="module", params=["8s"], ids=["deadlock_timeout=8s"])
def patient(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A server whose sessions look for deadlocks late, so a fold waits for four seconds."""
    with Cluster({"deadlock_timeout": request.param}) as cluster:
        yield cluster


@pytest.fixture
def database_of(patient: Cluster) -> Iterator[Callable[[str], Database]]:
    """Gives a database with the schema of that LiteLLM, in which each target has the row of `record`."""
    made: list[Database] = []

    def make(version: str) -> Database:
        [schema] = [schema for schema in SCHEMAS if schema.litellm == version]
        database = new_database(patient, schema=schema)
        made.append(database)
        database.execute(f"ALTER DATABASE {database.name} SET litellm_spend.create_missing = {CREATED}")
        database.wait_for("SELECT worker_pid IS NULL FROM litellm_spend.status", True)
        database.record(record())
        database.wait_folded()
        for table, column in (("TeamMembership", "team_id"), ("OrganizationMembership", "organization_id")):
            database.execute(f"INSERT INTO \"LiteLLM_{table}\" (user_id, {column}) VALUES ('alice', 'one')")
        return database

    yield make
    for database in made:
        discard(database)


CREATED = "'user, team, organization, end_user, tag, project, model_access_group, agent, key'"


def record() -> dict:
    return spend_record(
        user="alice",
        team_id="one",
        organization_id="one",
        api_key=KEY,
        end_user="one",
        project_id="one",
        agent_id="one",
        request_tags=["one"],
        request_model_access_groups=["one"],
    )


@contextmanager
def holder(database: Database, table: str, deadlock_timeout: str = "8s") -> Iterator[psycopg.Connection]:
    """A session that has locked the rows of a table."""
    with database.connect(autocommit=False, options=f"-c deadlock_timeout={deadlock_timeout}") as connection:
        connection.execute(f'UPDATE "{table}" SET spend = spend')
        yield connection
        connection.rollback()


def wait_until_the_fold_waits(database: Database) -> None:
    database.wait_for(f"SELECT count(*) > 0 FROM pg_stat_activity WHERE {FOLD_WAITS}", True)


def wait_until_it_waits(database: Database, session: psycopg.Connection) -> None:
    database.wait_for(
        f"SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = {session.info.backend_pid}", True
    )


@pytest.mark.parametrize(
    ("version", "order"),
    [(NEWEST_WHEEL.litellm, OLD_ORDER), (NEWEST.litellm, NEW_ORDER)],
    ids=["LiteLLM-1.109", "LiteLLM-1.110"],
)
def test_tables_are_locked_in_the_order_of_the_litellm_that_is_there(
    database_of: Callable[[str], Database], version: str, order: list[str]
) -> None:
    database = database_of(version)
    since = f"SELECT min(backend_xid::text) FROM pg_stat_activity WHERE {FOLD_WAITS}"

    def is_locked(table: str) -> bool:
        return database.query(f'SELECT FROM "{table}" FOR NO KEY UPDATE SKIP LOCKED') == []

    def locked_while_the_fold_waits() -> set[str] | None:
        before, locked, after = database.value(since), {t for t in order if is_locked(t)}, database.value(since)
        return locked if before and before == after else None

    for position, held in enumerate(order):
        with holder(database, held):
            database.record(record())
            seen = []
            wait_until(
                lambda seen=seen: seen.append(locked_while_the_fold_waits()) or seen[-1], what="the fold to wait"
            )
            assert seen[-1] == set(order[: position + 1]), held
        database.wait_folded()


def test_a_fold_that_closes_a_circle_ends_at_once(database_of: Callable[[str], Database]) -> None:
    """The session for which the fold would wait will soon have looked for a deadlock."""
    database = database_of(NEWEST.litellm)
    with (
        ThreadPoolExecutor(1) as pool,
        holder(database, TEAM) as other,
        holder(database, USER, "1s") as litellm,
    ):
        database.record(record())
        wait_until_the_fold_waits(database)
        charge = charge_organization(pool, litellm)
        wait_until_it_waits(database, litellm)
        other.rollback()
        charge.result()
        database.wait_for(MET_A_DEADLOCK, True)
    assert_counted_twice(database)


def test_a_fold_in_a_circle_that_another_session_closes_ends_before_that_one(
    database_of: Callable[[str], Database],
) -> None:
    database = database_of(NEWEST.litellm)
    with ThreadPoolExecutor(1) as pool, holder(database, USER, "1s") as litellm:
        database.record(record())
        wait_until_the_fold_waits(database)
        charge_organization(pool, litellm).result()
        database.wait_for(MET_A_DEADLOCK, True)
    assert_counted_twice(database)


def test_a_fold_keeps_nobody_waiting_for_as_long_as_it_may_wait_twice(database_of: Callable[[str], Database]) -> None:
    """A session that waits for the fold for `deadlock_timeout` looks for a deadlock, so the fold's waits add up."""
    database = database_of(NEWEST.litellm)
    with (
        ThreadPoolExecutor(1) as pool,
        holder(database, TEAM) as first,
        holder(database, USER) as second,
        holder(database, TAG),
        database.connect(autocommit=False) as litellm,
    ):
        database.record(record())
        wait_until_the_fold_waits(database)
        begun = time.monotonic()
        charge = charge_organization(pool, litellm)
        wait_until_it_waits(database, litellm)
        # Three seconds of the four that it may wait are over, and then three more and four more.
        for other in (first, second):
            time.sleep(3)
            other.rollback()
        charge.result()
        assert time.monotonic() - begun < 8, "deadlock_timeout"
        litellm.rollback()
    assert_counted_twice(database)


def charge_organization(pool: ThreadPoolExecutor, session: psycopg.Connection) -> Future:
    return pool.submit(session.execute, f'UPDATE "{ORGANIZATION}" SET spend = spend')


def assert_counted_twice(database: Database) -> None:
    database.wait_folded()
    for table in NEW_ORDER:
        expected = 0.25 if table.endswith("Membership") else 0.5
        assert database.value(f'SELECT sum(spend) FROM "{table}"') == expected, table
