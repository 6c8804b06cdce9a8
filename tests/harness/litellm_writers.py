"""Sessions in which LiteLLM's own writers charge LiteLLM's tables, with little rest between two flushes.

Runs in an interpreter of LiteLLM. LiteLLM's code decides which statements are issued and in which order. prisma.py
replaces Prisma's client, which sends them. Reads a line of JSON from stdin, {"url", "requests",
"sessions": [[kind, prefix]]}, writes a line when all sessions have begun, ends them at the next line, and prints what
was charged and what failed.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import uuid
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

from litellm.proxy.db.daily_spend_bulk_upsert import DAILY_SPEND_TABLES
from litellm.proxy.db.db_spend_update_writer import DBSpendUpdateWriter
from litellm.proxy.db.model_usage_rollup import (
    ModelUsageKey,
    ModelUsageTransaction,
    flush_model_usage_transactions,
)

sys.path.append(str(Path(__file__).parents[1]))
from harness.charges import DAY, charges, daily_row, log_row, make_request
from harness.prisma import Client

PAUSE = 0.05
"""The pause between two flushes of a session, in seconds. A proxy's pause is ten to thirty."""


class Session:
    """One writer. It charges some requests at a time, and charges these in the order of LiteLLM."""

    def __init__(self, client: Client, kind: str, prefix: str, requests: int) -> None:
        self.requests = requests
        """How many requests it charges at a time."""
        self.kind = kind
        self.prefix = prefix
        self.client = client
        self.connection = client.db.connection
        self.writer = DBSpendUpdateWriter()
        self.rounds = 0
        self.charged: Counter[tuple[str, ...]] = Counter()

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            requests = [make_request(self.prefix) for _ in range(self.requests)]
            if self.kind == "projector":
                await self._project(requests)
            elif self.kind == "queues":
                for write in self._writes(requests):
                    await self._attempt([write])
            else:
                await self._attempt(self._writes(requests))
            self.rounds += 1
            await asyncio.sleep(PAUSE)

    async def _attempt(self, writes: list) -> None:
        """Run writes, in one transaction if there are several. Each write charges the amounts that it returns."""
        try:
            if len(writes) > 1:
                async with self.connection.transaction():
                    charged = [await write() for write in writes]
            else:
                charged = [await write() for write in writes]
        except Exception:
            if not self.client.db.errors:
                raise
            return
        for counts in charged:
            self.charged.update(counts)

    def _writes(self, requests: list[dict[str, str]]) -> list:
        """One write of each table, in the order of this LiteLLM."""
        charged = charges(requests)
        names = [
            ("org_list_transactions", "LiteLLM_OrganizationTable"),
            ("org_member_list_transactions", "LiteLLM_OrganizationMembership"),
            ("team_list_transactions", "LiteLLM_TeamTable"),
            ("user_list_transactions", "LiteLLM_UserTable"),
            ("end_user_list_transactions", "LiteLLM_EndUserTable"),
            ("team_member_list_transactions", "LiteLLM_TeamMembership"),
            ("key_list_transactions", "LiteLLM_VerificationToken"),
            ("project_list_transactions", "LiteLLM_ProjectTable"),
            ("tag_list_transactions", "LiteLLM_TagTable"),
            ("model_access_group_list_transactions", "LiteLLM_ModelAccessGroupBudgetTable"),
            ("agent_list_transactions", "LiteLLM_AgentsTable"),
        ]

        def of_table(table: str) -> Counter:
            return Counter({key: spend for key, spend in charged.items() if key[0] == table})

        def update(name: str, spend: Counter) -> dict[str, float]:
            form = {
                "team_member_list_transactions": "team_id::{}::user_id::{}",
                "org_member_list_transactions": "org_id::{}::user_id::{}",
            }.get(name, "{}")
            return {form.format(*key[1:]): value for key, value in spend.items()}

        async def entities(only: str | None = None) -> Counter:
            updates = {name: update(name, of_table(table)) if only in (None, name) else {} for name, table in names}
            await self.writer._commit_spend_updates_to_db(
                prisma_client=self.client,
                n_retry_times=0,
                proxy_logging_obj=Alerts(),
                db_spend_update_transactions=updates,
            )
            return sum((of_table(table) for name, table in names if only in (None, name)), Counter())

        async def days(entity: str) -> Counter:
            table = DAILY_SPEND_TABLES[entity]
            counts = of_table(table.name)
            rows = {
                str(n): daily_row(table.entity_id_column, key, spend) for n, (key, spend) in enumerate(counts.items())
            }
            await DBSpendUpdateWriter._update_daily_spend(
                n_retry_times=0,
                prisma_client=self.client,
                proxy_logging_obj=Alerts(),
                daily_spend_transactions=rows,
                entity_type=entity,
                entity_id_field=table.entity_id_column,
            )
            return counts

        async def usage() -> Counter:
            counts = of_table("LiteLLM_DailyModelUsage")
            usages = [
                ModelUsageTransaction(ModelUsageKey(DAY, model, model, "openai", "uncategorized"), spend, 1, 1, True)
                for (_, model), spend in counts.items()
            ]
            await flush_model_usage_transactions(self.client, usages, n_retry_times=0)
            return counts

        def one(name: str):
            return lambda: entities(name)

        def day(entity: str):
            return lambda: days(entity)

        order = [entities] if self.kind == "queues in one" else [one(name) for name, _ in names]
        return [*order, *(day(entity) for entity in ("user", "team", "org", "end_user", "agent", "tag")), usage]

    async def _project(self, requests: list[dict[str, str]]) -> None:
        """Logs the requests as LiteLLM does with its ledger, and has its projector charge them."""
        from litellm.accounting.application import apply_deliveries
        from litellm.repositories.accounting_delivery_repository import AccountingDeliveryRepository

        async with self.connection.transaction():
            for request in requests:
                row = log_row(request)
                await self.client.db.execute_raw(
                    'INSERT INTO "LiteLLM_SpendLogDelivery" (delivery_id, request_id, accounting_payload, is_batch)'
                    " VALUES ($1, $2, $3::jsonb, false)",
                    str(uuid.uuid4()),
                    row["request_id"],
                    json.dumps(row),
                )

        claimed: list[dict[str, str]] = []

        async def apply(transaction, deliveries) -> None:
            claimed[:] = [delivery.row["request"] for delivery in deliveries]
            await apply_deliveries(
                transaction, deliveries, prisma_client=self.client, writer=self.writer, proxy_logging_obj=Alerts()
            )

        result = await AccountingDeliveryRepository(self.client).apply_pending(
            apply, batch_size=self.requests, retry_only=False
        )
        if result.applied:
            self.charged.update(charges(claimed))
        elif not self.client.db.errors:
            raise AssertionError(f"no delivery was applied, and the database reported no error: {result}")


class Alerts:
    """Takes LiteLLM's report of a failure, which `Engine` has counted."""

    def __init__(self) -> None:
        self.call_details: dict[str, object] = {}

    async def failure_handler(self, *_: object, **__: object) -> None:
        pass


async def main() -> None:
    loop = asyncio.get_running_loop()
    asked = json.loads(sys.stdin.readline())
    sessions = [
        Session(await Client.connect(asked["url"]), kind, prefix, asked["requests"])
        for kind, prefix in asked["sessions"]
    ]
    stop = asyncio.Event()
    jobs = [asyncio.ensure_future(session.run(stop)) for session in sessions]
    print(json.dumps({"begun": datetime.now(timezone.utc).isoformat()}), flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    stop.set()
    await asyncio.gather(*jobs)
    charged = sum((session.charged for session in sessions), Counter())
    print(
        json.dumps(
            {
                "rounds": [session.rounds for session in sessions],
                "errors": dict(sum((session.client.db.errors for session in sessions), Counter())),
                "charged": [[list(key), spend] for key, spend in sorted(charged.items())],
            }
        ),
        flush=True,
    )
    for session in sessions:
        await session.connection.close()


asyncio.run(main())
