"""A site is a database with one version of LiteLLM's schema, where cases run one after the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from psycopg import sql
from psycopg.types.json import Jsonb

from harness.database import Database

from .case import SEED, Golden
from .state import Columns, State, columns_of, read

# The extension keeps this of a case: the rejected records, and where the log is off the ids of the counted ones.
_REMEMBERED = ("rejected", "ledger_0", "ledger_1", "ledger_2")


@dataclass
class Site:
    """A database, and the one with the newest schema in which seed.sql is run for it, which may be the same."""

    database: Database
    newest: Database
    columns: Columns = field(init=False)
    newest_columns: Columns = field(init=False)

    def __post_init__(self) -> None:
        self.columns = columns_of(self.database)
        self.newest_columns = columns_of(self.newest)

    def seed(self, *cases: Golden) -> State:
        """Bring the database to where the cases begin, and return what the newest schema holds then."""
        self.database.execute("; ".join(f"DELETE FROM litellm_spend.{table}" for table in _REMEMBERED))
        self.newest.execute(SEED + "".join(case.extra_seed for case in cases))
        if self.newest is not self.database:
            self._copy_seed()
        return read(self.newest, self.newest_columns)

    def read(self) -> State:
        return read(self.database, self.columns)

    def _copy_seed(self) -> None:
        """Copy the rows of the newest schema's tables into these, in the columns that both have."""
        rows = [f"'{table}', (SELECT jsonb_agg(to_jsonb(t)) FROM \"{table}\" AS t)" for table in self.columns]
        seeded = self.newest.value(f"SELECT jsonb_build_object({', '.join(rows)})")
        statements = ["BEGIN; SET LOCAL session_replication_role = replica"]
        for table, columns in self.columns.items():
            statements.append(f'DELETE FROM "{table}"')
            if seeded[table]:
                common = ", ".join(f'"{name}"' for name in sorted(columns & self.newest_columns[table]))
                statements.append(
                    f'INSERT INTO "{table}" ({common}) SELECT {common}'
                    f' FROM jsonb_populate_recordset(NULL::"{table}", {_literal(seeded[table])})'
                )
        self.database.execute("; ".join([*statements, "COMMIT"]))


def _literal(value: Any) -> str:
    return sql.Literal(Jsonb(value)).as_string(None)
