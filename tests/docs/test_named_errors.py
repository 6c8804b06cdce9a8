"""docs/record.md names each SQLSTATE that a bad record raises, and no other."""

from __future__ import annotations

import re

from harness.postgres import PROJECT

RAISED = re.compile(r'=> "(\w{5})"')
NAMED = re.compile(r"^\| `(\d\w{4})` \|", re.MULTILINE)


def test_each_sqlstate_of_a_record_is_documented() -> None:
    errors = (PROJECT / "core" / "src" / "error.rs").read_text()
    body = errors.split("pub fn sqlstate", 1)[1].split("\n    }\n", 1)[0]
    raised = set(RAISED.findall(body))
    assert len(raised) >= 4
    assert set(NAMED.findall((PROJECT / "docs" / "record.md").read_text())) == raised
