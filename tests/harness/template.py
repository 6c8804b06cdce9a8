"""The data directory from which clusters are copied, created once for each installed build of the extension.

Beside initdb's databases it holds those of `TEMPLATES`, which tests copy in turn. Nobody has connected to them since
they were created, and no worker ever has. The extension's own rows in them are therefore as CREATE EXTENSION leaves
them, without any knowledge of the database. All copies have one system identifier, so databases of the same oid have
one origin in all copies (src/staging/cluster_id.rs).
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from . import cluster as clusters
from . import litellm_schema
from .litellm_schema import NEWEST, add_litellm_template, close_template
from .locking import one_at_a_time
from .postgres import PROJECT, Installation, server_user

FOLDER = PROJECT / ".build" / "templates"
# The newest LiteLLM's tables with the extension, and the tables that the extension creates itself.
LITELLM = f"{NEWEST.template}_extension"
OWN_SCHEMA = "own_schema"
TEMPLATES = (NEWEST.template, LITELLM, OWN_SCHEMA)
TABLES = """SELECT relname FROM pg_class
    WHERE relnamespace = 'litellm_spend'::regnamespace AND relkind IN ('r', 'p') ORDER BY relname"""


@dataclass(frozen=True)
class Template:
    """A data directory to be copied, whose server never starts again."""

    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def password(self) -> str:
        """The password of the superuser of every copy."""
        return (self.folder / "password").read_text()


@cache
def template_of(installation: Installation) -> Template:
    """The template, created at first use."""
    name = hashlib.sha256(str(installation.pg_config).encode()).hexdigest()[:8]
    folder = FOLDER / f"{name}-{_key(installation)}"
    with one_at_a_time(f"template-{name}"):
        if not folder.exists():
            # No run can need them any more, because the files from which they were created are gone.
            for stale in FOLDER.glob(f"{name}-*"):
                shutil.rmtree(stale)
            _make(folder, installation)
    return Template(folder)


def copy_directory(source: Path, target: Path) -> None:
    """Copy a directory with owners and modes, without reading it into this process."""
    subprocess.run(["cp", "-Rp", source, target], check=True)


def _key(installation: Installation) -> str:
    """A digest of everything from which the directory is created."""
    extension = installation.folder("sharedir") / "extension"
    files = [
        installation.bindir / "postgres",
        *sorted(installation.folder("pkglibdir").glob("litellm_spend.*")),
        *sorted(extension.glob("litellm_spend*")),
        *(Path(module.__file__ or "") for module in (clusters, litellm_schema)),
        Path(__file__),
        *NEWEST.added_files(),
    ]
    digest = hashlib.sha256(f"{server_user().name} {NEWEST}".encode())
    for file in files:
        digest.update(f"{file} {file.stat().st_size} ".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:24]


def _make(folder: Path, installation: Installation) -> None:
    part = folder.with_suffix(".part")
    part.mkdir(parents=True, mode=0o700)
    with clusters.Cluster({"shared_preload_libraries": ""}, initdb=[], installation=installation) as cluster:
        add_litellm_template(cluster)
        cluster.create_database(LITELLM, template=NEWEST.template)
        cluster.create_database(OWN_SCHEMA)
        for database in (LITELLM, OWN_SCHEMA):
            cluster.execute("CREATE EXTENSION litellm_spend", database=database)
            if database == OWN_SCHEMA:
                cluster.execute("SELECT litellm_spend.create_tables()", database=database)
            _check(cluster, database)
            close_template(cluster, database)
        cluster.stop()
        copy_directory(cluster.data, part / "data")
        (part / "password").write_text(cluster.password)
    part.rename(folder)


def _check(cluster: clusters.Cluster, database: str) -> None:
    """Check that the extension keeps nothing about the database yet, because all copies would share it."""
    for (table,) in cluster.query(TABLES, database=database):
        rows = cluster.query(f"SELECT * FROM litellm_spend.{table}", database=database)
        assert rows == [], f"CREATE EXTENSION leaves rows in {table}: {rows}"
