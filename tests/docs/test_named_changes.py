"""docs/invariants.md names for each invariant a change of one line with which its test was seen to fail. The line must
still be there, because a change that nobody can make any more proves nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.postgres import PROJECT

TABLE = PROJECT / "docs" / "invariants.md"
FILE = re.compile(r"[\w./-]+\.(?:rs|py|sql|sh|pl|md)")
# A cell may say these words in place of a text from the file.
IN_WORDS = ("the same", "any line of", "the row above")


def changes() -> Iterator[tuple[str, str]]:
    """(file, text that the change replaces), for each change of each row."""
    for line in TABLE.read_text().splitlines():
        cells = re.split(r"(?<!\\)\|", line)
        if line.startswith("| ") and len(cells) == 6 and cells[1].strip() not in ("invariant", "---"):
            yield from changes_of(cells[4].replace("\\|", "|"))


def changes_of(cell: str) -> Iterator[tuple[str, str]]:
    file = ""
    for quoted, arrow in re.findall(r"(`[^`]*`|``.*?``)( →)?", cell):
        text = quoted.strip("`")
        if FILE.fullmatch(text):
            file = text
        elif arrow and file:
            yield file, text


def source(file: str) -> Path:
    found = [path for path in (PROJECT / file, PROJECT / "python" / "src" / "litellm_spend" / file) if path.is_file()]
    assert found, f"docs/invariants.md names {file}, which is not there"
    return found[0]


def stands(text: str, file: str) -> bool:
    """Whether the file has the parts of a text, which `…` divides, in this order."""
    code = " ".join(source(file).read_text().split())
    at = 0
    for part in text.split("…"):
        at = code.find(" ".join(part.split()), at)
        if at < 0:
            return False
    return True


@pytest.mark.parametrize(("file", "text"), sorted(set(changes())))
def test_the_line_that_a_change_replaces_is_there(file: str, text: str) -> None:
    assert stands(text, file), f"{file} has no {text}: name the change that its test fails with now"


def test_a_text_that_is_not_there_is_seen() -> None:
    assert len(set(changes())) > 100
    assert not stands("nothing that any source says … ever", "src/lib.rs")
