"""LiteLLM's real schemas: the migrations of its own litellm-proxy-extras wheels, as scripts/tools.sh unpacked them.

Each supported version is a release of that package, which Cargo.toml names. A cluster keeps one database of each
version that was asked for, to be copied.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import versions

from .cluster import Cluster
from .postgres import PROJECT, make_tool

CACHE = PROJECT / ".build" / "litellm-proxy-extras"


@dataclass(frozen=True)
class LiteLLMSchema:
    """The schema that one LiteLLM creates in an empty database."""

    litellm: str
    """The release of LiteLLM that came with these migrations."""
    extras: str
    """The release of litellm-proxy-extras that holds them."""
    migrations: int
    added: str | None
    """A folder of this project with the migrations that came since."""

    @property
    def template(self) -> str:
        """The name of the database that holds this schema in a cluster, to be copied."""
        return f"litellm_{self.litellm}"

    @property
    def folder(self) -> Path:
        """Where the migrations are, each in a directory of its own."""
        return CACHE / self.extras / "litellm_proxy_extras" / "migrations"

    def migration_files(self) -> list[Path]:
        """The migrations in byte order of their directories' names, one of which contains spaces."""
        folder = self.folder
        if not folder.exists():
            make_tool("migrations")
        files = sorted(folder.glob("*/migration.sql"), key=lambda file: file.parent.name.encode())
        assert len(files) == self.migrations, (
            f"{folder} holds {len(files)} migrations, not {self.migrations}: remove it"
        )
        return files + self.added_files()

    def added_files(self) -> list[Path]:
        """The migrations that this project wrote."""
        return sorted((PROJECT / self.added).glob("*/migration.sql")) if self.added else []


SCHEMAS = tuple(
    LiteLLMSchema(schema.litellm, schema.wheel.version, schema.migrations, schema.added)
    for schema in versions.LITELLM_SCHEMAS
)
"""The supported versions, oldest first."""
NEWEST = SCHEMAS[-1]
NEWEST_WHEEL = [schema for schema in SCHEMAS if schema.added is None][-1]
"""The newest version with LiteLLM's own migrations alone."""


def add_litellm_template(cluster: Cluster, schema: LiteLLMSchema = NEWEST) -> str:
    """The name of the cluster's database with this schema, created at first use. Nothing may connect to it."""
    name = schema.template
    if not cluster.query("SELECT FROM pg_database WHERE datname = %s", (name,)):
        cluster.create_database(name)
        apply_migrations(cluster, name, schema.migration_files())
        close_template(cluster, name)
    return name


def close_template(cluster: Cluster, name: str) -> None:
    """Let nobody connect to the database any more, not even a worker: it is to be copied."""
    cluster.execute(f'ALTER DATABASE "{name}" IS_TEMPLATE true ALLOW_CONNECTIONS false')


def pending_migrations(present: LiteLLMSchema, wanted: LiteLLMSchema = NEWEST) -> list[Path]:
    """The migrations that LiteLLM applies when it upgrades a database of `present`: those with a new name."""
    applied = {file.parent.name for file in present.migration_files()}
    return [file for file in wanted.migration_files() if file.parent.name not in applied]


def apply_migrations(cluster: Cluster, database: str, files: list[Path]) -> None:
    """Run the files in this order as Prisma does: each one is a single query, and so one transaction."""
    with cluster.connect(database) as connection:
        for file in files:
            connection.execute(file.read_bytes())
