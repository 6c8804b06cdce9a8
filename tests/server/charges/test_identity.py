"""Where a record names a key but not its user, the key's own row says who is charged."""

from __future__ import annotations

import hashlib

import pytest

from harness.database import Database, Record
from harness.records import DAY, spend_record

LOG = """SELECT "user", team_id, organization_id, metadata->>'user_api_key_alias' FROM "LiteLLM_SpendLogs"
    WHERE request_id = %s"""


@pytest.fixture(scope="module", autouse=True)
def organizations(shared_database: Database) -> None:
    shared_database.execute("""
        INSERT INTO "LiteLLM_BudgetTable" (budget_id, created_by, updated_by) VALUES ('b', '', '');
        INSERT INTO "LiteLLM_OrganizationTable"
            (organization_id, organization_alias, budget_id, created_by, updated_by)
        VALUES ('org-of-key', '', 'b', '', ''), ('org-of-team', '', 'b', '', '')""")


def key_of(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def make_key(database: Database, name: str, *, organization: str | None = None) -> str:
    """A key whose alias is its name, with a user, a team of the organization org-of-team, and a project of its
    own."""
    columns = f"""
        INSERT INTO "LiteLLM_TeamTable" (team_id, organization_id, members_with_roles)
        VALUES ('team-{name}', 'org-of-team', '[{{"user_id": "user-{name}", "role": "user"}}]');
        INSERT INTO "LiteLLM_UserTable" (user_id) VALUES ('user-{name}');
        INSERT INTO "LiteLLM_ProjectTable" (project_id, created_by, updated_by) VALUES ('project-{name}', '', '')"""
    database.execute(columns)
    database.execute(
        'INSERT INTO "LiteLLM_VerificationToken" (token, key_alias, user_id, team_id, organization_id, project_id)'
        " VALUES (%s, %s, %s, %s, %s, %s)",
        *(key_of(name), name, f"user-{name}", f"team-{name}", organization, f"project-{name}"),
    )
    return key_of(name)


def key_only(name: str, **fields: object) -> Record:
    """A request of this key without any other identity."""
    return spend_record(user="", team_id="", request_tags=[], api_key=key_of(name), **fields)


def spend_of(database: Database, table: str, column: str, name: str) -> float | None:
    rows = database.query(f'SELECT spend FROM "LiteLLM_{table}" WHERE {column} = %s', name)
    return rows[0][0] if rows else None


def test_a_key_brings_its_user_team_and_project_and_the_organization_of_its_team(shared_database: Database) -> None:
    make_key(shared_database, "whole")
    record = key_only("whole")
    shared_database.record(record)
    shared_database.wait_folded()
    assert shared_database.query(LOG, record["request_id"]) == [("user-whole", "team-whole", "org-of-team", "whole")]
    charged = {
        "UserTable": ("user_id", "user-whole"),
        "TeamTable": ("team_id", "team-whole"),
        "TeamMembership": ("team_id", "team-whole"),
        "ProjectTable": ("project_id", "project-whole"),
        "DailyUserSpend": ("user_id", "user-whole"),
        "DailyTeamSpend": ("team_id", "team-whole"),
    }
    assert {table: spend_of(shared_database, table, *of) for table, of in charged.items()} == dict.fromkeys(
        charged, 0.25
    )


def test_a_keys_own_organization_comes_before_its_teams(shared_database: Database) -> None:
    make_key(shared_database, "owned", organization="org-of-key")
    shared_database.record(key_only("owned"))
    shared_database.wait_folded()
    assert spend_of(shared_database, "OrganizationTable", "organization_id", "org-of-key") == 0.25
    assert spend_of(shared_database, "DailyOrganizationSpend", "organization_id", "org-of-key") == 0.25


def test_a_key_whose_alias_is_known_is_not_looked_up(shared_database: Database) -> None:
    make_key(shared_database, "described")
    record = key_only("described", metadata={"user_api_key_alias": "described"})
    shared_database.record(record)
    shared_database.wait_folded()
    assert shared_database.query(LOG, record["request_id"]) == [("", "", "", "described")]
    assert spend_of(shared_database, "VerificationToken", "token", key_of("described")) == 0.25
    assert spend_of(shared_database, "UserTable", "user_id", "user-described") == 0.0


def test_the_keys_row_comes_before_what_the_caller_claims(shared_database: Database) -> None:
    make_key(shared_database, "claimed")
    payload = {
        "id": "claimed-1",
        "startTime": f"{DAY}T12:00:00Z",
        "response_cost": 0.25,
        "user": "somebody",
        "metadata": {"user_api_key_hash": key_of("claimed"), "team_id": "some-team"},
    }
    shared_database.record(payload)
    shared_database.wait_folded()
    assert shared_database.query(LOG, "claimed-1") == [("user-claimed", "team-claimed", "org-of-team", "claimed")]
    assert spend_of(shared_database, "UserTable", "user_id", "somebody") is None


def test_a_refused_request_is_its_keys_in_every_table(shared_database: Database) -> None:
    """LiteLLM charges only the log, the user and the team (proxy_track_cost_callback.py)."""
    key = make_key(shared_database, "refused", organization="org-of-key")
    error = {"status": "failure", "error_information": {"error_code": "401", "error_class": "ProxyException"}}
    record = key_only("refused", spend=0.0, status="failure", metadata=error)
    shared_database.record(record)
    shared_database.wait_folded()
    assert shared_database.query(LOG, record["request_id"]) == [
        ("user-refused", "team-refused", "org-of-key", "refused")
    ]
    for entity, name in (("User", "user-refused"), ("Team", "team-refused"), ("Organization", "org-of-key")):
        query = f'SELECT failed_requests FROM "LiteLLM_Daily{entity}Spend" WHERE {entity}_id = %s AND api_key = %s'
        assert shared_database.value(query, name, key) == 1
    errors = (
        'SELECT user_id, team_id, status_code, failed_requests FROM "LiteLLM_DailyRequestErrors" WHERE api_key = %s'
    )
    assert shared_database.query(errors, key) == [("user-refused", "team-refused", 401, 1)]
    used = 'SELECT last_active IS NOT NULL FROM "LiteLLM_VerificationToken" WHERE token = %s'
    assert shared_database.value(used, key) is True
    member = 'SELECT user_id, spend, total_spend FROM "LiteLLM_TeamMembership" WHERE team_id = %s'
    assert shared_database.query(member, "team-refused") == [("user-refused", 0.0, 0.0)]


# A key is valid until the moment at which it is revoked; the requests start at 12:00.
@pytest.mark.parametrize(("revoked_at", "is_valid"), [("12:00:00.001", True), ("12:00", False)])
def test_a_key_in_its_grace_period_charges_the_key_that_replaced_it(
    shared_database: Database, revoked_at: str, is_valid: bool
) -> None:
    old, new = f"old-{is_valid}", f"new-{is_valid}"
    make_key(shared_database, new)
    shared_database.execute(
        'INSERT INTO "LiteLLM_DeprecatedVerificationToken" (id, token, active_token_id, revoke_at)'
        " VALUES (%s, %s, %s, %s)",
        *(old, key_of(old), key_of(new), f"{DAY} {revoked_at}"),
    )
    record = key_only(old)
    shared_database.record(record)
    shared_database.wait_folded()
    of_new, of_nobody = (f"user-{new}", f"team-{new}", "org-of-team", new), ("", "", "", None)
    assert shared_database.query(LOG, record["request_id"]) == [of_new if is_valid else of_nobody]
    assert spend_of(shared_database, "VerificationToken", "token", key_of(new)) == (0.25 if is_valid else 0.0)
    # The log keeps the key that was used.
    logged = 'SELECT api_key FROM "LiteLLM_SpendLogs" WHERE request_id = %s'
    assert shared_database.value(logged, record["request_id"]) == key_of(old)


def test_the_key_is_asked_when_the_batch_is_folded(shared_database: Database) -> None:
    """The fold knows a key that was created after its request was recorded but before the fold."""
    record = key_only("young")
    with shared_database.held_fold():
        shared_database.record(record)
        make_key(shared_database, "young")
    shared_database.wait_folded()
    assert shared_database.query(LOG, record["request_id"]) == [("user-young", "team-young", "org-of-team", "young")]


def charged_organization(database: Database, record: Record) -> list[tuple[str | None, ...]]:
    """The organization of the log row, in its column and in its metadata."""
    query = (
        """SELECT organization_id, metadata->>'user_api_key_org_id' FROM "LiteLLM_SpendLogs" WHERE request_id = %s"""
    )
    return database.query(query, record["request_id"])


def test_a_team_brings_its_organization_where_nothing_else_names_one(shared_database: Database) -> None:
    make_key(shared_database, "teamed")
    shared_database.execute(
        """INSERT INTO "LiteLLM_OrganizationTable"
               (organization_id, organization_alias, budget_id, created_by, updated_by)
           VALUES ('org-of-other', '', 'b', '', '');
           INSERT INTO "LiteLLM_TeamTable" (team_id, organization_id) VALUES ('team-of-other', 'org-of-other')"""
    )
    of_team = spend_record(user="u", team_id="team-of-other", metadata={})
    of_key = key_only("teamed") | {"team_id": "team-of-other"}
    shared_database.record(of_team)
    shared_database.record(of_key)
    shared_database.wait_folded()
    for record in (of_team, of_key):
        assert charged_organization(shared_database, record) == [("org-of-other", "org-of-other")]
    assert spend_of(shared_database, "OrganizationTable", "organization_id", "org-of-other") == 0.5
    daily = 'SELECT sum(spend) FROM "LiteLLM_DailyOrganizationSpend" WHERE organization_id = %s'
    assert shared_database.value(daily, "org-of-other") == 0.5


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("said", {"metadata": {"user_api_key_org_id": ""}}),
        ("batch", {"call_type": "aretrieve_batch"}),
        ("batch-of-the-enum", {"call_type": "CallTypes.aretrieve_batch"}),
    ],
)
def test_a_record_that_says_it_has_no_organization_or_is_of_a_batch_charges_none(
    shared_database: Database, name: str, changes: Record
) -> None:
    make_key(shared_database, name)
    record = spend_record(user="u", team_id=f"team-{name}") | changes
    shared_database.record(record)
    shared_database.wait_folded()
    [(organization, _)] = charged_organization(shared_database, record)
    assert not organization
    assert spend_of(shared_database, "TeamTable", "team_id", f"team-{name}") == 0.25
