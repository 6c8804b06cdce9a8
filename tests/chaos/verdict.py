"""Compares what writers know with what every target holds."""

from __future__ import annotations

from dataclasses import dataclass, field

from chaos.ledger import Batch, Fate
from harness.database import Database

LOG = 'SELECT request_id, spend FROM "LiteLLM_SpendLogs"'
ENTITIES = {
    "users": 'SELECT user_id, spend, NULL::bigint FROM "LiteLLM_UserTable"',
    "teams": 'SELECT team_id, spend, NULL::bigint FROM "LiteLLM_TeamTable"',
    "tags": 'SELECT tag_name, spend, NULL::bigint FROM "LiteLLM_TagTable"',
    "daily users": 'SELECT user_id, sum(spend), sum(api_requests)::bigint FROM "LiteLLM_DailyUserSpend" GROUP BY 1',
    "daily teams": 'SELECT team_id, sum(spend), sum(api_requests)::bigint FROM "LiteLLM_DailyTeamSpend" GROUP BY 1',
    "daily tags": 'SELECT tag, sum(spend), sum(api_requests)::bigint FROM "LiteLLM_DailyTagSpend" GROUP BY 1',
}


@dataclass
class Verdict:
    """Counts of records, except `wrong`, which says what is wrong with a batch."""

    acknowledged: int = 0
    resent: int = 0
    unknown: int = 0
    unknown_counted: int = 0
    lost: int = 0
    doubled: int = 0
    wrong: list[str] = field(default_factory=list)


def compare(database: Database, batches: list[Batch]) -> Verdict:
    verdict = Verdict()
    log = dict(database.query(LOG))
    entities = {name: {row[0]: row[1:] for row in database.query(query)} for name, query in ENTITIES.items()}
    for batch in batches:
        _judge(batch, log, entities, verdict)
    sent = {record["request_id"] for batch in batches for record in batch.records}
    verdict.wrong += [f"{request_id}: nobody sent it" for request_id in set(log) - sent]
    return verdict


def _judge(batch: Batch, log: dict[str, float], entities: dict[str, dict[str, tuple]], verdict: Verdict) -> None:
    kept = {record["request_id"]: record["spend"] for record in batch.kept_records}
    logged = {
        record["request_id"]: log[record["request_id"]] for record in batch.records if record["request_id"] in log
    }
    counts = bool(logged) if batch.fate is Fate.UNKNOWN else batch.fate is Fate.ACKNOWLEDGED
    if batch.fate is Fate.UNKNOWN:
        verdict.unknown += batch.kept
        verdict.unknown_counted += batch.kept if counts else 0
    elif counts:
        verdict.acknowledged += batch.kept
        verdict.resent += batch.kept if batch.resent else 0
    expected = kept if counts else {}
    wrong = [] if logged == expected else [f"log holds {sorted(logged)}"]
    lost, doubled = len(set(expected) - set(logged)), len(set(logged) - set(expected))
    right_spend, right_requests = (batch.spend, batch.kept) if counts else (0, 0)
    for name, rows in entities.items():
        spend, requests = rows.get(batch.name, (0, None))
        if spend != right_spend or requests not in (None, right_requests):
            wrong.append(f"{name} hold {spend} of {requests} requests, not {right_spend} of {right_requests}")
            lost, doubled = max(lost, int(spend < right_spend)), max(doubled, int(spend > right_spend))
    verdict.lost += lost
    verdict.doubled += doubled
    if wrong:
        verdict.wrong.append(f"{batch.name}, {batch.kept} records, {batch.fate.value}: {'; '.join(wrong)}")
