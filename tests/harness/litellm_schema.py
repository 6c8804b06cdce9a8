"""LiteLLM's real schemas: the migrations of its own litellm-proxy-extras wheels, checked by hash.

Each supported version is a release of that package. A cluster keeps one database of each version that
was asked for, to be copied.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from .cluster import Cluster
from .locking import one_at_a_time
from .postgres import PROJECT

CACHE = PROJECT / ".build" / "litellm-proxy-extras"


@dataclass(frozen=True)
class LiteLLMSchema:
    """What one LiteLLM makes of an empty database."""

    litellm: str
    """The release of LiteLLM that came with these migrations."""
    extras: str
    """The release of litellm-proxy-extras that holds them."""
    sha256: str
    """Of that release's wheel."""
    migrations: int

    @property
    def template(self) -> str:
        """The database of a cluster that holds this schema, to be copied."""
        return f"litellm_{self.litellm}"

    def migration_files(self) -> list[Path]:
        """The migrations in byte order of their directories' names, one of which contains spaces."""
        folder = CACHE / self.extras
        with one_at_a_time("litellm-proxy-extras"):
            if not folder.exists():
                unpack_migrations(download_wheel(self), folder)
        files = sorted(folder.glob("*/migration.sql"), key=lambda file: file.parent.name.encode())
        assert len(files) == self.migrations, (
            f"{folder} holds {len(files)} migrations, not {self.migrations}: remove it"
        )
        return files


SCHEMAS = (
    LiteLLMSchema("1.79.0", "0.2.29", "27b7efc69829ed8745de7f469110c1f6a82e4f994bd8de3ac6b16dc2806a14b0", 41),
    LiteLLMSchema("1.90.0", "0.4.74", "d4b82d4f994cb0a9954e02337455e822dc35e28a33bfe29a13d4ca2bbf0e2c76", 127),
    LiteLLMSchema("1.100.0", "0.4.91", "d19fe53591b0bbd48aff24cb1a166b0c68ff2491469ceec88eaa83c6a364562d", 161),
    LiteLLMSchema("1.109.1", "0.4.110", "2a488653b7e5eb97e7a2c84fb67818dfbdbd1d799cd61832f1b5d151c229e907", 220),
)
"""The supported versions, oldest first."""
NEWEST = SCHEMAS[-1]


def add_litellm_template(cluster: Cluster, schema: LiteLLMSchema = NEWEST) -> str:
    """The name of the cluster's database with this schema, made at first use: nothing may connect to it."""
    name = schema.template
    if not cluster.query("SELECT FROM pg_database WHERE datname = %s", (name,)):
        cluster.create_database(name)
        apply_migrations(cluster, name, schema.migration_files())
        cluster.execute(f'ALTER DATABASE "{name}" IS_TEMPLATE true ALLOW_CONNECTIONS false')
    return name


def pending_migrations(present: LiteLLMSchema, wanted: LiteLLMSchema = NEWEST) -> list[Path]:
    """What LiteLLM applies to a database of `present` when it is upgraded: the migrations with a new name."""
    applied = {file.parent.name for file in present.migration_files()}
    return [file for file in wanted.migration_files() if file.parent.name not in applied]


def apply_migrations(cluster: Cluster, database: str, files: list[Path]) -> None:
    """Run the files in this order as Prisma does: each one is a single query, and so one transaction."""
    with cluster.connect(database) as connection:
        for file in files:
            connection.execute(file.read_bytes())


def download_wheel(schema: LiteLLMSchema) -> Path:
    CACHE.mkdir(parents=True, exist_ok=True)
    requirements = CACHE / "requirements.txt"
    requirements.write_text(f"litellm-proxy-extras=={schema.extras} --hash=sha256:{schema.sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--require-hashes", "--requirement", str(requirements), "--dest", str(CACHE)]
    subprocess.run(command, check=True)
    wheel = next(CACHE.glob(f"*-{schema.extras}-*.whl"))
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert digest == schema.sha256, f"{wheel} is not the wheel that was tested"
    return wheel


def unpack_migrations(wheel: Path, folder: Path) -> None:
    part = folder.with_name(folder.name + ".part")
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.startswith("litellm_proxy_extras/migrations/") and name.endswith("/migration.sql"):
                target = part / Path(name).parent.name / "migration.sql"
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(name))
    part.rename(folder)
