"""An SDK application beside a proxy, which calls a mocked model and records through the callback.

Arguments: the number of calls, and the arguments of each call as JSON. It prints the cost of each call.
"""

import json
import sys

import litellm

from litellm_spend import SpendLogger

calls, options = int(sys.argv[1]), json.loads(sys.argv[2])
logger = SpendLogger()
litellm.callbacks = [logger]
costs = []
for number in range(calls):
    response = litellm.completion(
        messages=[{"role": "user", "content": f"Question {number}"}],
        input_cost_per_token=0.00002,
        output_cost_per_token=0.00005,
        **options,
    )
    costs.append(response._hidden_params["response_cost"])
assert logger.flush(30), logger.stats()
print(json.dumps({"costs": costs}))
