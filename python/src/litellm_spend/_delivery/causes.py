"""Why a connection fails, as the English messages of libpq, Postgres and pgbouncer tell it, and what to do about it.

psycopg gives no SQLSTATE for a connection that fails, so only the message tells the cause.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Cause:
    """`advice` is a sentence with the names of `failed_connection` and the groups of the pattern in braces."""

    pattern: re.Pattern[str]
    short: str
    """The cause in a few words, for a host beside another one."""
    advice: str
    is_permanent: bool = False
    """Whether no waiting fixes it, because the configuration has to be corrected."""


def _cause(pattern: str, short: str, advice: str, *, is_permanent: bool = False) -> Cause:
    return Cause(re.compile(pattern, re.IGNORECASE), short, advice, is_permanent)


# The order decides if a host was tried twice, with SSL and without: the first cause is told. The causes that a server
# tells come first, so that its advice comes before that for a host that does not answer.
CAUSES: Final = (
    _cause(
        r"no password supplied|empty password returned by client",
        "no password is given",
        "the server {at} asks for a password of {role}, and none is given: add it to the database URL",
        is_permanent=True,
    ),
    _cause(
        r"(?<!ident )(?<!peer )(?<!certificate )(?<!gssapi )(?<!sspi )authentication failed|\bauth failed|"
        r"wrong password type",
        "it refuses the password",
        "the server {at} refuses the password of {role}, or has no such role: correct the database URL, and "
        "percent-encode special characters in it",
        is_permanent=True,
    ),
    _cause(
        r"(?P<method>ident|peer|certificate|gssapi|sspi) authentication failed",
        "it refuses the role",
        "the server {at} refuses {role}, because pg_hba.conf asks for {method} authentication: correct the role in the "
        "database URL, or change pg_hba.conf",
        is_permanent=True,
    ),
    _cause(
        r"connection requires a valid client certificate",
        "it asks for a client certificate",
        "the server {at} asks for a client certificate: name it with sslcert and sslkey in the database URL",
        is_permanent=True,
    ),
    _cause(
        r'role ".*" does not exist|no such user',
        "it does not know the role",
        "the server {at} has no {role}: create it, or correct the database URL",
        is_permanent=True,
    ),
    _cause(
        r"is not permitted to log in",
        "the role may not log in",
        "{role} may not log in to the server {at}: run {login}",
        is_permanent=True,
    ),
    _cause(
        r"no such database",
        "it does not know the database",
        "pgbouncer {at} knows no {database}: add it to the [databases] of pgbouncer, or correct the database URL",
        is_permanent=True,
    ),
    _cause(
        r'database ".*" does not exist',
        "it does not have the database",
        "the server {at} has no {database}: create it, or correct the database URL",
        is_permanent=True,
    ),
    _cause(
        r"permission denied for database",
        "the role may not connect to the database",
        "{role} may not connect to {database} of the server {at}: run {connect}",
        is_permanent=True,
    ),
    _cause(
        r"is not currently accepting connections|does not allow connections",
        "its database takes no connections",
        "{database} of the server {at} takes no connections: run ALTER DATABASE ... ALLOW_CONNECTIONS true",
    ),
    _cause(
        r"unrecognized configuration parameter|invalid value for parameter|permission denied to set parameter|"
        r"unsupported startup parameter",
        "it refuses a setting of the URL",
        "the server {at} refuses a setting that the database URL or PGOPTIONS passes to it: {text}",
        is_permanent=True,
    ),
    _cause(
        r"certificate verify failed|does not match host name|certificate file|certificate present, but|private key|"
        r"sslrootcert|certificate store|unknown ca\b|certificate (required|expired|revoked)",
        "its certificate and the URL's do not fit",
        "the certificates of the server {at} and of the database URL do not fit each other ({text}): correct sslmode, "
        "sslrootcert, sslcert or sslkey in the database URL, or the server's certificate",
        is_permanent=True,
    ),
    _cause(
        r"server does not support SSL",
        "it has no SSL",
        "the server {at} has no SSL, and the database URL asks for it: set ssl = on in the server, or remove sslmode "
        "and sslaccept from the database URL",
        is_permanent=True,
    ),
    _cause(
        r"(pg_hba\.conf rejects connection|no pg_hba\.conf entry).*(no encryption|SSL off)",
        "its pg_hba.conf does not admit the role without SSL",
        "pg_hba.conf of the server {at} does not admit {role} to {database} from here without SSL: add a line to "
        "pg_hba.conf, or sslmode=require to the database URL if the server takes only SSL",
        is_permanent=True,
    ),
    _cause(
        r"pg_hba\.conf",
        "its pg_hba.conf does not admit the role",
        "pg_hba.conf of the server {at} does not admit {role} to {database} from here: add a line to pg_hba.conf",
        is_permanent=True,
    ),
    _cause(
        r"SSL required",
        "it takes only SSL",
        "the server {at} takes only SSL: add sslmode=require to the database URL",
        is_permanent=True,
    ),
    _cause(
        r"too many clients|remaining connection slots|too many connections|no more connections allowed",
        "it has no free connection",
        "the server {at} has no free connection for {role}: raise max_connections (or the limit of the role, of the "
        "database or of pgbouncer), or close connections",
    ),
    _cause(
        r"hot standby mode is disabled",
        "it is a standby that takes no connections",
        "the server {at} is a standby that takes no connections: point the database URL at the primary",
    ),
    _cause(
        r"the database system is (starting up|in recovery mode|not yet accepting|not accepting)",
        "it is starting up",
        "the server {at} is starting up: wait until it is ready, and look at its log if that takes long",
    ),
    _cause(
        r"shutting down|shut down|terminating connection|terminated by administrator",
        "it is shutting down",
        "the server {at} is shutting down: start it again",
    ),
    _cause(
        r"session is (not )?read-only|(not )?in hot standby mode",
        "target_session_attrs excludes it",
        "the server {at} is not what target_session_attrs of the database URL asks for: name the primary in the "
        "database URL",
    ),
    _cause(
        r"query_wait_timeout",
        "pgbouncer has no connection to its server",
        "pgbouncer {at} got no connection to its server within query_wait_timeout: look at pgbouncer's log, and raise "
        "default_pool_size if all of its connections are in use",
    ),
    _cause(
        r"client_login_timeout",
        "pgbouncer took too long",
        "pgbouncer {at} could not finish the login within client_login_timeout: look at pgbouncer's log",
    ),
    _cause(
        r"server login|server_login_retry|pgbouncer cannot connect|bouncer config error|connect failed",
        "pgbouncer cannot log in to its server",
        "pgbouncer {at} cannot log in to its server: look at pgbouncer's log",
    ),
    _cause(
        r"invalid response to (SSL|GSSAPI) negotiation|expected authentication request|unsupported frontend protocol",
        "what answers is no Postgres",
        "what answers {at} is no Postgres: correct the host and the port in the database URL",
    ),
    _cause(
        r"closed the connection|connection reset|unexpected eof|SSL SYSCALL error",
        "it closed the connection",
        "the server {at} closed the connection before the login was done: look at its log, and check the port in the "
        "database URL",
    ),
)
# A host that nobody reached.
UNREACHED: Final = (
    _cause(
        r"connection refused",
        "it refuses the connection",
        "connection refused: no server listens {at}: start it, or correct the host and the port in the database URL",
    ),
    _cause(
        r"no such file or directory",
        "no server has this socket",
        "no server listens {at}: start it, or correct the host and the port in the database URL",
    ),
    _cause(
        r"timeout expired|timed out",
        "it does not answer in time",
        "no server answers {at} in time: correct the host and the port in the database URL, or let the firewall pass "
        "the connection",
    ),
    _cause(
        r"no route to host|network is unreachable|host is down",
        "it cannot be reached",
        "the network does not reach the server {at}: correct the host in the database URL, or the network",
    ),
    _cause(
        r"failed to resolve host|could not translate host name|name or service not known|name resolution|"
        r"no address associated|nodename nor servname|getaddrinfo failed",
        "its name is not found",
        "the host {host} is not found by its name: correct the name in the database URL, or the name server",
    ),
    _cause(
        r"permission denied",
        "its socket is not open to this user",
        "this process may not open the socket {at}: correct the host in the database URL, or the folder's permissions",
    ),
    _cause(
        r"invalid \S+ value|invalid integer value|invalid port number|invalid connection option|weak sslmode|"
        r"could not match \d+ (port|host)",
        "libpq refuses the URL",
        "libpq refuses a parameter of the database URL ({text}): correct it",
        is_permanent=True,
    ),
)
