"""Translates a database URL, as LiteLLM's users have it in DATABASE_URL, to what libpq takes.

LiteLLM's URL is Prisma's. It has parameters that libpq refuses, so they are translated or left out. Any other
parameter that libpq does not know is left out too, with a warning that names it. No message shows a password.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from typing import Final
from urllib.parse import quote, unquote, urlencode

from .destination import Destination, place, printable
from .url_parts import Parts, UrlError, is_port, split, unreadable

__all__ = ["Destination", "UrlError", "resolve", "translate"]

_SCHEME: Final = re.compile(r"(?i)postgres(?:ql)?(?P<driver>\+[a-z0-9_]+)?://")
# Settings of Prisma's pool and engine. LiteLLM's proxy adds some of them. This client keeps one connection and
# prepares no statement, so it needs none of them.
_IGNORED: Final = (
    "connection_limit",
    "pool_timeout",
    "pgbouncer",
    "socket_timeout",
    "statement_cache_size",
    "max_connection_lifetime",
    "max_idle_connection_lifetime",
    "single_use_connections",
)
_PRISMAS: Final = (*_IGNORED, "schema", "sslaccept")
# A parameter of such a name holds a password, whether libpq knows it or not.
_SECRET: Final = re.compile(r"(?i)pass(?!file)|pwd|secret|scram_\w*_key")
_NAMES: Final = frozenset(("user", "dbname", "host", "hostaddr", "port", "service", "schema"))
_NOT_SHOWN: Final = "(a name that is not shown)"
# The client gives up after half a minute, connected or not, if a server does not answer any more.
_LIMITS: Final = {
    "connect_timeout": "10",
    "keepalives_idle": "15",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}


def resolve(url: str | None) -> Destination:
    """The destination of `url`, else of LITELLM_SPEND_DATABASE_URL, else of DATABASE_URL; raises UrlError."""
    url = url or os.environ.get("LITELLM_SPEND_DATABASE_URL") or os.environ.get("DATABASE_URL", "")
    if not url.strip():
        raise UrlError("no database URL: set DATABASE_URL or pass SpendLogger(database_url=...)")
    return translate(url.strip())


def translate(url: str) -> Destination:
    """Translates a URL, or keeps libpq's own `key=value` form as it is; raises UrlError."""
    scheme = _SCHEME.match(url)
    if scheme:
        return _translate_url(url[scheme.end() :], scheme["driver"])
    if "://" in url or "=" not in url:
        raise UrlError("the database URL does not begin with postgresql://: correct it")
    return _checked(url, None)


def _translate_url(text: str, driver: str | None) -> Destination:
    known = _libpq_keywords()
    parts = split(text, known.union(_PRISMAS))
    changes = [f"left out the driver {driver}"] if driver else []
    special: dict[str, str] = {}
    kept: dict[str, str] = {}
    unknown: list[str] = []
    doubtful: dict[str, str] = {}
    parameters = _parameters(parts)
    # An "@" may end a password, and so may an "&" that follows one.
    may_be_secret = "@" in parts.query or any(_SECRET.search(key) for key, _ in parameters)
    # An "@" behind the host may be the end of a password that holds an "@" before the host.
    hides_all = parts.credentials is not None and "@" in parts.query
    after_secret = hides_all
    for key, value in parameters:
        if after_secret:
            doubtful[key] = value
        after_secret = after_secret or bool(_SECRET.search(key))
        if key in ("schema", "sslaccept"):
            special[key] = value
        elif key in _IGNORED:
            changes.append(f"left out {_NOT_SHOWN if key in doubtful else key}")
        elif (key, value) == ("ssl", "true"):
            kept.setdefault("sslmode", "require")  # as libpq reads it
        elif known and key not in known:
            unknown.append(_NOT_SHOWN if may_be_secret else _shown(key))
        else:
            kept[key] = value
    for key, change in (("schema", _leave_out_schema), ("sslaccept", _translate_sslaccept)):
        if key in special:
            changed = change(special[key], kept)
            changes.append(f"left out {_NOT_SHOWN}" if key in doubtful else changed)
    query = urlencode(kept, quote_via=quote, safe="")
    destination = _checked(f"postgresql://{parts.location()}" + (f"?{query}" if query else ""), parts, doubtful)
    shown = tuple(name if name == _NOT_SHOWN else destination.redact(name) for name in unknown)
    schema = None if "schema" in doubtful else special.get("schema") or None
    if hides_all:
        destination = replace(destination, hides_names=True, places=(), role=None, database=None)
    return replace(destination, schema=schema, changes=tuple(changes), unknown=shown)


def _parameters(parts: Parts) -> list[tuple[str, str]]:
    """The parameters of the query. As for libpq, a plus sign is no space."""
    pieces = [piece.partition("=") for piece in parts.query.split("&") if piece]
    try:
        return [(unquote(key, errors="strict"), unquote(value, errors="strict")) for key, _, value in pieces]
    except UnicodeDecodeError:
        raise unreadable(parts) from None


def _leave_out_schema(value: str, kept: dict[str, str]) -> str:
    return "left out schema (the server's litellm_spend.target_schema decides)"


def _translate_sslaccept(value: str, kept: dict[str, str]) -> str:
    if value == "accept_invalid_certs":
        if "sslmode" in kept:
            return "left out sslaccept (sslmode decides)"
        kept["sslmode"] = "require"
    elif value == "strict":
        if kept.get("sslmode") not in ("verify-ca", "verify-full"):
            kept["sslmode"] = "verify-full"
        if _libpq_version() >= 160000:
            kept.setdefault("sslrootcert", "system")
    else:
        raise UrlError("the database URL's sslaccept must be strict or accept_invalid_certs: correct it")
    return f"read sslaccept={value} as sslmode={kept['sslmode']}"


def _checked(conninfo: str, parts: Parts | None, doubtful: dict[str, str] | None = None) -> Destination:
    """`doubtful`: parameters that may be pieces of a password, because they follow one."""
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    try:
        options = {key: str(value) for key, value in conninfo_to_dict(conninfo).items() if value is not None}
        added = {**_LIMITS, "application_name": "litellm_spend"}
        complete = make_conninfo(conninfo, **{key: value for key, value in added.items() if key not in options})
    except (ProgrammingError, ValueError):
        raise (unreadable(parts) if parts else _unreadable_pairs()) from None
    if not all(not port or is_port(port) for port in options.get("port", "").split(",")):
        raise UrlError("the database URL cannot be read: its port is no number from 1 to 65535: correct it")
    return _described(Destination(complete), options, parts, doubtful or {})


def _unreadable_pairs() -> UrlError:
    return UrlError(
        "the database URL cannot be read: begin it with postgresql://, or put each value of key=value that holds a "
        "space into single quotes"
    )


def _described(
    destination: Destination, options: dict[str, str], parts: Parts | None, doubtful: dict[str, str]
) -> Destination:
    """The destination with what a message may show of it, and what no message may show."""
    secrets = {value for key, value in options.items() if _SECRET.search(key)} | set(doubtful.values())
    if parts and parts.credentials:
        secrets.add(parts.credentials.partition(":")[2])
    secrets |= {spelling for secret in secrets for spelling in (unquote(secret), quote(secret, safe=""))}
    named = {**_defaults(), **options}
    hosts = (options.get("host") or options.get("hostaddr") or "").count(",") + 1
    destination = replace(
        destination, hosts=hosts, _secrets=tuple(sorted(filter(None, secrets), key=len, reverse=True))
    )
    if _NAMES.intersection(doubtful):
        return replace(destination, hides_names=True)
    role = named.get("user")
    return replace(
        destination,
        places=() if "service" in named else _places(named),
        role=printable(role) if role else None,
        database=printable(named.get("dbname") or role or "") or None,
    )


def _places(named: dict[str, str]) -> tuple[str, ...]:
    hosts = (named.get("host") or named.get("hostaddr") or "").split(",")
    ports = named.get("port", "").split(",")
    ports = ports if len(ports) == len(hosts) else ports[:1] * len(hosts)
    return tuple(printable(place(host, port)) for host, port in zip(hosts, ports, strict=True))


def _defaults() -> dict[str, str]:
    """What libpq takes where the URL says nothing: its variables, such as PGUSER, and the user's own name."""
    import psycopg

    options = psycopg.pq.Conninfo.get_defaults()
    return {option.keyword.decode(): option.val.decode(errors="replace") for option in options if option.val}


def _libpq_keywords() -> frozenset[str]:
    import psycopg

    return frozenset(option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults())


def _libpq_version() -> int:
    import psycopg

    return psycopg.pq.version()


def _shown(key: str) -> str:
    # A part of a password with a bare "?" or "&" in it would be a parameter here.
    return f"{key!r}" if re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]{0,40}", key) else _NOT_SHOWN
