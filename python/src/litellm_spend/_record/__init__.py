"""From LiteLLM's event to the record that is sent."""
