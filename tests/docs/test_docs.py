"""The SQL and Python that the documents show runs as it is written there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.database import Database
from harness.interpreter import Interpreter
from harness.postgres import PROJECT

# The applications of this document run under servers of their own: see tests/client/test_recipes.py.
RECIPES = PROJECT / "docs" / "recipes.md"
PAGES = sorted({*(PROJECT / "docs").glob("*.md")} - {RECIPES})
DOCUMENTS = [PROJECT / "README.md", PROJECT / "python" / "README.md", *PAGES]


def blocks(language: str) -> list[tuple[str, str]]:
    """(where, text) of each fenced block of a language."""
    fence = re.compile(rf"^```{language}\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return [(path.name, match[1]) for path in DOCUMENTS for match in fence.finditer(path.read_text())]


def test_there_is_something_to_run() -> None:
    assert blocks("sql") and blocks("python")


def test_the_sql_of_the_documents_runs_in_an_empty_database(empty_database: Database) -> None:
    # The reader has these roles.
    for role in ("my_application", "my_shipper"):
        empty_database.execute(f"DO $$ BEGIN CREATE ROLE {role}; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    for where, text in blocks("sql"):
        # psql gets one statement at a time, because several in one -c are a transaction, which flush() refuses.
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
    database: Database, interpreter: Interpreter, where: str, text: str, tmp_path: Path
) -> None:
    interpreter.run(tmp_path / where, url=database.url, code=text)
