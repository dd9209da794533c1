"""Templates of the messages of an hour, counted once so that whoever folds need not look at the rows."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from typing import Final, NamedTuple

from ccstore.masking import template_of
from ccstore.storage.census import HOUR, SHORT, packed_array, packed_numbers, unpacked_array

#: Short steps of an hour.
STEPS: Final = HOUR // SHORT
#: More takes several times as long, and saves little.
_LEVEL: Final = 1


class PackedTemplates(NamedTuple):
    """As it is stored. There may be several of one hour, of other messages each.

    A template is there once for each cluster and name, so that of those that are meant all streams are.

    :ivar hour: since the epoch, in hours.
    :ivar templates: in the order of their texts, as a JSON list.
    :ivar figures: of each, see :class:`Figures`.
    :ivar streams: all of them, as :attr:`ccstore.storage.census.PackedCensus.streams` has them.
    :ivar places: of each template, the places of its streams among those; behind the number of templates,
        and of the streams of each.
    """

    hour: int
    templates: bytes
    figures: bytes
    streams: bytes
    places: bytes


class Figures(NamedTuple):
    """What is known of the templates of an hour, each in the order of the templates.

    :ivar counts: messages.
    :ivar oldest: time of the first of them, in ns.
    :ivar newest: that of the last of them, of which ``newest_ids`` are the ids, and ``newest_streams`` the
        places of the streams.
    :ivar points: messages in each short step of the hour, those of one template behind those of the other.
    """

    counts: Sequence[int]
    oldest: Sequence[int]
    newest: Sequence[int]
    newest_ids: Sequence[int]
    newest_streams: Sequence[int]
    points: Sequence[int]


def texts_of(packed: bytes) -> list[str]:
    """Undo what was done to :attr:`PackedTemplates.templates`."""
    found: list[str] = json.loads(zlib.decompress(packed))
    return found


def figures_of(packed: bytes, hour: int) -> Figures:
    """Undo what was done to :attr:`PackedTemplates.figures`."""
    plain = unpacked_array("Q", packed)
    count = len(plain) // (5 + STEPS)
    counts, oldest, newest, ids, streams = (plain[place * count : (place + 1) * count] for place in range(5))
    begin = hour * HOUR
    return Figures(
        counts,
        [begin + behind for behind in oldest],
        [begin + behind for behind in newest],
        ids,
        streams,
        plain[5 * count :],
    )


def places_of(packed: bytes) -> list[Sequence[int]]:
    """Undo what was done to :attr:`PackedTemplates.places`."""
    plain = unpacked_array("I", packed)
    found: list[Sequence[int]] = []
    place = 1 + plain[0]
    for size in plain[1:place]:
        found.append(plain[place : place + size])
        place += size
    return found


class _Template:
    """What is known so far of a template in an hour."""

    __slots__ = ("count", "newest", "oldest", "points", "streams")

    def __init__(self) -> None:
        self.count = 0
        self.oldest = 1 << 64
        self.newest = (-(1 << 64), 0, 0)  # time, id and stream
        self.points = [0] * STEPS
        self.streams: set[int] = set()


#: By their texts, and clusters and names.
_Templates = dict[tuple[str, Sequence[str]], _Template]


class TemplateTaker:
    """Counts the templates of messages, by hours; they come in any order.

    :ivar entries: pairs of a stream and a template that it holds.
    """

    def __init__(self) -> None:
        self._hours: dict[int, _Templates] = {}
        self.entries = 0

    def add(
        self, time: int, number: int, stream: int, text: str, host: str, named: tuple[str, str] = ("", "")
    ) -> None:
        """Count a message.

        :param number: its id.
        :param stream: that of the stream.
        :param named: the cluster and the name of its stream.
        """
        hour, within = divmod(time, HOUR)
        templates = self._hours.setdefault(hour, {})
        template = template_of(text, host), named
        found = templates.get(template)
        if found is None:
            found = templates[template] = _Template()
            self.entries += 1
        found.count += 1
        found.points[within // SHORT] += 1
        if time < found.oldest:
            found.oldest = time
        if (time, number) > found.newest[:2]:
            found.newest = (time, number, stream)
        if stream not in found.streams:
            found.streams.add(stream)
            self.entries += 1

    def taken(self) -> tuple[PackedTemplates, int] | None:
        """What is known of one hour, with the number of templates; None if there is nothing.

        It no longer holds it then.
        """
        if not self._hours:
            return None
        hour = min(self._hours)
        templates = self._hours.pop(hour)
        self.entries -= sum(1 + len(each.streams) for each in templates.values())
        return _packed(hour, templates), len(templates)


def _packed(hour: int, templates: _Templates) -> PackedTemplates:
    keys = sorted(templates)
    found = [templates[key] for key in keys]
    streams = sorted(set().union(*[each.streams for each in found]))
    place_of = {stream: place for place, stream in enumerate(streams)}
    begin = hour * HOUR
    figures = [
        *(each.count for each in found),
        *(each.oldest - begin for each in found),
        *(each.newest[0] - begin for each in found),
        *(each.newest[1] for each in found),
        *(place_of[each.newest[2]] for each in found),
    ]
    for each in found:
        figures += each.points
    places = [len(found), *(len(each.streams) for each in found)]
    for each in found:
        places += sorted(map(place_of.__getitem__, each.streams))
    # Surrogates, as texts may have them, stay in JSON that is ASCII.
    return PackedTemplates(
        hour,
        zlib.compress(json.dumps([text for text, _ in keys]).encode(), _LEVEL),
        packed_array("Q", figures),
        packed_numbers(streams),
        packed_array("I", places),
    )
