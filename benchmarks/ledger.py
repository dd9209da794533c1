"""Lines that can be told apart, and books on what became of each.

A line is made from its number and its time alone, so whatever is found in the database can be compared with
what was sent, to the last character.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator

from attrs import define, field

CLUSTERS = ("alex", "fritz", "my-cl", "tiny_x")
_HOSTS = 97
_PADDING = '"quoted", back\\slash, ünïcode, two words; ' * 5
#: Problems of one kind that are told one by one.
_TOLD = 5


def content(number: int, time_ns: int) -> tuple[str, str, str, str, str | None, str]:
    """Kind, cluster, name, host, the tag ``jobid`` and the text of a line."""
    kind, name = ("log", "slurmd") if number % 2 == 0 else ("event", "job")
    text = f"n={number} t={time_ns} {_PADDING[: number * 7919 % 200]}"
    job = str(number % 1009) if number % 5 == 0 else None
    return kind, CLUSTERS[number // 2 % len(CLUSTERS)], name, f"n{number % _HOSTS:03d}", job, text


def line(number: int, time_ns: int) -> str:
    """A line of the protocol, with its newline."""
    kind, cluster, name, host, job, text = content(number, time_ns)
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    tag = "" if job is None else f",jobid={job}"
    return f'{name},cluster={cluster},hostname={host}{tag},type=node {kind}="{escaped}" {time_ns}\n'


@define(eq=False)
class Offer:
    """Lines that were sent together, with numbers from ``start`` on.

    :ivar way: how they were sent, and ``sender`` by whom.
    :ivar answers: how often they were acknowledged; ``open`` how often no answer came.
    :ivar copies: how often they are in the database, once that is known.
    """

    way: str
    sender: int
    start: int
    count: int
    time_ns: int
    answers: int = 0
    open: int = 0
    copies: int | None = None

    def body(self) -> bytes:
        """All of its lines, as bytes to send."""
        numbers = range(self.start, self.start + self.count)
        return "".join([line(number, self.time_ns) for number in numbers]).encode()


@define(eq=False)
class Ledger:
    """All offers. Senders in several threads write in it."""

    offers: list[Offer] = field(factory=list)
    lines: int = 0
    _lock: threading.Lock = field(factory=threading.Lock)

    def offer(self, way: str, sender: int, count: int) -> Offer:
        """New lines, to be sent now."""
        with self._lock:
            offer = Offer(way, sender, self.lines, count, time.time_ns())
            self.lines += count
            self.offers.append(offer)
        return offer


@define(eq=False)
class Reading:
    """What the database has, read piece by piece, and whether each line is what was sent.

    :ivar copies: how often each line is there, by its number.
    :ivar rows: how many that are.
    """

    copies: bytearray = field(factory=bytearray)
    rows: int = 0
    _seen: dict[str, int] = field(factory=dict)  # the last id that was read, by kind

    def read(self, connection: sqlite3.Connection, lines: int) -> list[str]:
        """Read what is new; returns what is wrong with it.

        :param lines: there can be no numbers from this on.
        """
        self.copies.extend(bytes(lines - len(self.copies)))
        streams = {
            number: rest
            for number, *rest in connection.execute("SELECT id, kind, cluster, name, hostname FROM stream")
        }
        segments = connection.execute(
            "SELECT kind, id, first_id + row_count FROM segment WHERE kind IN ('event', 'log')"
        ).fetchall()
        wrong: list[str] = []
        before = dict(self._seen)
        for kind, segment, last in segments:
            seen = before.get(kind, 0)
            if last is not None and last <= seen:
                continue
            table = f"{kind}_{segment}"
            for row in connection.execute(
                f"SELECT id, stream, time, text, othertags FROM {table} WHERE id > ?", (seen,)
            ):
                place, stream, time_ns, text, others = row
                self._seen[kind] = max(self._seen.get(kind, 0), place)
                number = _number(text)
                self.rows += 1
                if number is None or number >= lines:
                    wrong.append(f"{table} has a row nobody sent: {text[:80]!r}")
                    continue
                self.copies[number] = min(255, self.copies[number] + 1)
                job = None if others is None else json.loads(others).get("jobid")
                _, cluster, name, host = streams.get(stream, (None,) * 4)
                if (kind, cluster, name, host, job, text) != content(number, time_ns):
                    wrong.append(f"{table} has line {number} otherwise than it was sent: {row!r}")
        return shortened(wrong)

    def of(self, offer: Offer, *, logs_only: bool = False) -> bytes:
        """How often each line of an offer is there."""
        first = offer.start + offer.start % 2 if logs_only else offer.start
        return bytes(self.copies[first : offer.start + offer.count : 2 if logs_only else 1])


def settle(offer: Offer, there: bytes) -> Iterator[str]:
    """Note how often an offer is there; tells what is wrong if that cannot be.

    One offer is stored as a whole or not at all, once for each acknowledgement, and at most once for each
    time that no answer came.
    """
    if not there:
        return
    if there.count(there[0]) != len(there):
        yield f"{_named(offer)} is there in part: {dict(_counts(there))} (copies: lines)"
        return
    copies = there[0]
    if offer.copies is not None and copies != offer.copies:
        yield f"{_named(offer)} was there {offer.copies} times and is now there {copies} times"
    elif not offer.answers <= copies <= offer.answers + offer.open:
        yield (
            f"{_named(offer)} was acknowledged {offer.answers} times, had no answer {offer.open} times, "
            f"and is there {copies} times"
        )
    offer.copies = copies


def shortened(problems: list[str]) -> list[str]:
    """The first few of many."""
    more = len(problems) - _TOLD
    return problems if more <= 0 else [*problems[:_TOLD], f"… and {more} more of these"]


def _number(text: str) -> int | None:
    digits = text[2 : text.find(" ")] if text.startswith("n=") else ""
    return int(digits) if digits.isdecimal() else None


def _named(offer: Offer) -> str:
    return f"the {offer.count} lines from {offer.start} on, sent by {offer.way},"


def _counts(there: bytes) -> Iterator[tuple[int, int]]:
    for copies in sorted(set(there)):
        yield copies, there.count(copies)
