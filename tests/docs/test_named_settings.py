"""README's table of settings names each setting of the extension with the default that the server has."""

from __future__ import annotations

import re

import pytest

from harness.database import Database
from harness.postgres import PROJECT

ROW = re.compile(r"^\| `(litellm_spend\.\w+)` \| `([^`]*)` \|", re.MULTILINE)
DEFAULTS = """
    SELECT name, concat_ws(' ', boot_val, nullif(unit, '')) FROM pg_settings
    WHERE name LIKE 'litellm\\_spend.%%' AND name <> 'litellm_spend.failpoint'"""


@pytest.fixture(scope="module")
def documented() -> dict[str, str]:
    return dict(ROW.findall((PROJECT / "README.md").read_text()))


def test_each_setting_has_its_default_in_the_table(shared_database: Database, documented: dict[str, str]) -> None:
    shared_database.value("SELECT litellm_spend.health()")
    assert documented == dict(shared_database.query(DEFAULTS))


def test_each_setting_is_described_in_the_server(shared_database: Database) -> None:
    shared_database.value("SELECT litellm_spend.health()")
    bare = "SELECT name FROM pg_settings WHERE name LIKE 'litellm\\_spend.%%' AND coalesce(short_desc, '') = ''"
    assert shared_database.query(bare) == []
