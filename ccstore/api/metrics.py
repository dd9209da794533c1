"""The figures of ``/api/stats`` in the text format of Prometheus, version 0.0.4.

See https://prometheus.io/docs/instrumenting/exposition_formats/.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from ccstore.accounting.figures import Figure, Figures, counters, gauge

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_Samples = Iterable[tuple[Mapping[str, str], float]]


def render(stats: Mapping[str, Any]) -> list[str]:
    """The metrics for what ``/api/stats`` has, in lines."""
    text = _Text()
    about = stats["ccstore"]
    labels = {"version": about["version"], "backend_type": stats["info"]["backend_type"]}
    text.family("ccstore_info", "gauge", "What runs here; always 1.", [(labels, 1)])
    text.figures("", about)
    text.receivers(stats["receivers"])
    text.figures("senders_", stats["senders"])
    text.figures("storage_", stats["storage"])
    manager, backend = stats["manager"], stats["backend"]
    is_ready = "unavailable" not in manager["errors"]
    text.figures("", Figures(ready=gauge(is_ready, "Whether messages can be stored.")))
    text.figures("manager_", manager["status"])
    errors = counters(backend["errors"], "Errors of the database, by kind.", by="error")
    text.figures("backend_", backend["status"] | Figures(errors=errors))
    return text.lines


class _Text:
    """The text as it grows."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def figures(self, prefix: str, figures: Figures) -> None:
        """Figures of which there is one set."""
        for name, figure in figures.declared.items():
            self._figure(prefix + name, figure, figure.samples)

    def receivers(self, receivers: Mapping[str, Figures]) -> None:
        """Figures of each receiver, which differ from type to type."""
        found: dict[str, tuple[Figure, list[tuple[Mapping[str, str], float]]]] = {}
        for receiver, figures in receivers.items():
            labels = {"receiver": receiver, "type": figures["type"]}
            for name, figure in figures.declared.items():
                _, samples = found.setdefault(name, (figure, []))
                samples += [({**labels, **more}, value) for more, value in figure.samples]
        for name, (figure, samples) in found.items():
            self._figure(f"receiver_{name}", figure, samples)

    def _figure(self, name: str, figure: Figure, samples: _Samples) -> None:
        if figure.kind == "text":
            return
        name = figure.metric or (f"{name}_total" if figure.kind == "counter" else name)
        self.family(f"ccstore_{name}", figure.kind, figure.what, samples)
        if figure.former is not None:
            what = f"The former name of ccstore_{name}."
            self.family(f"ccstore_{figure.former}", "untyped", what, samples)

    def family(self, name: str, kind: str, what: str, samples: _Samples) -> None:
        """All samples of one name; nothing if there are none."""
        lines = [f"{name}{_labels(labels)} {_value(value)}\n" for labels, value in samples]
        if lines:
            self.lines += [f"# HELP {name} {_escaped(what)}\n", f"# TYPE {name} {kind}\n", *lines]


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
