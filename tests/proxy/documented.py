"""The texts that docs/cutover.md tells an operator to write, as options of `Proxy`. The tests run them unchanged."""

from __future__ import annotations

import re
from typing import Any

import yaml

from harness.postgres import PROJECT

DOCUMENT = (PROJECT / "docs" / "cutover.md").read_text()


def section(title: str) -> str:
    """The text under a heading of the document, up to the next one of its rank."""
    match = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert match, f"docs/cutover.md has no section {title}"
    return match[1]


def blocks(title: str, language: str) -> list[str]:
    """The blocks of that language in a section."""
    return re.findall(rf"^```{language}\n(.*?)^```", section(title), re.MULTILINE | re.DOTALL)


MIGRATE, CHANGE_OWNER = blocks("The extension first, LiteLLM's proxy later", "sh")
[CREATE_VIEWS] = blocks("LiteLLM's views", "sh")
[DROP_VIEWS] = blocks("Later migrations of LiteLLM's", "sh")
[ROLLED_BACK] = (block.removeprefix("$ ") for block in blocks("Later migrations of LiteLLM's", "console"))


def _one_writer() -> dict[str, Any]:
    [config] = blocks("One writer", "yaml")
    [module] = blocks("One writer", "python")
    match = re.match(r"# (\w+)\.py\n", module)
    assert match, "the module of docs/cutover.md begins with its file's name"
    return {**yaml.safe_load(config), "modules": {match[1]: module}}


ONE_WRITER = _one_writer()
"""A proxy whose own writer is off."""


def merged(options: dict[str, Any], others: dict[str, Any]) -> dict[str, Any]:
    """Merge options of `Proxy` section by section."""
    return {
        **options,
        **{name: {**options.get(name, {}), **section} for name, section in others.items()},
    }
