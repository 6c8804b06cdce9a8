"""The entities that exist before the first record: rows with spend, keys that know their user, memberships
on and off a team's roster, and budget windows. All of them exist once for each scale of amounts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TypeVar

import psycopg

from harness.database import Database

from .call import Identity


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Key:
    """A virtual key: how it is sent, and the contents of its row if it has one."""

    sent: str
    row: Identity | None = None

    @property
    def hash(self) -> str:
        return _sha256(self.sent) if self.sent.startswith("sk-") else self.sent


Name = TypeVar("Name", str, tuple[str, str])
Amount = TypeVar("Amount", float, tuple[float, float], None)


@dataclass(frozen=True)
class Scale:
    """A unit of amounts with its own entities, models, tags and tools, because small amounts would hide in a sum with
    great ones."""

    suffix: str
    unit: float

    def named(self, name: Name) -> Name:
        """The name, or each name of a pair, in this scale. An empty name stays empty."""
        if isinstance(name, tuple):
            return tuple(self.named(each) for each in name)
        return name + self.suffix if name else name

    def identity(self, identity: Identity) -> Identity:
        return Identity(**{field: self.named(name) for field, name in vars(identity).items()})

    def key(self, key: Key) -> Key:
        sent = self.named(key.sent)
        is_raw = key.sent.startswith("sk-") or not self.suffix
        return Key(sent if is_raw else _sha256(sent), key.row and self.identity(key.row))

    def amount(self, amount: Amount) -> Amount:
        if isinstance(amount, tuple):
            return tuple(self.amount(each) for each in amount)
        return amount if amount is None else amount * self.unit


PLAIN = Scale("", 1.0)
# The sums of three scales depend on their order: thirds, 1e-5, which a call may cost, and 1e-12, the least cost.
SCALES = [PLAIN, Scale("-of-thirds", 4 / 3), Scale("-of-cents", 4e-5), Scale("-of-nothing", 4e-12)]


def in_each_scale(rows: Mapping[Name, Amount]) -> dict[Name, Amount]:
    return {scale.named(name): scale.amount(amount) for scale in SCALES for name, amount in rows.items()}


KEYS = [
    Key(_sha256("full"), Identity("keyed-user", "team-0", "org-0", "project-0")),
    Key(_sha256("team's organization"), Identity("user-1", "team-1")),
    Key(_sha256("no owner"), Identity()),
    Key("sk-sent-as-it-is", Identity("user-2", "team-2")),
    Key(_sha256("nobody knows"), None),
    Key("sk-nobody-knows", None),
]
USERS = [f"user-{n}" for n in range(12)] + ["keyed-user", "user::with::colons", "ünïcode-用户"]
TEAMS = [f"team-{n}" for n in range(6)] + ["team::with::colons"]
ORGANIZATIONS = ["org-0", "org-1", "org-new"]
PROJECTS = ["project-0", "project-1", "project-unknown"]
AGENTS = ["agent-0", "agent-1", "agent-unknown"]
ACCESS_GROUPS = ["group-0", "group-1", "group-unknown"]
END_USERS = ["customer-0", "customer-1", "customer-2"]

# Rows that exist: id and spend. The others are created, or not, as the table's rule says.
USER_ROWS = in_each_scale({user: 1.5 for user in USERS[:6]} | {"keyed-user": 0.0})
TEAM_ROWS = in_each_scale({team: 2.5 for team in TEAMS[:4]})
TEAM_ORGANIZATIONS = {scale.named("team-1"): scale.named("org-1") for scale in SCALES}
ORGANIZATION_ROWS = in_each_scale({"org-0": 10.0, "org-1": 0.0})
PROJECT_ROWS = in_each_scale({"project-0": 1.0, "project-1": 0.0})
AGENT_ROWS = in_each_scale({"agent-0": 0.5, "agent-1": 0.0})
ACCESS_GROUP_ROWS = in_each_scale({"group-0": 0.25, "group-1": 0.0})
END_USER_ROWS = in_each_scale({"customer-0": 3.0})
TAG_ROWS = in_each_scale({"blue": 4.0})
KEYS_WITH_ROW = [scale.key(key) for scale in SCALES for key in KEYS if key.row]
KEY_ROWS = {scale.key(key).hash: scale.amount((7.0, 9.0)) for scale in SCALES for key in KEYS if key.row}
"""spend, total_spend"""
# A user on a team's roster gets a membership by spending. A user who has one keeps it.
_ROSTERS = {"team-0": ["user-0", "user-1", "keyed-user"], "team-2": ["user-2", "ünïcode-用户"]}
ROSTERS = {
    scale.named(team): [scale.named(user) for user in users] for scale in SCALES for team, users in _ROSTERS.items()
}
MEMBERSHIPS = in_each_scale(
    {("team-0", "user-0"): (5.0, 8.0), ("team-1", "user-1"): (6.0, 2.0), ("team-3", "user-9"): (0.0, 0.0)}
)
"""(team, user): spend, total_spend"""
ORGANIZATION_MEMBERSHIPS = in_each_scale({("org-0", "keyed-user"): 1.0, ("org-1", "user-1"): None})
"""A NULL stays NULL."""
WINDOWS = {("key", scale.key(KEYS[0]).hash): ["30d", "90d"] for scale in SCALES} | {
    ("team", scale.named("team-0")): ["60d"] for scale in SCALES
}


def resolved(key_hash: str) -> Identity:
    """The identity in the row of a key."""
    return next((key.row for key in KEYS_WITH_ROW if key.hash == key_hash), None) or Identity()


def build(database: Database) -> None:
    """Put the rows into the tables and columns that this LiteLLM has."""
    with database.connect() as connection:
        for table, rows in _rows().items():
            columns = {name for (name,) in connection.execute(_COLUMNS, (table,))}
            for row in rows:
                _insert(connection, table, {name: value for name, value in row.items() if name in columns})


_COLUMNS = """
    SELECT column_name FROM information_schema.columns
    WHERE table_schema = current_schema() AND table_name = %s"""


def _insert(connection: psycopg.Connection, table: str, row: dict) -> None:
    if row:
        names, marks = ", ".join(f'"{name}"' for name in row), ", ".join(["%s"] * len(row))
        connection.execute(f'INSERT INTO "{table}" ({names}) VALUES ({marks})', list(row.values()))


def _rows() -> dict[str, list[dict]]:
    by = {"created_by": "world", "updated_by": "world"}
    return {
        "LiteLLM_BudgetTable": [{"budget_id": "b", **by}],
        "LiteLLM_OrganizationTable": [
            {"organization_id": name, "organization_alias": name, "budget_id": "b", "spend": spend, **by}
            for name, spend in ORGANIZATION_ROWS.items()
        ],
        "LiteLLM_UserTable": [{"user_id": name, "spend": spend} for name, spend in USER_ROWS.items()],
        "LiteLLM_EndUserTable": [
            {"user_id": name, "spend": spend, "blocked": False} for name, spend in END_USER_ROWS.items()
        ],
        "LiteLLM_TeamTable": [
            {
                "team_id": name,
                "organization_id": TEAM_ORGANIZATIONS.get(name),
                "spend": spend,
                "members_with_roles": json.dumps([{"user_id": user, "role": "user"} for user in ROSTERS.get(name, [])]),
                "budget_limits": _limits("team", name),
            }
            for name, spend in TEAM_ROWS.items()
        ],
        "LiteLLM_TeamMembership": [
            {"team_id": team, "user_id": user, "spend": spend, "total_spend": total}
            for (team, user), (spend, total) in MEMBERSHIPS.items()
        ],
        "LiteLLM_OrganizationMembership": [
            {"organization_id": organization, "user_id": user, "spend": spend}
            for (organization, user), spend in ORGANIZATION_MEMBERSHIPS.items()
        ],
        "LiteLLM_ProjectTable": [{"project_id": name, "spend": spend, **by} for name, spend in PROJECT_ROWS.items()],
        "LiteLLM_VerificationToken": [
            {
                "token": key.hash,
                "user_id": key.row.user,
                "team_id": key.row.team,
                "organization_id": key.row.organization,
                "project_id": key.row.project,
                "spend": KEY_ROWS[key.hash][0],
                "total_spend": KEY_ROWS[key.hash][1],
                "budget_limits": _limits("key", key.hash),
            }
            for key in KEYS_WITH_ROW
        ],
        "LiteLLM_TagTable": [{"tag_name": name, "spend": spend} for name, spend in TAG_ROWS.items()],
        "LiteLLM_ModelAccessGroupBudgetTable": [
            {"access_group_name": name, "spend": spend} for name, spend in ACCESS_GROUP_ROWS.items()
        ],
        "LiteLLM_AgentsTable": [
            {"agent_id": name, "agent_name": name, "agent_card_params": "{}", "spend": spend, **by}
            for name, spend in AGENT_ROWS.items()
        ],
    }


def _limits(kind: str, name: str) -> str | None:
    """Windows that began before every record, and will be reset tomorrow."""
    reset_at = (datetime.now(timezone.utc) + timedelta(days=1)).isoformat()
    durations = WINDOWS.get((kind, name))
    return durations and json.dumps(
        [{"budget_duration": duration, "max_budget": 1e12, "reset_at": reset_at} for duration in durations]
    )
