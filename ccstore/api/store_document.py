"""What is said of the store itself, in one document."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import twisted
from attrs import frozen

from ccstore.accounting.diagnosis import diagnose
from ccstore.accounting.history import BOOKS, History
from ccstore.holdings import Holdings, Segment
from ccstore.timing import SECOND

#: Mistakes that are shown of one receiver, the latest first.
_ERRORS: Final = 20
#: Seconds from which on it is as good as never that the disk is full.
_FAR: Final = 10 * 365 * 86400.0
#: What is said of the disk, if the database is a file here.
_DISK: Final = ("bytes", "free_bytes", "journal_bytes", "reserve_bytes", "disk_bytes", "disk_free_bytes")


@frozen
class Known:
    """What the document is made of.

    :ivar now: seconds since the epoch.
    :ivar stats: as ``/api/stats`` has it; ``samples`` as ``/api/samples`` does.
    :ivar holdings: what the database holds, or None, and why that is not known.
    :ivar unready: why nothing can be written, or None.
    :ivar problems: what is the matter although messages are stored.
    """

    now: float
    stats: Mapping[str, Any]
    samples: Mapping[str, Any]
    history: History
    holdings: Holdings | None
    unknown: str | None
    unready: str | None
    problems: Sequence[str]


def store_document(known: Known) -> dict[str, object]:
    """What ``/api/v1/store`` answers. All times are seconds since the epoch, all spans seconds."""
    span, rates = known.history.rates()
    return {
        "time": known.now,
        "ready": known.unready is None,
        "unready": known.unready,
        "problems": [*known.problems],
        "findings": [finding.as_json() for finding in diagnose(known.stats, known.samples)],
        "rates_over": round(span, 3),
        "receivers": [
            _receiver(name, figures, rates.get(name, (0.0,) * len(BOOKS)), known.samples)
            for name, figures in known.stats["receivers"].items()
        ],
        "queue": _queue(known.stats["manager"]["status"], known.stats["storage"]),
        "disk": _disk(known),
        "segments": _segments(known),
        "retention": _retention(known),
        "versions": _versions(known),
        "daemon": _daemon(known),
    }


def _receiver(
    name: str, figures: Mapping[str, Any], rates: Sequence[float], samples: Mapping[str, Any]
) -> dict[str, object]:
    sampled = samples["receivers"].get(name, {}).get("samples", ())
    # What is stored is only doubtful, and the findings have that.
    errors = [each for each in sampled if each["outcome"] != "stored"]
    errors.sort(key=lambda each: -each["last"])
    is_connected = figures.get("connected")
    return {
        "name": name,
        "type": figures["type"],
        **{key: figures[key] for key in ("received", "stored", "waiting", "rejected", "dropped")},
        "rates": dict(zip(BOOKS, [round(rate, 3) for rate in rates], strict=True)),
        "connections": figures.get("connections", None if is_connected is None else int(is_connected)),
        "errors": errors[:_ERRORS],
    }


def _queue(status: Mapping[str, Any], figures: Mapping[str, Any]) -> dict[str, object]:
    return {
        "waiting": status["waiting"],
        "limit": figures["waiting_limit"],
        "oldest": figures["oldest_waiting_seconds"],
        "spooled": status.get("spool_messages"),
        "spooled_bytes": status.get("spool_bytes"),
        "spooled_bytes_limit": status.get("spool_max_bytes"),
    }


def _disk(known: Known) -> dict[str, object]:
    status = known.stats["backend"]["status"]
    growth = known.history.growth()
    full_in = None
    if growth is not None and growth > 0 and "disk_free_bytes" in status:
        full_in = (status["disk_free_bytes"] + status["free_bytes"]) / growth
    return {
        **{name: status.get(name) for name in _DISK},
        "growth": None if growth is None else round(growth, 3),
        "full_in": None if full_in is None or full_in > _FAR else round(full_in),
    }


def _segments(known: Known) -> dict[str, object]:
    kinds = () if known.holdings is None else known.holdings.kinds
    return {
        "unknown": known.unknown,
        "kinds": {
            each.kind: {
                "segments": each.segments,
                "sealed": each.sealed,
                "rows": each.rows,
                "oldest": _seconds(each.oldest),
                "newest": _seconds(each.newest),
                "bytes": each.size,
            }
            for each in kinds
        },
    }


def _retention(known: Known) -> dict[str, object]:
    figures = known.stats["storage"]
    retention, looks_at = figures["retention_seconds"], figures["next_expiry"]
    leaving: Iterable[Segment] = () if known.holdings is None else known.holdings.leaving
    return {
        "seconds": retention,
        "cutoff": known.now - retention,
        "next_look": looks_at,
        "expired": known.stats["backend"]["status"].get("expired"),
        "leaving": [
            {
                "segment": each.name,
                "rows": each.rows,
                "oldest": _seconds(each.oldest),
                "newest": _seconds(each.newest),
                "bytes": each.size,
                # It goes at a look, and not before.
                "at": max(looks_at, (each.goes_by or 0) / SECOND + retention),
            }
            for each in leaving
        ],
    }


def _versions(known: Known) -> dict[str, object]:
    holdings = known.holdings
    return {
        "ccstore": known.stats["ccstore"]["version"],
        "python": platform.python_version(),
        "twisted": twisted.__version__,
        "backend": known.stats["info"]["backend_type"],
        "database": None if holdings is None else holdings.version,
        "schema": None if holdings is None else holdings.schema,
    }


def _daemon(known: Known) -> dict[str, object]:
    figures = known.stats["ccstore"]
    return {
        "instance": figures["instance"],
        "uptime": figures["uptime"],
        "memory_bytes": figures["memory_bytes"],
        "open_files_limit": figures["open_files_limit"],
    }


def _seconds(nanoseconds: int | None) -> float | None:
    return None if nanoseconds is None else nanoseconds / SECOND
