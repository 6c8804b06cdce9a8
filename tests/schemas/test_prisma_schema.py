"""Every release of LiteLLM has a schema.prisma. The tables that tests create from migrations are those that the newest
LiteLLM wants, even where this project wrote the migration."""

from __future__ import annotations

import re

import pytest

import versions
from harness.database import Database
from harness.litellm_tables import FOLDED, TABLES
from harness.postgres import PROJECT
from harness.prisma_schema import Model, schema_of

NEWEST, BEFORE = versions.LITELLM[-1], versions.LITELLM[-2]
WRITTEN = re.findall(r"^-- table (\w+)$", (PROJECT / "sql" / "litellm_tables.sql").read_text(), re.MULTILINE)
"""The tables that folds write."""
LEDGER = "LiteLLM_SpendLogDelivery"
# The proxy builds these after its start. No migration does.
BUILT_LATER = {"LiteLLM_SpendLogs": {(False, ("litellm_call_id",)), (False, ("api_key", "startTime"))}}
# The default of a jsonb column is JSON text and no array.
JSON_LIST = {"ARRAY[]": "[]"}
COLUMNS = """SELECT a.attname, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull,
        regexp_replace(pg_get_expr(d.adbin, d.adrelid), '::[\\w" \\[\\]]+$', '')
    FROM pg_attribute AS a LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped"""
INDEXES = """SELECT i.indisprimary, i.indisunique, array_agg(a.attname::text ORDER BY k.at)
    FROM pg_index AS i CROSS JOIN unnest(i.indkey::int2[]) WITH ORDINALITY AS k(number, at)
    JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.number
    WHERE i.indrelid = %s::regclass GROUP BY i.indexrelid, 1, 2"""


def migrated(database: Database, table: str) -> Model:
    """The table as the migrations created it."""
    found = Model()
    for name, of_type, nullable, default in database.query(COLUMNS, f'"{table}"'):
        found.columns[name] = (of_type, nullable, default and default.strip("'"))
    for is_primary, is_unique, columns in database.query(INDEXES, f'"{table}"'):
        if is_primary:
            found.key = tuple(columns)
        else:
            found.indexes.add((is_unique, tuple(columns)))
    return found


@pytest.mark.parametrize("table", [*WRITTEN, LEDGER])
def test_a_migrated_table_is_the_one_that_litellm_wants(shared_database: Database, table: str) -> None:
    models, _ = schema_of(NEWEST)
    wanted, found = models[table], migrated(shared_database, table)
    columns = {
        name: (of_type, nullable, JSON_LIST.get(default, default) if of_type == "jsonb" else default)
        for name, (of_type, nullable, default) in wanted.columns.items()
    }
    assert found.columns == columns
    assert (found.key, found.indexes) == (wanted.key, wanted.indexes - BUILT_LATER.get(table, set()))


def test_a_delivery_has_the_states_that_litellm_gives_it(shared_database: Database) -> None:
    _, enums = schema_of(NEWEST)
    states = shared_database.value("""SELECT enum_range(NULL::"AccountingDeliveryState")::text[]""")
    assert states == enums["AccountingDeliveryState"]


@pytest.mark.parametrize("table", WRITTEN)
def test_a_fold_writes_the_same_columns_for_the_two_newest_litellms(table: str) -> None:
    assert schema_of(BEFORE)[0][table] == schema_of(NEWEST)[0][table]


def test_the_ledger_came_with_the_newest_litellm_and_its_predecessors_went() -> None:
    before, newest = schema_of(BEFORE)[0], schema_of(NEWEST)[0]
    gone = {"LiteLLM_AccountingEvent", "LiteLLM_AccountingDelivery"}
    assert gone == before.keys() - newest.keys()
    assert LEDGER in newest.keys() - before.keys()


def test_the_tests_compare_every_table_that_a_fold_writes() -> None:
    assert FOLDED.keys() == set(WRITTEN)


@pytest.mark.parametrize("table", TABLES)
def test_the_tests_name_rows_by_a_key_of_litellms(table: str) -> None:
    model, declared = schema_of(NEWEST)[0][table], TABLES[table]
    unique = [set(model.key), *(set(columns) for is_unique, columns in model.indexes if is_unique)]
    assert not declared.key or set(declared.key) in unique
    assert {*declared.changed} <= model.columns.keys()
