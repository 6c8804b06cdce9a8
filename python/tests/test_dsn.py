"""Database URLs. Prisma's parameters are translated or left out. Unknown parameters are left out, with a warning that
names them. Passwords are never shown."""

from __future__ import annotations

import pytest
from psycopg import ProgrammingError
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
        "postgresql://db/x?user=app@server&needle=1",
        "postgresql://db/x?user=app&password=a&needle=1",
        "postgresql://db/x?user=app&pwd=a&needle=1",
        "postgresql://db/x?user=app&PassWd=a&needle=1",
        "postgresql://db/x?user=app&password=a&needle",
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


@pytest.mark.parametrize(
    ("character", "told"),
    [("@", "an at sign (%40)"), ("/", "a slash (%2F)"), ("%", "a percent sign (%25)")],
)
@pytest.mark.parametrize("of", ["user", "password"])
@pytest.mark.parametrize("text", ["{}needle", "needle{}needle", "needle{}", "{0}{0}needle{0}1", "1{}needle"])
def test_a_special_character_that_libpq_misreads_is_named_and_nothing_of_the_password(
    character: str, told: str, of: str, text: str
) -> None:
    name = text.format(character)
    url = f"postgresql://{name}:s3cret@db/x" if of == "user" else f"postgresql://app:{name}@db/x"
    if character == "%" and text == "1{}needle":
        url = url.replace("%", "%ff")  # two hexadecimal digits that are no UTF-8
    with pytest.raises(UrlError) as refused:
        translate(url)
    assert str(refused.value) == (
        f"the database URL cannot be read: its user or password seems to hold {told}: percent-encode it"
    )
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("character", "#?:[]&+=;,!$'()*\"\\^`{|}~<>-_.")
@pytest.mark.parametrize("text", ["{}ab", "a{}b", "ab{}"])
def test_a_special_character_that_libpq_reads_goes_on_working(character: str, text: str) -> None:
    word = text.format(character)
    read = options(f"postgresql://app:{word}@db:5433/x?sslmode=disable")
    assert (read["user"], read["password"], read["host"], read["sslmode"]) == ("app", word, "db", "disable")
    if character != ":":
        read = options(f"postgresql://{word}:s3cret@db/x")
        assert (read["user"], read["password"], read["host"]) == (word, "s3cret", "db")


def test_a_space_is_what_the_installed_libpq_makes_of_it() -> None:
    url = "postgresql://app:need le@db/x"
    try:
        expected = conninfo_to_dict(url)["password"]
    except ProgrammingError:
        with pytest.raises(UrlError, match=r"seems to hold a space \(%20\): percent-encode it$"):
            translate(url)
    else:
        assert options(url)["password"] == expected


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://host/db@x",
        "postgresql://db/x?user=app&password=p+q",
        "postgresql://db/x?user=app@server&password=p@q",
        "postgresql://db/x?ssl=true",
        "postgresql://app:pw@[::1]:5432,h2:5433,h3/x",
        "postgresql://app:pw@[::1]/x",
        "postgresql://app:pw@db:/x",
        "postgresql://app@/x?host=/run/socket",
        "postgresql:///x",
        "postgresql://",
        "postgresql://db?user=app",
    ],
)
def test_what_libpq_reads_is_read_in_the_same_way(url: str) -> None:
    read = options(url)
    assert {key: read[key] for key in conninfo_to_dict(url)} == conninfo_to_dict(url)


def test_a_query_that_stands_right_behind_the_host_may_hold_no_bare_at_sign() -> None:
    with pytest.raises(UrlError, match="put a slash before its question mark"):
        translate("postgresql://db?user=app&password=nee@dle")


@pytest.mark.parametrize("port", ["port", "0", "65536", "1:2", "5432x"])
def test_a_port_that_is_no_port_is_told(port: str) -> None:
    with pytest.raises(UrlError, match="its port is no number from 1 to 65535"):
        translate(f"postgresql://app:pw@a,b:{port}/x")
    with pytest.raises(UrlError, match="its port is no number from 1 to 65535"):
        translate(f"host=a password=pw port={port.replace(':', '.')}")


def test_pairs_that_libpq_cannot_read_are_told_without_their_password() -> None:
    with pytest.raises(UrlError, match="begin it with postgresql://, or put each value") as refused:
        translate("host=a password=nee dle")
    assert "nee" not in str(refused.value)


def test_the_names_for_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGPORT", raising=False)
    destination = translate("postgresql://app:pw@a:1,[::1]:2,c/litellm")
    assert (destination.places, destination.role, destination.database) == (
        ("a:1", "[::1]:2", "c:5432"),
        "app",
        "litellm",
    )
    assert translate("postgresql://app@/x?host=/run&port=7").places == ("/run/.s.PGSQL.7",)
    monkeypatch.setenv("PGUSER", "me")
    assert (translate("postgresql://db").role, translate("postgresql://db").database) == ("me", "me")


@pytest.mark.parametrize("key", ["user", "dbname", "host", "hostaddr", "port", "schema", "service"])
def test_no_name_is_shown_that_may_be_a_piece_of_the_password_before_it(key: str) -> None:
    destination = translate(f"postgresql://db/x?user=app&password=a&{key}=4711")
    assert (destination.hides_names, destination.schema, destination.places) == (True, None, ())
    assert not translate(f"postgresql://db/x?{key}=4711&password=a").hides_names


def test_a_change_after_a_password_is_not_named() -> None:
    destination = translate("postgresql://db/x?password=a&pgbouncer=needle&sslaccept=strict")
    assert destination.changes == ("left out (a name that is not shown)",) * 2


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
