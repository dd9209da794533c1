"""The options by which messages are chosen, and the question they make."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import timezone, tzinfo
from typing import Any, Final

from twisted.python.usage import UsageError

from ccstore import hostlist
from ccstore.client.server import Question, ServerOptions
from ccstore.client.session import ClientError
from ccstore.commands.description import NAME, TEXT, TIME, Value, choice
from ccstore.instants import parse_moment, show_moment
from ccstore.message import STORED_KINDS
from ccstore.query import LEVEL, STREAM_LABELS

_TAG: Final = re.compile(r"([^=!]+)(!?)=(.*)", re.DOTALL)
#: Options whose values are those of a parameter, as they are.
_AS_IT_IS: Final = (
    ("cluster", "cluster"),
    ("event", "name"),
    ("name", "name"),
    ("host", "host"),
    ("type", "type"),
    ("subtype", "stype"),
    ("level", "level"),
    ("grep", "text"),
    ("not-grep", "text!"),
    ("regex", "regex"),
    ("not-regex", "regex!"),
)
#: Options whose values are lists of ids, and their parameters.
_LISTS: Final = (("type-ids", "type-id"), ("subtype-ids", "stype-id"))


class ChoosingOptions(ServerOptions):
    """The options of all commands that ask for some of the messages.

    :cvar since: what is meant if nobody says since when, or None for all that is held.
    """

    since: str | None = "-24h"

    repeated = (
        *("cluster", "kind", "event", "name", "host", "type", "type-ids", "subtype", "subtype-ids", "level"),
        "tag",
        *("grep", "not-grep", "regex", "not-regex"),
    )
    optParameters = [
        [
            "cluster",
            "c",
            None,
            "Only of this cluster. A * stands for any characters, as in all options up to --tag.",
        ],
        ["kind", "k", None, "Only events, or only logs."],
        ["event", "e", None, "Only messages of this name (measurement), logs as well as events."],
        ["name", None, None, "The same as --event."],
        ["host", "H", None, "Only of these hosts, such as a0101, a01* or a[0101-0103,0200],login1."],
        ["type", None, None, "Only with this tag type, such as node or hwthread."],
        ["type-ids", None, None, "Only with these tags type-id, such as 0,1,2 or [0-7]."],
        ["subtype", None, None, "Only with this tag stype."],
        ["subtype-ids", None, None, "Only with these tags stype-id."],
        [
            "level",
            None,
            None,
            "Only of this level, as the tag loglevel, level, severity or priority says it, such as err.",
        ],
        [
            "tag",
            None,
            None,
            "Only with this value of any tag or label, such as jobid=4711; KEY!=VALUE is all but "
            "those, such as host!=login1. The tag level is tag.level.",
        ],
        ["grep", "g", None, "Only where this occurs in the text, in small or capital letters."],
        ["not-grep", None, None, "Only where it does not."],
        [
            "regex",
            None,
            None,
            "Only where this regular expression (RE2) matches somewhere in the text; (?i) at its beginning "
            "for small and capital letters.",
        ],
        ["not-regex", None, None, "Only where it matches nowhere."],
        [
            "since",
            "S",
            None,
            "Since when: -2h (ago), today, yesterday, 09:00, 2026-01-31, 2026-01-31T12:00:00Z.",
        ],
        ["until", "U", None, "Until when, that not included; as --since. All that there is without it."],
        ["from", None, None, "The same as --since; also seconds, ms, us or ns since the epoch."],
        ["to", None, None, "The same as --until."],
    ]
    optFlags: Any = [["utc", None, "Times are read and shown in UTC; else in the local time zone."]]
    option_values = {
        "cluster": NAME,
        "kind": choice(*STORED_KINDS),
        "event": NAME,
        "name": NAME,
        "host": Value("HOSTS"),
        "type": Value("TYPE"),
        "type-ids": Value("IDS"),
        "subtype": Value("TYPE"),
        "subtype-ids": Value("IDS"),
        "level": Value("LEVEL"),
        "tag": Value("KEY=VALUE"),
        "grep": TEXT,
        "not-grep": TEXT,
        "regex": Value("RE"),
        "not-regex": Value("RE"),
        "since": TIME,
        "until": TIME,
        "from": TIME,
        "to": TIME,
    }

    def postOptions(self) -> None:
        """Check what can be checked by itself."""
        super().postOptions()
        if "" in self.all("cluster"):
            raise UsageError("--cluster: expected the name of a cluster, got an empty one")
        for kind in self.all("kind"):
            if kind not in STORED_KINDS:
                raise UsageError(f"--kind: expected event or log, got {kind!r}")
        for text in self.all("tag"):
            if not _TAG.fullmatch(text):
                raise UsageError(f"--tag: expected KEY=VALUE or KEY!=VALUE, got {text!r}")
        for one, other in (("since", "from"), ("until", "to")):
            if self[one] is not None and self[other] is not None:
                raise UsageError(f"--{one} and --{other} are the same: give one of them")
        for option in ("host", "type-ids", "subtype-ids"):
            self.expanded(option)

    def all(self, option: str) -> Sequence[str]:
        """The values of an option that may be given several times."""
        return self[option] or ()

    def expanded(self, option: str) -> list[str]:
        """The members of all lists of an option."""
        found: dict[str, None] = {}
        for value in filter(None, self.all(option)):
            try:
                found |= dict.fromkeys(hostlist.expand(value, before=len(found)))
            except ValueError as error:
                raise UsageError(f"--{option}: {error}") from None
        return [*found]

    @property
    def zone(self) -> tzinfo | None:
        """In which times are read and shown; None is the local one."""
        return timezone.utc if self["utc"] else None

    def question(self, now: int) -> list[tuple[str, str]]:
        """The parameters of the messages that are meant. Raises :class:`ClientError`.

        :param now: nanoseconds.
        """
        return [*self._places(), *self._span(now)]

    def _places(self) -> Iterator[tuple[str, str]]:
        for option, name in _AS_IT_IS:
            yield from ((name, value) for value in self.all(option) if value)
        yield from (("kind", kind) for kind in self.all("kind"))
        for option, name in _LISTS:
            yield from ((name, each) for each in self.expanded(option))
        for text in self.all("tag"):
            found = _TAG.fullmatch(text)
            assert found is not None  # checked before
            label = found[1]
            is_known = label in ("host", LEVEL, *STREAM_LABELS)
            yield f"{label if is_known else 'tag.' + label.removeprefix('tag.')}{found[2]}", found[3]

    def _span(self, now: int) -> Question:
        moments: dict[str, int] = {}
        for name, options in (("from", ("since", "from")), ("to", ("until", "to"))):
            given = next((option for option in options if self[option] is not None), name)
            value = self[given]
            if value is None and name == "from":
                value = self.since
            if value is None:
                continue
            try:
                moments[name] = parse_moment(value, now, self.zone)
            except ValueError as error:
                raise ClientError(f"--{given}: {error}") from None
        if "to" in moments and moments.get("from", moments["to"]) > moments["to"]:
            since, until = self["since"] or self["from"] or self.since, self["until"] or self["to"]
            raise ClientError(f"--from: {since!r} is after --to {until!r}")
        return [(name, _exactly(moment)) for name, moment in moments.items()]


def _exactly(moment: int) -> str:
    """A moment in nanoseconds, or where that would be taken for another unit, as a date and time."""
    return f"{moment}" if abs(moment) >= 10**17 else show_moment(moment)


def without(question: Question, *names: str) -> Question:
    """The same question, but for some of its parameters."""
    return [(name, value) for name, value in question if name not in names]
