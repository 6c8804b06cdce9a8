"""The server that is measured: durable as in production, with LiteLLM's real schema and all its indexes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from harness.cluster import Cluster
from harness.database import Database
from harness.litellm_schema import add_litellm_template

from . import document

SQL = Path(__file__).parent / "sql"
# The settings that the harness turns off for tests are on. Checkpoints come between runs and never within one.
SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "1GB",
    "max_wal_size": "16GB",
    "min_wal_size": "2GB",
    "checkpoint_timeout": "1h",
    "log_min_messages": "warning",
    "track_commit_timestamp": "off",
    # Staged rows stay until the measurement no longer needs them.
    "litellm_spend.truncate_delay": "86400s",
}
STAGING = ", ".join(f"litellm_spend.staging_{segment}" for segment in range(3))


class Server:
    """One cluster with one database, for the whole run."""

    def __init__(self) -> None:
        self.cluster = Cluster(SETTINGS)

    def __enter__(self) -> Server:
        self.cluster.__enter__()
        try:
            self.database = Database(self.cluster, "bench")
            self.cluster.create_database("bench", template=add_litellm_template(self.cluster))
            self.database.execute("CREATE EXTENSION litellm_spend")
            self.database.execute((SQL / "setup.sql").read_text())
            self.database.execute((SQL / "upsert_each_call.sql").read_text())
            self.database.execute(document.sql_function())
            self.check_document()
        except BaseException:
            self.cluster.remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.database.close()
        self.cluster.remove()

    def check_document(self) -> None:
        """Check that SQL and Python build the same record, and that it is staged without a change."""
        text = document.text(7, document.FIRST_USER, 3)
        same = "SELECT %s::jsonb = bench.document(7, %s, 3)"
        assert self.database.value(same, text, document.FIRST_USER), "the two forms of the record differ"
        with self.database.connect(autocommit=False) as connection:
            connection.execute("SELECT litellm_record_spend(%s::jsonb)", [text])
            [(stored,)] = connection.execute("SELECT payload = %s::jsonb FROM litellm_spend.staging", [text]).fetchall()
            connection.rollback()
        assert stored, "the record is not one that is stored as it comes"

    def version(self) -> str:
        return self.database.value("SHOW server_version")

    def configure(self, **settings: str) -> None:
        """Restart with these settings, if they differ from the present ones."""
        settings = {name.replace("__", "."): value for name, value in settings.items()}
        if any(self.cluster.settings.get(name) != value for name, value in settings.items()):
            self.database.close()
            self.cluster.stop()
            self.cluster.configure(**settings)
            self.cluster.start()

    def with_worker(self, *, track_commits: bool = False) -> None:
        """Preload the library, so that a worker folds what is committed."""
        self.configure(
            shared_preload_libraries="litellm_spend", track_commit_timestamp="on" if track_commits else "off"
        )

    def without_worker(self) -> None:
        """Do not preload the library, so that nothing folds until somebody calls fold()."""
        self.configure(shared_preload_libraries="", track_commit_timestamp="off")

    @contextmanager
    def held_worker(self) -> Iterator[None]:
        """Preload the library, so that recording has its usual cost, but let nothing be folded. A session locks a table
        of the extension that no recorder touches, and the worker waits for no lock."""
        self.with_worker()
        with self.database.connect(autocommit=False) as holder:
            holder.execute("LOCK TABLE litellm_spend.new_entities IN ACCESS EXCLUSIVE MODE")
            yield
            holder.rollback()

    def connect(self) -> psycopg.Connection:
        """Arguments for a connection over the socket."""
        return psycopg.connect(
            f"host={self.cluster.directory} port={self.cluster.port} user=postgres dbname=bench", autocommit=True
        )

    def checkpoint(self) -> None:
        self.database.execute("CHECKPOINT")

    def forget_staged(self) -> None:
        """Empty staging and the memory of folds, as after CREATE EXTENSION."""
        self.database.execute(
            f"TRUNCATE {STAGING}, litellm_spend.fold_cursor, litellm_spend.rotation, litellm_spend.ledger_0, "
            "litellm_spend.ledger_1, litellm_spend.ledger_2, litellm_spend.ledger_rotation, "
            "litellm_spend.counted_days, litellm_spend.new_entities, litellm_spend.rejected"
        )

    def unfold(self, users: int) -> None:
        """Restore the targets as before any fold, so that the staged rows are folded again. Then run a checkpoint."""
        self.database.execute(
            "TRUNCATE litellm_spend.fold_cursor, litellm_spend.ledger_0, litellm_spend.ledger_1, "
            "litellm_spend.ledger_2, litellm_spend.ledger_rotation, litellm_spend.counted_days, "
            "litellm_spend.new_entities, bench.ledger"
        )
        self.reset_targets(users)

    def reset_targets(self, users: int) -> None:
        """Empty the targets, except the users, keys, teams and tags. Then run a checkpoint."""
        self.database.query("SELECT bench.reset_targets(%s)", users)
        for table in ("UserTable", "VerificationToken", "TeamTable", "TeamMembership", "TagTable"):
            self.database.execute(f'VACUUM (ANALYZE) "LiteLLM_{table}"')
        self.checkpoint()

    def wal_position(self) -> int:
        return int(self.database.value("SELECT pg_current_wal_insert_lsn() - '0/0'"))
