"""The SQL and Python that the documents show runs as it is written there."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from harness.database import Database
from harness.postgres import PROJECT

DOCUMENTS = [PROJECT / "README.md", PROJECT / "python" / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]


def blocks(language: str) -> list[tuple[str, str]]:
    """(where, text) of each fenced block of a language."""
    fence = re.compile(rf"^```{language}\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return [(path.name, match[1]) for path in DOCUMENTS for match in fence.finditer(path.read_text())]


def test_there_is_something_to_run() -> None:
    assert blocks("sql") and blocks("python")


def test_the_sql_of_the_documents_runs_in_an_empty_database(empty_database: Database) -> None:
    # The roles, which the reader has.
    for role in ("my_application", "my_shipper"):
        empty_database.execute(f"DO $$ BEGIN CREATE ROLE {role}; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    for where, text in blocks("sql"):
        # One statement at a time: flush() refuses a transaction, which several in one -c would be.
        statements = [part.strip() for part in re.split(r";[ \t]*(?:--[^\n]*)?\n", text) if part.strip()]
        for statement in statements:
            output = empty_database.cluster.psql("-c", statement, database=empty_database.name)
            if "flush" in statement:
                assert output.split()[2] == "t", f"{where}: {statement}: {output}"
    assert empty_database.query("SELECT user_id, spend FROM litellm_usertable WHERE user_id = 'alice'") == [
        ("alice", 0.0125)
    ]


@pytest.mark.parametrize(("where", "text"), blocks("python"), ids=lambda value: value if "\n" not in value else "")
def test_the_python_of_the_documents_runs(
    database: Database, litellm_python: Path, where: str, text: str, tmp_path: Path
) -> None:
    environment = {**os.environ, "DATABASE_URL": database.url, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    script = tmp_path / "block.py"
    script.write_text(text)
    done = subprocess.run([litellm_python, script], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{where}: {done.stderr[-2000:]}"
