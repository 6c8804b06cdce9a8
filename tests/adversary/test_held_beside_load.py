"""While a session holds a row or lock, all other records count in time, and only the load writes WAL."""

from __future__ import annotations

import json
import threading
import time

import pytest

from conftest import Tell
from harness.database import Database
from harness.records import spend_record

# A thousand records a second.
BATCH, PAUSE = 100, 0.1
USERS, HELD_USER, TEAM = 50, "u0", "held team"
SECTION = "a row or lock that is held beside a thousand records a second"
HOLDS = {
    "user row": f"UPDATE \"LiteLLM_UserTable\" SET spend = spend WHERE user_id = '{HELD_USER}'",
    "advisory lock": f"SELECT pg_advisory_lock(hashtext('{TEAM}'))",
}


def batch(number: int) -> list[dict]:
    """One record in fifty needs the user, and one in fifty is of a new member of the team."""
    records = [spend_record(user=f"u{n % USERS}", team_id="") for n in range(BATCH - 2)]
    members = [spend_record(user=f"m{number}", team_id=TEAM) for _ in range(2)]
    return [*records, *members]


class Load:
    """Records for a while. Returns how late each batch's first record that needs nothing held was counted."""

    def __init__(self, database: Database, seconds: float, prefix: str) -> None:
        self.database, self.seconds, self.prefix = database, seconds, prefix
        self.waiting: dict[str, float] = {}
        self.lags: list[float] = []
        self.sent = 0
        self._done = False

    def run(self) -> None:
        looker = threading.Thread(target=self._look)
        looker.start()
        try:
            with self.database.connect() as recorder:
                begun = time.monotonic()
                for number in range(int(self.seconds / PAUSE)):
                    records = batch(number)
                    marker = f"{self.prefix}-{number}"
                    records[1]["request_id"] = marker
                    recorder.execute("SELECT litellm_record_spend(%s::jsonb)", (json.dumps(records),))
                    self.waiting[marker] = time.monotonic()
                    self.sent += len(records)
                    time.sleep(max(0.0, begun + (number + 1) * PAUSE - time.monotonic()))
        finally:
            self._done = True
            looker.join()

    def _look(self) -> None:
        with self.database.connect() as session:
            deadline = time.monotonic() + self.seconds + 30
            while (self.waiting or not self._done) and time.monotonic() < deadline:
                query = 'SELECT request_id FROM "LiteLLM_SpendLogs" WHERE request_id = ANY (%s)'
                for (marker,) in session.execute(query, (list(self.waiting),)).fetchall():
                    self.lags.append(time.monotonic() - self.waiting.pop(marker))
                time.sleep(0.01)

    @property
    def p99(self) -> float:
        return sorted(self.lags)[int(0.99 * (len(self.lags) - 1))]


def wal_of(database: Database, seconds: float, prefix: str) -> tuple[Load, int]:
    before = database.value("SELECT pg_current_wal_insert_lsn()")
    load = Load(database, seconds, prefix)
    load.run()
    assert not load.waiting, "a record that needs nothing that is held was not counted"
    return load, database.value("SELECT (pg_current_wal_insert_lsn() - %s)::bigint", before)


@pytest.mark.parametrize("name", HOLDS)
def test_the_others_are_counted(database: Database, tell: Tell, name: str) -> None:
    held_beside_load(database, tell, name, 6)


@pytest.mark.stress
@pytest.mark.parametrize("name", HOLDS)
def test_the_others_are_counted_for_a_minute(database: Database, tell: Tell, name: str) -> None:
    held_beside_load(database, tell, name, 60)


def held_beside_load(database: Database, tell: Tell, name: str, seconds: float) -> None:
    roster = [{"role": "user", "user_id": f"m{n}"} for n in range(int(seconds / PAUSE))]
    database.execute(
        """INSERT INTO "LiteLLM_TeamTable" (team_id, admins, members, models, members_with_roles)
           VALUES (%s, '{}', '{}', '{}', %s)""",
        TEAM,
        json.dumps(roster),
    )
    database.record([spend_record(user=f"u{n}", team_id="") for n in range(USERS)])
    database.wait_folded()
    database.execute("INSERT INTO \"LiteLLM_UserTable\" (user_id) VALUES ('bystander')")
    # An open transaction keeps old row versions and so costs WAL, whatever it holds.
    with database.connect(autocommit=False) as bystander:
        bystander.execute("UPDATE \"LiteLLM_UserTable\" SET spend = spend WHERE user_id = 'bystander'")
        alone, wal_alone = wal_of(database, seconds, "alone")
    database.wait_folded()
    # The members have no rows yet, as in the first run.
    database.execute('DELETE FROM "LiteLLM_TeamMembership"')
    with database.connect(autocommit=False) as holder:
        holder.execute("UPDATE \"LiteLLM_UserTable\" SET spend = spend WHERE user_id = 'bystander'")
        holder.execute(HOLDS[name])
        held, wal_held = wal_of(database, seconds, "held")
        postponed = database.status()["postponed"]
        # A session's lock outlives its transaction.
        holder.execute("SELECT pg_advisory_unlock_all()")
    database.wait_folded("120 s")
    counted = database.value('SELECT sum(api_requests)::int FROM "LiteLLM_DailyUserSpend"')
    assert counted == USERS + alone.sent + held.sent
    assert database.value('SELECT count(*) FROM "LiteLLM_SpendLogs"') == counted
    assert postponed == 2 * held.sent // BATCH
    tell(
        SECTION,
        f"{name} held for {seconds:g} s: the others' lag p99 {1000 * held.p99:.0f} ms against "
        f"{1000 * alone.p99:.0f} ms, longest {1000 * max(held.lags):.0f} ms; "
        f"WAL {wal_held / wal_alone:.2f} of that without; {postponed} postponed",
    )
    assert wal_held <= 1.2 * wal_alone
