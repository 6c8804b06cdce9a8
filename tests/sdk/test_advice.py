"""Each problem that a real server can have makes one line, which says what, where and what to do."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest

from conftest import new_database
from harness.cluster import Cluster, free_port
from harness.database import Database
from harness.waiting import wait_until

from .driving import Sdk

SECRET = "needle-4711"
CODE = """
litellm.callbacks = [logger := SpendLogger(send_timeout=float(sys.argv[1]))]
call()
wait_until(lambda: logger.stats().last_error, "a first attempt to send")
os._exit(0)
"""
PROBLEM = "litellm_spend: ERROR cannot record spend: "
KEPT = ". Records are kept and sent again later"
CORRECT = "correct the database URL"
START = "start it, or correct the host and the port in the database URL"
LOCKS = "SELECT pid, mode, relation::regclass FROM pg_locks WHERE relation::regclass::text ~ '^litellm_spend'"
# The first lines that match admit or refuse. The others are those of initdb: TCP asks for a password by scram-sha-256.
PG_HBA = """
host all rejected all reject
host all by_ident all ident
"""
ROLES = f"""
CREATE ROLE app LOGIN PASSWORD '{SECRET}' IN ROLE litellm_spend_writer;
CREATE ROLE stranger LOGIN PASSWORD '{SECRET}';
CREATE ROLE rejected LOGIN PASSWORD '{SECRET}';
CREATE ROLE by_ident LOGIN PASSWORD '{SECRET}';
CREATE ROLE no_login PASSWORD '{SECRET}';
CREATE ROLE crowded LOGIN PASSWORD '{SECRET}' CONNECTION LIMIT 0;
CREATE ROLE slow LOGIN PASSWORD '{SECRET}' IN ROLE litellm_spend_writer;
CREATE DATABASE nothing;
CREATE DATABASE private;
REVOKE CONNECT ON DATABASE private FROM PUBLIC;
CREATE DATABASE closed ALLOW_CONNECTIONS false;
"""


@dataclass
class Server:
    database: Database

    def url(self, role: str = "app", database: str | None = None, password: str | None = SECRET, more: str = "") -> str:
        login = role if password is None else f"{role}:{password}"
        return f"postgresql://{login}@{self.place}/{database or self.database.name}{more}"

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.database.cluster.port}"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Cluster() as cluster:
        database = new_database(cluster)
        for statement in ROLES.strip().split("\n"):
            database.execute(statement)
        hba = cluster.data / "pg_hba.conf"
        hba.write_text(PG_HBA + hba.read_text())
        database.query("SELECT pg_reload_conf()")
        yield Server(database)
        database.close()


def line(newest: Sdk, url: str, send_timeout: float = 30.0) -> str:
    """What the one line says that the callback logs. The process ends before a second attempt to send."""
    ran = newest.run_code(CODE, str(send_timeout), url=url)
    assert SECRET not in ran.log
    [problem] = ran.log_lines()
    assert problem.startswith(PROBLEM) and problem.endswith(KEPT)
    return problem.removeprefix(PROBLEM).removesuffix(KEPT)


def test_a_wrong_password_and_an_unknown_role(server: Server, newest: Sdk) -> None:
    for role in ("app", "nobody"):
        assert line(newest, server.url(role, password="wrong")) == (
            f'the server at {server.place} refuses the password of role "{role}", or has no such role: {CORRECT}, and '
            "percent-encode special characters in it"
        )


def test_no_password(server: Server, newest: Sdk) -> None:
    assert line(newest, server.url(password=None)) == (
        f'the server at {server.place} asks for a password of role "app", and none is given: add it to the database URL'
    )


def test_an_unknown_role_that_needs_no_password(server: Server, newest: Sdk) -> None:
    cluster = server.database.cluster
    socket_path = f"{cluster.directory}/.s.PGSQL.{cluster.port}"
    assert line(newest, cluster.url(user="nobody")) == (
        f'the server on the socket {socket_path} has no role "nobody": create it, or {CORRECT}'
    )


def test_a_role_that_may_not_log_in(server: Server, newest: Sdk) -> None:
    assert line(newest, server.url("no_login")) == (
        f'role "no_login" may not log in to the server at {server.place}: run ALTER ROLE no_login LOGIN'
    )


def test_another_authentication_than_a_password(server: Server, newest: Sdk) -> None:
    assert line(newest, server.url("by_ident")) == (
        f'the server at {server.place} refuses role "by_ident", because pg_hba.conf asks for Ident authentication: '
        "correct the role in the database URL, or change pg_hba.conf"
    )


def test_a_role_that_pg_hba_does_not_admit(server: Server, newest: Sdk) -> None:
    assert line(newest, server.url("rejected")) == (
        f'pg_hba.conf of the server at {server.place} does not admit role "rejected" to database '
        f'"{server.database.name}" from here without SSL: add a line to pg_hba.conf, or sslmode=require to the '
        "database URL if the server takes only SSL"
    )


def test_an_unknown_database(server: Server, newest: Sdk) -> None:
    assert line(newest, server.url(database="none")) == (
        f'the server at {server.place} has no database "none": create it, or {CORRECT}'
    )


def test_a_database_that_the_role_may_not_connect_to(server: Server, newest: Sdk) -> None:
    assert line(newest, server.url(database="private")) == (
        f'role "app" may not connect to database "private" of the server at {server.place}: run GRANT CONNECT ON '
        "DATABASE private TO app"
    )


def test_a_database_that_takes_no_connections(server: Server, newest: Sdk) -> None:
    assert line(newest, server.url(database="closed")) == (
        f'database "closed" of the server at {server.place} takes no connections: run ALTER DATABASE ... '
        "ALLOW_CONNECTIONS true"
    )


def test_a_role_that_has_no_connection_left(server: Server, newest: Sdk) -> None:
    assert line(newest, server.url("crowded")) == full(server.place, "crowded")


def full(place: str, role: str) -> str:
    return (
        f'the server at {place} has no free connection for role "{role}": raise max_connections (or the limit of the '
        "role, of the database or of pgbouncer), or close connections"
    )


def test_ssl_that_the_server_does_not_have(server: Server, newest: Sdk) -> None:
    assert line(newest, server.url(more="?sslmode=require")) == (
        f"the server at {server.place} has no SSL, and the database URL asks for it: set ssl = on in the server, or "
        "remove sslmode and sslaccept from the database URL"
    )


def test_a_setting_that_the_server_refuses(server: Server, newest: Sdk) -> None:
    assert line(newest, server.url(more="?options=-c%20no_setting%3D1")) == (
        f"the server at {server.place} refuses a setting that the database URL or PGOPTIONS passes to it: unrecognized "
        'configuration parameter "no_setting"'
    )


def test_a_database_without_the_extension(server: Server, newest: Sdk) -> None:
    assert line(newest, server.url(database="nothing")) == (
        "the database has no function litellm_record_spend: run CREATE EXTENSION litellm_spend in that database "
        "(SQLSTATE 42883)"
    )


def test_a_role_without_the_grant(server: Server, newest: Sdk) -> None:
    assert line(newest, server.url("stranger")) == (
        "the role may not record spend: GRANT litellm_spend_writer TO stranger (SQLSTATE 42501)"
    )


def test_locked_staging_tables(server: Server, newest: Sdk) -> None:
    with server.database.connect(autocommit=False) as other:
        for segment in range(3):
            other.execute(f"LOCK TABLE litellm_spend.staging_{segment} IN ACCESS EXCLUSIVE MODE")
        assert line(newest, server.url()) == (
            "other sessions have locked litellm_spend.staging_0 to staging_2, or one table longer than the role's "
            f"lock_timeout allows: end the sessions that this query names: {LOCKS} (SQLSTATE 55P03)"
        )
        holders = server.database.query(LOCKS)
        assert (other.info.backend_pid, "AccessExclusiveLock", "litellm_spend.staging_1") in holders


@pytest.fixture
def waiting_role(server: Server) -> Iterator[str]:
    """A role whose calls wait for somebody who holds a lock."""
    with server.database.connect(autocommit=False) as holder:
        holder.execute("LOCK TABLE pg_catalog.pg_extension IN ACCESS EXCLUSIVE MODE")
        yield "slow"
        holder.rollback()
    server.database.execute("ALTER ROLE slow RESET ALL")


def test_a_call_that_statement_timeout_ends(server: Server, newest: Sdk, waiting_role: str) -> None:
    server.database.execute("ALTER ROLE slow SET statement_timeout = '100ms'")
    assert line(newest, server.url(waiting_role)) == (
        "the server cancelled the call: raise the role's statement_timeout or lower batch_size (SQLSTATE 57014)"
    )


def test_a_call_that_does_not_answer(server: Server, newest: Sdk, waiting_role: str) -> None:
    assert line(newest, server.url(waiting_role), send_timeout=1) == (
        "the server did not answer a call within send_timeout, or before the process ended: if a session has locked a "
        f"table of the schema litellm_spend, end it ({LOCKS}); if not, look at the network and at the server's load"
    )


def test_a_standby(server: Server, newest: Sdk) -> None:
    with Cluster(standby_of=server.database.cluster) as standby:
        place = f"127.0.0.1:{standby.port}"
        url = server.url().replace(server.place, place)
        assert line(newest, url) == (
            "the server is read-only (a standby?): point the database URL at the primary (SQLSTATE 25006)"
        )
        assert line(newest, url + "?target_session_attrs=read-write") == (
            f"the server at {place} is not what target_session_attrs of the database URL asks for: name the primary in "
            "the database URL"
        )


def test_of_two_hosts_both_are_told_and_the_one_that_answers_is_explained(server: Server, newest: Sdk) -> None:
    dead = f"127.0.0.1:{free_port()}"
    url = server.url(database="none")
    assert line(newest, url.replace(server.place, f"{dead},{server.place}")) == (
        f'the server at {server.place} has no database "none": create it, or {CORRECT}; the other hosts failed too: '
        f"{dead} (it refuses the connection)"
    )


def test_a_port_where_nobody_listens(newest: Sdk) -> None:
    place = f"127.0.0.1:{free_port()}"
    assert line(newest, f"postgresql://app:{SECRET}@{place}/x") == (
        f"connection refused: no server listens at {place}: {START}"
    )


def test_a_socket_where_nobody_listens(newest: Sdk) -> None:
    assert line(newest, f"postgresql://app:{SECRET}@/x?host=/tmp/no-such-folder&port=7") == (
        f"no server listens on the socket /tmp/no-such-folder/.s.PGSQL.7: {START}"
    )


def test_a_name_that_is_not_found(newest: Sdk) -> None:
    assert line(newest, f"postgresql://app:{SECRET}@no-such-host.invalid/x") == (
        "the host no-such-host.invalid:5432 is not found by its name: correct the name in the database URL, or the "
        "name server"
    )


def test_a_server_that_does_not_answer(newest: Sdk) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = f"127.0.0.1:{silent.getsockname()[1]}"
        assert line(newest, f"postgresql://app:{SECRET}@{place}/x?connect_timeout=2") == (
            f"no server answers at {place} in time: correct the host and the port in the database URL, or let the "
            "firewall pass the connection"
        )


@contextlib.contextmanager
def other_server(answer: bytes) -> Iterator[str]:
    """A server that is no Postgres: it answers the first packet so, and closes the connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    with client:
                        client.recv(1000)
                        client.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def test_a_port_of_another_server(newest: Sdk) -> None:
    with other_server(b"HTTP/1.1 400 Bad Request\r\n\r\n") as place:
        assert line(newest, f"postgresql://app:{SECRET}@{place}/x") == (
            f"what answers at {place} is no Postgres: correct the host and the port in the database URL"
        )
    with other_server(b"") as place:
        assert line(newest, f"postgresql://app:{SECRET}@{place}/x") == (
            f"the server at {place} closed the connection before the login was done: look at its log, and check the "
            "port in the database URL"
        )


def test_a_server_that_is_full_and_then_shuts_down(newest: Sdk) -> None:
    with Cluster({"max_connections": "6", "superuser_reserved_connections": "3"}) as cluster:
        cluster.execute(f"CREATE ROLE app LOGIN PASSWORD '{SECRET}'")
        place = f"127.0.0.1:{cluster.port}"
        url = f"postgresql://app:{SECRET}@{place}/postgres"
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(psycopg.OperationalError):
                while True:
                    stack.enter_context(cluster.connect(user="app"))
            assert line(newest, url) == full(place, "app")
            # It ends once its last session has ended.
            stopping = threading.Thread(target=cluster.stop, args=("smart",))
            stopping.start()
            wait_until(lambda: "received smart shutdown request" in cluster.log(), deadline=60, what="the request")
            assert line(newest, url) == f"the server at {place} is shutting down: start it again"
        stopping.join()


def test_a_server_that_starts_up(server: Server, newest: Sdk) -> None:
    """The server recovers from an archive that is slow."""
    primary = server.database.cluster
    recovering = Cluster(standby_of=primary)
    try:
        goes_on = recovering.directory / "goes_on"
        command = f"until test -e {goes_on}; do sleep 0.1; done; false"
        recovering.configure(restore_command=command, primary_conninfo="")
        starting = threading.Thread(target=recovering.start)
        starting.start()
        place = wait_for_a_refusal(recovering)
        assert line(newest, server.url().replace(server.place, place)) == (
            f"the server at {place} is starting up: wait until it is ready, and look at its log if that takes long"
        )
        goes_on.touch()
        starting.join()
    finally:
        recovering.remove()


def wait_for_a_refusal(cluster: Cluster) -> str:
    def refuses() -> bool:
        try:
            cluster.connect().close()
        except psycopg.OperationalError as error:
            return bool(re.search("starting up|not yet accepting", str(error)))
        return False

    wait_until(refuses, deadline=60, what="the server to refuse a connection")
    return f"127.0.0.1:{cluster.port}"
