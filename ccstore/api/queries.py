"""The body of a query request, as queries to the store, and the answer to it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, Final, Literal

from attrs import frozen

from ccstore.api.wording import one_of, shown
from ccstore.query import Matcher, Page, Selection
from ccstore.timing import SECOND, nanoseconds
from ccstore.web import WebError, from_json, is_unicode

#: Seconds a time in nanoseconds can hold.
_MOST: Final = 2**63 // SECOND - 1
_REQUEST_KEYS: Final = ("cluster", "from", "to", "for-all-nodes", "queries")
_QUERY_KEYS: Final = ("event", "host", "type", "subtype", "type-ids", "subtype-ids", "kind")
_LIMIT: Final = (
    "these are not all: an answer has at most {rows} rows (max_rows) and 64 MiB of text, so ask for less "
    "time, fewer hosts or fewer queries"
)
_EXAMPLE: Final = '{"cluster": "alex", "queries": [{"event": "job"}]}'


@frozen
class Request:
    """A checked query request.

    :ivar queries: for each query, the queries to the store that answer it, one for each entry of its result.
    :ivar echo: the queries as they are answered, if the request was expanded, else None.
    """

    begin: int
    end: int
    queries: Sequence[Sequence[Selection]]
    echo: Sequence[Mapping[str, object]] | None

    @property
    def flat(self) -> list[Selection]:
        """All queries to the store, one after the other."""
        return [query for entries in self.queries for query in entries]

    def answer(self, pages: Sequence[Page], max_rows: int) -> dict[str, object]:
        """The answer to the request, with the pages for its flat queries, for :func:`json_pieces`."""
        rest = iter(pages)
        results = [[self._entry(next(rest), max_rows) for _ in entries] for entries in self.queries]
        return {"results": results} if self.echo is None else {"queries": self.echo, "results": results}

    def _entry(self, page: Page, max_rows: int) -> dict[str, object]:
        entry: dict[str, object] = {
            "data": ({"Event": row.text, "timestamp": row.time // SECOND} for row in page.rows),
            "from": self.begin,
            "to": self.end,
        }
        if page.is_cut:
            entry["error"] = _LIMIT.format(rows=max_rows)
        return entry


def parse_request(body: bytes, *, max_queries: int, now: int) -> Request:
    """Read a query request; raises :class:`WebError` 400 that names all that is wrong with it.

    :param max_queries: queries to the store that it may become.
    :param now: the time in seconds, for requests without ``to``.
    """
    if not body.strip():
        raise WebError(400, f"failed to parse API request: it has no body, expected JSON such as {_EXAMPLE}")
    try:
        given = from_json(body)
    except ValueError as error:
        raise WebError(400, f"failed to parse API request: {error}") from None
    if not isinstance(given, dict):
        raise WebError(400, f"failed to parse API request: expected an object, got {shown(given)}")
    check = _Check()
    given = check.keys(given, _REQUEST_KEYS, "")
    cluster = check.text(given, "cluster", "cluster")
    if not cluster:
        check.problems.append("cluster: expected the name of a cluster")
    wrong = len(check.problems)
    begin = check.seconds(given, "from", 0)
    end = check.seconds(given, "to", now)
    if len(check.problems) == wrong and begin > end:
        check.problems.append(f"from: {begin} is after to: {end}")
    hosts = check.texts(given, "for-all-nodes", "for-all-nodes")
    asked = check.objects(given, "queries")
    expanded: list[tuple[Mapping[str, Any], list[Selection]]] = []
    total = 0
    for host in hosts if hosts is not None else (None,):
        for place, query in asked:
            total += max(1, len(_list(query.get("type-ids")))) * max(1, len(_list(query.get("subtype-ids"))))
            if total > max_queries:
                raise WebError(400, f"the request becomes more than {max_queries} queries (max_queries)")
            if host is not None:
                query = {**query, "host": host}
            expanded.append((query, check.query(query, place, str(cluster), begin, end)))
    if check.problems:
        # A problem in a query comes up once for every host.
        raise WebError(400, "; ".join(dict.fromkeys(check.problems)))
    echo = [query for query, _ in expanded] if hosts is not None else None
    return Request(begin, end, [queries for _, queries in expanded], echo)


class _Check:
    """Takes values out of a request, and notes what is wrong with them."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def query(
        self, given: Mapping[str, Any], place: str, cluster: str, begin: int, end: int
    ) -> list[Selection]:
        kind = self.kind(given, place)
        name = self.text(given, "event", f"{place}.event")
        host = self.text(given, "host", f"{place}.host")
        type_ = self.text(given, "type", f"{place}.type")
        subtype = self.text(given, "subtype", f"{place}.subtype")
        type_ids = self.texts(given, "type-ids", f"{place}.type-ids") or [None]
        subtype_ids = self.texts(given, "subtype-ids", f"{place}.subtype-ids") or [None]
        return [
            Selection(
                clusters=(cluster,),
                kinds=(kind,),
                begin=nanoseconds(begin),
                end=nanoseconds(end + 1),
                matchers=_equal(
                    {
                        "name": name,
                        "hostname": host,
                        "type": type_,
                        "type-id": type_id,
                        "stype": subtype,
                        "stype-id": subtype_id,
                    }
                ),
                is_newest_first=False,
            )
            for type_id, subtype_id in product(type_ids, subtype_ids)
        ]

    def keys(self, given: Mapping[str, Any], known: Sequence[str], place: str) -> Mapping[str, Any]:
        """The same with the keys as we write them: Go programs, and the Go daemon, do not care for case.

        Others are a problem: with a mistyped ``host`` left out, the answer would be about every host.
        """
        found = {}
        for key, value in given.items():
            if key.lower() in known:
                found[key.lower()] = value
            else:
                name = json.dumps(key[:40], ensure_ascii=False)
                self.problems.append(f"{place}{name}: unknown key, expected {one_of(known)}")
        return found

    def kind(self, given: Mapping[str, Any], place: str) -> Literal["event", "log"]:
        value = given.get("kind")
        if value not in (None, "", "event", "log"):
            self.problems.append(f"{place}.kind: expected 'event' or 'log', got {shown(value)}")
        return "log" if value == "log" else "event"

    def text(self, given: Mapping[str, Any], key: str, place: str) -> str | None:
        """A string; an empty one, as Go programs send for an absent one, is None."""
        value = given.get(key)
        if value is not None and not isinstance(value, str):
            self.problems.append(f"{place}: expected a string, got {shown(value)}")
            return None
        if value is not None and not is_unicode(value):
            self.problems.append(f"{place}: expected Unicode, got half of a surrogate pair")
        return value or None

    def texts(self, given: Mapping[str, Any], key: str, place: str) -> Sequence[str | None] | None:
        """A list of strings, in which numbers are as good; None if it is absent or empty."""
        value = given.get(key)
        if value is None:
            return None
        if not isinstance(value, list):
            self.problems.append(f"{place}: expected a list of strings, got {shown(value)}")
            return None
        for index, item in enumerate(value):
            if isinstance(item, bool) or not isinstance(item, (str, int)):
                self.problems.append(f"{place}[{index}]: expected a string, got {shown(item)}")
            elif not is_unicode(str(item)):
                self.problems.append(f"{place}[{index}]: expected Unicode, got half of a surrogate pair")
        return [str(item) for item in value] or None

    def seconds(self, given: Mapping[str, Any], key: str, default: int) -> int:
        value = given.get(key, default)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not -_MOST <= value <= _MOST:
            self.problems.append(f"{key}: expected Unix seconds as an integer, got {shown(value)}")
            return default
        return value

    def objects(self, given: Mapping[str, Any], key: str) -> list[tuple[str, Mapping[str, Any]]]:
        value = given.get(key)
        if not isinstance(value, list):
            self.problems.append(f"{key}: expected a list of queries, got {shown(value)}")
            return []
        found: list[tuple[str, Mapping[str, Any]]] = []
        for index, item in enumerate(value):
            if isinstance(item, dict):
                place = f"{key}[{index}]"
                found.append((place, self.keys(item, _QUERY_KEYS, f"{place}: ")))
            else:
                self.problems.append(f"{key}[{index}]: expected an object, got {shown(item)}")
        return found


def _equal(labels: Mapping[str, str | None]) -> tuple[Matcher, ...]:
    """Conditions on those that are given; a missing one matches anything."""
    return tuple(Matcher(label, "=", value) for label, value in labels.items() if value is not None)


def _list(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else ()
