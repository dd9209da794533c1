"""The parts of a message that are shown, each in a column."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timezone, tzinfo
from functools import lru_cache
from typing import Any, Final

from ccstore import query
from ccstore.client.session import ClientError
from ccstore.timing import SECOND

#: A message as the REST interface has it.
Found = Mapping[str, Any]
Cell = Callable[[Found], str]

_PARTS: Final = ("id", "time_ns", "kind", "cluster", "name", "type", "type-id", "stype", "stype-id", "text")
_TAG: Final = "tag."


def cell(field: str, zone: tzinfo | None) -> Cell:
    """What a field is of a message. Raises :class:`ClientError` if there is no such field.

    :param zone: of the times; None is the local one.
    """
    if field == "time":
        return lambda found: show_time(int(found["time_ns"]), zone)
    if field in ("host", "hostname"):
        return lambda found: str(found.get("hostname", ""))
    if field == query.LEVEL:
        return level_of
    if field == "tags":
        return lambda found: json.dumps(found.get("tags", {}), ensure_ascii=False)
    if field in _PARTS:
        return lambda found: str(found.get(field, ""))
    if field.startswith(_TAG) and field != _TAG:
        key = field.removeprefix(_TAG)
        return lambda found: str(found.get("tags", {}).get(key, found.get(key, "")))
    known = ", ".join(["time", "host", "level", "tags", *_PARTS])
    raise ClientError(f"--fields: expected some of {known}, or tag.KEY for a tag, got {field!r}")


def level_of(found: Found) -> str:
    """What a message says of its level by a tag; an empty string if it says nothing."""
    return query.level_of(found.get("tags", {}))


def show_time(moment: int, zone: tzinfo | None, mark: str = " ") -> str:
    """A moment with milliseconds and the offset of the zone.

    :param moment: nanoseconds.
    :param mark: what stands between date and time.
    """
    second, rest = divmod(moment, SECOND)
    date, time, offset = _shown(second, zone)
    return f"{date}{mark}{time}.{rest // 10**6:03}{offset}"


@lru_cache(4096)
def _shown(second: int, zone: tzinfo | None) -> tuple[str, str, str]:
    try:
        moment = datetime.fromtimestamp(second, timezone.utc).astimezone(zone)
    except (ValueError, OverflowError, OSError):
        return str(second), "s", ""
    date, time = moment.strftime("%Y-%m-%d %H:%M:%S").split(" ")
    offset = "Z" if zone is timezone.utc else moment.strftime("%z")
    return date, time, offset if offset == "Z" else f"{offset[:3]}:{offset[3:5]}"
