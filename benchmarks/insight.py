"""How many of twenty faults are found by the right question, and how long that takes."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Final

from benchmarks.asker import Asker
from benchmarks.daemon import Daemon
from benchmarks.events import sending
from benchmarks.faulty_month import FaultyMonth
from benchmarks.month import DAY
from benchmarks.report import figure, progress

#: Long enough that nothing of the month expires.
_STORAGE: Final = {"retention_time": "10000h"}
_FOUND: Final = 18
_SECONDS: Final = 2.0
#: Seconds in which so many seconds of CPU are not used, when it has nothing to do.
_QUIET: Final = 20.0
_BUSY: Final = 1.5


def run(rows: int) -> tuple[list[dict[str, object]], list[str]]:
    """Figures, and what is wrong."""
    month = FaultyMonth(rows, (int(time.time()) // DAY - 30) * DAY)
    with tempfile.TemporaryDirectory(prefix="ccstore-insight-") as name:
        directory = Path(name)
        groups = directory / "groups.yaml"
        groups.write_text(month.groups())
        api = {"query_timeout": "600s", "topology": str(groups)}
        with Daemon(dict(_STORAGE), directory, api=api) as daemon:
            _fill(daemon, month)
            return _asked(Asker(daemon.ports["api"]), month)


def _fill(daemon: Daemon, month: FaultyMonth) -> None:
    """Send all of it, and wait until no segments are merged any more, and no templates are taken."""
    with sending(daemon.ports["tcp"], month):
        stored = 0
        while stored < month.rows:
            time.sleep(0.5)
            stored, lost = daemon.settled()
            progress(f"filling: {stored:,} of {month.rows:,}")
            if lost:
                raise SystemExit(f"{lost} lines were rejected or dropped:\n{daemon.log()[-2000:]}")
    used, since = daemon.cpu(), time.monotonic()
    while time.monotonic() - since < _QUIET:
        if daemon.cpu() - used > _BUSY:
            used, since = daemon.cpu(), time.monotonic()
        progress("merging segments, taking templates")
        time.sleep(1)


def _asked(asker: Asker, month: FaultyMonth) -> tuple[list[dict[str, object]], list[str]]:
    rows, wrong = [], []
    found = 0
    slowest = 0.0
    for fault in month.faults:
        progress(fault.name)
        # What it takes when the file is in memory.
        answers = [asker.ask(fault.path, **fault.parameters) for _ in range(2)]
        answer = min(answers, key=lambda each: each.seconds)
        is_found = fault.is_found(answer.json)
        found += is_found
        slowest = max(slowest, answer.seconds)
        more = {"more": "found" if is_found else "not in the first three rows"}
        rows.append(figure(fault.name, answer.seconds, "s", at_most=_SECONDS, more=more))
        if not is_found:
            wrong.append(f"{fault.name}: not found")
    rows.append(figure("found of 20", found, "faults", at_least=_FOUND))
    rows.append(figure("the slowest question", slowest, "s", at_most=_SECONDS))
    return rows, wrong if found < _FOUND else []
