"""A few of the lines that were not stored, so that whoever asks can be told who sends them and why."""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import Final

from attrs import define, field

from ccstore.timing import SECOND, seconds

#: Kinds of line that are remembered for one receiver.
SIZE: Final = 100
#: Lines of one reason that are looked at in a second; the books have them all.
PER_SECOND: Final = 100
#: Characters of a line that are shown.
TEXT_LIMIT: Final = 80
#: Nanoseconds after which a kind of line may have to make room for another.
_IS_OLD: Final = 60 * SECOND

# What is, or stands behind, a credential. Others may read this than may read the sender's configuration.
_SECRETS: Final = re.compile(
    r"eyJ[\w-]+(?:\.[\w-]*)*"
    r"|(?P<word>(?<![a-z])(?:bearer|basic|token|passw(?:or)?d|passphrase|pwd|secret|credentials?|authorization"
    r"|(?:api|access|private|auth)[-_ ]?(?:key|token)|nkey|seed)(?![a-z]))"
    r"""(?:\\*["'](?=\s*[:=]))?[^\w"'\\]*(?:(?:bearer|basic|token)\s+)?"""
    r"""(?:\\*"[^"]*(?:"|$)|\\*'[^']*(?:'|$)|[^\s,;&"'\\]+)"""
    r"|(?P<user>://[^\s/:@]+):[^\s/@]+@"
    r"|[A-Za-z0-9+/_=-]{40,}",
    re.IGNORECASE,
)
#: What differs from line to line in the words of a reason.
_QUOTED: Final = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""")

#: One character, or none, as it is or as an escape: it is what is wrong, and not what differs.
_CHARACTER: Final = re.compile(r"""(['"])(?:|[^\\]|\\(?:x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}|[^xuU]))\1""")


@define(eq=False)
class Sample:
    """Lines of one sender that had the same fate for the same reason.

    :ivar outcome: ``rejected``, ``dropped``, or ``stored`` if it is only doubtful.
    :ivar reason: as in the books.
    :ivar sender: the address, without a port.
    :ivar host: the tag ``hostname``, or an empty string.
    :ivar count: of those that were looked at.
    :ivar first: when it was first seen, in nanoseconds since the epoch; ``last`` likewise.
    :ivar stamp: the latest line's own time in nanoseconds, if it has one.
    :ivar detail: what was wrong, for people.
    :ivar text: the beginning of the first one.
    """

    outcome: str
    reason: str
    sender: str
    host: str
    name: str
    first: int
    detail: str
    text: str
    count: int = 0
    last: int = 0
    stamp: int | None = None

    def as_json(self) -> dict[str, object]:
        """As ``/api/samples`` shows it."""
        return {
            "outcome": self.outcome,
            "reason": self.reason,
            "sender": self.sender,
            "host": self.host,
            "name": self.name,
            "count": self.count,
            "first": seconds(self.first),
            "last": seconds(self.last),
            "time": None if self.stamp is None else self.stamp / SECOND,
            "detail": self.detail,
            "text": self.text,
        }


@define(eq=False)
class Samples:
    """The samples of one receiver, bounded in number and in the time they take.

    A flood of one reason hides no other, and one that makes up ever new senders pushes out only what is old.
    """

    _kept: OrderedDict[tuple[str, str, str, str], Sample] = field(factory=OrderedDict, init=False)
    _second: int = field(default=0, init=False)
    _looked_at: dict[str, int] = field(factory=dict, init=False)
    #: Lines that were looked at, and found no room.
    others: int = field(default=0, init=False)

    def wants(self, reason: str, now: int) -> bool:
        """Whether to look at a line, which counts as done; ``now`` in nanoseconds."""
        second = now // SECOND
        if second != self._second:
            self._second = second
            self._looked_at.clear()
        looked_at = self._looked_at.get(reason, 0)
        if looked_at >= PER_SECOND:
            return False
        self._looked_at[reason] = looked_at + 1
        return True

    def add(
        self,
        outcome: str,
        reason: str,
        sender: str,
        now: int,
        *,
        host: str = "",
        name: str = "",
        stamp: int | None = None,
        detail: str = "",
        text: str = "",
    ) -> None:
        """Remember a line that was asked for by :meth:`wants`; ``sender`` is an address without a port."""
        host = _shown(host)
        detail = _QUOTED.sub(_leave_out, detail)
        key = (reason, sender, host, detail)
        sample = self._kept.get(key)
        if sample is None:
            if len(self._kept) >= SIZE:
                oldest = next(iter(self._kept.values()))
                if now - oldest.last < _IS_OLD:
                    self.others += 1
                    return
                self._kept.popitem(last=False)
            sample = self._kept[key] = Sample(
                outcome, reason, sender, host, _shown(name), now, _shown(detail, 200), _shown(text)
            )
        sample.count += 1
        sample.last = now
        sample.stamp = stamp
        self._kept.move_to_end(key)

    def as_json(self) -> dict[str, object]:
        """As ``/api/samples`` shows it."""
        return {"others": self.others, "samples": [sample.as_json() for sample in self._kept.values()]}


def _shown(text: str, limit: int = TEXT_LIMIT) -> str:
    """A text without credentials and control characters, cut short."""
    text = _SECRETS.sub(_blot, text[: 4 * limit])
    text = "".join(
        [character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text]
    )
    return text if len(text) <= limit else text[: limit - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _leave_out(quoted: re.Match[str]) -> str:
    return quoted[0] if _CHARACTER.fullmatch(quoted[0]) else "\N{HORIZONTAL ELLIPSIS}"


def _blot(found: re.Match[str]) -> str:
    if found["word"]:
        return f"{found['word']} ***"
    return f"{found['user']}:***@" if found["user"] else "***"
