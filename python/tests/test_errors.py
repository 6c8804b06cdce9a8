"""What the user is told of a failed attempt to send, and which errors no waiting fixes.

The messages are those of psycopg 3.1 and 3.3, of Postgres 15 to 18, and of pgbouncer 1.18.
"""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from psycopg import errors as of_psycopg

from litellm_spend._delivery.causes import CAUSES, UNREACHED, Cause
from litellm_spend._delivery.destination import Destination
from litellm_spend._delivery.dsn import translate
from litellm_spend._delivery.errors import Recovery, SendTimeout, explain, is_permanent, recovery_from
from litellm_spend._delivery.url_parts import UrlError

README = Path(__file__).parents[1] / "README.md"
URL = "postgresql://app:s3cret-4711@db:5433/litellm"
TWO = "postgresql://app:s3cret-4711@a:1,b:2/litellm"
SERVER = 'connection to server at "db" (10.0.0.7), port 5433 failed: '
SAYS_REFUSED = "Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?"
WRONG_PASSWORD = 'FATAL:  password authentication failed for user "app"'
NO_SSL_LINE = 'FATAL:  no pg_hba.conf entry for host "10.0.0.9", user "app", database "litellm", no encryption'
UNFIT = "the certificates of the server at db:5433 and of the database URL do not fit each other"
CORRECT_SSL = "correct sslmode, sslrootcert, sslcert or sslkey in the database URL, or the server's certificate"
START = "start it, or correct the host and the port in the database URL"
POOL = "look at pgbouncer's log, and raise default_pool_size if all of its connections are in use"
REFUSES_PASSWORD = (
    'the server at db:5433 refuses the password of role "app", or has no such role: correct the database URL, and '
    "percent-encode special characters in it"
)
ASKS_FOR_PASSWORD = (
    'the server at db:5433 asks for a password of role "app", and none is given: add it to the database URL'
)
PERMANENT = {
    f"{SERVER}{WRONG_PASSWORD}": REFUSES_PASSWORD,
    f"{SERVER}{WRONG_PASSWORD}\n{SERVER}{NO_SSL_LINE}": REFUSES_PASSWORD,
    f"{SERVER}FATAL:  password authentication failed": REFUSES_PASSWORD,
    f'{SERVER}FATAL:  server login failed: FATAL password authentication failed for user "app"': REFUSES_PASSWORD,
    f"{SERVER}fe_sendauth: no password supplied": ASKS_FOR_PASSWORD,
    f'{SERVER}FATAL:  Peer authentication failed for user "app"': (
        'the server at db:5433 refuses role "app", because pg_hba.conf asks for Peer authentication: correct the role '
        "in the database URL, or change pg_hba.conf"
    ),
    f'{SERVER}FATAL:  role "app" does not exist': (
        'the server at db:5433 has no role "app": create it, or correct the database URL'
    ),
    f'{SERVER}FATAL:  role "app" is not permitted to log in': (
        'role "app" may not log in to the server at db:5433: run ALTER ROLE app LOGIN'
    ),
    f'{SERVER}FATAL:  database "litellm" does not exist': (
        'the server at db:5433 has no database "litellm": create it, or correct the database URL'
    ),
    f"{SERVER}FATAL:  no such database: litellm": (
        'pgbouncer at db:5433 knows no database "litellm": add it to the [databases] of pgbouncer, or correct the '
        "database URL"
    ),
    f'{SERVER}FATAL:  permission denied for database "litellm"\nDETAIL:  User does not have CONNECT privilege.': (
        'role "app" may not connect to database "litellm" of the server at db:5433: run GRANT CONNECT ON DATABASE '
        "litellm TO app"
    ),
    f"{SERVER}{NO_SSL_LINE}": (
        'pg_hba.conf of the server at db:5433 does not admit role "app" to database "litellm" from here without SSL: '
        "add a line to pg_hba.conf, or sslmode=require to the database URL if the server takes only SSL"
    ),
    f'{SERVER}FATAL:  pg_hba.conf rejects connection for host "10.0.0.9", user "app", database "x", SSL encryption': (
        'pg_hba.conf of the server at db:5433 does not admit role "app" to database "litellm" from here: add a line to '
        "pg_hba.conf"
    ),
    f"{SERVER}FATAL:  SSL required": ("the server at db:5433 takes only SSL: add sslmode=require to the database URL"),
    f"{SERVER}server does not support SSL, but SSL was required": (
        "the server at db:5433 has no SSL, and the database URL asks for it: set ssl = on in the server, or remove "
        "sslmode and sslaccept from the database URL"
    ),
    f"{SERVER}SSL error: certificate verify failed": f"{UNFIT} (SSL error: certificate verify failed): {CORRECT_SSL}",
    f'{SERVER}server certificate for "x" does not match host name "db"': (
        f'{UNFIT} (server certificate for "x" does not match host name "db"): {CORRECT_SSL}'
    ),
    f'{SERVER}root certificate file "/r" does not exist\nEither provide the file, or change sslmode.': (
        f'{UNFIT} (root certificate file "/r" does not exist): {CORRECT_SSL}'
    ),
    f"{SERVER}FATAL:  connection requires a valid client certificate": (
        "the server at db:5433 asks for a client certificate: name it with sslcert and sslkey in the database URL"
    ),
    f'{SERVER}FATAL:  unrecognized configuration parameter "foo"': (
        "the server at db:5433 refuses a setting that the database URL or PGOPTIONS passes to it: unrecognized "
        'configuration parameter "foo"'
    ),
    f"{SERVER}FATAL:  unsupported startup parameter: options": (
        "the server at db:5433 refuses a setting that the database URL or PGOPTIONS passes to it: unsupported startup "
        "parameter: options"
    ),
    'invalid sslmode value: "on"': (
        'libpq refuses a parameter of the database URL (invalid sslmode value: "on"): correct it'
    ),
}
PASSING = {
    f"{SERVER}FATAL:  sorry, too many clients already": (
        'the server at db:5433 has no free connection for role "app": raise max_connections (or the limit of the role, '
        "of the database or of pgbouncer), or close connections"
    ),
    f"{SERVER}FATAL:  the database system is starting up": (
        "the server at db:5433 is starting up: wait until it is ready, and look at its log if that takes long"
    ),
    f"{SERVER}FATAL:  the database system is shutting down": "the server at db:5433 is shutting down: start it again",
    f"{SERVER}FATAL:  the database system is not accepting connections\nDETAIL:  Hot standby mode is disabled.": (
        "the server at db:5433 is a standby that takes no connections: point the database URL at the primary"
    ),
    f"{SERVER}session is read-only": (
        "the server at db:5433 is not what target_session_attrs of the database URL asks for: name the primary in the "
        "database URL"
    ),
    f"{SERVER}FATAL:  query_wait_timeout": (
        f"pgbouncer at db:5433 got no connection to its server within query_wait_timeout: {POOL}"
    ),
    f"{SERVER}FATAL:  client_login_timeout": (
        "pgbouncer at db:5433 could not finish the login within client_login_timeout: look at pgbouncer's log"
    ),
    f"{SERVER}FATAL:  server login has been failing, cached error: connect failed (server_login_retry)": (
        "pgbouncer at db:5433 cannot log in to its server: look at pgbouncer's log"
    ),
    f"{SERVER}received invalid response to SSL negotiation: H": (
        "what answers at db:5433 is no Postgres: correct the host and the port in the database URL"
    ),
    f"{SERVER}server closed the connection unexpectedly\n\tThis probably means the server terminated abnormally\n"
    "\tbefore or while processing the request.": (
        "the server at db:5433 closed the connection before the login was done: look at its log, and check the port in "
        "the database URL"
    ),
    f"{SERVER}{SAYS_REFUSED}": (f"connection refused: no server listens at db:5433: {START}"),
    f"{SERVER}No route to host": (
        "the network does not reach the server at db:5433: correct the host in the database URL, or the network"
    ),
    f"{SERVER}FATAL:  Passwort-Authentifizierung für Benutzer »app« fehlgeschlagen": (
        "the connection to db:5433 failed: Passwort-Authentifizierung für Benutzer »app« fehlgeschlagen"
    ),
    f"{SERVER}FATAL:  die Datenbank »litellm« existiert nicht": (
        "the connection to db:5433 failed: die Datenbank »litellm« existiert nicht"
    ),
    SERVER: "the connection to db:5433 failed: libpq tells no cause",
}
NO_ANSWER = "in time: correct the host and the port in the database URL, or let the firewall pass the connection"
NOT_FOUND = "is not found by its name: correct the name in the database URL, or the name server"


def failed(message: str, **others: object) -> psycopg.OperationalError:
    return psycopg.OperationalError(message, **others)


@pytest.mark.parametrize(("message", "sentence"), [*PERMANENT.items(), *PASSING.items()])
def test_the_cause_of_a_failed_connection_is_told_with_the_place_and_what_to_do(message: str, sentence: str) -> None:
    error = failed(f"connection failed: {message}")
    assert explain(error, translate(URL)) == sentence
    assert is_permanent(error) is (message in PERMANENT)
    assert recovery_from(error) is Recovery.RETRY


@pytest.mark.parametrize(("message", "sentence"), [*PERMANENT.items(), *PASSING.items()])
def test_psycopg_3_1_leaves_out_the_first_place(message: str, sentence: str) -> None:
    error = failed(f"connection failed: {message.removeprefix(SERVER)}")
    assert explain(error, translate(URL)) == sentence
    assert is_permanent(error) is (message in PERMANENT)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (failed("failed to resolve host 'db': [Errno -2] Name or service not known"), f"the host db:5433 {NOT_FOUND}"),
        (failed("connection is bad: Name or service not known"), f"the host db:5433 {NOT_FOUND}"),
        (of_psycopg.ConnectionTimeout("connection timeout expired"), f"no server answers at db:5433 {NO_ANSWER}"),
        (
            failed("the server closed the connection"),
            "the connection broke during a call (the server closed the connection): look at the server's log and at "
            "the network",
        ),
    ],
)
def test_what_passes_by_itself_is_not_permanent(error: Exception, sentence: str) -> None:
    assert explain(error, translate(URL)) == sentence
    assert not is_permanent(error)


def test_a_socket_is_named_by_its_path() -> None:
    message = (
        'connection is bad: connection to server on socket "/run/.s.PGSQL.1" failed: No such file or directory\n'
        "\tIs the server running locally and accepting connections on that socket?"
    )
    assert explain(failed(message), translate("postgresql:///x?host=/run&port=1")) == (
        f"no server listens on the socket /run/.s.PGSQL.1: {START}"
    )


def attempts(*told: tuple[str, int, str]) -> str:
    """The message of psycopg 3.2 and newer for several hosts."""
    lines = [
        f"- host: '{host}', port: '{port}', hostaddr: '10.0.0.{port}': connection failed: "
        f'connection to server at "10.0.0.{port}", port {port} failed: {text}'
        for host, port, text in told
    ]
    return "\n".join(["connection failed: the last", "Multiple connection attempts failed. All failures were:", *lines])


def attempts_of_3_1(*told: tuple[str, int, str]) -> str:
    """The message of libpq for several hosts, of which psycopg 3.1 leaves out the first place."""
    lines = [f'connection to server at "{host}" (10.0.0.1), port {port} failed: {text}' for host, port, text in told]
    return "connection failed: " + "\n".join(lines).split(" failed: ", 1)[1]


@pytest.mark.parametrize("form", [attempts, attempts_of_3_1])
@pytest.mark.parametrize("turned", [False, True])
def test_of_several_hosts_the_one_that_answers_gets_the_advice_and_each_one_is_told(form, turned: bool) -> None:
    told = [("a", 1, SAYS_REFUSED), ("b", 2, 'FATAL:  database "litellm" does not exist')]
    error = failed(form(*(reversed(told) if turned else told)))
    url = TWO.replace("a:1,b:2", "b:2,a:1") if turned else TWO
    assert explain(error, translate(url)) == (
        'the server at b:2 has no database "litellm": create it, or correct the database URL; the other hosts failed '
        "too: a:1 (it refuses the connection)"
    )
    assert not is_permanent(error)


@pytest.mark.parametrize("form", [attempts, attempts_of_3_1])
def test_several_hosts_that_all_refuse_the_login_are_permanent(form) -> None:
    error = failed(form(("a", 1, WRONG_PASSWORD), ("b", 2, WRONG_PASSWORD)))
    assert is_permanent(error)
    assert explain(error, translate(TWO)).endswith("; the other hosts failed too: b:2 (it refuses the password)")


def test_an_answer_in_another_language_comes_before_a_host_that_nobody_reached() -> None:
    error = failed(attempts(("a", 1, SAYS_REFUSED), ("b", 2, "FATAL:  die Datenbank »litellm« existiert nicht")))
    assert explain(error, translate(TWO)) == (
        "the connection to b:2 failed: die Datenbank »litellm« existiert nicht; the other hosts failed too: a:1 (it "
        "refuses the connection)"
    )


def test_two_addresses_of_one_name_are_one_host() -> None:
    error = failed(attempts(("db", 5433, SAYS_REFUSED), ("db", 5433, WRONG_PASSWORD)))
    assert explain(error, translate(URL)) == REFUSES_PASSWORD
    assert is_permanent(error)


def test_a_timeout_of_psycopg_3_1_is_one_for_all_hosts() -> None:
    error = of_psycopg.ConnectionTimeout("connection timeout expired")
    assert explain(error, translate(TWO)) == f"no server answers at a:1, b:2 {NO_ANSWER}"


class NeedsPassword:
    needs_password = True


def test_that_no_password_is_given_is_told_in_every_language() -> None:
    error = failed(f"connection failed: {SERVER}fe_sendauth: kein Passwort angegeben", pgconn=NeedsPassword())
    assert (explain(error, translate(URL)), is_permanent(error)) == (ASKS_FOR_PASSWORD, True)


STATES = {
    of_psycopg.InsufficientPrivilege: "the role may not record spend: GRANT litellm_spend_writer TO app",
    of_psycopg.UndefinedFunction: "CREATE EXTENSION litellm_spend",
    of_psycopg.InvalidSchemaName: "CREATE EXTENSION litellm_spend",
    of_psycopg.ReadOnlySqlTransaction: "point the database URL at the primary",
    of_psycopg.LockNotAvailable: "SELECT pid, mode, relation::regclass FROM pg_locks",
    of_psycopg.QueryCanceled: "raise the role's statement_timeout",
    of_psycopg.DiskFull: "the server's disk is full",
    of_psycopg.OutOfMemory: "the server is out of memory",
    of_psycopg.ProtocolViolation: "pgbouncer",
    of_psycopg.AdminShutdown: "the server closed the connection",
    of_psycopg.UndefinedFile: "the library litellm_spend",
    of_psycopg.InternalError_: "SQLSTATE XX000: its log tells why",
}


@pytest.mark.parametrize("kind", STATES)
def test_a_refused_call_is_told_by_its_sqlstate_and_without_the_servers_text(kind: type[psycopg.Error]) -> None:
    error = kind("needle of the record")
    sentence = explain(error, translate(URL))
    assert STATES[kind] in sentence and f"SQLSTATE {kind.sqlstate}" in sentence and "needle" not in sentence
    assert is_permanent(error) is (kind in list(STATES)[:4])


def test_a_role_that_needs_quotes_gets_them_in_a_statement() -> None:
    url = "postgresql://my%22app:x@db/litellm"
    assert 'TO "my""app" (' in explain(of_psycopg.InsufficientPrivilege(), translate(url))


def test_a_call_without_an_answer_is_told_with_the_query_that_finds_the_lock() -> None:
    sentence = explain(SendTimeout(), translate(URL))
    assert (
        sentence.startswith("the server did not answer a call within send_timeout, or before the process ended: ")
        and "pg_locks" in sentence
    )
    assert not is_permanent(SendTimeout())


def test_a_url_that_cannot_be_used_and_a_psycopg_without_libpq_are_permanent() -> None:
    assert is_permanent(UrlError("no database URL")) and is_permanent(ImportError("no pq wrapper available"))
    assert explain(ImportError()).startswith("psycopg finds no libpq: run pip install")


@pytest.mark.parametrize("message", [*PERMANENT, *PASSING])
def test_a_sentence_has_no_double_punctuation(message: str) -> None:
    sentence = explain(failed(f"connection failed: {message}"), translate(URL)) + ". Records are kept"
    assert not any(double in sentence for double in ("..", ": :", "::", ";;", ";.", "\n", "\t", "  "))


@pytest.mark.parametrize("message", [*PERMANENT, *PASSING])
@pytest.mark.parametrize("password", ["e", "a", "p", "1"])
def test_a_short_password_turns_no_message_into_garbage(message: str, password: str) -> None:
    error = failed(f"connection failed: {message}")
    destination = translate(URL.replace("s3cret-4711", password))
    assert explain(error, destination) == explain(error, translate(URL))


def test_an_error_is_explained_before_there_is_a_destination() -> None:
    sentence = explain(failed(f"connection failed: {SERVER}{WRONG_PASSWORD}"))
    assert sentence.startswith("the server at db:5433 refuses the password of the role of the database URL, ")
    assert explain(of_psycopg.InsufficientPrivilege()).count("the role of the database URL") == 1


def test_a_foreign_text_is_shown_without_the_secrets() -> None:
    destination: Destination = translate(URL)
    assert explain(failed("connection failed: nobody knows s3cret-4711"), destination).endswith(": nobody knows ***")
    assert explain(ValueError("s3cret-4711"), destination) == "***"


@pytest.mark.parametrize("cause", [*CAUSES, *UNREACHED], ids=lambda cause: cause.short)
def test_the_readme_has_a_row_for_each_cause(cause: Cause) -> None:
    names = {"at": "at HOST", "role": "role ROLE", "database": "database DATABASE", "host": "HOST", "method": "..."}
    others = {"text": "...", "login": "", "connect": ""}
    line = cause.advice.format(**names, **others).rpartition(": ")[0]
    [row] = [row for row in README.read_text().splitlines() if row.startswith(f"| `{line}` |")]
    assert row.endswith("| yes |") is cause.is_permanent


@pytest.mark.parametrize("kind", list(STATES)[:-1])
def test_the_readme_has_a_row_for_each_sqlstate(kind: type[psycopg.Error]) -> None:
    [row] = [row for row in README.read_text().splitlines() if f"(SQLSTATE {kind.sqlstate})` |" in row]
    assert row.endswith("| yes |") is is_permanent(kind())
