"""Blocks of docs/cutover.md, run as an operator runs them: by sh, in a folder with LiteLLM's migrations."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from harness.database import Database
from harness.litellm_schema import NEWEST_WHEEL
from harness.postgres import bindir


def run(
    block: str,
    database: Database,
    folder: Path,
    environment: Mapping[str, str] = os.environ,
    *,
    schema: str = "public",
    fails: bool = False,
) -> str:
    """Run the block and return its output. `environment` is the operator's, which lacks psql and the database."""
    unpack_migrations(folder)
    variables = {
        **environment,
        "PATH": f"{bindir()}:{environment['PATH']}",
        "DATABASE_URL": environment.get("DATABASE_URL", database.url),
        "PGOPTIONS": f"-c search_path={schema}",
    }
    done = subprocess.run(["sh", "-c", block], cwd=folder, env=variables, capture_output=True, text=True)
    log = folder / "cutover.log"
    assert (done.returncode != 0) == fails, done.stdout + done.stderr + (log.read_text() if log.exists() else "")
    return done.stdout


def unpack_migrations(folder: Path) -> Path:
    """The unpacked package litellm_proxy_extras, put there at first use."""
    package = folder / "litellm_proxy_extras"
    if not package.exists():
        NEWEST_WHEEL.migration_files()
        shutil.copytree(NEWEST_WHEEL.folder.parent, package)
    return package
