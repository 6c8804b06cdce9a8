"""What is in the spool outlives the process that wrote it, and belongs to one process at a time."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from litellm_spend._delivery import spool_directory
from litellm_spend._delivery.outbox import Outbox
from litellm_spend._delivery.spool import Spool
from litellm_spend._delivery.spool_directory import SpoolDirectory, SpoolUnusable

HERE = "db.example.com:5432/litellm"
KILLED = "os.kill(os.getpid(), 9)"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "of" / "spool"


def spool(path: Path, destination: str = HERE, *, has_before_send: bool = False, max_bytes: int = 10**9) -> Spool:
    return Spool(SpoolDirectory(path, max_bytes), lambda: destination, has_before_send=has_before_send)


def outbox(of: Spool, *, max_queue: int = 10) -> Outbox:
    return Outbox(max_queue=max_queue, batch_size=10, spool=of)


def left_by_another_process(path: Path, *records: str, ends: str = KILLED, **options: object) -> None:
    """Another process writes these records and ends."""
    program = f"""
import os, sys
sys.path[:0] = {sys.path!r}
from test_spool import spool, Path
one = spool(Path({str(path)!r}), **{options!r})
for record in {records!r}:
    assert one.put(record)
{ends}
"""
    folder = str(Path(__file__).parent)
    subprocess.run([sys.executable, "-c", program], cwd=folder, env={**os.environ, "PYTHONPATH": folder}, timeout=60)


def names(path: Path) -> list[str]:
    return sorted(file.suffix for file in path.iterdir())


def sent(of: Outbox) -> list[str | bytes]:
    """Sends all that waits, as the sender does."""
    records: list[str | bytes] = []
    while batch := of.next_batch(2) or of.next_left_batch(2):
        records += [item.record for item in batch.items]
        of.settle(batch)
    return records


def test_what_a_killed_process_captured_is_sent_by_a_later_one(path: Path) -> None:
    left_by_another_process(path, "a", "b", "c")
    later = outbox(spool(path))
    later.put("d")
    assert sent(later) == ["d", "a", "b", "c"]
    stats = later.stats()
    assert (stats.captured, stats.sent, stats.recovered, stats.queued) == (1, 1, 3, 0)
    assert names(path) == [".lock", ".sqlite3", ".sqlite3-wal"], "the file of the killed process is removed"


def test_what_was_not_sent_when_the_process_ended_is_sent_by_a_later_one(path: Path) -> None:
    one = spool(path)
    first = outbox(one)
    for record in "abc":
        first.put(record)
    batch = first.next_batch(1)
    assert batch is not None
    first.settle(batch)
    assert first.drop_all() == 0
    one.release()
    assert first.next_batch(10) is None, "a file that was released is not read any more"
    assert sent(outbox(spool(path))) == ["b", "c"]


def test_a_process_that_sent_everything_leaves_nothing(path: Path) -> None:
    one = spool(path)
    first = outbox(one)
    first.put("a")
    assert sent(first) == ["a"]
    one.release()
    assert names(path) == []


def test_the_file_of_a_living_process_is_left_alone(path: Path) -> None:
    living, other = outbox(of := spool(path)), outbox(spool(path))
    living.put("a")
    of.before_fork()  # SQLite's own lock is free meanwhile
    assert sent(other) == []
    of.after_fork_in_parent()
    assert sent(living) == ["a"]


def test_two_processes_do_not_send_the_same_file(path: Path) -> None:
    left_by_another_process(path, "a", "b", "c")
    first, second = outbox(spool(path)), outbox(spool(path))
    batch = first.next_left_batch(1)
    assert batch is not None
    assert second.next_left_batch(10) is None
    first.settle(batch)
    assert sent(first) == ["b", "c"]


def test_records_go_only_to_the_database_that_they_are_for(path: Path) -> None:
    left_by_another_process(path, "a", destination="elsewhere:5432/litellm")
    assert sent(outbox(spool(path))) == []
    assert sent(outbox(spool(path, "elsewhere:5432/litellm"))) == ["a"]


def test_records_whose_process_had_a_before_send_wait_for_one_that_has_it_too(path: Path) -> None:
    left_by_another_process(path, "a", has_before_send=True)
    assert sent(outbox(spool(path))) == []
    assert sent(outbox(spool(path, has_before_send=True))) == ["a"]


def test_a_full_spool_leaves_records_to_memory_and_a_full_memory_drops_them(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one = outbox(spool(path, max_bytes=100_000), max_queue=3)
    accepted = [one.put("x" * 10_000) for _ in range(20)]
    stats = one.stats()
    assert 3 < stats.spooled < 12 and stats.queued == stats.spooled + 3
    assert accepted == [True] * stats.queued + [False] * stats.dropped
    assert stats.dropped == 20 - stats.queued
    assert len(sent(one)) == stats.queued
    assert one.put("x" * 10_000) and one.stats().spooled == 1, "the space of sent records is used again"
    [line] = [record.message for record in caplog.records]
    assert "spool_max_mb" in line


def test_a_spool_that_cannot_be_used_is_told_once_and_records_stay_in_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    one = outbox(spool(tmp_path / "file"))
    assert one.put("a") and one.put("b")
    assert one.stats().spooled == 0 and sent(one) == ["a", "b"]
    [line] = [record.message for record in caplog.records]
    assert line.startswith("records are kept in memory only, because the spool cannot be used: ")


def test_a_directory_is_for_its_user_alone(path: Path) -> None:
    spool(path).put("a")
    modes = {stat.S_IMODE(file.stat().st_mode) for file in path.iterdir()}
    assert stat.S_IMODE(path.stat().st_mode) == 0o700 and modes == {0o600}


@pytest.mark.parametrize("mode", [0o755, 0o777, 0o770])
def test_a_directory_that_others_can_enter_is_refused(path: Path, mode: int) -> None:
    path.mkdir(parents=True)
    path.chmod(mode)
    with pytest.raises(SpoolUnusable, match="chmod 700"):
        SpoolDirectory(path, 10**9).prepare()


def test_a_network_file_system_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_directory, "_network_file_system", lambda device: "nfs4")
    with pytest.raises(SpoolUnusable, match="local disk"):
        SpoolDirectory(path, 10**9).prepare()


def test_the_file_system_of_a_device_is_read_from_the_kernel(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = path.parent.parent.stat().st_dev
    assert spool_directory._network_file_system(device) is None
    kinds = {line.split(" - ")[1].split(" ")[0] for line in Path("/proc/self/mountinfo").read_text().splitlines()}
    monkeypatch.setattr(spool_directory, "_NETWORK_FILE_SYSTEMS", frozenset(kinds))
    assert spool_directory._network_file_system(os.stat("/proc").st_dev) == "proc"


def corrupt(path: Path) -> None:
    for file in path.glob("*.sqlite3*"):
        file.write_bytes(b"no database at all" * 1000)


def test_a_corrupt_file_of_an_earlier_process_is_set_aside(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    left_by_another_process(path, "a")
    corrupt(path)
    left_by_another_process(path, "b")
    assert sent(outbox(spool(path))) == ["b"]
    assert ".corrupt" in names(path) and ".sqlite3" not in names(path)
    assert "is corrupt and is renamed" in caplog.text
    caplog.clear()
    assert sent(outbox(spool(path))) == [] and not caplog.text


def test_a_process_whose_file_is_removed_starts_another_one(path: Path) -> None:
    one = outbox(of := spool(path))
    one.put("a")
    for file in path.iterdir():
        file.unlink()
    of.before_fork()
    of.after_fork_in_parent()
    one.put("b")
    assert sent(one) == ["b"] and one.stats().spooled == 0


def test_a_file_of_a_later_form_is_left_where_it_is(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    left_by_another_process(path, "a")
    [file] = path.glob("*.sqlite3")
    with sqlite3.connect(file) as database:
        database.execute("PRAGMA user_version = 2")
    database.close()
    assert sent(outbox(spool(path))) == []
    assert file.exists() and "another form" in caplog.text


def test_a_forked_child_writes_a_file_of_its_own_and_the_parent_keeps_its_lock(path: Path) -> None:
    parent = outbox(of := spool(path))
    parent.put("parent 1")
    of.before_fork()
    pid = os.fork()
    if pid == 0:
        child = outbox(of.copy_for_child())
        os._exit(0 if child.put("child") and sent(child) == ["child"] else 1)
    of.after_fork_in_parent()
    assert os.waitpid(pid, 0)[1] == 0
    parent.put("parent 2")
    assert sent(outbox(spool(path))) == [], "the parent's file is still locked, although its child is gone"
    assert sent(parent) == ["parent 1", "parent 2"]


def test_a_child_that_lives_on_does_not_keep_its_dead_parents_file(path: Path) -> None:
    ends = """
reader, writer = os.pipe()
one.before_fork()
if os.fork() == 0:
    one.copy_for_child()
    os.write(writer, b"!")
    import time
    time.sleep(600)
one.after_fork_in_parent()
os.read(reader, 1)
os.kill(os.getpid(), 9)
"""
    left_by_another_process(path, "a", ends=ends)
    assert sent(outbox(spool(path))) == ["a"]
    subprocess.run(["pkill", "-f", str(path)], check=True)


def test_a_record_is_written_before_put_returns(path: Path) -> None:
    one = spool(path)
    one.put("a")
    one.before_fork()
    [file] = path.glob("*.sqlite3")
    database = sqlite3.connect(file)
    assert database.execute("SELECT number, record FROM records").fetchall() == [(1, "a")]
    database.close()
    one.after_fork_in_parent()


def test_records_that_are_set_aside_are_text_for_this_user_alone(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    one = outbox(of := spool(path))
    one.put('{"id":"a"}')
    batch = one.next_batch(1)
    assert batch is not None
    aside = of.directory.set_aside(batch.items)
    one.settle(batch, set_aside=True)
    assert aside.read_text() == '{"id":"a"}\n' and stat.S_IMODE(aside.stat().st_mode) == 0o600
    assert one.stats().set_aside == 1 and one.pending() == 0 and sent(one) == []


def test_a_record_that_comes_after_the_release_is_in_another_file(path: Path) -> None:
    """While a process ends, one thread may release the spool and another one still capture."""
    one = outbox(of := spool(path))
    one.put("a")
    assert sent(one) == ["a"]
    of.release()
    assert one.put("b") and one.stats().spooled == 1
    of.release()
    assert sent(outbox(spool(path))) == ["b"]


def test_a_file_with_a_record_is_not_removed_by_a_release(path: Path) -> None:
    file = SpoolDirectory(path, 10**9)
    file.prepare()
    locked = file.create()
    locked.put("a")
    assert not locked.close_if_empty()
    batch = locked.take(1, 100)
    locked.settle(batch)
    assert locked.close_if_empty()
    with pytest.raises(sqlite3.Error):
        locked.put("b")
    locked.remove()


def test_what_others_put_into_the_directory_is_left_alone(path: Path) -> None:
    spool(path).directory.prepare()
    names = ["uv.lock", "db.lock", "draft.new", "0123.lock"]
    for name in names:
        (path / name).touch()
        os.utime(path / name, (0, 0))
    foreign = path / f"{'0' * 32}.sqlite3"
    foreign.with_suffix(".lock").touch()
    with sqlite3.connect(foreign) as database:
        database.execute("CREATE TABLE of_somebody (a)")
    database.close()
    assert sent(outbox(spool(path))) == []
    assert all((path / name).exists() for name in names) and foreign.exists()


def test_a_damaged_file_does_not_keep_the_others_back(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for record in "abc":
        left_by_another_process(path, record)
    damaged, *_ = sorted(path.glob("*.sqlite3"))
    with sqlite3.connect(damaged) as database:
        database.execute("DROP TABLE about")
    database.close()
    assert len(sent(outbox(of := spool(path)))) == 2
    assert of.broken == 1 and "is corrupt and is renamed" in caplog.text


def test_a_directory_that_others_can_write_is_not_read_either(path: Path) -> None:
    left_by_another_process(path, "forged")
    path.chmod(0o777)
    assert sent(outbox(spool(path))) == []


def test_a_spool_is_used_again_when_its_disk_has_room(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("litellm_spend._delivery.spool._UNUSABLE_SECONDS", 0.0)
    one = outbox(of := spool(path))
    prepare = of.directory.prepare
    monkeypatch.setattr(of.directory, "prepare", fail)
    assert one.put("a") and one.stats().spooled == 0
    monkeypatch.setattr(of.directory, "prepare", prepare)
    assert one.put("b") and one.stats().spooled == 1
    assert sent(one) == ["a", "b"]


def fail() -> None:
    raise OSError(28, "No space left on device")


def test_records_of_a_process_that_knew_no_database_wait_until_it_knows_one(path: Path) -> None:
    known = ""
    one = outbox(of := Spool(SpoolDirectory(path, 10**9), lambda: known, has_before_send=False))
    one.put("a")
    of.release()
    assert sent(outbox(spool(path))) == [], "nobody knows where they belong"
    two = outbox(of := Spool(SpoolDirectory(path, 10**9), lambda: known, has_before_send=False))
    two.put("b")
    known = HERE
    two.put("c")
    of.release()
    assert sent(outbox(spool(path))) == ["b", "c"]
