"""A recorder writes a segment directly only if the segment has the known shape, and else by SQL."""

from __future__ import annotations

import psycopg
import pytest

from harness.cluster import Cluster
from harness.database import Database
from harness.records import assert_counted, spend_records

SEGMENTS = ("litellm_spend.staging_0", "litellm_spend.staging_1", "litellm_spend.staging_2")
WITNESS = """
CREATE TABLE witness (event text);
CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO public.witness VALUES (TG_ARGV[0]); RETURN NEW; END $$;
"""

# {what a segment has: (how it gets that, how it loses it)}
SHAPES = {
    "expression index": ("CREATE INDEX odd_{n} ON {table} ((payload ->> 'user'))", "DROP INDEX litellm_spend.odd_{n}"),
    "partial index": (
        "CREATE INDEX odd_{n} ON {table} (seq) WHERE (payload ->> 'user') IS NOT NULL",
        "DROP INDEX litellm_spend.odd_{n}",
    ),
    "index of another method": (
        "CREATE INDEX odd_{n} ON {table} USING gin (payload)",
        "DROP INDEX litellm_spend.odd_{n}",
    ),
    "exclusion constraint": (
        "ALTER TABLE {table} ADD CONSTRAINT odd_{n} EXCLUDE (seq WITH =, xid WITH =)",
        "ALTER TABLE {table} DROP CONSTRAINT odd_{n}",
    ),
    "deferred unique constraint": (
        "ALTER TABLE {table} ADD CONSTRAINT odd_{n} UNIQUE (xid, seq) DEFERRABLE INITIALLY DEFERRED",
        "ALTER TABLE {table} DROP CONSTRAINT odd_{n}",
    ),
    "added column": ("ALTER TABLE {table} ADD COLUMN added text", "ALTER TABLE {table} DROP COLUMN added"),
    "added column with a default": (
        "ALTER TABLE {table} ADD COLUMN size bigint NOT NULL DEFAULT 7",
        "ALTER TABLE {table} DROP COLUMN size",
    ),
    "generated column": (
        "ALTER TABLE {table} ADD COLUMN g text GENERATED ALWAYS AS (payload ->> 'user') STORED",
        "ALTER TABLE {table} DROP COLUMN g",
    ),
    "rule": (
        "CREATE RULE odd AS ON INSERT TO {table} DO ALSO INSERT INTO witness VALUES ('rule')",
        "DROP RULE odd ON {table}",
    ),
    "unlogged": ("ALTER TABLE {table} SET UNLOGGED", "ALTER TABLE {table} SET LOGGED"),
    "forced row security": (
        "ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
        "ALTER TABLE {table} DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY",
    ),
    "upgraded": (
        "ALTER TABLE {table} ADD COLUMN later text NOT NULL DEFAULT 'x', "
        "ALTER COLUMN xid SET DEFAULT '1'::xid8, ALTER COLUMN staged_at SET DEFAULT now()",
        "ALTER TABLE {table} DROP COLUMN later",
    ),
}


def for_all(database: Database, statement: str) -> None:
    """Run a statement for each segment, because any of them may be the current one."""
    for number, table in enumerate(SEGMENTS):
        database.execute(statement.format(table=table, n=number))


def values(database: Database, column: str, prefix: str) -> list[object]:
    """The values of a column in the staged rows of these requests."""
    rows = " UNION ALL ".join(f"SELECT {column} AS value, payload FROM {table}" for table in SEGMENTS)
    found = database.query(f"SELECT value FROM ({rows}) AS s WHERE starts_with(payload ->> 'request_id', %s)", prefix)
    return [value for (value,) in found]


def test_a_record_is_counted_whatever_shape_its_segment_is_given(database: Database) -> None:
    """One session records all the time; it must notice each change of the segment it has just written."""
    database.execute(WITNESS)
    sent = []
    for number, (shape, (give, take)) in enumerate(SHAPES.items()):
        for_all(database, give)
        records = spend_records(3, f"odd-{number}")
        assert database.record(records) == 3, shape
        for column, expected in (("added", None), ("size", 7), ("g", "alice"), ("later", "x")):
            if f" {column} " in give:
                assert values(database, column, f"odd-{number}-") == [expected] * 3, shape
        database.wait_folded()
        for_all(database, take)
        sent += records
    plain = spend_records(3, "plain")
    assert database.record(plain) == 3
    database.wait_folded()
    assert_counted(database, [*sent, *plain])
    assert database.value("SELECT count(*) FROM witness WHERE event = 'rule'") == 3


@pytest.mark.parametrize("when", ["BEFORE INSERT ON {table} FOR EACH ROW", "AFTER INSERT ON {table}"])
def test_a_trigger_of_a_segment_sees_each_insert(database: Database, when: str) -> None:
    database.execute(WITNESS)
    for_all(database, f"CREATE TRIGGER odd {when} EXECUTE FUNCTION see('insert')")
    records = spend_records(2)
    database.record(records)
    assert database.value("SELECT count(*) FROM witness") == 2
    database.wait_folded()
    assert_counted(database, records)


@pytest.mark.parametrize(
    ("suppress", "sqlstate"),
    [
        ("CREATE TRIGGER odd BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION pass_over()", "55000"),
        ("CREATE RULE odd AS ON INSERT TO {table} DO INSTEAD NOTHING", "55000"),
        ("ALTER TABLE {table} ADD CHECK (payload ->> 'user' <> 'alice')", "23514"),
    ],
)
def test_a_record_that_its_segment_does_not_take_fails_and_is_not_lost(
    database: Database, suppress: str, sqlstate: str
) -> None:
    database.execute("CREATE FUNCTION pass_over() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
    for_all(database, suppress)
    with pytest.raises(psycopg.Error) as error:
        database.record(spend_records(1))
    assert error.value.sqlstate == sqlstate
    assert sqlstate != "55000" or "Drop" in error.value.diag.message_hint


def test_segments_are_heaps_whatever_the_default_is(cluster: Cluster, empty_database: Database) -> None:
    empty_database.execute("CREATE ACCESS METHOD other TYPE TABLE HANDLER heap_tableam_handler")
    empty_database.execute(f"ALTER DATABASE {empty_database.name} SET default_table_access_method = other")
    with empty_database.connect() as connection:
        connection.execute("CREATE EXTENSION litellm_spend")
    methods = empty_database.query(
        "SELECT DISTINCT a.amname FROM pg_class c JOIN pg_am a ON a.oid = c.relam WHERE c.oid = ANY (%s::regclass[])",
        list(SEGMENTS),
    )
    assert methods == [("heap",)]


def test_a_segment_of_another_access_method_is_written_by_sql(database: Database) -> None:
    database.execute("CREATE ACCESS METHOD other TYPE TABLE HANDLER heap_tableam_handler")
    for_all(database, "ALTER TABLE {table} SET ACCESS METHOD other")
    records = spend_records(3)
    assert database.record(records) == 3
    database.wait_folded()
    assert_counted(database, records)


def test_a_library_records_into_the_segments_of_the_version_before_it(database: Database) -> None:
    """The older version had no trigger and another index. The fold waits for ALTER EXTENSION UPDATE (invariant 15)."""
    own = database.value("SELECT extversion FROM pg_extension WHERE extname = 'litellm_spend'")
    for_all(database, "DROP TRIGGER IF EXISTS keep_own_rows ON {table}")
    for_all(database, "DROP INDEX {table}_origin_xid_seq")
    database.execute("UPDATE pg_extension SET extversion = '0.0.1' WHERE extname = 'litellm_spend'")
    records = spend_records(3)
    assert database.record(records) == 3
    database.wait_for("SELECT worker FROM litellm_spend.status", "held")
    assert database.status()["backlog"] == 3
    database.execute("UPDATE pg_extension SET extversion = %s WHERE extname = 'litellm_spend'", own)
    for_all(database, "CREATE INDEX staging_{n}_origin_xid_seq ON {table} (origin, xid, seq)")
    database.wait_folded()
    assert_counted(database, records)
