"""The counters of ``/api/stats`` in the text format of Prometheus, version 0.0.4.

See https://prometheus.io/docs/instrumenting/exposition_formats/.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

#: Figures of receivers that are no counters; all others are.
_GAUGES: Final = frozenset(
    ("certificate_expires", "connections", "connected", "pending", "requests_in_flight")
)
#: What the storage shows that only ever grows while the daemon runs.
_COUNTERS: Final = frozenset(
    (
        *("processed", "flushed", "write_batch", "timer_flushes", "query_flushes", "queries"),
        *("writes", "deletes", "expired"),
        *("spool_added", "spool_sent", "spool_expired", "spool_refused"),
    )
)

_Samples = Iterable[tuple[Mapping[str, str], float]]


def render(stats: Mapping[str, Any]) -> bytes:
    """The metrics for what ``/api/stats`` has."""
    text = _Text()
    receivers: Mapping[str, Mapping[str, Any]] = stats["receivers"]
    info, about = stats["info"], stats["ccstore"]
    labels = {"version": about["version"], "backend_type": info["backend_type"]}
    text.family("ccstore_info", "gauge", "What runs here; always 1.", [(labels, 1)])
    text.family("ccstore_uptime_seconds", "gauge", "Time since the start.", [({}, about["uptime"])])
    _books(text, receivers)
    _own_figures(text, receivers)
    is_ready = "unavailable" not in stats["manager"]["errors"]
    text.family("ccstore_ready", "gauge", "Whether messages can be stored.", [({}, is_ready)])
    for part in ("manager", "backend"):
        for key, value in stats[part]["status"].items():
            _figure(
                text,
                f"ccstore_{part}_{key}",
                key in _COUNTERS,
                f"{key} of the {part}, see /api/stats.",
                [({}, value)],
            )
        errors = [
            ({"error": key}, value) for key, value in stats[part]["errors"].items() if _is_number(value)
        ]
        text.family(f"ccstore_{part}_errors_total", "counter", f"Errors of the {part}, by kind.", errors)
    return text.done()


def _books(text: _Text, receivers: Mapping[str, Mapping[str, Any]]) -> None:
    """For each receiver, received = stored + rejected + dropped + waiting."""

    def each(key: str) -> _Samples:
        return [({"receiver": name, "type": one["type"]}, one[key]) for name, one in receivers.items()]

    def by_reason(key: str) -> _Samples:
        return [
            ({"receiver": name, "type": one["type"], "reason": reason}, count)
            for name, one in receivers.items()
            for reason, count in one[key].items()
        ]

    text.family("ccstore_lines_received_total", "counter", "Lines that came in.", each("received"))
    text.family("ccstore_lines_stored_total", "counter", "Lines that are committed.", each("stored"))
    text.family("ccstore_lines_rejected_total", "counter", "Lines that were wrong.", by_reason("rejected"))
    text.family(
        "ccstore_lines_dropped_total", "counter", "Lines that were right but not kept.", by_reason("dropped")
    )
    text.family("ccstore_lines_waiting", "gauge", "Lines that are not yet committed.", each("waiting"))
    text.family(
        "ccstore_fields_not_stored_total",
        "counter",
        "Fields of stored lines that were not stored with them.",
        each("fields_not_stored"),
    )


_BOOKS: Final = frozenset(
    ("type", "received", "stored", "rejected", "dropped", "waiting", "fields_not_stored")
)


def _own_figures(text: _Text, receivers: Mapping[str, Mapping[str, Any]]) -> None:
    """What the receivers show besides the books, which differs from type to type."""
    keys = dict.fromkeys(key for one in receivers.values() for key in one if key not in _BOOKS)
    for key in keys:
        samples = [
            ({"receiver": name, "type": one["type"]}, one[key])
            for name, one in receivers.items()
            if _is_number(one.get(key))
        ]
        what = f"{key} of the receiver, see /api/stats."
        _figure(text, f"ccstore_receiver_{key}", key not in _GAUGES, what, samples)


def _figure(text: _Text, name: str, is_counter: bool, what: str, samples: _Samples) -> None:
    kept = [(labels, value) for labels, value in samples if _is_number(value)]
    text.family(f"{name}_total" if is_counter else name, "counter" if is_counter else "gauge", what, kept)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float))


class _Text:
    """The text as it grows."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def family(self, name: str, kind: str, what: str, samples: _Samples) -> None:
        """All samples of one name; nothing if there are none."""
        lines = [f"{name}{_labels(labels)} {_value(value)}" for labels, value in samples]
        if lines:
            self._lines += [f"# HELP {name} {_escaped(what)}", f"# TYPE {name} {kind}", *lines]

    def done(self) -> bytes:
        return "".join(f"{line}\n" for line in self._lines).encode(errors="replace")


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    pairs = [
        f'{name}="{_escaped(str(value)).replace(chr(34), chr(92) + chr(34))}"'
        for name, value in labels.items()
    ]
    return f"{{{','.join(pairs)}}}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _value(value: float) -> str:
    return repr(value) if isinstance(value, float) else str(int(value))
