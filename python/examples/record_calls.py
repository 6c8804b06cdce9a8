"""Records three LiteLLM calls and tells what became of them.

    DATABASE_URL=postgresql://app:secret@localhost/litellm python record_calls.py

The server needs the extension litellm_spend. `mock_response` stands in for a provider: no key is needed.
"""

from __future__ import annotations

import litellm

from litellm_spend import SpendLogger


def main() -> None:
    logger = SpendLogger()
    health = logger.health_check()
    if not health.ok:
        raise SystemExit(f"spend cannot be recorded: {health.problem}")
    litellm.callbacks = [logger]
    for question in ("one", "two", "three"):
        litellm.completion(
            model="gpt-4o-mini",
            messages=[{"role": "user", "content": question}],
            user="alice",
            metadata={"team_id": "research", "tags": ["example"]},
            mock_response="an answer",
        )
    logger.close()
    print(logger.stats())


if __name__ == "__main__":
    main()
