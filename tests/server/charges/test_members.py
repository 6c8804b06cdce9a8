"""Memberships of teams and organizations: which rows a fold creates, and what it adds to existing rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from harness.database import Database
from harness.records import spend_record

MEMBER = 'SELECT spend, total_spend FROM "LiteLLM_TeamMembership" WHERE team_id = %s AND user_id = %s'


def make_team(database: Database, team: str, *members: str) -> None:
    roster = json.dumps([{"role": "user", "user_id": member} for member in members])
    database.execute('INSERT INTO "LiteLLM_TeamTable" (team_id, members_with_roles) VALUES (%s, %s)', team, roster)


def make_membership(database: Database, team: str, user: str, spend: float, total: float) -> None:
    statement = 'INSERT INTO "LiteLLM_TeamMembership" (team_id, user_id, spend, total_spend) VALUES (%s, %s, %s, %s)'
    database.execute(statement, team, user, spend, total)


def spend(database: Database, *of: tuple[str, str, float]) -> None:
    """Count a request of each (team, user, cost), all in one batch."""
    database.record([spend_record(team_id=team, user=user, spend=cost) for team, user, cost in of])
    database.wait_folded()


def test_only_members_on_the_roster_get_a_row(shared_database: Database) -> None:
    make_team(shared_database, "roster", "ann", "bob")
    spend(shared_database, ("roster", "ann", 1.0), ("roster", "eve", 2.0), ("roster", "ann", 4.0))
    assert shared_database.query(MEMBER, "roster", "ann") == [(5.0, 5.0)]
    assert shared_database.query(MEMBER, "roster", "eve") == []
    assert shared_database.query(MEMBER, "roster", "bob") == []


def test_a_member_without_a_place_on_the_roster_keeps_the_row_that_is_there(shared_database: Database) -> None:
    make_team(shared_database, "left")
    make_membership(shared_database, "left", "ann", 1.0, 1.0)
    spend(shared_database, ("left", "ann", 0.5))
    assert shared_database.query(MEMBER, "left", "ann") == [(1.5, 1.5)]


@pytest.mark.parametrize(("before", "after"), [((5.0, 1.0), (5.25, 5.25)), ((2.0, 7.0), (2.25, 7.25))])
def test_total_spend_is_at_least_the_spend_before(
    shared_database: Database, before: tuple[float, float], after: tuple[float, float]
) -> None:
    team = f"floor-{before[0]:g}"
    make_team(shared_database, team, "ann")
    make_membership(shared_database, team, "ann", *before)
    spend(shared_database, (team, "ann", 0.25))
    assert shared_database.query(MEMBER, team, "ann") == [after]


def test_a_request_that_costs_nothing_makes_the_members_row(shared_database: Database) -> None:
    make_team(shared_database, "free", "ann")
    spend(shared_database, ("free", "ann", 0.0))
    assert shared_database.query(MEMBER, "free", "ann") == [(0.0, 0.0)]


def test_a_negative_cost_lowers_spend_and_total_spend(shared_database: Database) -> None:
    make_team(shared_database, "credit", "ann", "bob")
    make_membership(shared_database, "credit", "ann", 1.0, 3.0)
    spend(shared_database, ("credit", "ann", -0.25), ("credit", "bob", -0.5))
    assert shared_database.query(MEMBER, "credit", "ann") == [(0.75, 2.75)]
    assert shared_database.query(MEMBER, "credit", "bob") == [(-0.5, -0.5)]


def test_ids_that_look_alike_when_joined_are_two_members(shared_database: Database) -> None:
    make_team(shared_database, "a::b", "c")
    make_team(shared_database, "a", "b::c")
    spend(shared_database, ("a::b", "c", 1.0), ("a", "b::c", 2.0))
    assert shared_database.query(MEMBER, "a::b", "c") == [(1.0, 1.0)]
    assert shared_database.query(MEMBER, "a", "b::c") == [(2.0, 2.0)]


def test_a_user_has_a_row_in_each_of_his_teams(shared_database: Database) -> None:
    for team in ("first", "second"):
        make_team(shared_database, team, "both")
    spend(shared_database, ("first", "both", 1.0), ("second", "both", 2.0))
    assert shared_database.query(MEMBER, "first", "both") == [(1.0, 1.0)]
    assert shared_database.query(MEMBER, "second", "both") == [(2.0, 2.0)]


@contextmanager
def roster_change(database: Database, team: str) -> Iterator[psycopg.Connection]:
    """A transaction of LiteLLM's team endpoints, which hold an advisory lock of the team. A fold that has spend of the
    team's member ann waits for it."""
    with database.connect(autocommit=False) as proxy:
        proxy.execute("SET lock_timeout = '500 ms'")
        proxy.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (team,))
        database.record(spend_record(team_id=team, user="ann", spend=0.5))
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'"
        database.wait_for(waiting, 1)
        yield proxy
        proxy.commit()
    database.wait_folded()


def test_a_member_row_that_litellm_makes_meanwhile_is_added_to(shared_database: Database) -> None:
    make_team(shared_database, "joining", "ann")
    with roster_change(shared_database, "joining") as proxy:
        proxy.execute("INSERT INTO \"LiteLLM_TeamMembership\" (team_id, user_id, spend) VALUES ('joining', 'ann', 1)")
    assert shared_database.value(MEMBER, "joining", "ann") == 1.5


def test_a_fold_that_waits_for_a_roster_change_locks_no_row_that_it_needs(shared_database: Database) -> None:
    """Otherwise one of the two would die of the deadlock. A user who has left the team gets no row."""
    make_team(shared_database, "leaving", "ann")
    shared_database.execute("INSERT INTO \"LiteLLM_UserTable\" (user_id) VALUES ('ann') ON CONFLICT DO NOTHING")
    with roster_change(shared_database, "leaving") as proxy:
        proxy.execute("UPDATE \"LiteLLM_TeamTable\" SET members_with_roles = '[]' WHERE team_id = 'leaving'")
        proxy.execute("UPDATE \"LiteLLM_UserTable\" SET teams = '{}' WHERE user_id = 'ann'")
    assert shared_database.query(MEMBER, "leaving", "ann") == []
    assert shared_database.value("SELECT spend FROM \"LiteLLM_TeamTable\" WHERE team_id = 'leaving'") == 0.5


def test_a_member_of_an_organization_is_charged_and_none_is_made(shared_database: Database) -> None:
    shared_database.execute("""
        INSERT INTO "LiteLLM_BudgetTable" (budget_id, created_by, updated_by) VALUES ('b', '', '');
        INSERT INTO "LiteLLM_OrganizationTable"
            (organization_id, organization_alias, budget_id, created_by, updated_by) VALUES ('org', '', 'b', '', '');
        INSERT INTO "LiteLLM_UserTable" (user_id) VALUES ('with-spend'), ('with-null'), ('no-member');
        INSERT INTO "LiteLLM_OrganizationMembership" (organization_id, user_id, spend)
        VALUES ('org', 'with-spend', 1), ('org', 'with-null', NULL)""")
    users = ("with-spend", "with-null", "no-member")
    shared_database.record([spend_record(organization_id="org", user=user) for user in users])
    shared_database.wait_folded()
    members = 'SELECT user_id, spend FROM "LiteLLM_OrganizationMembership" ORDER BY user_id'
    # NULL plus something is NULL, as in LiteLLM.
    assert shared_database.query(members) == [("with-null", None), ("with-spend", 1.25)]
