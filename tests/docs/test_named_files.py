"""Each file and folder that the maintainers' documents name is there."""

from __future__ import annotations

import re

import pytest

from harness.postgres import PROJECT

PATH = re.compile(
    r"(?<![\w./-])(?:src|core|sql|tests|scripts|python|docs|benches|fuzz|demo)/[\w./-]*\w/?(?![-*\w])|[A-Z]\w+\.(?:toml|md)"
)


def named(document: str) -> list[str]:
    """The paths in the code spans and blocks of a document."""
    text = (PROJECT / document).read_text()
    spans = re.findall(r"```\n.*?```|`[^`\n]+`", text, re.DOTALL)
    return [path for span in spans for path in PATH.findall(span) if "VERSION" not in span]


@pytest.mark.parametrize("document", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_each_path_is_there(document: str) -> None:
    paths = named(document)
    assert len(paths) > 10
    assert [path for path in paths if not (PROJECT / path).exists()] == []
