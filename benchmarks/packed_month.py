"""Packing the month before it is read."""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks.report import progress
from ccstore.message import INT64_MAX
from ccstore.storage.sqlite.packing_offline import OfflinePacking

#: Seconds, long enough that nothing of the month expires.
_RETENTION = 10_000 * 3600.0


def pack_month(path: Path) -> dict[str, object]:
    """Pack all logs of a file that nobody has open."""
    packing = OfflinePacking(path, {}, retention=_RETENTION, say=progress)
    packing.open()
    try:
        before, cpu, rows = packing.size, time.process_time(), 0
        for packed in packing.run(INT64_MAX):
            rows += packed.rows
            progress(f"packing: {rows:,}")
        cpu = time.process_time() - cpu
        after = packing.size
    finally:
        packing.close()
    return {
        "what": f"packing, {rows:,} logs",
        "figure": cpu * 1e6 / rows,
        "unit": "s of CPU per million",
        "more": f"{before / 1e6:,.0f} MB before, {after / 1e6:,.0f} MB after",
    }
