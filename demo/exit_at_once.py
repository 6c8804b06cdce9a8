"""100 concurrent calls, gather, exit: no sleep, no flush. All 100 must be in Postgres all the same.

Run it with DATABASE_URL set; `scripts/demo.sh --exit-at-once 5` runs it five times and counts.
"""

import asyncio

import litellm

from litellm_spend import SpendLogger

litellm.callbacks = [SpendLogger()]


async def main() -> None:
    messages = [{"role": "user", "content": "hi"}]
    calls = [
        litellm.acompletion(model="gpt-4o-mini", messages=messages, user="demo-exit", mock_response="bye")
        for _ in range(100)
    ]
    await asyncio.gather(*calls)


asyncio.run(main())
