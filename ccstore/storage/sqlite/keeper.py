"""Rules of retention and holds, as the writer knows them: which streams they are about."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence

from attrs import evolve

from ccstore.keeping import Hold, KeepRule, unpack_streams
from ccstore.message import INT64_MIN, Kind, StreamKey
from ccstore.storage.columns import HOLD_COLUMNS, KEY_COLUMNS
from ccstore.storage.periods import Periods, chosen_test
from ccstore.storage.sqlite import expiry
from ccstore.storage.sqlite.expiry import Expired
from ccstore.storage.sqlite.views import refresh_rows_views
from ccstore.timing import SECOND

_HOLD = ", ".join(HOLD_COLUMNS)


class Keeper:
    """Notes for each stream how long its messages are kept, and what of them is held.

    So whoever reads need not know the rules. All of it runs in the writer's thread.

    :param rules: None for those that the file has.
    :param retention: gives the nanoseconds after which events expire that no rule is about.
    """

    def __init__(
        self, rules: Sequence[KeepRule] | None, retention: Callable[[], int], now: Callable[[], int]
    ) -> None:
        self._wanted = rules
        self._rules: Sequence[KeepRule] = rules or ()
        self._retention = retention
        self._now = now
        self._periods = Periods(self._rules)
        self._holds: list[tuple[Callable[[StreamKey], bool], int, int, int]] = []

    @property
    def is_due(self) -> bool:
        """There are other rules than before, which are not noted yet."""
        return self._wanted is not None and self._wanted != self._rules

    @property
    def is_needed(self) -> bool:
        """There are rules or holds."""
        return bool(self._rules or self._holds)

    def periods_of(self, kind: Kind) -> Sequence[int]:
        """The periods (ns) of the rules that are about a kind."""
        return [rule.nanoseconds for rule in self._rules if kind in rule.chosen.kinds]

    def load(self, connection: sqlite3.Connection) -> None:
        """Bring the file up to date with the rules, and read the holds; inside of a transaction."""
        self._holds = [self._test(hold) for hold in holds(connection)]
        self._rules = _rules(connection) if self._wanted is None else self._wanted
        self._periods = Periods(self._rules)
        if self._wanted is not None:
            self._apply(connection)

    def change(self, rules: Sequence[KeepRule]) -> None:
        """There are to be these rules; :meth:`settle` notes it."""
        self._wanted = rules

    def settle(self, connection: sqlite3.Connection) -> None:
        """From now on there are the rules that there are to be; inside of a transaction."""
        before = self._rules
        try:
            self._rules = self._wanted or ()
            self._periods = Periods(self._rules)
            self._apply(connection)
            refresh_rows_views(connection)
        except BaseException:
            self._rules = before
            self._periods = Periods(before)
            raise

    def place(self, connection: sqlite3.Connection, made: Iterable[tuple[int, StreamKey]]) -> None:
        """Streams were made; inside of the transaction in which they were."""
        if not self.is_needed:
            return
        made = [*made]
        keeps = [(self._periods.of(key), stream) for stream, key in made]
        _set_periods(connection, [each for each in keeps if each[0] is not None])
        for test, number, begin, end in self._holds:
            _hold(connection, number, [(stream, begin, end) for stream, key in made if test(key)])

    def hold(self, connection: sqlite3.Connection, hold: Hold) -> int:
        """Hold messages; what has expired stays so. Inside of a transaction. Returns the id of the hold."""
        (number,) = connection.execute(
            f"INSERT INTO hold ({_HOLD}) VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id", hold.pack()
        ).fetchone()
        test, _, begin, end = self._test(hold)
        self._holds.append((test, number, begin, end))
        gone_by = self._gone_by(connection, hold.created_at)
        found = []
        for stream, keeps, key in _streams(connection):
            if test(key):
                since = max(begin, gone_by(stream, str(key[1]), keeps) + 1)
                if since <= end:
                    found.append((stream, since, end))
        _hold(connection, number, found)
        refresh_rows_views(connection)
        return int(number)

    def _gone_by(self, connection: sqlite3.Connection, now: int) -> Callable[[int, str, int | None], int]:
        """Tells of a stream, its kind and its period the last time (ns) at which anything has expired.

        :param now: when it is asked, in ns; a hold that is copied began earlier.
        """
        lapsed = dict(
            connection.execute("SELECT stream_id, max(cutoff) FROM lapsed GROUP BY stream_id").fetchall()
        )
        marked = max([now - self._retention(), *(each.cutoff for each in expiry.noted(connection))])

        def tell(stream: int, kind: str, keeps: int | None) -> int:
            by_period = INT64_MIN if keeps is None else now - keeps
            by_mark = marked if keeps is None and kind == "event" else INT64_MIN
            return max(by_period, by_mark, int(lapsed.get(stream, INT64_MIN)))

        return tell

    def release(self, connection: sqlite3.Connection, number: int) -> bool:
        """End a hold; False if there is none with this id. Inside of a transaction."""
        gone = connection.execute("DELETE FROM hold WHERE id = ?", (number,)).rowcount
        connection.execute("DELETE FROM held WHERE hold = ?", (number,))
        self._holds = [each for each in self._holds if each[1] != number]
        refresh_rows_views(connection)
        return bool(gone)

    def _test(self, hold: Hold) -> tuple[Callable[[StreamKey], bool], int, int, int]:
        return chosen_test(hold.chosen), hold.id, *hold.span

    def _apply(self, connection: sqlite3.Connection) -> None:
        """Note the rules, if they are others than before, and for each stream what they say of it."""
        wanted = [row for rule in self._rules for row in rule.by_kind()]
        noted = connection.execute("SELECT kind, nanoseconds, streams, match FROM retention_rule").fetchall()
        if wanted == noted:
            return
        connection.execute("DELETE FROM retention_rule")
        connection.executemany("INSERT INTO retention_rule VALUES (?, ?, ?, ?)", wanted)
        changed = []
        for stream, before, key in _streams(connection):
            keeps = self._periods.of(key)
            if keeps != before:
                changed.append((keeps, stream))
                self._note_lapsed(connection, stream, str(key[1]), before, keeps)
        if any(keeps is None for keeps, _ in changed):
            _note_marks_by_stream(connection)
        _set_periods(connection, changed)

    def _note_lapsed(
        self, connection: sqlite3.Connection, stream: int, kind: str, before: int | None, keeps: int | None
    ) -> None:
        """What has expired stays so, also where its stream is kept longer from now on."""
        since = before
        marks: list[Expired] = []
        if kind == "event":
            if before is None:
                # As long as that they were kept, also while no daemon was there to note it.
                (since,) = connection.execute("SELECT nanoseconds FROM retention").fetchone()
                marks = expiry.noted(connection)
            keeps = self._retention() if keeps is None else keeps
        if since is None or (keeps is not None and keeps <= since):
            return
        cutoff = max(self._now() - since, INT64_MIN)
        # What came after a mark had not expired by it.
        lapsed = [
            Expired(cutoff, _last_id(connection, kind)),
            *(each for each in marks if each.cutoff > cutoff),
        ]
        connection.executemany(
            "INSERT INTO lapsed (stream_id, last_id, cutoff) VALUES (?, ?, ?)",
            [(stream, each.last_id, each.cutoff) for each in lapsed],
        )

    def forget_lapsed(self, connection: sqlite3.Connection) -> None:
        """Forget what has expired by now in any case; inside of a transaction."""
        connection.execute(
            "DELETE FROM lapsed WHERE cutoff <= ?1 - coalesce((SELECT CASE WHEN kind = 'event' "
            "THEN coalesce(keeps, ?2) ELSE keeps END FROM stream WHERE id = stream_id), 9223372036854775807)",
            (self._now(), self._retention()),
        )


def _note_marks_by_stream(connection: sqlite3.Connection) -> None:
    """Older marks are about the streams that have no rule now, and not about those that lose theirs."""
    for expired in expiry.noted(connection)[:-1]:
        connection.execute(
            "INSERT INTO lapsed (stream_id, last_id, cutoff) "
            "SELECT id, ?, ? FROM stream WHERE kind = 'event' AND keeps IS NULL",
            (expired.last_id, expired.cutoff),
        )
        expiry.forget(connection, expired)


def holds(connection: sqlite3.Connection) -> list[Hold]:
    """All holds, the oldest first."""
    return [
        Hold.unpack(row, number)
        for number, *row in connection.execute(f"SELECT id, {_HOLD} FROM hold ORDER BY id").fetchall()
    ]


def _rules(connection: sqlite3.Connection) -> list[KeepRule]:
    """The rules that are noted, each for one kind."""
    found = connection.execute("SELECT kind, nanoseconds, streams, match FROM retention_rule").fetchall()
    return [
        KeepRule(evolve(unpack_streams(streams), kinds=(kind,)), nanoseconds / SECOND, match)
        for kind, nanoseconds, streams, match in found
    ]


def _streams(connection: sqlite3.Connection) -> Iterable[tuple[int, int | None, StreamKey]]:
    """All streams: number, period by a rule, and key."""
    # As one value: a row each would take long where somebody else is busy in Python.
    (found,) = connection.execute(
        f"SELECT json_group_array(json_array(id, keeps, json_array({', '.join(KEY_COLUMNS)}))) FROM stream"
    ).fetchone()
    for stream, keeps, key in json.loads(found):
        yield stream, keeps, tuple(key)


def _set_periods(connection: sqlite3.Connection, periods: Sequence[tuple[int | None, int]]) -> None:
    """Set the periods of streams, given each before its stream."""
    by_period: dict[int | None, list[int]] = {}
    for keeps, stream in periods:
        by_period.setdefault(keeps, []).append(stream)
    for keeps, streams in by_period.items():
        connection.execute(
            "UPDATE stream SET keeps = ? WHERE id IN (SELECT value FROM json_each(?))",
            (keeps, json.dumps(streams)),
        )


def _hold(connection: sqlite3.Connection, number: int, found: Sequence[tuple[int, int, int]]) -> None:
    """Note what is held of streams, given as stream, first and last time."""
    if found:
        column = "json_extract(value, '$[{}]')".format
        connection.execute(
            f"INSERT INTO held (stream_id, hold, begins_at, ends_at) SELECT {column(0)}, ?1, {column(1)}, "
            f"{column(2)} FROM json_each(?2)",
            (number, json.dumps(found)),
        )


def _last_id(connection: sqlite3.Connection, kind: str) -> int:
    """The id of the last message of a kind, or of the last before it."""
    number, first_id = connection.execute(
        "SELECT id, first_id FROM segment WHERE kind = ? AND sealed_at IS NULL", (kind,)
    ).fetchone() or (None, 0)
    if number is None:
        return 0
    (last,) = connection.execute(f"SELECT max(id) FROM {kind}_{number}").fetchone()
    return int(first_id if last is None else last)
