"""No message and no log line shows a part of a password, however wrong the URL is that holds it."""

from __future__ import annotations

import random
import re
from urllib.parse import quote

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from litellm_spend._delivery.dsn import Destination, UrlError, translate
from litellm_spend._delivery.errors import explain

CASES = 250
# No message of libpq or of this package holds three of these in a row.
LETTERS = "zqxjkvwZQXJKVW879"
PIECE = re.compile(f"[{LETTERS}]{{3,}}")
SPECIAL = "@#?/:%[]& +=;,!$'\"\\^`{|}<>~-_.()*\t"
PARAMETERS = (
    "&host=", "&port=", "&user=", "&dbname=", "&sslmode=", "&schema=", "&pgbouncer=", "&sslaccept=", "&hostaddr=",
    "&application_name=", "?sslmode=", "?schema=", "&connect_timeout=", "&options=", "&passfile=", "&service=",
)  # fmt: skip
# Each of these was told once, by a form below.
FOUND = (
    r"WW88K@\wKWVW7{xqKqxVqw?sslmode=jJQk",
    "?j9J8XJV(}79jKKwVJ&$<8zJq&dbname=qVK9zZ8!",
    "[k897x&sslmode=7XV&host=W8z",
    "9k8_KqQZwWZz&passfile=ZwJzK7J8&host=JvVJv.",
    "zqx&schema=xjk",
    "7/zqxjkv",
)
FORMS = (
    "postgresql://app:{}@db:5433/litellm",
    "postgresql://app:{}@db:5433/litellm?sslmode=prefer&connection_limit=5",
    "postgresql+psycopg2://app:{}@db",
    "postgresql://app@server:{}@db/litellm",
    "postgresql://app:{}@a:1,b:2/litellm",
    "postgresql://db/litellm?user=app&password={}",
    "postgresql://db/litellm?user=app&password={}&sslmode=prefer",
    "postgresql://db/litellm?password={}&schema=public&pool_timeout=5",
    "postgresql://db/litellm?user=app&pwd={}",
    "postgresql://db/litellm?user=app&passwd={}&sslmode=disable",
    "postgresql://db?user=app&password={}",
    "postgresql://app:pw@db/litellm?sslpassword={}",
    "host=db user=app password={} dbname=litellm",
    "app:{}@db/litellm",
    "mysql://app:{}@db/litellm",
)


def passwords() -> list[str]:
    """Pieces of letters, with special characters and beginnings of parameters between them."""
    chance = random.Random(4711)

    def piece() -> str:
        return "".join(chance.choices(LETTERS, k=chance.randint(3, 8)))

    def between() -> str:
        return (
            chance.choice(PARAMETERS)
            if chance.random() < 0.3
            else "".join(chance.choices(SPECIAL, k=chance.randint(1, 3)))
        )

    made = list(FOUND)
    for _ in range(CASES):
        password = piece() + "".join(between() + piece() for _ in range(chance.randint(0, 3)))
        made.append(
            chance.choice(("", "", chance.choice(SPECIAL), "12"))
            + password
            + chance.choice(("", "", chance.choice(SPECIAL)))
        )
    return made


def messages(destination: Destination) -> list[str]:
    """What libpq, psycopg and a server say of these parameters: they quote all but the password."""
    options = {key: str(value) for key, value in conninfo_to_dict(destination.conninfo).items()}
    host, port = options.get("host", ""), options.get("port", "5432")
    user, database = options.get("user", ""), options.get("dbname", "")
    at = f'connection to server at "{host}" (10.0.0.7), port {port} failed: '
    values = [
        f'connection is bad: invalid {key} value: "{value}"' for key, value in options.items() if "password" not in key
    ]
    return [
        *values,
        f"failed to resolve host '{host}': [Errno -2] Name or service not known",
        f'connection failed: could not translate host name "{host}" to address: Name or service not known',
        f'connection failed: {at}FATAL:  password authentication failed for user "{user}"',
        f'connection failed: {at}FATAL:  database "{database}" does not exist',
        f"connection failed: {at}FATAL:  kein pg_hba.conf-Eintrag für Benutzer »{user}«, Datenbank »{database}«",
        f"connection failed: {at}FATAL:  die Datenbank »{database}« existiert nicht",
        f"connection failed: no: {' '.join(options[key] for key in options if 'password' not in key)}",
        "connection failed: x\nMultiple connection attempts failed. All failures were:\n"
        f"- host: '{host}', port: '{port}', hostaddr: '10.0.0.1': connection failed: {at}Connection refused\n"
        f"- host: 'other', port: '{port}', hostaddr: '10.0.0.2': connection timeout expired",
        "connection timeout expired",
        f"the server closed the connection to {host}",
    ]


def told(url: str) -> str:
    """All that is ever told of a URL."""
    try:
        destination = translate(url)
    except UrlError as error:
        assert error.__cause__ is None and (error.__context__ is None or error.__suppress_context__)
        return str(error)
    sentences = [explain(psycopg.OperationalError(message), destination) for message in messages(destination)]
    shown = (destination, destination.changes, destination.unknown, destination.schema, destination.places)
    return "\n".join([*sentences, *map(str, shown)])


@pytest.mark.parametrize("form", FORMS)
def test_no_part_of_a_password_is_ever_told(form: str) -> None:
    for password in passwords():
        lines = told(form.format(password))
        for piece in PIECE.findall(password):
            told_pieces = [piece[at : at + 3] for at in range(len(piece) - 2) if piece[at : at + 3] in lines]
            assert not told_pieces, (
                told_pieces,
                password,
                [line for line in lines.split("\n") if told_pieces[0] in line],
            )


@pytest.mark.parametrize("form", [FORMS[0], FORMS[2], FORMS[4], FORMS[5], FORMS[6], FORMS[7], FORMS[10]])
def test_an_encoded_password_is_read_as_it_is(form: str) -> None:
    for password in passwords():
        assert conninfo_to_dict(translate(form.format(quote(password, safe=""))).conninfo)["password"] == password
