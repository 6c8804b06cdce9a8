"""The search itself: a needle that spans two pages of WAL is one needle."""

from __future__ import annotations

from pathlib import Path

from needles import FIRST_HEADER, LATER_HEADER, WAL_PAGE, _content


def test_a_needle_across_two_pages_of_wal_is_found_whole(tmp_path: Path) -> None:
    needle = b"n33dle0123456789ab"
    filler = b"." * (WAL_PAGE - FIRST_HEADER - 10)
    second = b"H" * LATER_HEADER + needle[10:]
    wal = b"H" * FIRST_HEADER + filler + needle[:10] + second.ljust(WAL_PAGE, b".")
    (tmp_path / "pg_wal").mkdir()
    file = tmp_path / "pg_wal" / "000000010000000000000001"
    file.write_bytes(wal)
    assert needle not in wal
    assert needle in _content(file)
