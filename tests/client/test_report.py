"""`report` shows what LiteLLM's daily tables hold, to a role that may read nothing else."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

import pytest

from harness.database import Database
from harness.records import spend_record

from .command_line import PASSWORD, CommandLine, Roles

TODAY = datetime.now(timezone.utc).date()
YESTERDAY = TODAY - timedelta(days=1)
READER = 'GRANT SELECT ON "LiteLLM_DailyUserSpend", "LiteLLM_DailyTeamSpend", "LiteLLM_DailyTagSpend" TO {role}'


def record(database: Database, day: object, spend: float, **fields: object) -> None:
    times = {"startTime": f"{day}T00:00:01Z", "endTime": f"{day}T00:00:02Z"}
    database.record(spend_record(spend=spend, **{**times, **fields}))


@pytest.fixture
def spent(database: Database) -> Database:
    """Five requests of two days, one without a user and a team."""
    record(database, YESTERDAY, 1.5, user="bob", model="gpt-4o", request_tags=["blue", "red"])
    record(database, TODAY, 0.1)
    record(database, TODAY, 0.2)
    record(database, TODAY, 0.00001, user="", team_id="", request_tags=[], model="tiny")
    record(database, TODAY - timedelta(days=7), 99.0)
    database.wait_folded()
    return database


def test_the_report_in_the_terminal(spent: Database, roles: Roles, command_line: CommandLine) -> None:
    ran = command_line.run("report", "--since", "2d", LITELLM_SPEND_REPORT_URL=roles("reader", READER))
    where = f"reader@127.0.0.1:{spent.cluster.port}/{spent.name}"
    # The columns are as wide as their values.
    shown = [re.sub("─+", "───", " ".join(line.split())) for line in ran.stdout.splitlines()]
    expected = f"""\
Spend of {YESTERDAY} to {TODAY} (UTC)
Database {where}

$1.8000 4 requests 60 tokens

Days

day spend share requests tokens
───
{YESTERDAY} $1.5000 83.3% 1 15
{TODAY} $0.3000 16.7% 3 45

Users

user spend share requests tokens
───
bob $1.5000 83.3% 1 15
alice $0.3000 16.7% 2 30
(no user) <$0.0001 0.0% 1 15

Teams

team spend share requests tokens
───
team-a $1.8000 100.0% 3 45
(no team) <$0.0001 0.0% 1 15

Tags

tag spend requests tokens
───
blue $1.8000 3 45
red $1.5000 1 15

Models

model spend share requests tokens
───
gpt-4o $1.5000 83.3% 1 15
gpt-4o-mini $0.3000 16.7% 2 30
tiny <$0.0001 0.0% 1 15

A request with several tags is in the row of each, and a request without tags in none: the rows of
the tags do not add up to the total.
Not known: how many records wait to be folded. Only a role with pg_monitor may see it."""
    assert shown == expected.splitlines()
    assert (ran.exit_code, ran.stderr) == (0, "")


def test_what_is_shown_is_what_by_since_and_top_ask_for(spent: Database, command_line: CommandLine) -> None:
    ran = command_line.run("report", "--since", str(TODAY), "--by", "user", "--top", "1", DATABASE_URL=spent.url)
    lines = [line.strip() for line in ran.stdout.splitlines()]
    assert lines[0] == f"Spend of {TODAY} (UTC)"
    assert "$0.3000   3 requests   45 tokens" in lines
    assert [line.split() for line in lines if line.startswith(("alice", "1 other", "(no"))] == [
        ["alice", "$0.3000", "100.0%", "2", "30"],
        ["1", "other", "<$0.0001", "0.0%", "1", "15"],
    ]
    assert not {"Days", "Teams", "Tags", "Models"} & set(lines)
    assert lines[-1] == "All committed records are counted."


def test_records_that_are_not_folded_yet_are_told(database: Database, command_line: CommandLine) -> None:
    with database.held_fold():
        record(database, TODAY, 0.25)
        ran = command_line.run("report", DATABASE_URL=database.url)
    assert "$0.000000   0 requests   0 tokens" in ran.stdout
    assert "Committed records that are not counted yet: 1. The oldest has waited for" in ran.stdout


def test_requests_without_a_row_of_a_team_are_told(spent: Database, command_line: CommandLine) -> None:
    spent.execute("""DELETE FROM "LiteLLM_DailyTeamSpend" WHERE team_id = '' """)
    ran = command_line.run("report", DATABASE_URL=spent.url)
    assert "Requests that are in no row of teams: 1. LiteLLM_DailyTeamSpend has no row for them." in ran.stdout


def test_the_grants_that_are_asked_for_are_enough(spent: Database, roles: Roles, command_line: CommandLine) -> None:
    spent.execute("REVOKE USAGE ON SCHEMA public FROM PUBLIC")
    url = roles("reader")
    ran = command_line.run("report", LITELLM_SPEND_REPORT_URL=url)
    sentence, advice = ran.stderr.strip().split(" Let their owner run: ")
    assert sentence == "litellm-spend report: role reader may not read LiteLLM's daily tables."
    assert ran.exit_code == 1 and ran.stdout == ""
    grants = [grant.strip() for grant in advice.split(";") if grant]
    assert grants == [
        'GRANT USAGE ON SCHEMA "public" TO "reader"',
        'GRANT SELECT ON "public"."LiteLLM_DailyTagSpend", "public"."LiteLLM_DailyTeamSpend", '
        '"public"."LiteLLM_DailyUserSpend" TO "reader"',
    ]
    for grant in grants:
        spent.execute(grant)
    assert command_line.run("report", LITELLM_SPEND_REPORT_URL=url).exit_code == 0


def test_no_search_path_is_trusted(spent: Database, roles: Roles, command_line: CommandLine) -> None:
    spent.execute('CREATE SCHEMA evil; CREATE TABLE evil."LiteLLM_DailyUserSpend" (spend float8)')
    spent.execute("CREATE AGGREGATE evil.sum(numeric) (sfunc = numeric_mul, stype = numeric)")
    path = "ALTER ROLE {role} SET search_path = evil, pg_catalog"
    url = roles("reader", READER, "GRANT USAGE ON SCHEMA evil TO {role}", path)
    ran = command_line.run("report", "--since", "2d", LITELLM_SPEND_REPORT_URL=url)
    assert "$1.8000   4 requests   60 tokens" in ran.stdout


def test_the_servers_target_schema_decides(spent: Database, command_line: CommandLine) -> None:
    spent.execute(f"ALTER DATABASE {spent.name} SET litellm_spend.target_schema = 'elsewhere'")
    ran = command_line.run("report", "--by", "day", DATABASE_URL=spent.url)
    assert ran.stderr == (
        "litellm-spend report: schema elsewhere has no LiteLLM_DailyUserSpend: name LiteLLM's database in the URL, "
        "or set litellm_spend.target_schema to the schema of its tables\n"
    )
    spent.execute('CREATE SCHEMA elsewhere; ALTER TABLE "LiteLLM_DailyUserSpend" SET SCHEMA elsewhere')
    assert "$1.8000" in command_line.run("report", "--since", "2d", "--by", "day", DATABASE_URL=spent.url).stdout


def test_rows_that_row_security_hides_are_told(spent: Database, roles: Roles, command_line: CommandLine) -> None:
    spent.execute('ALTER TABLE "LiteLLM_DailyUserSpend" ENABLE ROW LEVEL SECURITY')
    ran = command_line.run("report", "--by", "day", LITELLM_SPEND_REPORT_URL=roles("reader", READER))
    assert "Row security limits which rows role reader sees: the numbers may be too low." in ran.stdout


def test_a_sum_does_not_depend_on_the_order_of_floats(database: Database, command_line: CommandLine) -> None:
    for number in range(30):
        record(database, TODAY, 0.1, user=f"user-{number}", team_id=f"team-{number}")
    record(database, TODAY, 4e9, user="rich", team_id="rich")
    database.wait_folded()
    ran = command_line.run("report", "--by", "user", "--since", "1d", DATABASE_URL=database.url)
    assert "$4,000,000,003.00   31 requests" in ran.stdout


def test_a_name_cannot_control_the_terminal(database: Database, command_line: CommandLine) -> None:
    record(database, TODAY, 0.1, user="\x1b[31mred[bold]\u202e")
    database.wait_folded()
    ran = command_line.run("report", "--by", "user", DATABASE_URL=database.url, FORCE_COLOR="1")
    assert "\ufffd[31mred[bold]\ufffd" in ran.stdout
    assert "\x1b[31m" not in ran.stdout and "\u202e" not in ran.stdout


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--since", "soon"), "--since cannot be soon: say 7d, 4w, or a day of the last ten years such as "),
        (("--since", "2999-01-01"), "--since cannot be 2999-01-01: "),
        (("--since", "2026-02-31"), "--since cannot be 2026-02-31: "),
        (("--since", "0d"), "--since cannot be 0d: "),
        (("--by", "user,planet"), "--by knows no planet: use day, user, team, tag, model"),
        (("--top", "0"), "--top must be at least 1"),
        ((), "the database URL: there is none: set LITELLM_SPEND_REPORT_URL or LITELLM_SPEND_DATABASE_URL or "),
    ],
)
def test_what_cannot_be_shown_is_a_sentence(
    command_line: CommandLine, arguments: tuple[str, ...], problem: str
) -> None:
    ran = command_line.run("report", *arguments)
    assert ran.stderr.startswith(f"litellm-spend report: {problem}") and ran.stderr.count("\n") == 1
    assert (ran.exit_code, ran.stdout) == (1, "")


def test_a_wrong_password_is_a_sentence_without_it(database: Database, roles: Roles, command_line: CommandLine) -> None:
    url = roles("reader").replace(PASSWORD, "needle-wrong")
    ran = command_line.run("report", "--database-url", url)
    assert "password" in ran.stderr and "needle" not in ran.stderr and ran.stderr.count("\n") == 1
    assert ran.exit_code == 1


@pytest.mark.parametrize(("arguments", "package"), [((), "rich"), (("--html", "page.html"), "plotly")])
def test_a_missing_extra_is_a_sentence(
    command_line_without_extra: CommandLine, arguments: tuple[str, ...], package: str
) -> None:
    ran = command_line_without_extra.run("report", *arguments)
    assert ran.stderr == f"litellm-spend report: {package} is not installed: run pip install 'litellm_spend[report]'\n"
    assert ran.exit_code == 1
