"""Ask LiteLLM's own reader for everything that its Usage pages show. Runs in LiteLLM's interpreter.

Usage: read_daily_activity.py FIRST_DAY LAST_DAY ENTITY_OF_EACH_TABLE    (DATABASE_URL names the database)
ENTITY_OF_EACH_TABLE is JSON, {table: [entity column, an entity to ask for alone]}; prints JSON, {table: answers}.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from litellm.proxy.management_endpoints.common_daily_activity import (
    daily_activity_repository,
    daily_activity_scope,
    get_daily_activity,
    get_daily_activity_aggregated,
)

sys.path.append(str(Path(__file__).parents[1]))
from harness.prisma import Client

PAGE_SIZE = 100


async def answers(client: Client, days: tuple[str, str], table: str, column: str, entity: str) -> dict[str, Any]:
    """Page by page, as most endpoints ask; aggregated by Postgres; and aggregated for one entity."""

    async def page(number: int) -> Any:
        return await get_daily_activity(
            client,
            table_name=table,
            entity_id_field=column,
            entity_id=None,
            entity_metadata_field=None,
            start_date=days[0],
            end_date=days[1],
            model=None,
            api_key=None,
            page=number,
            page_size=PAGE_SIZE,
        )

    async def aggregated(of: str | None) -> Any:
        scope = daily_activity_scope(table, column, of, None, None, *days, None, None)
        return await get_daily_activity_aggregated(
            daily_activity_repository(client), scope, include_entity_breakdown=True
        )

    first = await page(1)
    pages = [first, *[await page(number) for number in range(2, first.metadata.total_pages + 1)]]
    return {
        "pages": [each.model_dump(mode="json") for each in pages],
        "aggregated": (await aggregated(None)).model_dump(mode="json"),
        "of_one_entity": (await aggregated(entity)).model_dump(mode="json"),
    }


async def main(first_day: str, last_day: str, entities: dict[str, list[str]]) -> None:
    client = await Client.connect(os.environ["DATABASE_URL"])
    found = {
        table: await answers(client, (first_day, last_day), table, column, entity)
        for table, (column, entity) in entities.items()
    }
    print(json.dumps(found))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3])))
