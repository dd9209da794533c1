"""What is counted and measured: values, each of which says of itself what it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from attrs import frozen

Value = int | float | None


@frozen
class Figure:
    """A value, or values by a label, as ``/api/stats`` and ``/metrics`` show them.

    :ivar kind: ``counter`` for what only ever grows while the daemon runs, ``gauge`` for what goes up and
        down, ``text`` for what ``/metrics`` has no place for.
    :ivar value: None if it is not known; a mapping if there is one for each value of :attr:`label`.
    :ivar what: what it is, in a sentence.
    :ivar metric: how ``/metrics`` calls it, after ``ccstore_``, if not by the name it has here.
    :ivar former: how it was called once: ``/metrics`` shows it under that name as well.
    """

    kind: Literal["counter", "gauge", "text"]
    value: Value | str | Mapping[str, int] | Mapping[str, float]
    what: str
    label: str | None = None
    metric: str | None = None
    former: str | None = None

    @property
    def samples(self) -> list[tuple[dict[str, str], int | float]]:
        """Labels and value of each number there is."""
        if isinstance(self.value, Mapping):
            return [({str(self.label): key}, value) for key, value in self.value.items()]
        return [({}, self.value)] if isinstance(self.value, (int, float)) else []


def counter(value: Value, what: str, *, metric: str | None = None) -> Figure:
    """What only ever grows while the daemon runs; see :class:`Figure`."""
    return Figure("counter", value, what, metric=metric)


def counters(values: Mapping[str, int], what: str, *, by: str, metric: str | None = None) -> Figure:
    """Counters by a label, such as the reason; see :class:`Figure`."""
    return Figure("counter", values, what, label=by, metric=metric)


def gauge(value: Value, what: str, *, metric: str | None = None, former: str | None = None) -> Figure:
    """What goes up and down; see :class:`Figure`."""
    return Figure("gauge", value, what, metric=metric, former=former)


def gauges(
    values: Mapping[str, int] | Mapping[str, float], what: str, *, by: str, metric: str | None = None
) -> Figure:
    """Gauges by a label, such as the cluster; see :class:`Figure`."""
    return Figure("gauge", values, what, label=by, metric=metric)


def text(value: str) -> Figure:
    """What is no number."""
    return Figure("text", value, "")


class Figures(Mapping[str, Any]):
    """Figures by their names: a mapping to their values, which :attr:`declared` has with what they are.

    ``figures | others`` has both.
    """

    def __init__(self, **declared: Figure) -> None:
        self.declared: Mapping[str, Figure] = declared

    def __getitem__(self, name: str) -> Any:
        return self.declared[name].value

    def __iter__(self) -> Iterator[str]:
        return iter(self.declared)

    def __len__(self) -> int:
        return len(self.declared)

    def __repr__(self) -> str:
        return f"Figures({dict(self)})"

    def __or__(self, others: Figures) -> Figures:
        return Figures(**self.declared, **others.declared)

    def prefixed(self, prefix: str) -> Figures:
        """The same under names that begin so."""
        return Figures(**{prefix + name: figure for name, figure in self.declared.items()})
