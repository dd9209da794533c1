"""What became of the lines of ``ccstore send``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ccstore.client.cutting import LONGEST, Body
from ccstore.client.session import DONE, FAILED, NOT_AS_ASKED
from ccstore.client.terminal import clean

#: Bad lines that are listed; the others are only counted.
_LISTED: Final = 20


class Tally:
    """Counts lines by what became of them.

    :ivar accepted: lines of the protocol that the store has committed, or left out as it is told to.
    :ivar rejected: those that are bad.
    :ivar not_sent: those of bodies that were refused as a whole, or whose fate nobody knows.
    :ivar bad: the first of the rejected: line, column and reason of each.
    :ivar failures: the bodies that were not stored: their first and last line, and the reason.
    """

    def __init__(self) -> None:
        self.accepted = 0
        self.rejected = 0
        self.not_sent = 0
        self.bad: list[dict[str, object]] = []
        self.failures: list[dict[str, object]] = []

    def accept(self, body: Body) -> None:
        """Note a body that was taken."""
        self.accepted += body.entries

    def accept_in_part(self, body: Body, answer: Mapping[str, Any]) -> None:
        """Note a body with bad lines.

        :param answer: what the daemon says of it: ``stored``, ``rejected``, and some of the bad ``lines``;
            also ``dropped``, which an older daemon counts among the stored.
        """
        self.accepted += answer["stored"] + answer.get("dropped", 0)
        self.rejected += answer["rejected"]
        for line in answer["lines"][: _LISTED - len(self.bad)]:
            self._list(line["line"] + body.first - 1, line["reason"], line["column"])

    def leave_out(self, line: int) -> None:
        """Note a line that is too long to be sent."""
        self.rejected += 1
        self._list(line, f"longer than {LONGEST} bytes")

    def _list(self, line: int, reason: str, column: int = 1) -> None:
        if len(self.bad) < _LISTED:
            self.bad.append({"line": line, "column": column, "reason": reason})

    def fail(self, body: Body, reason: str) -> None:
        """Note a body that was not stored, as far as one knows."""
        self.not_sent += body.entries
        self.failures.append({"first": body.first, "last": body.last, "reason": reason})

    @property
    def status(self) -> int:
        """The exit status of the command."""
        if self.failures:
            return FAILED
        return NOT_AS_ASKED if self.rejected else DONE

    def as_json(self) -> dict[str, object]:
        """What became of the lines, for programs."""
        return {
            "accepted": self.accepted,
            "rejected": self.rejected,
            "failed": self.not_sent,
            "bad": self.bad,
            "failures": self.failures,
        }

    def report(self) -> list[str]:
        """What became of the lines, for people: one line of text each."""
        lines = [clean(f"line {bad['line']}, column {bad['column']}: {bad['reason']}") for bad in self.bad]
        if self.rejected > len(self.bad):
            lines.append(f"and {self.rejected - len(self.bad):,} more bad lines")
        lines += [clean(f"lines {one['first']} to {one['last']}: {one['reason']}") for one in self.failures]
        words = [f"{self.accepted:,} lines accepted"]
        words += [f"{self.rejected:,} rejected"] if self.rejected else []
        words += [f"{self.not_sent:,} failed"] if self.not_sent else []
        return [*lines, ", ".join(words)]
