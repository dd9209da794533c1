"""``ccstore query``: events and logs, for people and programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any, Final, NamedTuple

from twisted.python.usage import UsageError

from ccstore import hostlist
from ccstore.client.absent import explain
from ccstore.client.server import Server, ServerOptions, connect
from ccstore.client.session import DONE, FAILED, NOT_AS_ASKED, ClientError, print_json, run
from ccstore.client.table import table
from ccstore.commands.description import NAME, NUMBER, TIME, Value, choice
from ccstore.commands.options import parse
from ccstore.commands.times import parse_moment, show_moment

#: Queries of one request: half of what the server takes by default, in case it is configured to take fewer.
_AT_A_TIME: Final = 500
#: Seconds in which the newest rows are looked for first.
_FIRST_SPAN: Final = 64


class Options(ServerOptions):
    """The options of ``ccstore query``."""

    command = "query"
    problem = "there are more rows than it gives, or something else was meant"
    synopsis = "--cluster NAME [options]"
    longdesc = "Shows events or logs, the oldest first. What is left out matches anything."
    optParameters = [
        ["cluster", "c", None, "The cluster."],
        ["kind", "k", "event", "What to show."],
        ["event", "e", None, "The name (measurement)."],
        ["host", "H", None, "Hosts, such as a0101 or a[0101-0103,0200],login1."],
        ["type", None, None, "The type."],
        ["type-ids", None, None, "Ids of the type, such as 0,1,2 or [0-7]."],
        ["subtype", None, None, "The subtype."],
        ["subtype-ids", None, None, "Ids of the subtype."],
        ["from", "f", "-24h", "Since when: -1h (ago), -2d, 2026-01-31T12:00:00Z, Unix seconds."],
        ["to", None, "now", "Until when."],
        ["limit", "n", None, "Only so many rows, the newest."],
    ]
    option_values = {
        "cluster": NAME,
        "kind": choice("event", "log"),
        "event": NAME,
        "host": Value("HOSTS"),
        "type": Value("TYPE"),
        "type-ids": Value("IDS"),
        "subtype": Value("TYPE"),
        "subtype-ids": Value("IDS"),
        "from": TIME,
        "to": TIME,
        "limit": NUMBER,
    }

    hosts: Sequence[str | None] = (None,)
    limit: int | None = None

    def postOptions(self) -> None:
        """Check what can be checked by itself, and expand the lists."""
        super().postOptions()
        if not self["cluster"]:
            raise UsageError("--cluster: the name of the cluster is needed")
        if self["kind"] not in ("event", "log"):
            raise UsageError(f"--kind: expected event or log, got {self['kind']!r}")
        if self["limit"] is not None:
            if not self["limit"].isdecimal() or not int(self["limit"]):
                raise UsageError(f"--limit: expected a number above 0, got {self['limit']!r}")
            self.limit = int(self["limit"])
        self.hosts = self._list("host")
        self.type_ids = self._list("type-ids")
        self.subtype_ids = self._list("subtype-ids")

    def _list(self, option: str) -> Sequence[str | None]:
        if not self[option]:
            return (None,)
        try:
            return hostlist.expand(self[option])
        except ValueError as error:
            raise UsageError(f"--{option}: {error}") from None

    def span(self, now: float) -> tuple[int, int]:
        """First and last second. Raises :class:`ClientError`."""
        moments = []
        for option in ("from", "to"):
            try:
                moments.append(parse_moment(self[option], now))
            except ValueError as error:
                raise ClientError(f"--{option}: {error}") from None
        begin, end = moments
        if begin > end:
            raise ClientError(f"--from: {self['from']!r} is after --to {self['to']!r}")
        return begin, end


class Row(NamedTuple):
    """A message that was found, with what is known of it from what was asked."""

    time: int
    host: str | None
    type_id: str | None
    subtype_id: str | None
    text: str


def requests(
    options: Options, begin: int, end: int
) -> Iterator[tuple[Sequence[str | None], Mapping[str, Any]]]:
    """The requests to make, and the hosts that each is about."""
    query = {
        "kind": options["kind"],
        "event": options["event"],
        "type": options["type"],
        "subtype": options["subtype"],
        "type-ids": _known(options.type_ids),
        "subtype-ids": _known(options.subtype_ids),
    }
    query = {key: value for key, value in query.items() if value}
    each = max(1, _AT_A_TIME // (len(options.type_ids) * len(options.subtype_ids)))
    for start in range(0, len(options.hosts), each):
        hosts = options.hosts[start : start + each]
        request = {"cluster": options["cluster"], "from": begin, "to": end, "queries": [query]}
        if _known(hosts):
            request["for-all-nodes"] = list(hosts)
        yield hosts, request


def _known(words: Sequence[str | None]) -> list[str]:
    return [word for word in words if word is not None]


async def find(server: Server, options: Options, now: float) -> tuple[list[Row], list[str]]:
    """The rows in the order of time, and what the server says of rows that it left out."""
    begin, end = options.span(now)
    if options.limit is None:
        return await _find(server, options, begin, end)
    # Of too many rows, the server gives the oldest. To get the newest, look for the longest span before the
    # end of which it gives all rows: make it longer until it has enough or is cut, and then halve between.
    too_short, too_long, span = -1, end - begin + 1, min(_FIRST_SPAN, end - begin)
    cut: tuple[list[Row], list[str]] | None = None
    while too_long - too_short > 1:
        rows, reasons = await _find(server, options, end - span, end)
        if reasons:
            cut, too_long = (rows, reasons), span
        elif len(rows) >= options.limit or span == end - begin:
            return rows[-options.limit :], []
        else:
            too_short = span
        span = min(8 * span, end - begin) if cut is None else (too_short + too_long) // 2
    assert cut is not None
    return cut[0][-options.limit :], cut[1]


async def _find(server: Server, options: Options, begin: int, end: int) -> tuple[list[Row], list[str]]:
    rows: list[Row] = []
    cuts: dict[str, None] = {}
    for hosts, request in requests(options, begin, end):
        answer = await server.ask("POST", "/api/query/", json.dumps(request).encode())
        server.check(answer)
        try:
            results = answer.json["results"]
            for host, entries in zip(hosts, results, strict=True):
                ids = product(options.type_ids, options.subtype_ids)
                for (type_id, subtype_id), entry in zip(ids, entries, strict=True):
                    rows += [
                        Row(row["timestamp"], host, type_id, subtype_id, row["Event"])
                        for row in entry["data"]
                    ]
                    if "error" in entry:
                        cuts[entry["error"]] = None
        except (LookupError, TypeError, ValueError):
            raise ClientError(f"{server.url} gives an answer that is none of ccstore's") from None
    rows.sort(
        key=lambda row: row.time
    )  # a stable sort: rows of the same second stay in the order in which they came
    return rows, list(cuts)


def show(rows: Sequence[Row], options: Options) -> str:
    """The rows as a table, with a column for whatever can differ."""
    head, places = ["TIME"], []
    for title, place, words in (
        ("HOST", 1, options.hosts),
        ("TYPE-ID", 2, options.type_ids),
        ("SUBTYPE-ID", 3, options.subtype_ids),
    ):
        if len(words) > 1:
            head.append(title)
            places.append(place)
    cells = [[show_moment(row.time), *(row[place] for place in places), row.text] for row in rows]
    return table([*head, options["kind"].upper()], cells)


def as_json(rows: Sequence[Row], cuts: Sequence[str], options: Options) -> Mapping[str, object]:
    """The rows for programs."""
    kind = options["kind"]
    found = []
    for row in rows:
        names = {"host": row.host, "type-id": row.type_id, "subtype-id": row.subtype_id}
        known = {key: value for key, value in names.items() if value is not None}
        found.append({"timestamp": row.time, **known, kind: row.text})
    return {"cluster": options["cluster"], "rows": found, "is_complete": not cuts}


def main(words: Sequence[str]) -> int:
    """Run the command."""
    options = parse(Options(), words)
    if options is None:
        return FAILED

    async def command(reactor: Any) -> int:
        server = connect(options, reactor)
        await server.must_answer_queries()
        now = reactor.seconds()
        rows, cuts = await find(server, options, now)
        if options["json"]:
            print_json(as_json(rows, cuts, options))
        elif rows:
            print(show(rows, options), end="")
        for cut in cuts:
            print(f"ccstore query: not all: {cut}", file=sys.stderr)
        absent = None
        if not rows and not cuts:
            absent = await explain(
                server,
                cluster=options["cluster"],
                kind=options["kind"],
                name=options["event"],
                hosts=_known(options.hosts),
                now=int(now),
            )
            if absent is not None:
                print(f"ccstore query: {absent.says}", file=sys.stderr)
        is_mistake = absent is not None and absent.is_mistake
        return NOT_AS_ASKED if cuts or is_mistake else DONE

    return run(options, command)
