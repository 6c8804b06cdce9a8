"""README and docs/litellm.md name each of LiteLLM's tables that a fold writes."""

from __future__ import annotations

import re

import pytest

from harness.postgres import PROJECT

WRITTEN = re.findall(r"^-- table (\w+)$", (PROJECT / "sql" / "litellm_tables.sql").read_text(), re.MULTILINE)
# A fold creates one row of it, for the organizations that it creates.
FOR_FOREIGN_KEYS = "LiteLLM_BudgetTable"
DAILY = re.compile(r"LiteLLM_Daily(\w+)Spend")


def is_named(table: str, text: str) -> bool:
    """Whether a text names a table: whole, without `LiteLLM_`, or in a list of the kinds of daily tables."""
    if f'"{table}"' in text or f"`{table.removeprefix('LiteLLM_')}`" in text:
        return True
    kind = DAILY.fullmatch(table)
    lists = re.findall(r'"LiteLLM_DailyUserSpend"` and the same for [^|.]*', text)
    return kind is not None and any(f"`{kind[1]}`" in found for found in lists)


@pytest.mark.parametrize("document", ["README.md", "docs/litellm.md"])
def test_each_table_that_a_fold_writes_is_named(document: str) -> None:
    text = (PROJECT / document).read_text()
    assert len(WRITTEN) > 20
    assert [table for table in WRITTEN if table != FOR_FOREIGN_KEYS and not is_named(table, text)] == []


def test_a_table_that_is_not_named_is_seen() -> None:
    assert not is_named("LiteLLM_DailyNothingSpend", (PROJECT / "README.md").read_text())
