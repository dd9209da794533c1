"""What a line costs to decode, by what it is: right, a metric, or wrong in one way or another."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping
from typing import Final

from benchmarks.lines import block, stamped
from benchmarks.report import progress
from ccstore.lineprotocol import SeriesCache, StreamDecoder

#: Bytes that a receiver decodes in one go.
_PIECE: Final = 65536
_LINES: Final = 20_000
_ROUNDS: Final = 9
_HEAD: Final = "job,cluster=alex,function=start_job,hostname=a{host:05d},type=node,type-id=0"
_EVENT: Final = 'event="{{\\"jobId\\": {number}, \\"cluster\\": \\"alex\\", \\"state\\": \\"running\\"}}"'
_STAMP: Final = "1700000000123{number:06d}"

#: Lines that are right, but no events and logs alone.
_OTHERS: Final[Mapping[str, str]] = {
    "a metric": f"cpu_load,cluster=alex,hostname=a{{host:05d}},type=node value=13.37 {_STAMP}",
    "a metric, its head never seen before": f"cpu_load,cluster=alex,job={{number}} value=13.37 {_STAMP}",
    "three numbers": f"{_HEAD} value=1.5,count={{number}}i,ok=true {_STAMP}",
    "an event and a number": f"{_HEAD} {_EVENT},value={{number}} {_STAMP}",
    "an event over two lines": f'{_HEAD} event="one\ntwo {{number}}" {_STAMP}',
}
#: Lines that are wrong, each in its own way.
_MISTAKES: Final[Mapping[str, str]] = {
    "no measurement": f",cluster=alex,hostname=a{{host:05d}} {_EVENT} {_STAMP}",
    "a tag without a value": f"job,cluster=,hostname=a{{host:05d}},type=node {_EVENT} {_STAMP}",
    "a tag without '='": f"job,cluster=alex,hostname,type=node {_EVENT} {_STAMP}",
    "no field": _HEAD,
    "a field without '='": f"{_HEAD} event {_STAMP}",
    "a field without a value": f"{_HEAD} value= {_STAMP}",
    "a value that is none": f"{_HEAD} value=running {_STAMP}",
    "a number that is not finite": f"{_HEAD} value=-inf {_STAMP}",
    "something behind a string": f"{_HEAD} {_EVENT}x {_STAMP}",
    "a string that is never closed": f'{_HEAD} event="step {{number}} {_STAMP}',
    "a timestamp that is none": f"{_HEAD} {_EVENT} 17.5",
    "a timestamp out of range": f"{_HEAD} {_EVENT} 9999999999999999999",
    "two timestamps": f"{_HEAD} {_EVENT} {_STAMP} {_STAMP}",
    "a control character in a comment": "# comment\x01 {number}",
    "plain words": "Jan 12 03:04:05 a{host:05d} slurmd[{number}]: error: node not responding",
}


def _cases() -> Iterator[tuple[str, bytes]]:
    good = stamped(block(_LINES))
    yield "right", good
    for name, line in {**_OTHERS, **_MISTAKES}.items():
        yield name, _many(line)
    one = _many(_MISTAKES["a value that is none"])
    for every in (10, 100):
        mixed = good.splitlines(keepends=True)
        mixed[::every] = one.splitlines(keepends=True)[::every]
        yield f"right, but one in {every}", b"".join(mixed)


def _many(line: str) -> bytes:
    lines = [line.format(number=number, host=number * 7919 % 1000) for number in range(_LINES)]
    return "".join(f"{each}\n" for each in lines).encode("latin-1")


def run() -> list[dict[str, object]]:
    """Microseconds a line, the median of some rounds."""
    cases = [(name, data, StreamDecoder(SeriesCache(), max_line_length=1 << 20)) for name, data in _cases()]
    taken: list[list[float]] = [[] for _ in cases]
    for number in range(_ROUNDS):
        progress(f"decoding: {number} of {_ROUNDS}")
        for (_, data, decoder), times in zip(cases, taken, strict=True):
            begun = time.process_time()
            for start in range(0, len(data), _PIECE):
                decoder.feed(data[start : start + _PIECE], 0)
            times.append(time.process_time() - begun)
    return [
        {"what": f"decoded: {name}", "µs/line": statistics.median(times) / _LINES * 1e6}
        for (name, _, _), times in zip(cases, taken, strict=True)
    ]
