"""``ccstore export``: all messages of the store in a plain file, for other programs."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from twisted.python import usage

from ccstore.commands.copy import place, store_source
from ccstore.commands.description import FILE
from ccstore.commands.options import CommandOptions, parse
from ccstore.config import ConfigError
from ccstore.interfaces import StoreError
from ccstore.storage.sqlite.plain_export import PlainExport

#: Seconds between two lines about how far it is.
_PROGRESS_EVERY: Final = 2.0


class Options(CommandOptions):
    """The options of ``ccstore export``."""

    command = "export"
    synopsis = "--config FILE --sqlite OUT.db"
    longdesc = (
        "Writes all events and logs, packed or not, into a new plain file of SQLite, with the tables "
        "CLUSTER_events and CLUSTER_logs that cc-event-store has. No daemon may use an SQLite store "
        "meanwhile; `ccstore query` asks one that runs."
    )
    optParameters = [
        ["config", "c", None, "Path of the configuration file, of which the storage is meant."],
        ["sqlite", None, None, "Path of the file to write, which must not be there."],
    ]
    optFlags = [["lenient", None, "Only warn of keys in the configuration file that are not known."]]
    option_values = {"config": FILE, "sqlite": FILE}
    statuses = (
        ("0", "The file has all that the store has."),
        ("1", "It could not be done, or something in the store is damaged, and left out."),
        ("2", "The options are wrong."),
    )

    def postOptions(self) -> None:
        """Check that all is there."""
        for name, why in (("config", "which store is meant"), ("sqlite", "which file to write")):
            if self[name] is None:
                raise usage.UsageError(f"--{name} FILE is missing: it says {why}")


def main(words: Sequence[str]) -> int:
    """Write the file, and give the exit status."""
    options = parse(Options(), words)
    if options is None:
        return 2
    out = Path(os.path.abspath(options["sqlite"]))
    said: list[str] = []

    def say(text: object) -> None:
        said.append(str(text))
        print(f"ccstore export: {text}", file=sys.stderr, flush=True)

    try:
        config, _ = place(options["config"], lenient=bool(options["lenient"]))
        source = store_source(config, out.parent, say)
        source.open()
        try:
            written = _export(PlainExport(source, out))
        finally:
            source.close()
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    except StoreError as error:
        print(f"ccstore export: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("ccstore export: interrupted; nothing was written", file=sys.stderr)
        return 1
    print(f"{written} messages were written to {out}")
    return 1 if said else 0


def _export(export: PlainExport) -> int:
    written = 0
    said_at = time.monotonic()
    for total, written in export.run():
        if time.monotonic() - said_at >= _PROGRESS_EVERY:
            said_at = time.monotonic()
            part = 100 * written // total if total else 100
            print(f"{written} of {total} messages ({part} %)", file=sys.stderr, flush=True)
    return written
