"""The tests that the documents name as those which hold a promise are there."""

from __future__ import annotations

import re

import pytest

from harness.postgres import PROJECT

NAMED = re.compile(r"`(?P<file>[a-z]+/test_\w+\.py)(?:::(?P<test>test_\w+))?|`…::(?P<again>test_\w+)")


def named(document: str) -> list[tuple[str, str | None]]:
    """(file, function) of each test that is named, "…" meaning the file named last."""
    found, last = [], ""
    for match in NAMED.finditer((PROJECT / "docs" / document).read_text()):
        last = match["file"] or last
        found.append((last, match["test"] or match["again"]))
    return found


@pytest.mark.parametrize("document", ["security.md", "invariants.md"])
def test_each_test_that_is_named_is_there(document: str) -> None:
    tests = named(document)
    assert tests
    missing = [
        (file, function)
        for file, function in tests
        if not (path := PROJECT / "tests" / file).exists()
        or (function and not re.search(rf"^def {function}\b", path.read_text(), re.MULTILINE))
    ]
    assert missing == []
