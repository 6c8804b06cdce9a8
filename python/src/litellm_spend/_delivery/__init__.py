"""From the queue to the server."""
