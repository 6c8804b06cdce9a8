"""Puts the parts of a logger's delivery together, as its settings say."""

from __future__ import annotations

from .._settings import Settings
from ..testing import MemorySink
from .connection import Connection
from .outbox import Outbox
from .outgoing import Outgoing
from .sender import Sender
from .sink import ToMemory, texts_of
from .spool import Spool
from .spool_directory import SpoolDirectory


def set_up(settings: Settings, sink: MemorySink | None) -> Sender:
    """The sender of a logger, with its outbox. Its thread does not run yet. Raises ValueError if `sink` is none."""
    texts = texts_of(sink)
    outbox = Outbox(settings.max_queue, settings.batch_size)
    connection = Connection(settings.database_url, settings.send_timeout) if texts is None else ToMemory(texts)
    sender = Sender(outbox, connection, Outgoing(settings), settings.flush_interval)
    # The records of a sink are for one test, so they outlive no process.
    if settings.spool_dir is not None and sink is None:
        directory = SpoolDirectory(settings.spool_dir, settings.spool_max_mb * 1_000_000)
        outbox.spool = Spool(directory, connection.destination, has_before_send=settings.before_send is not None)
    return sender
