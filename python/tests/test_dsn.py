"""Database URLs. Prisma's parameters are translated or left out. Unknown parameters are left out, with a warning that
names them. Passwords are never shown."""

from __future__ import annotations

import pytest
from psycopg.conninfo import conninfo_to_dict

from litellm_spend._delivery.dsn import Destination, UrlError, resolve, translate

URL = "postgresql://app:s3cret@db:5433/litellm"


def options(url: str) -> dict[str, object]:
    return conninfo_to_dict(translate(url).conninfo)


def test_a_plain_url_is_kept_and_gets_time_limits_and_a_name() -> None:
    assert options(URL) == {
        "user": "app",
        "password": "s3cret",
        "host": "db",
        "port": "5433",
        "dbname": "litellm",
        "connect_timeout": "10",
        "keepalives_idle": "15",
        "keepalives_interval": "5",
        "keepalives_count": "3",
        "tcp_user_timeout": "30000",
        "application_name": "litellm_spend",
    }
    assert translate(URL).changes == ()


def test_time_limits_of_the_url_are_kept() -> None:
    given = {"connect_timeout": "3", "keepalives_idle": "60", "tcp_user_timeout": "0"}
    url = URL + "?" + "&".join(f"{key}={value}" for key, value in given.items())
    assert {key: options(url)[key] for key in given} == given


def test_the_hosts_of_a_url_are_counted() -> None:
    assert [translate(url).hosts for url in (URL, URL.replace("db:5433", "a,b,c"), "dbname=x")] == [1, 3, 1]


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2", "POSTGRESQL+asyncpg"])
def test_any_driver_in_the_scheme_will_do(scheme: str) -> None:
    assert options(URL.replace("postgresql", scheme, 1))["host"] == "db"


def test_prismas_parameters_are_left_out_and_told() -> None:
    destination = translate(URL + "?schema=app&connection_limit=5&pool_timeout=60&pgbouncer=true&sslmode=disable")
    assert destination.schema == "app"
    assert conninfo_to_dict(destination.conninfo)["sslmode"] == "disable"
    assert len(destination.changes) == 4


@pytest.mark.parametrize(
    ("parameters", "sslmode"),
    [
        ("sslaccept=accept_invalid_certs", "require"),
        ("sslaccept=strict", "verify-full"),
        ("sslmode=require&sslaccept=strict", "verify-full"),
        ("sslmode=verify-ca&sslaccept=strict", "verify-ca"),
    ],
)
def test_sslaccept_becomes_sslmode(parameters: str, sslmode: str) -> None:
    assert options(f"{URL}?{parameters}")["sslmode"] == sslmode


@pytest.mark.parametrize("parameter", ["max_idle_connection_lifetime", "max_connection_lifetime", "socket_timeout"])
def test_what_litellms_proxy_adds_is_left_out(parameter: str) -> None:
    destination = translate(f"{URL}?{parameter}=60")
    assert (parameter in str(destination.changes), destination.unknown) == (True, ())
    assert parameter not in destination.conninfo


def test_an_unknown_parameter_is_left_out_and_named() -> None:
    destination = translate(URL + "?sslmod=require&target_session_attrs=any")
    assert destination.unknown == ("'sslmod'",)
    assert "sslmod=" not in destination.conninfo and "target_session_attrs=any" in destination.conninfo


def test_an_unknown_parameter_that_is_the_password_is_not_named() -> None:
    assert translate("postgresql://app:needle@db/x?needle=1").unknown == ("'***'",)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://app@server:pa?needle&x=1@db/x",
        "postgresql://db/x?user=app&password=a&needle=1",
        "postgresql://db/x?user=app&pass%77ord=a&needle=1",
    ],
)
def test_an_unknown_parameter_that_may_be_a_piece_of_a_password_is_not_named(url: str) -> None:
    assert set(translate(url).unknown) == {"(a name that is not shown)"}


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://app:needle%zz@db/x",
        "postgresql://app:needle#4/5@db/x",
        "postgresql://app:nee?dle=5@db/x",
        "postgresql://app:12?needle=5@db/x",
        "postgresql://app:needle@db:port/x",
        "mysql://app:needle@db/x",
        "needle",
    ],
)
def test_an_unreadable_url_is_told_without_its_password(url: str) -> None:
    try:
        destination = translate(url)
    except UrlError as error:
        assert "needle" not in str(error) and error.__cause__ is None
    else:
        assert "needle" not in repr(destination)


@pytest.mark.parametrize("user", ["app:s3cret@needle", "app:a@needle:1", "app@server:needle"])
def test_what_follows_a_bare_at_sign_is_taken_for_no_host_which_an_error_would_name(user: str) -> None:
    with pytest.raises(UrlError, match="percent-encode"):
        translate(f"postgresql://{user}@db/x")


def test_a_destination_hides_its_password_in_every_spelling() -> None:
    destination = translate("postgresql://app:p%40ss-w0rd@db/x")
    assert isinstance(destination, Destination) and "w0rd" not in repr(destination)
    assert destination.redact("p@ss-w0rd, p%40ss-w0rd") == "***, ***"


def test_libpqs_own_form_is_taken() -> None:
    assert options("host=/tmp dbname=x password=y")["host"] == "/tmp"


def test_the_environment_is_read_at_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with pytest.raises(UrlError, match="set DATABASE_URL"):
        resolve(None)
    monkeypatch.setenv("DATABASE_URL", URL)
    assert "host=db" in resolve(None).conninfo
