"""A configuration that cannot work is told at the first call, costs the end of the process little, and is not tried
again and again."""

from __future__ import annotations

import socket
import time
from urllib.parse import urlsplit, urlunsplit

from sdk.driving import Sdk

from conftest import new_database
from harness.cluster import Cluster, free_port
from harness.database import Database

REGISTER = "litellm.callbacks = [logger := SpendLogger(exit_timeout=20)]\n"
TWO_CALLS = "call(); call()\nwait_until(lambda: logger.stats().captured == 2, '2 calls are captured')\n"
REFUSED = "password authentication failed"


def with_password(url: str, password: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{parts.username}:{password}@{parts.hostname}:{parts.port}"))


def seconds_of_exit(sdk: Sdk, url: str | None) -> float:
    """How long the process lived after its last line."""
    code = (
        f"{REGISTER}{TWO_CALLS}wait_until(lambda: logger.stats().last_error, 'a failed attempt')\nsay(at=time.time())"
    )
    at = sdk.run_code(code, url=url).sdk["at"]
    return time.time() - at


def test_a_wrong_configuration_delays_the_exit_less_than_a_server_that_is_away(database: Database, newest: Sdk) -> None:
    away = seconds_of_exit(newest, f"postgresql://127.0.0.1:{free_port()}/none")
    wrong = {
        "no URL": None,
        "no URL that can be read": "postgresql://app:p@ss@/x@y/litellm",
        "wrong password": with_password(database.url, "wrong"),
        "no such database": database.url.replace(database.name, "nothing"),
    }
    waited = {name: seconds_of_exit(newest, url) for name, url in wrong.items()}
    assert all(seconds < away / 3 for seconds in waited.values()), (waited, away)


def test_a_missing_url_is_told_at_the_first_call_and_not_at_the_first_record(newest: Sdk) -> None:
    code = f"""
{REGISTER}
logger._outbox.put = None
call()
"""
    first, *_ = newest.run_code(code, url=None).log_lines()
    assert first.startswith("litellm_spend: ERROR cannot record spend: no database URL: ")


def test_a_wrong_password_is_not_tried_again_and_again(own_cluster: Cluster, newest: Sdk) -> None:
    database = new_database(own_cluster)
    code = f"{REGISTER}{TWO_CALLS}for _ in range(8): logger.flush(60)\n"
    newest.run_code(code, url=with_password(database.url, "wrong"))
    # Each flush waits a second at most, and so does the exit.
    assert 1 <= own_cluster.log().count(REFUSED) <= 4


def test_records_are_sent_when_the_grant_is_there_at_last(own_cluster: Cluster, newest: Sdk) -> None:
    database = new_database(own_cluster)
    own_cluster.execute("CREATE ROLE app LOGIN PASSWORD 'secret'")
    url = with_password(database.url, "secret").replace("postgres:secret", "app:secret")
    code = f"""{REGISTER}{TWO_CALLS}
wait_until(lambda: logger.stats().last_error, "the role is refused")
say(grant=1); sys.stdin.readline()
wait_until(lambda: logger.stats().sent == 2, "the records are sent")
"""
    with newest.start_code(code, url=url) as program:
        assert "grant" in program.stdout.readline(), program.log()
        own_cluster.execute("GRANT litellm_spend_writer TO app")
        program.stdin.write("\n")
        assert program.wait(120) == 0, program.log()


def test_a_server_that_hangs_at_exit_gets_the_exit_timeout_and_no_more(newest: Sdk) -> None:
    code = f"{REGISTER.replace('20', '1')}{TWO_CALLS}say(at=time.time())"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://app@127.0.0.1:{silent.getsockname()[1]}/none"
        ran = newest.run_code(code, url=url)
    assert ran.log_lines()[-1].startswith("litellm_spend: ERROR 2 spend records are lost at exit: ")
