"""Keys and prompts of real LiteLLM calls stay out of every file of the server, through the real callback."""

from __future__ import annotations

import json
from pathlib import Path

from needles import Needles

from conftest import new_database
from harness.cluster import Cluster
from harness.interpreter import Interpreter

APPLICATION = Path(__file__).with_name("careless_application.py")
CONTROL = "spend_logs_metadata, the control"
KEYS = ("api_key", "api_base", "extra_headers", "metadata.user_api_key", "metadata.headers")
PROMPTS = (
    "messages",
    "response",
    "an unknown field of metadata",
    "the text of an error",
    "a prompt as the model",
    CONTROL,
)


def test_no_key_and_no_prompt_of_a_litellm_call_is_in_any_file_of_the_server(
    own_cluster: Cluster, interpreter: Interpreter
) -> None:
    database = new_database(own_cluster)
    needles = Needles()
    sent = {place: needles.key(place) for place in KEYS} | {place: needles.prompt(place) for place in PROMPTS}
    ran = interpreter.run(APPLICATION, url=database.url, NEEDLES=json.dumps(sent))
    assert "sent: 5" in ran.stdout, ran.stdout + ran.log
    database.wait_folded()

    [(count,)] = database.query('SELECT count(*) FROM "LiteLLM_SpendLogs" WHERE length(api_key) = 64')
    assert count == 5
    found = needles.find(own_cluster)
    assert found.pop(CONTROL, []), "the control was not found, so the search proves nothing"
    assert found == {}
