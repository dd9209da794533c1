"""``ccstore check --data``: reads all messages, and says which are damaged."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from ccstore.commands.copy import needs_postgres
from ccstore.config import Config, SqliteConfig
from ccstore.interfaces import StoreError
from ccstore.storage.sqlite.data_check import DataCheck

#: Seconds between two lines about how far it is.
_PROGRESS_EVERY: Final = 2.0


class _Check(Protocol):
    """What both backends have for it."""

    rows: int

    def problems(self) -> Iterator[str]: ...


def check_data(config: Config) -> bool:
    """Say what is wrong with the messages of the store; whether nothing is."""
    said_at = time.monotonic()

    def progress(total: int, rows: int) -> None:
        nonlocal said_at
        if time.monotonic() - said_at >= _PROGRESS_EVERY:
            said_at = time.monotonic()
            print(f"{rows} of about {total} messages were read", file=sys.stderr, flush=True)

    count = 0
    try:
        check = _check_of(config, progress)
        for problem in check.problems():
            count += 1
            print(problem, flush=True)
    except StoreError as error:
        print(f"ccstore check: {error}", file=sys.stderr)
        return False
    print(f"{check.rows} messages were read: {f'{count} problems' if count else 'all of them are whole'}")
    return count == 0


def _check_of(config: Config, progress: Callable[[int, int], None]) -> _Check:
    backend = config.storage.backend
    if isinstance(backend, SqliteConfig):
        return DataCheck(backend.database_path, progress)
    needs_postgres()
    from ccstore.storage.postgres.block_check import BlockCheck

    return BlockCheck(backend.dsn, backend.parameters, progress, timeout=backend.connection_timeout)
