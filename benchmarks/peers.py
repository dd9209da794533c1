"""The same month and the same questions for other log stores, beside ours in one run.

What VictoriaLogs and Loki are sent and asked is what their documentation of the HTTP interfaces says.
They have to take messages of the last 31 days: VictoriaLogs with ``-retentionPeriod``, Loki with
``reject_old_samples: false``, and without a limit of the time that is asked for.
"""

from __future__ import annotations

import http.client
import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol
from urllib.parse import urlencode, urlsplit

from benchmarks.asker import Asker
from benchmarks.month import CLUSTERS, COMMON, DAY, RARE, REGEX, Month, host_name
from benchmarks.report import progress
from ccstore.batch import Batch
from ccstore.lineprotocol import StreamDecoder

_SAMPLES: Final = 7
#: Seconds before each question.
_PAUSE: Final = 0.3
#: Seconds in which what was sent is to be found.
_PATIENCE: Final = 120.0
_HOST: Final = host_name(17)
_PART: Final = RARE[2:-2]
_PHRASE: Final = "not responding, retry 19"
_JSON: Final = {"Content-Type": "application/json"}
_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}

#: Asks something once; how many messages or groups came back.
Ask = Callable[[], int]


class Store(Protocol):
    """One that is asked.

    :ivar name: for people.
    """

    name: str

    def questions(self) -> Mapping[str, Ask]:
        """What is asked, by the same names for each store."""


class Peer(Store, Protocol):
    """One that is filled first."""

    def held(self) -> int:
        """How many messages of the month it has."""

    def fill(self, messages: Iterator[Batch], rows: int) -> None:
        """Send all, and wait until they are found."""


def compare(port: int, month: Month, peers: Sequence[Peer]) -> list[dict[str, object]]:
    """The medians of ours and of each peer, asked by turns.

    :param port: of the REST interface of our daemon, which has the month.
    """
    for peer in peers:
        if peer.held() == month.rows:
            progress(f"{peer.name} has the month of a run before")
            continue
        begun = time.perf_counter()
        peer.fill(_batches(month), month.rows)
        progress(f"{peer.name} took {time.perf_counter() - begun:.0f} s to take in {month.rows:,} messages")
    stores: list[Store] = [_Own(port, month), *peers]
    asked = [store.questions() for store in stores]
    return [_row(what, stores, [questions[what] for questions in asked]) for what in asked[0]]


def _row(what: str, stores: Sequence[Store], asks: Sequence[Ask]) -> dict[str, object]:
    seconds: list[list[float]] = [[] for _ in asks]
    found = [0] * len(asks)
    for turn in range(_SAMPLES):
        for place, ask in enumerate(asks):
            # What the one before has still to do behind its answer is not this one's.
            time.sleep(_PAUSE)
            begun = time.perf_counter()
            found[place] = ask()
            seconds[place].append(time.perf_counter() - begun)
        progress(f"{what}: {turn + 1} of {_SAMPLES}")
    ours, *others = [statistics.median(each) * 1000 for each in seconds]
    row: dict[str, object] = {"what": what, "p50 ms": ours, "found": found[0]}
    for store, other, count in zip(stores[1:], others, found[1:], strict=True):
        row[f"{store.name} ms"] = other
        row[f"ours / {store.name}"] = ours / other
        row[f"{store.name} found"] = count
    return row


def _wait(count: Callable[[], int], rows: int) -> None:
    """Wait until there are so many; raises :class:`SystemExit` where they do not become more."""
    before, since = -1, time.monotonic()
    while (found := count()) < rows:
        if found != before:
            before, since = found, time.monotonic()
        if time.monotonic() - since > _PATIENCE:
            raise SystemExit(f"{rows:,} messages were sent, and {found:,} are found")
        time.sleep(1)


def _batches(month: Month) -> Iterator[Batch]:
    decoder = StreamDecoder()
    for piece in month.lines():
        yield decoder.feed(piece, 0).messages


def _job(month: Month) -> str:
    """The number of a job in the middle of the month, of one host of eight."""
    return str(100_000 + 60 * (month.hosts // 8) + 2)


class _Own(Store):
    def __init__(self, port: int, month: Month) -> None:
        self.name = "ccstore"
        self._asker = Asker(port)
        self._month = month

    def questions(self) -> Mapping[str, Ask]:
        month = self._month
        span = {"from": month.begin, "to": month.end}
        day = {"from": month.middle, "to": month.middle + DAY}
        return {
            "a rare word": lambda: self._messages(text=RARE, limit=1000),
            "a job's number": lambda: self._messages(text=_job(month), limit=1000),
            "a common word, newest 100": lambda: self._messages(text=COMMON, limit=100),
            "a part of a word": lambda: self._messages(text=_PART, limit=1000),
            "a regular expression": lambda: self._messages(regex=REGEX, limit=10_000),
            "histogram by hour and name": lambda: self._histogram(by="name", step="1h", **span),
            "top hosts of a phrase": lambda: self._values(text=_PHRASE, limit=10, **span),
            "newest 100 of a host": lambda: self._messages(host=_HOST, limit=100),
            "newest 100 of a cluster": lambda: self._messages(cluster=CLUSTERS[0], limit=100),
            "one host, one day": lambda: self._messages(host=_HOST, limit=1000, **day),
        }

    def _messages(self, **asked: object) -> int:
        return len(self._asker.ask("messages", **asked).json["messages"])

    def _histogram(self, **asked: object) -> int:
        return len(self._asker.ask("histogram", **asked).json["series"])

    def _values(self, **asked: object) -> int:
        return len(self._asker.ask("values/host", **asked).json["values"])


class _Http:
    """One connection to a store.

    :param url: of its root.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname or "127.0.0.1", parts.port, timeout=900)
        self._root = parts.path.rstrip("/")

    def ask(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> bytes:
        """The body of an answer; raises :class:`SystemExit` if the store refuses."""
        try:
            answer = self._answer(method, path, body, headers)
        except ConnectionError:
            # It had nothing to do while another one was filled, and was closed.
            self._connection.close()
            answer = self._answer(method, path, body, headers)
        found = answer.read()
        if answer.status >= 300:
            raise SystemExit(f"{path} is answered with {answer.status}: {found[:300]!r}")
        return found

    def _answer(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> http.client.HTTPResponse:
        self._connection.request(method, f"{self._root}{path}", body, dict(headers))
        return self._connection.getresponse()


class VictoriaLogs(Peer):
    """https://docs.victoriametrics.com/victorialogs/: JSON lines in, LogsQL out.

    :param streams: the labels that make a stream. What is found by them is found soon; of few streams the
        rows take less, and words are found sooner.
    """

    def __init__(self, url: str, month: Month, streams: Sequence[str]) -> None:
        self.name = f"VictoriaLogs by {', '.join(streams)}"
        self._http = _Http(url)
        self._month = month
        self._streams = streams

    def fill(self, messages: Iterator[Batch], rows: int) -> None:
        fields = {"_stream_fields": ",".join(self._streams), "_msg_field": "text", "_time_field": "time"}
        sent = 0
        for batch in messages:
            lines = [json.dumps(_labels(batch, place) | _own(batch, place)) for place in range(len(batch))]
            self._http.ask("POST", f"/insert/jsonline?{urlencode(fields)}", "\n".join(lines).encode(), _JSON)
            sent += len(batch)
            progress(f"{self.name}: {sent:,} of {rows:,}")
        _wait(self.held, rows)

    def held(self) -> int:
        (line,) = self._lines("* | stats count() rows", None)
        return int(line["rows"])

    def questions(self) -> Mapping[str, Ask]:
        middle = self._month.middle
        hours = "* | stats by (_time:1h, name) count() rows"
        # Of a label that makes no stream, each row has the value.
        host = f'{{hostname="{_HOST}"}}' if "hostname" in self._streams else f'hostname:="{_HOST}"'
        top = f'"{_PHRASE}"* | stats by (hostname) count() rows | sort by (rows desc) | limit 10'
        regex = REGEX.replace("\\", "\\\\")
        return {
            "a rare word": lambda: len(self._lines(f'"{RARE}"', 1000)),
            "a job's number": lambda: len(self._lines(f'"{_job(self._month)}"', 1000)),
            "a common word, newest 100": lambda: len(self._lines(f'"{COMMON}"', 100)),
            "a part of a word": lambda: len(self._lines(f'~"{_PART}"', 1000)),
            "a regular expression": lambda: len(self._lines(f'~"{regex}"', 10_000)),
            "histogram by hour and name": lambda: len({line["name"] for line in self._lines(hours, None)}),
            "top hosts of a phrase": lambda: len(self._lines(top, None)),
            "newest 100 of a host": lambda: len(self._lines(host, 100)),
            "newest 100 of a cluster": lambda: len(self._lines(f'{{cluster="{CLUSTERS[0]}"}}', 100)),
            "one host, one day": lambda: len(self._lines(host, 1000, middle, middle + DAY)),
        }

    def _lines(
        self, query: str, limit: int | None, begin: int | None = None, end: int | None = None
    ) -> list[Any]:
        """What is found from one time up to another (seconds), or in all of the month."""
        given: dict[str, object] = {
            "query": query,
            "start": self._month.begin if begin is None else begin,
            "end": self._month.end if end is None else end,
        }
        if limit is not None:
            given["limit"] = limit
        body = self._http.ask("POST", "/select/logsql/query", urlencode(given).encode(), _FORM)
        return [json.loads(line) for line in body.splitlines() if line]


class Loki(Peer):
    """https://grafana.com/docs/loki/latest/reference/loki-http-api/: JSON in, LogQL out."""

    def __init__(self, url: str, month: Month) -> None:
        self.name = "Loki"
        self._http = _Http(url)
        self._month = month

    def fill(self, messages: Iterator[Batch], rows: int) -> None:
        sent = 0
        for batch in messages:
            streams: dict[str, list[list[str]]] = {}
            for place in range(len(batch)):
                # Of the tags, only those of streams are labels.
                labels = {key: _labels(batch, place)[key] for key in ("cluster", "hostname", "name")}
                entry = [str(batch.times[place]), batch.texts[place]]
                streams.setdefault(json.dumps(labels), []).append(entry)
            pushed = [{"stream": json.loads(labels), "values": values} for labels, values in streams.items()]
            self._http.ask("POST", "/loki/api/v1/push", json.dumps({"streams": pushed}).encode(), _JSON)
            sent += len(batch)
            progress(f"{self.name}: {sent:,} of {rows:,}")
        _wait(self.held, rows)

    def held(self) -> int:
        return self._instant(f"sum(count_over_time({_ALL}[{self._span}]))", is_value=True)

    @property
    def _span(self) -> str:
        # What is of the very time at which it begins would be left out.
        return f"{self._month.end - self._month.begin + 1}s"

    def questions(self) -> Mapping[str, Ask]:
        middle = self._month.middle
        top = f'topk(10, sum by (hostname) (count_over_time({_ALL} |= "{_PHRASE}" [{self._span}])))'
        hours = f"sum by (name) (count_over_time({_ALL}[1h]))"
        regex = REGEX.replace("\\", "\\\\")
        return {
            "a rare word": lambda: self._range(f'{_ALL} |= "{RARE}"', 1000),
            "a job's number": lambda: self._range(f'{_ALL} |= "{_job(self._month)}"', 1000),
            "a common word, newest 100": lambda: self._range(f'{_ALL} |= "{COMMON}"', 100),
            "a part of a word": lambda: self._range(f'{_ALL} |= "{_PART}"', 1000),
            "a regular expression": lambda: self._range(f'{_ALL} |~ "{regex}"', 5000),
            "histogram by hour and name": lambda: self._range(hours, 100, step="3600"),
            "top hosts of a phrase": lambda: self._instant(top),
            "newest 100 of a host": lambda: self._range(f'{{hostname="{_HOST}"}}', 100),
            "newest 100 of a cluster": lambda: self._range(f'{{cluster="{CLUSTERS[0]}"}}', 100),
            "one host, one day": lambda: self._range(
                f'{{hostname="{_HOST}"}}', 1000, start=str(middle), end=str(middle + DAY)
            ),
        }

    def _range(self, query: str, limit: int, **more: str) -> int:
        """How many messages, or series, there are in all of the month or from ``start`` to ``end``."""
        given = {"query": query, "limit": limit, "start": self._month.begin, "end": self._month.end, **more}
        data = json.loads(self._http.ask("GET", f"/loki/api/v1/query_range?{urlencode(given)}", None, {}))[
            "data"
        ]
        if data["resultType"] == "streams":
            return sum([len(stream["values"]) for stream in data["result"]])
        return len(data["result"])

    def _instant(self, query: str, *, is_value: bool = False) -> int:
        """How many series an expression has at the end of the month, or the value of its only one."""
        given = {"query": query, "time": self._month.end}
        data = json.loads(self._http.ask("GET", f"/loki/api/v1/query?{urlencode(given)}", None, {}))["data"]
        if not is_value:
            return len(data["result"])
        return int(float(data["result"][0]["value"][1])) if data["result"] else 0


#: All streams: a selector must have a matcher that does not match the empty text.
_ALL: Final = '{cluster=~".+"}'


def _labels(batch: Batch, place: int) -> dict[str, str]:
    """The tags of a message, and its name."""
    series = batch.series[place]
    cluster, _, name, hostname, *_ = series.stream
    more = json.loads(series.othertags) if series.othertags else {}
    return {**more, "cluster": str(cluster), "name": str(name), "hostname": str(hostname)}


def _own(batch: Batch, place: int) -> dict[str, str]:
    seconds, rest = divmod(batch.times[place], 10**9)
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return {"time": f"{moment}.{rest:09d}Z", "text": batch.texts[place]}
