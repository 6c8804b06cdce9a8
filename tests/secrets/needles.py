"""Needles are unique secrets and prompts, one for each place where they are sent. This module also searches for them
in everything that a server wrote."""

from __future__ import annotations

import re
import secrets
from collections import defaultdict
from pathlib import Path

from harness.cluster import Cluster

# The search looks only for this mark in the server's files, so it also finds a needle that was cut short.
MARK = "n33dle"
# PostgreSQL: XLOG_BLCKSZ, SizeOfXLogLongPHD and SizeOfXLogShortPHD of xlog_internal.h.
WAL_PAGE = 8192
FIRST_HEADER = 40
LATER_HEADER = 24


class Needles:
    """Needles by the place where they were sent."""

    def __init__(self) -> None:
        self._places: dict[str, str] = {}

    def key(self, place: str) -> str:
        """A raw API key."""
        return "sk-" + self._new(place)

    def prompt(self, place: str) -> str:
        """A prompt: words that a user might have written."""
        return f"please write a poem about {self._new(place)} and my mother"

    def _new(self, place: str) -> str:
        # Less than 2 kB per record, because the search cannot read what Postgres compresses.
        needle = MARK + secrets.token_hex(6)
        assert place not in self._places.values(), f"two needles in one place: {place}"
        self._places[needle] = place
        return needle

    def find(self, cluster: Cluster) -> dict[str, list[str]]:
        """The place of each needle that the server wrote, and the files under the cluster's directory that hold it."""
        found: dict[str, list[str]] = defaultdict(list)
        pattern = re.compile(MARK.encode() + rb"[0-9a-f]{0,12}")
        for file in files(cluster):
            for hit in sorted(set(pattern.findall(_content(file)))):
                place = self._places.get(hit.decode(), f"a part of a needle, {hit.decode()}")
                found[place].append(str(file.relative_to(cluster.directory)))
        return dict(found)


def _content(file: Path) -> bytes:
    """A file's bytes. WAL comes without page headers, because they would split a needle that spans two pages."""
    content = file.read_bytes()
    if file.parent.name != "pg_wal" or not re.fullmatch("[0-9A-F]{24}", file.name):
        return content
    pages = [content[at : at + WAL_PAGE] for at in range(0, len(content), WAL_PAGE)]
    headers = [FIRST_HEADER, *[LATER_HEADER] * (len(pages) - 1)]
    return b"".join(page[header:] for page, header in zip(pages, headers, strict=True))


def files(cluster: Cluster) -> list[Path]:
    """Every file of the data directory, WAL included, and the server's log."""
    cluster.execute("CHECKPOINT")
    return [cluster.log_file, *(file for file in sorted(cluster.data.rglob("*")) if file.is_file())]
