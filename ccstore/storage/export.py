"""Reading a whole store, to copy it into another one: what the backends share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from ccstore.batch import Batch
from ccstore.keeping import Hold
from ccstore.message import CLUSTER_TAG, COLUMN_TAGS, Kind, Series

#: Rows of a page, and characters of text above which it has fewer.
PAGE_ROWS: Final = 8192
PAGE_SIZE: Final = 16 * 1024 * 1024
_SERIES_HELD: Final = 1 << 16

#: Rows by cluster and kind.
Counts = Mapping[tuple[str, str], int]
#: Id, stream, time, text, othertags.
StoredRow = tuple[int, int, int, str, "str | bytes | None"]
#: Kind, cluster, and the columns from name to stypeid.
Stream = Sequence["str | None"]


class Exported(NamedTuple):
    """Messages of one kind in the order of their ids, and these."""

    kind: Kind
    messages: Batch
    ids: Sequence[int]


class Source(Protocol):
    """A store that is read; every method blocks, and raises :class:`ccstore.interfaces.StoreError`."""

    def open(self) -> None:
        """Open it for reading, and see to it that nobody writes to it, or that this does not matter."""

    def identity(self) -> str:
        """Tells this store from any other, for as long as it is there, wherever it is moved to."""

    def counts(self, after: Mapping[str, int]) -> Counts:
        """How many messages there are behind these ids, which are given by kind."""

    def log_times(self) -> tuple[int, int] | None:
        """The oldest and newest time of a log, in ns; None if there is none."""

    def pages(self, kind: Kind, after: int) -> Iterator[Exported]:
        """All messages of a kind that come behind this id."""

    def holds(self) -> Sequence[Hold]:
        """What is held."""

    def close(self) -> None:
        """Let go of it."""


def pages(
    kind: Kind, rows: Iterable[Sequence[StoredRow]], find_streams: Callable[[set[int]], Mapping[int, Stream]]
) -> Iterator[Exported]:
    """Pages from rows in the order of their ids.

    :param rows: in parts of at most :data:`PAGE_ROWS`.
    :param find_streams: the streams with these numbers.
    """
    streams: dict[int, Stream] = {}
    known: dict[tuple[int, str | bytes | None], Series] = {}
    for part in rows:
        if len(known) > _SERIES_HELD:
            known.clear()
            streams.clear()
        missing = {row[1] for row in part} - streams.keys()
        if missing:
            streams.update(find_streams(missing))
        batch = Batch()
        ids: list[int] = []
        size = 0
        for number, stream, time, text, othertags in part:
            if size + len(text) > PAGE_SIZE and len(batch):
                yield Exported(kind, batch, ids)
                batch, ids, size = Batch(), [], 0
            key = (stream, othertags)
            series = known.get(key)
            if series is None:
                series = known[key] = _series(kind, streams[stream], othertags)
            batch.series.append(series)
            batch.texts.append(text)
            batch.times.append(time)
            size += len(text)
            ids.append(number)
        if len(batch):
            yield Exported(kind, batch, ids)


def _series(kind: Kind, stream: Stream, othertags: str | bytes | None) -> Series:
    cluster, name, *columns = stream
    tags = dict(json.loads(othertags)) if othertags is not None else {}
    tags |= {tag: value for tag, value in zip(COLUMN_TAGS, columns, strict=True) if value is not None}
    tags[CLUSTER_TAG] = cluster
    return Series(str(name), tags, kind)
