"""The tests that the documents name for a promise exist."""

from __future__ import annotations

import re

import pytest

from harness.postgres import PROJECT

NAMED = re.compile(r"`(?P<file>(?:[a-z_]+/)+test_\w+\.py)(?:::(?P<test>test_\w+))?|`…::(?P<again>test_\w+)")


def matches(document: str) -> list[re.Match[str]]:
    return list(NAMED.finditer((PROJECT / "docs" / document).read_text()))


def named(document: str) -> list[tuple[str, str | None]]:
    """(file, function) of each test that is named, "…" meaning the file named last."""
    found, last = [], ""
    for match in matches(document):
        last = match["file"] or last
        found.append((last, match["test"] or match["again"]))
    return found


@pytest.mark.parametrize("document", ["security.md", "invariants.md", "litellm.md"])
def test_each_test_that_is_named_is_there(document: str) -> None:
    tests = named(document)
    assert tests
    # A path that NAMED does not match would not be looked up.
    files = re.findall(r"\btest_\w+\.py", (PROJECT / "docs" / document).read_text())
    assert files == [match["file"].rsplit("/", 1)[1] for match in matches(document) if match["file"]]
    missing = [
        (file, function)
        for file, function in tests
        if not (path := PROJECT / file if file.startswith("python/") else PROJECT / "tests" / file).exists()
        or (function and not re.search(rf"^def {function}\b", path.read_text(), re.MULTILINE))
    ]
    assert missing == []


def test_each_rule_that_litellm_changed_names_its_test() -> None:
    """The last table of litellm.md names the tests in its last column."""
    *_, table = (PROJECT / "docs" / "litellm.md").read_text().split("\n## ")
    _, _, *rules = [line for line in table.splitlines() if line.startswith("|")]
    assert rules
    assert [rule for rule in rules if not NAMED.search(rule.rsplit(" | ", 1)[1])] == []
