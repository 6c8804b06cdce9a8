"""The callback as a part of somebody's application: when it waits, what it keeps, how it starts and ends."""
