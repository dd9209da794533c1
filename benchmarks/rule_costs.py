"""What rules cost: ten that look at name and tags only, and the same with one that looks at each message."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from zope.interface import implementer

from benchmarks.daemon import Daemon
from benchmarks.ingest import measure, send_tcp
from benchmarks.lines import block, bodies, stamped
from benchmarks.report import progress
from ccstore.accounting.account import Account, Origin
from ccstore.batch import Batch
from ccstore.config import load_config
from ccstore.interfaces import IMessageSink, Refusal
from ccstore.lineprotocol import SeriesCache, StreamDecoder
from ccstore.processing.sink import RuleSink

_BLOCK = 100_000
#: Bytes that a receiver decodes in one go.
_PIECE = 1 << 16
#: Times that each of the ways is taken in turn, to even out what else the machine does.
_TURNS = 3

#: Ten rules as sites have them, none of which drops a line.
SERIES_RULES: dict[str, Any] = {
    "drop_messages": ["load_one", "load_five"],
    "drop_by_message_type": ["metric", "control"],
    "drop_messages_if": [
        "name == 'x' && !(tag.device == 'a' || tag.device == 'b')",
        "tag.stypeid matches 'home:/home'",
        "messagetype == 'log' && !(name in ['slurmd', 'slurmctld'])",
        "tag.hostname matches '^login[0-9]+$' || tag.hostname startsWith 'test'",
    ],
    "rename_messages_if": {"name == 'slurmd' && type == 'node'": "slurm"},
    "add_tags_if": [
        {"if": "tag.cluster == nil", "key": "cluster", "value": "alex"},
        {"if": "msg.IsEvent() && !msg.HasTag('source')", "key": "source", "value": "slurm"},
    ],
    "delete_tags_if": [{"if": "true", "key": "type-id"}],
}
#: One of them looks at the text.
MESSAGE_RULES: dict[str, Any] = {
    **SERIES_RULES,
    "drop_messages_if": [*SERIES_RULES["drop_messages_if"][:3], "event matches '^(DEBUG|TRACE)'"],
}
_WAYS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("no rules", {}),
    ("10 rules of name and tags", SERIES_RULES),
    ("10 rules, one of them of the text", MESSAGE_RULES),
)


@implementer(IMessageSink)
class _Nowhere:
    """Takes everything at once."""

    def accept(self, messages: Batch, origin: Origin, *, urgent: bool) -> Deferred[Sequence[Refusal]]:
        return succeed(())

    def announce(self, parts: Sequence[Batch], origin: Origin) -> None:
        """See :meth:`IMessageSink.announce`."""

    def flush(self) -> None: ...


def _sink(directory: Path, rules: dict[str, Any]) -> IMessageSink:
    """The rules of a configuration, before nowhere."""
    path = directory / "rules.json"
    receiver = {"type": "tcp", "process_messages": rules}
    backend = {"type": "sqlite", "database_path": "x.db"}
    path.write_text(json.dumps({"receivers": {"tcp": receiver}, "storage": {"backend": backend}}))
    config = load_config(path, cwd=directory, environ={})
    nowhere: IMessageSink = _Nowhere()
    return RuleSink(config.receivers[0].rules, "TcpReceiver(tcp)", nowhere, Clock()) if rules else nowhere


def _alone(sink: IMessageSink, lines: bytes, cache: SeriesCache) -> float:
    """CPU seconds to decode these lines, and to apply the rules."""
    decoder = StreamDecoder(cache)
    origin = Origin(Account("tcp", "tcp"), "")
    begun = time.process_time()
    for start in range(0, len(lines), _PIECE):
        decoded = decoder.feed(lines[start : start + _PIECE], 0)
        sink.accept(decoded.messages, origin, urgent=False)
    return time.process_time() - begun


def _measure_alone(lines: bytes, count: int, directory: Path) -> list[dict[str, object]]:
    sinks = [_sink(directory, rules) for _, rules in _WAYS]
    caches = [SeriesCache() for _ in _WAYS]
    seconds = [0.0] * len(_WAYS)
    rounds = max(1, count // _BLOCK)
    for number in range(rounds):
        for way, sink in enumerate(sinks):
            progress(f"decoder and rules alone: {number} of {rounds}")
            seconds[way] += _alone(sink, lines, caches[way])
    return [
        {
            "way": f"decoder alone, {name}",
            "lines": rounds * _BLOCK,
            "lines/s": rounds * _BLOCK / took,
            "CPU s/100k": took / rounds,
            "of no rules": seconds[0] / took,
        }
        for (name, _), took in zip(_WAYS, seconds, strict=True)
    ]


def _measure_tcp(lines: bytes, count: int) -> list[dict[str, object]]:
    """All ways in turn, each of them the mean of its turns."""
    rounds = max(1, count // _BLOCK // _TURNS)
    found: list[list[dict[str, Any]]] = [[] for _ in _WAYS]
    for _ in range(_TURNS):
        for way, (name, rules) in enumerate(_WAYS):
            receivers = {"tcp": {"process_messages": rules}}
            with Daemon({"retention_time": "4s", "flush_time": "100ms"}, receivers=receivers) as daemon:
                arguments = [(daemon.ports["tcp"], lines, rounds)]
                found[way].append(measure(f"TCP, {name}", daemon, send_tcp, arguments, rounds * _BLOCK))
    rows = []
    for turns in found:
        passed = sum(turn["lines"] / turn["lines/s"] for turn in turns)
        stored = sum(turn["lines"] for turn in turns)
        cpu = sum(turn["CPU s/100k"] for turn in turns) / len(turns)
        way = turns[0]["way"]
        rows.append({"way": way, "lines": stored, "lines/s": stored / passed, "CPU s/100k": cpu})
    for row in rows:
        row["of no rules"] = row["lines/s"] / rows[0]["lines/s"]
    return rows


def run(count: int) -> list[dict[str, object]]:
    """Lines a second with and without rules, of the parts alone and of the whole daemon."""
    lines = block(_BLOCK)
    with tempfile.TemporaryDirectory(prefix="ccstore-benchmark-") as directory:
        alone = _measure_alone(b"".join(map(stamped, bodies(lines, 10_000))), count, Path(directory))
    return [*alone, *_measure_tcp(lines, count)]
