"""The database's owner, who is no superuser, can dump it, and may do nothing else with the extension's objects."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from conftest import own_schema_database
from harness.cluster import Cluster
from harness.database import Database
from harness.postgres import bindir
from harness.records import assert_counted, spend_records

GIVE = """DO $$ DECLARE relation regclass; BEGIN
    FOR relation IN SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')
    LOOP EXECUTE format('ALTER TABLE %s OWNER TO dumper', relation); END LOOP; END $$"""


@pytest.fixture(scope="module")
def source() -> Iterator[Cluster]:
    with Cluster() as cluster:
        cluster.execute("CREATE ROLE dumper LOGIN")
        yield cluster


@pytest.fixture(scope="module")
def owned(source: Cluster) -> Database:
    """A database, and in it LiteLLM's tables, of a role that is no superuser."""
    database = own_schema_database(source)
    source.execute(f'ALTER DATABASE "{database.name}" OWNER TO dumper')
    database.execute(GIVE)
    return database


def test_what_was_pending_in_a_dump_by_the_owner_is_counted_once(owned: Database, tmp_path: Path) -> None:
    folded, pending = spend_records(3, "folded"), spend_records(4, "pending")
    owned.record([*folded, "no record"], "reject")
    owned.wait_folded()
    with owned.connect(autocommit=False) as holder:
        holder.execute("SELECT FROM litellm_spend.fold_cursor FOR UPDATE")
        owned.record(pending)
        file = tmp_path / "owner.dump"
        command = [bindir() / "pg_dump", "-Fc", "-f", file, owned.cluster.url(owned.name, "dumper")]
        subprocess.run(command, check=True, capture_output=True, text=True)
    # This is another cluster, because each of two copies of one cluster reads the other's rows as its own.
    with Cluster(initdb=[]) as target:
        target.execute("CREATE ROLE dumper LOGIN")
        target.create_database("copy")
        copy = Database(target, "copy")
        command = [bindir() / "pg_restore", "--exit-on-error", "-d", copy.url, file]
        subprocess.run(command, check=True, capture_output=True, text=True)
        assert copy.value("SELECT count(*) FROM litellm_spend.rejected") == 1
        copy.wait_for("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pg_restore'", 0)
        assert copy.value("SELECT litellm_spend.adopt()") == 4
        copy.wait_folded()
        assert_counted(copy, [*folded, *pending])
        assert copy.value("SELECT litellm_spend.adopt()") == 0
        copy.close()


def test_the_owner_may_read_what_is_dumped_and_nothing_else(owned: Database) -> None:
    dumped = {
        oid
        for (oid,) in owned.query("SELECT unnest(extconfig)::bigint FROM pg_extension WHERE extname = 'litellm_spend'")
    }
    assert len(dumped) >= 10
    members = """SELECT d.objid::bigint FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
        WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'litellm_spend'
          AND d.classid = %s::regclass"""
    with owned.connect(user="dumper") as connection:
        for (relation,) in owned.query(f"{members} AND d.objid IN (SELECT oid FROM pg_class)", "pg_class"):
            [(name, kind)] = owned.query("SELECT relname, relkind FROM pg_class WHERE oid = %s::bigint::oid", relation)
            if kind == "S":
                rights = {"SELECT", "USAGE", "UPDATE"}
                check = "has_sequence_privilege"
            else:
                rights = {"SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"}
                check = "has_table_privilege"
            held = {
                right
                for right in rights
                if connection.execute(f"SELECT {check}(%s::bigint::oid, %s)", (relation, right)).fetchone()[0]
            }
            assert held == ({"SELECT"} if relation in dumped else set()), (name, held)
        for (function,) in owned.query(members, "pg_proc"):
            [(may,)] = connection.execute("SELECT has_function_privilege(%s::bigint::oid, 'EXECUTE')", (function,))
            assert not may, function
        for statement in (
            "INSERT INTO litellm_spend.staging_0 (origin, seq, payload) VALUES (1, 1, '{}')",
            "UPDATE litellm_spend.fold_cursor SET folded_through = '1:1:'",
            "SELECT FROM litellm_spend.fold_cursor FOR UPDATE",
            "BEGIN; LOCK TABLE litellm_spend.staging_0 IN ROW EXCLUSIVE MODE",
            "SELECT nextval('litellm_spend.rejected_id_seq')",
            "CREATE TABLE litellm_spend.mine (n int)",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
            connection.rollback()
