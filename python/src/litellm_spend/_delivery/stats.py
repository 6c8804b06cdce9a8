"""The counters of a logger, as an application sees them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stats:
    """What happened to the records of one logger, counted since the process started (or was forked)."""

    captured: int
    """Records built from LiteLLM's events."""
    queued: int
    """Records that wait, or are on their way to the server."""
    sent: int
    """Records that the server committed, including the rejected ones."""
    rejected: int
    """Those of `sent` that the server put into litellm_spend.rejected."""
    refused: int
    """Records that the server refused even alone."""
    dropped: int
    """Lost records: the queue was full, or the process ended while the server was away."""
    retries: int
    """Attempts to send that failed and are repeated."""
    last_error: str | None
    """The last error, without secrets; None if the last attempt succeeded."""
    spooled: int = 0
    """Those of `queued` that are in the spool, so that they outlive the process."""
    recovered: int = 0
    """Records that earlier processes left in the spool and that this one sent."""
    set_aside: int = 0
    """Records of the spool that are so old that the server may have counted and forgotten them."""
    oldest_unsent_seconds: float | None = None
    """How long the oldest of `queued` has waited; None if none waits."""
    sending_seconds: float | None = None
    """How long the current attempt to send has run; None if none runs."""
    unpriced: int = 0
    """Successful calls that cost 0 because LiteLLM has no price for their model."""
    held: int = 0
    """A Router's failed attempts that are held until it is known how they count; not yet in `captured`."""
    unusable_ids: int = 0
    """Ids (of a user, team or tag, for example) for which nobody is charged: no string, number, UUID or Enum."""
    filtered: int = 0
    """Records that `before_send` dropped, or for which it failed."""
