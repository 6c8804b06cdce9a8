"""With `spool_dir`, what was captured outlives the process, and is counted once."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from sdk.driving import GIVE_UP_SOON, Sdk, user_spend

from conftest import new_database
from harness.cluster import Cluster, free_port
from harness.database import Database

CALLS = 'SELECT "user", count(*) FROM "LiteLLM_SpendLogs" GROUP BY 1 ORDER BY 1'
NOWHERE = "postgresql://127.0.0.1:{}/none"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def register(folder: Path, **options: object) -> str:
    given = "".join(f", {name}={value!r}" for name, value in options.items())
    return f"import signal\nlitellm.callbacks = [logger := SpendLogger(spool_dir={str(folder)!r}{given})]\n"


KILL = "\nos.kill(os.getpid(), signal.SIGKILL)"
THREE_CALLS = """
for _ in range(3): call("spooled")
wait_until(lambda: logger.stats().captured == 3, "3 calls are captured")
assert logger.stats().spooled == logger.stats().queued, logger.stats()
"""
# A process that only sends what others left. It needs a record of its own to start.
LATER = 'call("later")\nwait_until(lambda: logger.stats().recovered == {}, "what was left is sent")'


# What is captured from here on was captured four months ago.
LONG_AGO = """
from litellm_spend._delivery import spool_file
spool_file.time = type("", (), {"time": lambda: time.time() - 1e7})
"""


def recorded(database: Database) -> list[tuple]:
    database.wait_folded()
    return database.query(CALLS)


def killed(sdk: Sdk, code: str, *, url: str | None) -> None:
    with sdk.start_code(code + KILL, url=url) as program:
        assert program.wait(60) == -signal.SIGKILL, program.log()


def test_what_a_killed_process_captured_is_recorded_once_by_the_next(
    database: Database, litellm: Sdk, folder: Path
) -> None:
    killed(litellm, register(folder, flush_interval=600) + THREE_CALLS, url=database.url)
    litellm.run_code(register(folder) + LATER.format(3), url=database.url)
    assert recorded(database) == [("later", 1), ("spooled", 3)]
    assert list(folder.iterdir()) == []


def test_a_process_that_ends_at_once_sends_what_was_left_too(database: Database, newest: Sdk, folder: Path) -> None:
    killed(newest, register(folder, flush_interval=600) + THREE_CALLS, url=database.url)
    newest.run_code(register(folder) + 'call("later")', url=database.url)
    assert recorded(database) == [("later", 1), ("spooled", 3)]
    assert list(folder.iterdir()) == []


def test_a_record_that_was_sent_and_not_removed_when_the_process_died_counts_once(
    database: Database, newest: Sdk, folder: Path
) -> None:
    dies_after_sending = """
from litellm_spend._delivery.spool_file import SpoolFile
SpoolFile.settle = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
for _ in range(3): call("spooled")
time.sleep(600)
"""
    killed(newest, register(folder, flush_interval=0.5) + dies_after_sending, url=database.url)
    assert recorded(database) == [("spooled", 3)]
    newest.run_code(register(folder) + LATER.format(3), url=database.url)
    assert recorded(database) == [("later", 1), ("spooled", 3)]
    assert database.status()["duplicates"] == 3


def test_an_exit_while_the_server_is_away_keeps_the_records_and_says_where(
    database: Database, litellm: Sdk, folder: Path
) -> None:
    url = NOWHERE.format(free_port())
    ran = litellm.run_code(register(folder, database_url=url) + THREE_CALLS, url=None)
    *_, kept = ran.log_lines()
    assert kept.startswith(f"litellm_spend: WARNING 3 spend records are kept in {folder} at exit: ")
    assert kept.endswith("The next process with this spool_dir or litellm-spend drain sends them")
    assert "lost" not in ran.log


def test_the_records_of_another_database_wait_for_a_process_of_that_database(
    database: Database, other_database: Database, newest: Sdk, folder: Path
) -> None:
    killed(newest, register(folder, flush_interval=600) + THREE_CALLS, url=other_database.url)
    newest.run_code(register(folder) + "call('later'); assert logger.flush(); time.sleep(0.5)", url=database.url)
    assert recorded(database) == [("later", 1)] and recorded(other_database) == []
    newest.run_code(register(folder) + LATER.format(3), url=other_database.url)
    assert recorded(other_database) == [("later", 1), ("spooled", 3)]


def test_more_records_than_memory_takes_wait_while_the_server_is_away(
    own_cluster: Cluster, newest: Sdk, folder: Path
) -> None:
    database = new_database(own_cluster)
    code = (
        register(folder, max_queue=2)
        + """
call("before"); assert logger.flush()
say(stop=1); sys.stdin.readline()
for _ in range(50): call("during")
wait_until(lambda: logger.stats().captured == 51, "the calls are captured")
assert (logger.stats().dropped, logger.stats().spooled) == (0, 50), logger.stats()
say(start=1); sys.stdin.readline()
assert logger.flush(60), logger.stats()
"""
    )
    with newest.start_code(code, url=database.url) as program:
        assert "stop" in program.stdout.readline(), program.log()
        database.close()
        own_cluster.stop()
        program.stdin.write("\n")
        assert "start" in program.stdout.readline(), program.log()
        own_cluster.start()
        program.stdin.write("\n")
        assert program.wait(60) == 0, program.log()
    assert recorded(database) == [("before", 1), ("during", 50)]


def test_forked_children_have_files_of_their_own(database: Database, litellm: Sdk, folder: Path) -> None:
    code = (
        register(folder)
        + """
call("parent")
children = []
for _ in range(3):
    child = os.fork()
    if child == 0:
        call("child"); assert logger.flush(), logger.stats()
        assert logger.stats().captured == 1
        sys.exit()
    children.append(child)
call("parent")
for child in children: assert os.waitpid(child, 0)[1] == 0
assert logger.flush()
"""
    )
    litellm.run_code(code, url=database.url)
    assert recorded(database) == [("child", 3), ("parent", 2)]
    assert database.status()["duplicates"] == 0 and list(folder.iterdir()) == []


def test_a_child_of_a_killed_parent_leaves_its_parents_file_to_the_next(
    database: Database, newest: Sdk, folder: Path
) -> None:
    code = register(folder, flush_interval=600) + THREE_CALLS + "if os.fork() == 0: time.sleep(3); os._exit(0)\n"
    killed(newest, code, url=database.url)
    newest.run_code(register(folder) + LATER.format(3), url=database.url)
    assert recorded(database) == [("later", 1), ("spooled", 3)]


def test_records_that_the_server_may_have_forgotten_are_set_aside(
    own_cluster: Cluster, newest: Sdk, folder: Path
) -> None:
    own_cluster.configure(**{"litellm_spend.write_spend_logs": "off", "litellm_spend.dedupe_window": "1min"})
    own_cluster.restart()
    database = new_database(own_cluster)
    killed(newest, LONG_AGO + register(folder, flush_interval=600) + THREE_CALLS, url=database.url)
    later = (
        'call("later")\nwait_until(lambda: logger.stats().set_aside == 3, "the old ones are set aside")\nlogger.flush()'
    )
    ran = newest.run_code(register(folder) + later, url=database.url)
    database.wait_folded()
    assert set(user_spend(database)) == {"later"}
    assert len((folder / "set-aside.jsonl").read_text().splitlines()) == 3
    [line] = ran.log_lines()
    assert "3 spend records of the spool are older than litellm_spend.dedupe_window" in line


def test_old_records_are_sent_to_a_server_that_keeps_its_log(database: Database, newest: Sdk, folder: Path) -> None:
    killed(newest, LONG_AGO + register(folder, flush_interval=600) + THREE_CALLS, url=database.url)
    newest.run_code(register(folder) + LATER.format(3), url=database.url)
    assert recorded(database) == [("later", 1), ("spooled", 3)]


def test_a_directory_that_cannot_be_used_is_one_warning(database: Database, litellm: Sdk, folder: Path) -> None:
    folder.mkdir(mode=0o755)
    ran = litellm.run_code(GIVE_UP_SOON + register(folder) + "call('memory'); call('memory')", url=database.url)
    assert recorded(database) == [("memory", 2)]
    assert ran.log_lines() == [
        "litellm_spend: WARNING records are kept in memory only, because the spool cannot be used: "
        f"{folder} is open to other users: name a directory that does not exist yet, or one that only this process's "
        "user can enter (chmod 700)"
    ]
