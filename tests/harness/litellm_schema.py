"""LiteLLM's real schema: all migrations of litellm-proxy-extras 0.4.110, from its wheel, checked by hash."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

from .cluster import Cluster
from .postgres import PROJECT

VERSION = "0.4.110"
SHA256 = "2a488653b7e5eb97e7a2c84fb67818dfbdbd1d799cd61832f1b5d151c229e907"
MIGRATIONS = 220
CACHE = PROJECT / ".build" / "litellm-proxy-extras"


def load_litellm_schema(cluster: Cluster, database: str) -> None:
    """Apply every migration in order, each statement in a transaction of its own, as LiteLLM's proxy does."""
    files = migration_files()
    cluster.psql(*[argument for file in files for argument in ("-f", str(file))], "-o", "/dev/null", database=database)


def migration_files() -> list[Path]:
    """The migrations in byte order of their directories' names, one of which contains spaces."""
    folder = CACHE / VERSION
    if not folder.exists():
        unpack_migrations(download_wheel(), folder)
    files = sorted(folder.glob("*/migration.sql"), key=lambda file: file.parent.name.encode())
    assert len(files) == MIGRATIONS, f"{folder} holds {len(files)} migrations, not {MIGRATIONS}: remove it"
    return files


def download_wheel() -> Path:
    CACHE.mkdir(parents=True, exist_ok=True)
    requirements = CACHE / "requirements.txt"
    requirements.write_text(f"litellm-proxy-extras=={VERSION} --hash=sha256:{SHA256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--require-hashes", "--requirement", str(requirements), "--dest", str(CACHE)]
    subprocess.run(command, check=True)
    wheel = next(CACHE.glob(f"*-{VERSION}-*.whl"))
    assert hashlib.sha256(wheel.read_bytes()).hexdigest() == SHA256, f"{wheel} is not the wheel that was tested"
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
