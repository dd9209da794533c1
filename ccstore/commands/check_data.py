"""``ccstore check --data``: reads all messages, and says which are damaged."""

from __future__ import annotations

import sys
import time
from typing import Final

from ccstore.config import Config, SqliteConfig
from ccstore.interfaces import StoreError
from ccstore.storage.sqlite.data_check import DataCheck

#: Seconds between two lines about how far it is.
_PROGRESS_EVERY: Final = 2.0


def check_data(config: Config) -> bool:
    """Say what is wrong with the messages of the store; whether nothing is."""
    backend = config.storage.backend
    if not isinstance(backend, SqliteConfig):
        print("--data: the database is PostgreSQL's, which checks its own (pg_amcheck)", file=sys.stderr)
        return False
    said_at = time.monotonic()

    def progress(total: int, rows: int) -> None:
        nonlocal said_at
        if time.monotonic() - said_at >= _PROGRESS_EVERY:
            said_at = time.monotonic()
            print(f"{rows} of about {total} messages were read", file=sys.stderr, flush=True)

    check = DataCheck(backend.database_path, progress)
    count = 0
    try:
        for problem in check.problems():
            count += 1
            print(problem, flush=True)
    except StoreError as error:
        print(f"ccstore check: {error}", file=sys.stderr)
        return False
    print(f"{check.rows} messages were read: {f'{count} problems' if count else 'all of them are whole'}")
    return count == 0
