"""An application that uses the LiteLLM SDK: 100 concurrent calls over 10 users, 2 teams and 3 tags.

The two marked lines are all that records its spend. DATABASE_URL says where; mock_response stands in
for the provider, so that no key and no network is needed. The last line printed is for the demo.
"""

from __future__ import annotations

import asyncio
import json
import time

import litellm

from litellm_spend import SpendLogger  # line 1 of 2

litellm.callbacks = [SpendLogger()]  # line 2 of 2

CALLS = 100
USERS = [f"demo-user-{number:02}" for number in range(1, 11)]
TEAMS = ["demo-research", "demo-support"]
TAGS = [["demo-chat"], ["demo-search"], ["demo-chat", "demo-nightly"]]
MODELS = ["gpt-4o-mini", "gpt-4o", "claude-sonnet-4-5"]


async def call(number: int) -> float:
    """One completion; returns the cost that the SDK reports for it."""
    response = await litellm.acompletion(
        model=MODELS[number % len(MODELS)],
        messages=[{"role": "user", "content": f"question {number}"}],
        user=USERS[number % len(USERS)],
        metadata={"team_id": TEAMS[number % len(TEAMS)], "tags": TAGS[number % len(TAGS)]},
        mock_response=f"answer {number}",
    )
    return response._hidden_params["response_cost"]


async def main() -> None:
    started = time.perf_counter()
    costs = await asyncio.gather(*[call(number) for number in range(CALLS)])
    seconds = time.perf_counter() - started
    print(json.dumps({"calls": len(costs), "cost": sum(costs), "seconds": seconds, "returned_at": time.time()}))


if __name__ == "__main__":
    asyncio.run(main())
