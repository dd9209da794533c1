"""The cache of series, and what a decoder knows of a batch."""

from __future__ import annotations

import gc

import pytest

from ccstore.batch import Batch
from ccstore.lineprotocol import (
    SeriesCache,
    StreamDecoder,
)
from ccstore.lineprotocol.series import decode_head
from ccstore.message import Kind, Series
from tests.support.decoded_lines import NOW, texts, whole


def test_the_same_head_gives_the_same_series_on_both_ways() -> None:
    cache = SeriesCache()
    [first, second] = whole(b'm,t=v event="a"\nm,t=v event="b"\n', cache=cache).messages
    [third, fourth] = whole(b'm,t=v event="c" 5\nm,t=v log="d"\n', cache=cache, fast=False).messages
    assert first.series is second.series is third.series
    assert (fourth.series.kind, fourth.series.tags) == ("log", third.series.tags)


def test_a_series_is_of_one_kind() -> None:
    data = b'm,t=v event="a"\nm,t=v log="b"\nm,t=v value=1\nm,t=v,method=GET control="c"\nm,t=v f="d"\n' * 2
    for fast in (True, False):
        kinds = [message.kind for message in whole(data, fast=fast).messages]
        assert kinds == ["event", "log", "metric", "control", "other"] * 2


def alive(prefix: str) -> list[str]:
    """The names of all series that begin so, as they were made."""
    gc.collect()
    found = [each for each in gc.get_objects() if type(each) is Series]
    return [each.name for each in found if each.name.startswith(prefix)]


def test_a_head_that_is_wrong_is_not_remembered() -> None:
    cache = SeriesCache()
    for _ in range(2):
        assert len(whole(b'wrong,t= event="a"\n', cache=cache).errors) == 1
    assert not alive("wrong")


@pytest.mark.parametrize(("tags", "size"), [("", 40), (",cluster=c", 10)])
def test_the_cache_holds_one_and_a_half_generations_at_most(tags: str, size: int) -> None:
    cache = SeriesCache(size)
    for number in range(1000):
        cache.get(f"held{number}{tags} event=")
        assert number < 10 or number % 50 or 5 <= len(alive("held")) <= 15
    found = alive("held")
    assert 5 <= len(found) <= 15
    assert sorted(found) == [f"held{number}" for number in range(1000 - len(found), 1000)]


def test_the_cache_is_bounded_in_characters_too() -> None:
    cache = SeriesCache(text=1000)
    for number in range(100):
        cache.get(f"long{'m' * 76}{number:03},cluster=c event=")
    assert 5 <= len(alive("long")) <= 16


def test_a_head_that_is_too_long_is_not_kept() -> None:
    cache = SeriesCache()
    line = b"lengthy,t=" + b"x" * 5000 + b' event="a"\n'
    assert texts(whole(line * 2, cache=cache)) == ["a", "a"]
    assert texts(whole(line, cache=cache, fast=False)) == ["a"]
    assert not alive("lengthy")


def test_a_series_in_use_outlives_the_generations() -> None:
    cache = SeriesCache(10)
    used = cache.get("used,cluster=c event=")
    for number in range(1000):
        cache.get(f"m{number},cluster=c event=")
        if number % 4 == 0:
            assert cache.get("used,cluster=c event=") is used


HEADS = [
    "job,cluster=alex,hostname=a0101,function=start_job",
    "job,cluster=alex",
    "job",
    "job,clusters=alex",
    "job,hostname=,cluster=alex",
    "job,hostname=a,cluster=alex,hostname=b",
    "job,cluster=alex,cluster=fritz",
    "fleet,cluster=alex,function=heartbeat",
    "fleet,function=heartbeat,cluster=alex",
    "fleet2,cluster=alex,function=heartbeat",
    "#job,cluster=alex",
    "job,cluster=al\u00a0ex",
    "job,cluster=älex,hostname=日本",
    "job,cluster=" + "x" * 300,
    "job,hostname=" + "x" * 300 + ",cluster=a",
    "job,cluster=a=b",
    "job,cluster=a\\=b",
    "job\\,cluster=a",
    'job,cluster="a"',
    "job,cluster",
    ",cluster=a",
    "job,cluster=a,",
    "job,cluster=a\x7f",
    "j\x01b,cluster=a",
]


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("kind", ["event", "log"])
def test_a_series_is_what_a_look_at_all_of_it_says(head: str, kind: Kind) -> None:
    line = f'{head} {kind}="text"\n'.encode()
    [fast, slow] = [[each.series for each in whole(line, fast=fast).messages] for fast in (True, False)]
    assert len(fast) == len(slow)
    for series in (*fast, *slow):
        same = Series(*decode_head(head), kind)
        for what in ("name", "tags", "kind", "is_storable", "cluster", "stream", "othertags"):
            assert getattr(Series.of_source(series.source), what) == getattr(same, what)
        stream = series.stream
        assert (series.tags, series.stream, series.othertags) == (same.tags, stream, same.othertags)


@pytest.mark.parametrize(
    "stamps",
    [
        [b"", b""],
        [b" 1700000000", b" 1700000000"],
        [b" 1700000001", b" 1700000000", b" 1700000003"],
        [b" 1700000000000000005", b" 1700000000000000004"],
        [b" 1700000000", b" 1600000000000", b""],
        [b" 1700000000", b""],
        [b" 0", b" -5"],
    ],
)
@pytest.mark.parametrize("head", [b"m,cluster=c", b"m", b"fleet,cluster=c,function=heartbeat"])
@pytest.mark.parametrize("value", [b'event="a\\"b"', b'log="x\ny"', b"value=1"])
def test_a_decoder_knows_what_a_look_at_all_messages_says(
    head: bytes, value: bytes, stamps: list[bytes]
) -> None:
    lines = b"".join(b'n,cluster=c event="first"\n' + head + b" " + value + stamp + b"\n" for stamp in stamps)
    for size in (1, 30, 1000):
        batch = Batch()
        decoder = StreamDecoder()
        for start in range(0, len(lines), size):
            batch.extend(decoder.feed(lines[start : start + size], NOW).messages)
        facts, same = batch.facts, Batch(batch.series, batch.texts, batch.times).facts
        assert facts._replace(size=same.size) == same
        assert same.size <= facts.size <= len(lines)


def test_what_is_known_of_a_batch_follows_its_messages() -> None:
    [message] = whole(b'm,cluster=c event="abc" 1700000000\n').messages
    batch = Batch.of([message])
    assert batch.facts == (1, message.time, message.time, 3, True)
    batch.append(message._replace(series=Series("m"), time=5))
    assert batch.facts == (2, 5, message.time, 6, False)
    batch.series.append(message.series)
    batch.texts.append("d")
    batch.times.append(-1)
    assert batch.facts == (3, -1, message.time, 7, False)
    both = Batch()
    both.extend(batch[:1])
    both.extend(batch[2:])
    assert both.facts == (2, -1, message.time, 4, True)
    assert Batch().facts.is_storable
