"""`doctor` names what is wrong and what to do, one line a check, and changes nothing."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

import versions
from conftest import discard, new_database
from harness.cluster import Cluster
from harness.database import Database

from .command_line import PASSWORD, CommandLine, Ran, Roles

SEPARATE = "only after import litellm_spend"
PRELOADED = "ok       preload        shared_preload_libraries has litellm_spend"
EXTENSION = f"ok       extension      {versions.EXTENSION}, the version of this package"
GRANTED = "ok       grant          EXECUTE on litellm_record_spend"
TAKEN = "ok       round trip     the server took a record, which was rolled back"
NO_CONNECTION = "unknown  the rest       not checked, because it needs a connection"
REPLACED = "run the doctor again with a role that has pg_monitor"


def of_the_server(ran: Ran) -> list[str]:
    """The lines after those of the packages and of the registration, with one text for a worker that can run."""
    lines = ran.lines[3:]
    return [re.sub(r"(ok +worker +)(running|idle, it starts at the next commit)$", r"\1WORKS", line) for line in lines]


def place(database: Database, role: str = "postgres") -> str:
    return f"{role}@127.0.0.1:{database.cluster.port}/{database.name}"


def connected(database: Database, role: str = "postgres", source: str = "DATABASE_URL") -> list[str]:
    """The lines up to the role."""
    major = database.value("SELECT current_setting('server_version_num')::int / 10000")
    more = ", a superuser: an application needs no more than litellm_spend_writer" if role == "postgres" else ""
    return [
        f"ok       database URL   {place(database, role)}, from {source}",
        f"ok       connection     Postgres {major}, database {database.name}",
        f"ok       role           {role}{more}",
    ]


def test_a_healthy_setup_and_nothing_remains_of_the_record(database: Database, command_line: CommandLine) -> None:
    ran = command_line.run("doctor", DATABASE_URL=database.url)
    written = database.value("SELECT count(*) FROM litellm_spend.targets WHERE action = 'written'")
    assert of_the_server(ran) == [
        *connected(database),
        EXTENSION,
        PRELOADED,
        GRANTED,
        "ok       worker         WORKS",
        "ok       lag            nothing waits to be folded",
        f"ok       tables         {written} of LiteLLM's tables in schema public are found and written",
        TAKEN,
        "",
        "No problem found. Unknown: 1.",
    ]
    assert (ran.exit_code, ran.stderr) == (0, "")
    assert ran.lines[0] == f"ok       LiteLLM        {versions.LITELLM[-1]}, a tested version"
    assert re.fullmatch(r"ok       psycopg        [\d.]+ \(binary\) with libpq [\d.]+", ran.lines[1])
    assert ran.lines[2].startswith("unknown  callback       not looked at: pass --import MODULE")
    assert SEPARATE in ran.lines[2]
    database.wait_folded()
    status = database.status()
    assert (status["folded"], status["rejected"], status["backlog"]) == (0, 0, 0)
    for table in ("LiteLLM_SpendLogs", "LiteLLM_DailyUserSpend"):
        assert database.value(f'SELECT count(*) FROM "{table}"') == 0


def test_no_url(command_line: CommandLine) -> None:
    ran = command_line.run("doctor")
    assert of_the_server(ran) == [
        "problem  database URL   there is none: set LITELLM_SPEND_DATABASE_URL or DATABASE_URL, or pass --database-url",
        "",
        "1 problem. Unknown: 1.",
    ]
    assert ran.exit_code == 1


def test_a_callback_that_is_switched_off(command_line: CommandLine) -> None:
    ran = command_line.run("doctor", LITELLM_SPEND_ENABLED="off")
    assert ran.lines[3] == (
        "problem  options        LITELLM_SPEND_ENABLED is off, so nothing is recorded: remove it, or set it to on"
    )
    assert ran.exit_code == 1


def test_a_wrong_password_is_told_and_no_password_is_shown(
    database: Database, roles: Roles, command_line: CommandLine
) -> None:
    url = psycopg.conninfo.make_conninfo(roles("app"), password="needle-wrong")
    ran = command_line.run("doctor", "--database-url", url)
    assert of_the_server(ran) == [
        f"ok       database URL   {place(database, 'app')}, from --database-url",
        f'problem  connection     the server at 127.0.0.1:{database.cluster.port} refuses the password of role "app", '
        "or has no such role: correct the database URL, and percent-encode special characters in it",
        NO_CONNECTION,
        "",
        "1 problem. Unknown: 2.",
    ]
    assert ran.exit_code == 1
    assert "needle" not in ran.stdout + ran.stderr


def test_a_wrong_database(cluster: Cluster, command_line: CommandLine) -> None:
    ran = command_line.run("doctor", LITELLM_SPEND_DATABASE_URL=cluster.url("nowhere"), DATABASE_URL="not used")
    server = f"127.0.0.1:{cluster.port}"
    assert of_the_server(ran) == [
        f"ok       database URL   postgres@{server}/nowhere, from LITELLM_SPEND_DATABASE_URL",
        f'problem  connection     the server at {server} has no database "nowhere": create it, '
        "or correct the database URL",
        NO_CONNECTION,
        "",
        "1 problem. Unknown: 2.",
    ]
    assert ran.exit_code == 1


def test_a_server_that_is_away_and_one_that_never_answers(command_line: CommandLine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        ran = command_line.run("doctor", DATABASE_URL=f"postgresql://app@127.0.0.1:{port}/litellm")
    assert of_the_server(ran)[1].startswith("problem  connection     ") and ran.exit_code == 1
    assert "answer" in of_the_server(ran)[1]
    ran = command_line.run("doctor", DATABASE_URL=f"postgresql://app@127.0.0.1:{port}/litellm")
    assert of_the_server(ran)[1].startswith(
        f"problem  connection     connection refused: no server listens at 127.0.0.1:{port}"
    )
    assert ran.exit_code == 1


def test_a_missing_extension(empty_database: Database, command_line: CommandLine) -> None:
    ran = command_line.run("doctor", DATABASE_URL=empty_database.url)
    assert of_the_server(ran) == [
        *connected(empty_database),
        f"problem  extension      database {empty_database.name} does not have it: "
        "run CREATE EXTENSION litellm_spend there as a superuser",
        PRELOADED,
        "unknown  the rest       not checked, because it needs the extension: grant, worker, lag, tables, round trip",
        "",
        "1 problem. Unknown: 2.",
    ]
    assert ran.exit_code == 1


@pytest.fixture
def unloaded_database(unloaded_cluster: Cluster) -> Iterator[Database]:
    database = new_database(unloaded_cluster)
    yield database
    discard(database)


def test_a_server_that_does_not_load_the_library_has_no_worker(
    unloaded_database: Database, command_line: CommandLine
) -> None:
    database = unloaded_database
    ran = command_line.run("doctor", DATABASE_URL=database.url)
    lines = of_the_server(ran)
    assert lines[3:7] == [
        EXTENSION,
        "problem  preload        the server does not load litellm_spend at its start: add it to "
        "shared_preload_libraries and restart the server; until then CALL litellm_spend.fold_all() counts the records",
        GRANTED,
        "problem  worker         absent: Add litellm_spend to shared_preload_libraries and restart the server; "
        "until then CALL litellm_spend.fold_all().",
    ]
    assert lines[-3:] == [TAKEN, "", "2 problems. Unknown: 1."]
    assert ran.exit_code == 1


def test_a_missing_grant(database: Database, roles: Roles, command_line: CommandLine) -> None:
    ran = command_line.run("doctor", DATABASE_URL=roles("stranger", "GRANT pg_monitor TO {role}"))
    written = database.value("SELECT count(*) FROM litellm_spend.targets WHERE action = 'written'")
    assert of_the_server(ran) == [
        *connected(database, "stranger"),
        EXTENSION,
        PRELOADED,
        "problem  grant          role stranger may not record spend: "
        "run GRANT litellm_spend_writer TO stranger as a superuser",
        "ok       worker         WORKS",
        "ok       lag            nothing waits to be folded",
        f"ok       tables         {written} of LiteLLM's tables in schema public are found and written",
        "unknown  round trip     not tried without the grant",
        "",
        "1 problem. Unknown: 2.",
    ]
    assert ran.exit_code == 1


def test_what_a_role_may_not_see_is_unknown(database: Database, roles: Roles, command_line: CommandLine) -> None:
    ran = command_line.run("doctor", DATABASE_URL=roles("app", "GRANT litellm_spend_writer TO {role}"))
    assert of_the_server(ran) == [
        *connected(database, "app"),
        EXTENSION,
        PRELOADED,
        GRANTED,
        f"unknown  worker         role app may not read litellm_spend.status: {REPLACED}",
        f"unknown  lag            role app may not read litellm_spend.status: {REPLACED}",
        f"unknown  tables         role app may not read litellm_spend.targets: {REPLACED}",
        TAKEN,
        "",
        "No problem found. Unknown: 4.",
    ]
    assert ran.exit_code == 0
    assert PASSWORD not in ran.stdout


def test_a_held_fold_a_lag_and_another_schema_are_problems(database: Database, command_line: CommandLine) -> None:
    database.execute('ALTER TABLE "LiteLLM_DailyUserSpend" RENAME TO hidden')
    database.execute('CREATE VIEW "LiteLLM_DailyUserSpend" AS SELECT * FROM hidden')
    ran = command_line.run("doctor", DATABASE_URL=database.url)
    [tables] = [line for line in ran.lines if " tables " in line]
    assert tables.startswith("problem  tables         nothing is folded until this is repaired: LiteLLM_DailyUserSpend")
    url = f"{database.url}?schema=litellm&statement_timeot=1"
    ran = command_line.run("doctor", DATABASE_URL=url)
    assert "; libpq does not know 'statement_timeot', so it is ignored" in ran.lines[3]
    assert [line for line in ran.lines if " tables " in line] == [
        "problem  tables         the database URL says schema=litellm, but the server folds spend into schema public: "
        "set litellm_spend.target_schema = 'litellm' in the server, or correct the URL"
    ]
    assert ran.exit_code == 1


@pytest.mark.parametrize(
    ("module", "found"),
    [
        (
            "import litellm, litellm_spend\nlitellm.callbacks = [litellm_spend.SpendLogger()]\nprint('noise')",
            "ok       callback       application registers a SpendLogger in litellm.callbacks",
        ),
        (
            "import litellm, litellm_spend\nlitellm.callbacks = ['litellm_spend']",
            'ok       callback       application registers the name "litellm_spend" in litellm.callbacks',
        ),
        (
            "import litellm\nlitellm.callbacks = ['prisma_proxy']",
            'problem  callback       application names "prisma_proxy" without import litellm_spend, '
            "so nothing is recorded: add it",
        ),
        (
            "import litellm, litellm_spend\nlitellm.success_callback = [litellm_spend.SpendLogger()]",
            "problem  callback       application registers it in success_callback or failure_callback alone, where "
            "LiteLLM gives it no async streams or no successes: "
            "write litellm.callbacks = [litellm_spend.SpendLogger()]",
        ),
        (
            "raise RuntimeError('needle-4711')",
            "unknown  callback       application cannot be imported (RuntimeError): "
            "python -c 'import application' shows why",
        ),
    ],
    ids=["object", "name", "name without import", "success_callback", "raises"],
)
def test_the_module_of_an_application_is_looked_at(
    command_line: CommandLine, tmp_path: Path, module: str, found: str
) -> None:
    (tmp_path / "application.py").write_text(module)
    ran = command_line.run("doctor", "--import", "application", folder=tmp_path)
    assert ran.lines[2] == found
    assert ran.exit_code == 1, "there is no URL"
    assert "noise" not in ran.stdout and "needle" not in ran.stdout + ran.stderr


def test_the_url_of_the_registered_logger_is_the_one_that_is_checked(
    database: Database, command_line: CommandLine, tmp_path: Path
) -> None:
    code = f"import litellm, litellm_spend\nlitellm.callbacks = [litellm_spend.SpendLogger({database.url!r})]"
    (tmp_path / "application.py").write_text(code)
    ran = command_line.run("doctor", "--import", "application", folder=tmp_path, DATABASE_URL="not used")
    assert of_the_server(ran)[:3] == connected(database, source="the logger of application")
    assert ran.lines[-1] == "No problem found." and ran.exit_code == 0
