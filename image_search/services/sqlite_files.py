"""What all SQLite files of a library have in common."""

from __future__ import annotations

import random
import sqlite3
import time

BUSY_S = 30.0
"""How long a call waits for what another process does in the same file."""


def write_ahead(db: sqlite3.Connection) -> None:
    """Switch the file to a write-ahead log, in which readers and a writer do not wait for each other.

    Two processes that open a new file at once: SQLite refuses one of them here at once, whatever the connection's time
    limit, as each holds what the other waits for. Raises sqlite3.OperationalError where it stays so for `BUSY_S`.
    """
    until_s = time.monotonic() + BUSY_S
    while True:
        try:
            db.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            # The lower byte says what it is, the upper ones where.
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until_s:
                raise
            time.sleep(random.uniform(0.002, 0.02))  # noqa: S311 - so that they do not meet again
        else:
            return
