"""The router: what it keeps, for which cluster, and that its books balance at every moment."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from zope.interface import implementer
from zope.interface.verify import verifyObject

from ccstore.accounting.account import Account, Origin
from ccstore.batch import Batch
from ccstore.interfaces import IMessageSink, IMessageStore, Refusal, StoreUnavailable
from ccstore.message import FieldValue, Message, Series
from ccstore.pipeline.router import BAD_CLUSTER, NO_CLUSTER, Router
from ccstore.query import Page, Selection
from tests.support.strategies import message_of

NOW = 1_700_000_000
SECOND = 10**9
RETENTION = 3600


@implementer(IMessageStore)
class FakeStore:
    """Holds what it is given until a test commits it, or lets it fail."""

    def __init__(self) -> None:
        self.offered: list[Message] = []
        self.urgent: list[bool] = []
        self.waiting: list[Deferred[Sequence[Refusal]]] = []
        self.flushes = 0
        self.announced: list[list[Batch]] = []

    def accept(self, messages: Batch, *, urgent: bool) -> Deferred[Sequence[Refusal]]:
        self.offered += messages
        self.urgent.append(urgent)
        self.waiting.append(Deferred())
        return self.waiting[-1]

    def commit(self, *refusals: Refusal) -> None:
        self.waiting.pop(0).callback(refusals)

    def fail(self, error: Exception) -> None:
        self.waiting.pop(0).errback(error)

    def announce(self, parts: Sequence[Batch]) -> None:
        self.announced.append([*parts])

    def flush(self) -> None:
        self.flushes += 1

    def pages(
        self, selections: Sequence[Selection], *, max_rows: int, timeout: float, with_tags: bool = True
    ) -> Deferred[Sequence[Page]]:
        return succeed([])

    def unreadiness(self) -> str | None:
        return None

    def stats(self) -> Mapping[str, object]:
        return {}


class Site:
    """A router between a receiver and a store, at a time of its own."""

    def __init__(
        self, *, store_logs: bool = True, store_heartbeats: bool = False, cluster: str | None = None
    ) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.store = FakeStore()
        self.account = Account("tcp0", "tcp")
        self.origin = Origin(self.account, "192.0.2.1", cluster)
        self.router = Router(
            self.store,
            self.clock,
            retention=RETENTION,
            store_logs=store_logs,
            store_heartbeats=store_heartbeats,
        )

    def offer(self, *messages: Message, urgent: bool = False) -> Deferred[Sequence[Refusal]]:
        return self.router.accept(Batch.of(messages), self.origin, urgent=urgent)

    def clusters(self, *messages: Message) -> list[str | None]:
        """The clusters that these messages have when they come to the store."""
        self.offer(*messages)
        return [message.series.cluster for message in self.store.offered]


def line(
    fields: dict[str, FieldValue] | None = None, *, time: int = NOW * SECOND, name: str = "m", **tags: str
) -> Message:
    return message_of(name, tags, {"event": "x"} if fields is None else fields, time)


def event(text: str = "x", **tags: str) -> Message:
    return line({"event": text}, **tags)


def outcome(deferred: Deferred[Sequence[Refusal]]) -> list[Any]:
    """What a Deferred has fired with, in a list; empty if it has not."""
    fired: list[Any] = []
    deferred.addBoth(fired.append)
    return fired


def test_the_parts_provide_their_interfaces() -> None:
    site = Site()
    assert verifyObject(IMessageStore, site.store)
    assert verifyObject(IMessageSink, site.router)


# Storing


def test_the_answer_comes_when_the_store_has_committed() -> None:
    site = Site()
    answer = outcome(site.offer(event("a", cluster="c"), event("b", cluster="c")))
    assert [message.text for message in site.store.offered] == ["a", "b"]
    assert answer == []
    assert (site.account.received, site.account.waiting, site.account.stored) == (2, 2, 0)
    site.store.commit()
    assert answer == [[]]
    assert (site.account.received, site.account.waiting, site.account.stored) == (2, 0, 2)


@pytest.mark.parametrize("urgent", [True, False])
def test_urgency_is_passed_on(urgent: bool) -> None:
    site = Site()
    site.offer(event(cluster="c"), urgent=urgent)
    assert site.store.urgent == [urgent]


def test_flush_is_passed_on() -> None:
    site = Site()
    site.router.flush()
    assert site.store.flushes == 1


def test_what_is_kept_as_it_is_is_announced() -> None:
    site = Site()
    right, wrong = Batch.of([event("a", cluster="alex")]), Batch.of([event("b")])
    old = Batch.of([line(time=(NOW - RETENTION) * SECOND, cluster="alex")])
    more = Batch.of([line({"event": "c", "x": 1}, cluster="alex")])
    site.router.announce([right, right], site.origin)
    for other in (wrong, old, more):
        site.router.announce([right, other], site.origin)
    assert site.store.announced == [[right, right]]


def test_a_message_with_a_cluster_reaches_the_store_as_it_is() -> None:
    site = Site()
    message = line({"event": "x", "f": 1}, cluster="c", hostname="h")
    site.offer(message)
    assert site.store.offered == [message]


def test_fields_that_are_not_stored_are_counted() -> None:
    site = Site()
    site.offer(
        line({"event": "x", "a": 1, "b": 2}, cluster="c"),
        line({"log": "x", "a": 1}, cluster="c"),
        line({"event": "x"}, cluster="c"),
        line({"value": 1, "a": 1}, cluster="c"),
    )
    site.store.commit()
    assert site.account.fields_not_stored == 3


def test_kinds_that_are_not_kept_are_counted_one_by_one() -> None:
    site = Site()
    answer = outcome(
        site.offer(
            line({"value": 1}),
            line({"value": 2}),
            line({"query": "q"}),
            line({"control": "c"}, method="GET"),
            line({"control": "c"}),
        )
    )
    assert site.account.dropped == {"metric": 2, "query": 1, "control": 1, "other": 1}
    assert answer == [[]]


def test_logs_are_dropped_where_they_are_not_wanted() -> None:
    site = Site(store_logs=False)
    site.offer(line({"log": "x"}, cluster="c"), event(cluster="c"))
    assert [message.kind for message in site.store.offered] == ["event"]
    assert site.account.dropped == {"log": 1}


def test_heartbeats_of_a_fleet_are_dropped_unless_they_are_wanted() -> None:
    tags = {"function": "heartbeat"}
    offered = (
        line({"event": "secret"}, name="fleet", cluster="c", **tags),
        line({"log": "secret"}, name="fleet", **tags),
        line({"value": 1}, name="fleet", cluster="c", **tags),
        line({"event": "other function"}, name="fleet", cluster="c", function="start"),
        line({"event": "other name"}, name="fleets", cluster="c", **tags),
    )
    for wanted in (False, True):
        site = Site(store_heartbeats=wanted, cluster="theirs")
        site.offer(*offered)
        clusters = [(message.text, message.tags["cluster"]) for message in site.store.offered]
        others = [("other function", "c"), ("other name", "c")]
        if wanted:
            assert clusters == [("secret", "c"), ("secret", "theirs"), *others]
            assert site.account.dropped == {"metric": 1}
        else:
            assert clusters == others
            assert site.account.dropped == {"fleet_heartbeat": 2, "metric": 1}


def test_where_nothing_is_kept_the_store_is_not_asked() -> None:
    site = Site()
    assert outcome(site.offer()) == [[]]
    assert outcome(site.offer(line({"value": 1}))) == [[]]
    assert outcome(site.offer(event())) == [[Refusal(0, NO_CLUSTER)]]
    assert not site.store.waiting
    assert site.account.is_balanced


# The cluster


def payload(**keys: Any) -> str:
    return json.dumps(keys)


@pytest.mark.parametrize(
    ("tag", "origin", "text", "cluster"),
    [
        ("tag", "origin", payload(cluster="payload"), "tag"),
        (None, "origin", payload(cluster="payload"), "origin"),
        (None, None, payload(cluster="payload"), "payload"),
        ("tag", None, "x", "tag"),
        (None, "origin", "x", "origin"),
        (None, None, payload(jobId=1, resources=[{"hostname": "h"}], cluster="日本"), "日本"),
    ],
)
def test_the_cluster_is_the_tags_before_the_origins_before_the_payloads(
    tag: str | None, origin: str | None, text: str, cluster: str
) -> None:
    site = Site(cluster=origin)
    message = event(text, **({"cluster": tag} if tag else {}), hostname="h")
    assert site.clusters(message) == [cluster]
    assert site.store.offered[0].tags == {"hostname": "h", "cluster": cluster}
    assert site.store.offered[0].text == text


def test_a_log_may_name_its_cluster_in_its_payload_too() -> None:
    assert Site().clusters(line({"log": payload(cluster="c")})) == ["c"]


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "",
        payload(jobId=1),
        payload(cluster=None),
        '["cluster"]',
        '{"cluster": "c"',
        '{"a": ' + "[" * 100_000,
        '{"a": ' + "9" * 10_000 + ', "cluster": "c"}',
        payload(job={"cluster": "c"}),
    ],
    ids=lambda text: text[:20],
)
def test_a_message_that_nothing_names_a_cluster_for_is_refused(text: str) -> None:
    site = Site()
    assert outcome(site.offer(event(text))) == [[Refusal(0, NO_CLUSTER)]]
    assert site.account.rejected == {"no_cluster": 1}


BAD_NAMES = ["x" * 256, "a\nb", "a\x00", "\x7f", "a\x85b", "\ud800"]


@pytest.mark.parametrize("name", ["", *BAD_NAMES, 7, True, ["c"], {"c": 1}], ids=repr)
def test_a_bad_cluster_in_the_payload_is_refused(name: object) -> None:
    site = Site()
    assert outcome(site.offer(event(payload(cluster=name)))) == [[Refusal(0, BAD_CLUSTER)]]
    assert site.account.rejected == {"bad_cluster": 1}


@pytest.mark.parametrize("name", BAD_NAMES, ids=repr)
def test_a_bad_cluster_in_the_tag_is_refused(name: str) -> None:
    site = Site(cluster="good")
    assert outcome(site.offer(event(cluster=name))) == [[Refusal(0, BAD_CLUSTER)]]


@pytest.mark.parametrize("name", ["", *BAD_NAMES], ids=repr)
def test_a_bad_cluster_of_the_origin_is_refused(name: str) -> None:
    site = Site(cluster=name)
    assert outcome(site.offer(event(payload(cluster="good")))) == [[Refusal(0, BAD_CLUSTER)]]


@pytest.mark.parametrize(
    "name", ["x" * 255, "my-cluster", "eventx", "x; drop table y", "日本", '"', "a b", "😀"]
)
def test_any_other_name_is_just_a_name(name: str) -> None:
    assert Site().clusters(event(cluster=name)) == [name]
    assert Site(cluster=name).clusters(event()) == [name]
    assert Site().clusters(event(payload(cluster=name))) == [name]


def test_a_series_that_gets_its_cluster_here_stays_one_series() -> None:
    site = Site(cluster="c")
    series = Series("m", {"hostname": "h"})
    site.offer(Message(series, "a", NOW * SECOND))
    site.offer(Message(series, "b", NOW * SECOND))
    first, second = site.store.offered
    assert first.series is second.series
    assert first.series.cluster == "c"


def test_a_series_of_two_clusters_is_two_series() -> None:
    site = Site()
    series = Series("job")
    texts = [payload(cluster="a"), payload(cluster="b"), payload(cluster="a")]
    site.offer(*(Message(series, text, NOW * SECOND) for text in texts))
    assert [message.series.cluster for message in site.store.offered] == ["a", "b", "a"]


# Events that are too old


CUTOFF = (NOW - RETENTION) * SECOND


def test_an_event_at_the_cutoff_is_dropped_and_answered_like_a_stored_one() -> None:
    site = Site()
    answer = outcome(site.offer(line(cluster="c", time=CUTOFF), line(cluster="c", time=CUTOFF - 1)))
    assert answer == [[]]
    assert site.account.dropped == {"expired": 2}
    assert site.account.is_balanced
    assert not site.store.offered


def test_an_event_just_inside_the_retention_time_is_kept() -> None:
    site = Site()
    site.offer(line(cluster="c", time=CUTOFF + 1))
    assert len(site.store.offered) == 1
    assert not site.account.dropped


def test_the_cutoff_moves_with_the_clock() -> None:
    site = Site()
    site.clock.advance(10)
    site.offer(line(cluster="c", time=CUTOFF + 10 * SECOND), line(cluster="c", time=CUTOFF + 10 * SECOND + 1))
    assert site.account.dropped == {"expired": 1}
    assert len(site.store.offered) == 1


def test_a_log_never_expires() -> None:
    site = Site()
    site.offer(line({"log": "x"}, cluster="c", time=0))
    assert len(site.store.offered) == 1


def test_an_event_that_is_too_old_is_not_also_blamed_for_its_cluster() -> None:
    site = Site()
    assert outcome(site.offer(line(time=0))) == [[]]
    assert not site.account.rejected


def test_the_warning_names_the_sender_and_its_clock() -> None:
    site = Site()
    with capturedLogs() as events:
        site.offer(line(name="job", hostname="a0101", cluster="c", time=1_700_000_000))
    assert [each["log_level"].name for each in events] == ["warn"]
    said = formatEvent(events[0])
    for part in ("tcp0", "'job'", "'a0101'", "192.0.2.1", "19675d22h13m18s old", "own time 1 s", "clock"):
        assert part in said
    assert "more than the retention time of 1h," in said


def test_the_warning_falls_back_to_the_sender_and_cuts_long_names() -> None:
    site = Site()
    with capturedLogs() as events:
        site.offer(line(name="m" * 5000, time=0))
        site.offer(line(hostname="h" * 5000, time=0))
    said = [formatEvent(each) for each in events]
    assert "host '192.0.2.1'" in said[0]
    assert all(len(each) < 500 for each in said)


def test_connections_of_one_host_are_one_host() -> None:
    site = Site()
    with capturedLogs() as events:
        for sender in ("192.0.2.1:40001", "192.0.2.1:40002", "2001:db8::1:40001", "2001:db8::1:40002"):
            site.origin = Origin(site.account, sender)
            site.offer(line(time=0))
    said = [formatEvent(each) for each in events]
    assert len(said) == 2
    assert "host '192.0.2.1' from 192.0.2.1:40001 " in said[0]
    assert "host '2001:db8::1' from 2001:db8::1:40001 " in said[1]


def test_a_host_is_warned_of_once_a_minute() -> None:
    site = Site()

    def warnings(*hosts: str) -> list[str]:
        with capturedLogs() as events:
            site.offer(*(line(hostname=host, time=0) for host in hosts))
        return [formatEvent(each) for each in events]

    assert len(warnings("a", "a", "a", "b", "b")) == 2
    site.clock.advance(59)
    assert warnings("a", "b") == []
    site.clock.advance(1)
    said = warnings("a", "a", "c")
    assert len(said) == 2
    assert "(3 more since the last warning)" in said[0]
    assert "more since" not in said[1]
    assert site.account.dropped == {"expired": 10}


def test_a_line_that_is_refused_is_warned_of_once_a_minute() -> None:
    site = Site()

    def warnings(*given: Message) -> list[str]:
        with capturedLogs() as events:
            site.offer(*given)
        return [formatEvent(each) for each in events]

    assert warnings(event("a", name="job"), event("b", name="m" * 5000), event("c", cluster="")) == [
        f"tcp0: rejected event 'job' from {site.origin.sender}: {NO_CLUSTER}",
        f"tcp0: rejected event 'm' from {site.origin.sender}: {BAD_CLUSTER}",
    ]
    site.clock.advance(59)
    assert warnings(event("a")) == []
    site.clock.advance(1)
    (said,) = warnings(event("a", name="m" * 5000))
    assert "(2 more since the last warning)" in said
    assert len(said) < 300


def test_what_the_store_refuses_is_warned_of() -> None:
    site = Site()
    site.offer(event("a", cluster="c", name="job"))
    with capturedLogs() as events:
        site.store.commit(Refusal(0, "it has a NUL"))
    (said,) = [formatEvent(each) for each in events]
    assert said == f"tcp0: rejected event 'job' from {site.origin.sender}: it has a NUL"


# Refusals and failures


def test_a_refusal_of_the_store_points_at_the_message_that_was_offered() -> None:
    site = Site()
    answer = outcome(
        site.offer(
            line({"value": 1}),
            event("a", cluster="c"),
            event("no cluster"),
            line(time=0, cluster="c"),
            event("b", cluster="c"),
            event("c", cluster="x" * 256),
            event("d", cluster="c"),
        )
    )
    assert [message.text for message in site.store.offered] == ["a", "b", "d"]
    site.store.commit(Refusal(2, "d is bad"), Refusal(0, "a is bad"))
    assert answer == [
        [
            Refusal(1, "a is bad"),
            Refusal(2, NO_CLUSTER),
            Refusal(5, BAD_CLUSTER),
            Refusal(6, "d is bad"),
        ]
    ]
    assert site.account.stored == 1
    assert site.account.rejected == {"no_cluster": 1, "bad_cluster": 1, "refused_by_store": 2}
    assert site.account.dropped == {"metric": 1, "expired": 1}
    assert site.account.is_balanced


def test_that_the_store_is_unavailable_is_passed_on_and_counted() -> None:
    site = Site()
    answer = outcome(site.offer(event(cluster="c"), event(cluster="c"), event()))
    error = StoreUnavailable("the disk is full")
    site.store.fail(error)
    assert answer[0].value is error
    assert site.account.dropped == {"store_unavailable": 2}
    assert site.account.rejected == {"no_cluster": 1}
    assert (site.account.stored, site.account.waiting) == (0, 0)
    assert site.account.is_balanced


def test_receivers_have_books_of_their_own() -> None:
    site = Site()
    other = Account("udp0", "udp")
    site.offer(event(cluster="c"))
    site.router.accept(Batch.of([event(cluster="c")] * 2), Origin(other, "192.0.2.2"), urgent=False)
    site.store.commit()
    site.store.commit(Refusal(0, "bad"))
    assert (site.account.received, site.account.stored) == (1, 1)
    assert (other.received, other.stored, other.rejected) == (2, 1, {"refused_by_store": 1})


LINES = st.sampled_from(
    [
        event(cluster="c"),
        event(),
        event(payload(cluster="c")),
        event(payload(cluster=7)),
        event(cluster="x" * 256),
        line(cluster="c", time=0),
        line({"log": "x", "f": 1}, cluster="c"),
        line({"value": 1}),
        line({"query": "q"}),
        line({"f": "x"}),
    ]
)
STEPS = st.one_of(
    st.tuples(st.just("offer"), st.lists(LINES, max_size=6)),
    st.tuples(st.just("commit"), st.sets(st.integers(0, 5))),
    st.tuples(st.just("fail"), st.none()),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(STEPS, max_size=20), st.booleans())
def test_the_books_balance_at_every_moment(steps: list[tuple[str, Any]], store_logs: bool) -> None:
    site = Site(store_logs=store_logs)
    account = site.account
    offered = 0
    waiting: list[int] = []
    stored = 0

    def check(result: Any) -> Any:
        assert account.is_balanced
        return None

    for step, what in steps:
        if step == "offer":
            before = len(site.store.offered)
            site.offer(*what).addBoth(check)
            offered += len(what)
            if len(site.store.offered) > before:
                waiting.append(len(site.store.offered) - before)
        elif waiting:
            count = waiting.pop(0)
            if step == "commit":
                refused = {index for index in what if index < count}
                site.store.commit(*(Refusal(index, "bad") for index in refused))
                stored += count - len(refused)
            else:
                site.store.fail(StoreUnavailable("gone"))
        assert account.is_balanced
        assert (account.received, account.waiting, account.stored) == (offered, sum(waiting), stored)
        assert min(account.received, account.waiting, account.stored) >= 0


# The books


def test_the_books_tell_what_became_of_each_line() -> None:
    account = Account("tcp0", "tcp")
    account.accept(10)
    account.store(4)
    account.refuse("no_cluster", 2)
    account.lose("expired", 1)
    account.reject("syntax", 3)
    account.drop("overflow", 5)
    assert account.is_balanced
    assert account.figures() == {
        "type": "tcp",
        "received": 18,
        "stored": 4,
        "waiting": 3,
        "rejected": {"no_cluster": 2, "syntax": 3},
        "dropped": {"expired": 1, "overflow": 5},
        "fields_not_stored": 0,
    }
    assert account.summary() == "tcp0: 18 received, 4 stored, 5 rejected, 6 dropped, 3 waiting"


def test_books_with_a_line_missing_do_not_balance() -> None:
    account = Account("tcp0", "tcp", received=2, stored=1)
    assert not account.is_balanced


# Samples of what was not stored


def samples(site: Site) -> list[tuple[object, ...]]:
    given = site.account.samples.as_json()["samples"]
    assert isinstance(given, list)
    keys = ("outcome", "reason", "sender", "host", "name", "count", "time", "text")
    return [tuple(sample[key] for key in keys) for sample in given]


def test_what_is_not_stored_is_sampled_with_its_sender() -> None:
    site = Site()
    old = NOW - int(RETENTION) - 1
    site.offer(
        line({"value": 1.0}, name="cpu", hostname="a1", cluster="c"),
        line({"value": 2.0}, name="cpu", hostname="a1", cluster="c"),
        line(time=old * SECOND, hostname="a2", cluster="c"),
        line({"event": "secret"}, hostname="a3", job="7"),
        event(cluster="c", hostname="a4"),
    )
    sender = "192.0.2.1"
    assert samples(site) == [
        ("dropped", "metric", sender, "a1", "cpu", 2, NOW, "cpu,hostname=a1,cluster=c"),
        ("dropped", "expired", sender, "a2", "m", 1, old, "m,hostname=a2,cluster=c"),
        ("rejected", "no_cluster", sender, "a3", "m", 1, NOW, "m,hostname=a3,job=7"),
    ]


def test_what_the_store_refuses_is_sampled_under_its_own_name() -> None:
    site = Site()
    site.offer(line({"value": 1.0}), event("a", cluster="c"), event("b", cluster="c", hostname="a1"))
    site.store.commit(Refusal(1, "NUL in text"))
    ((*what, text),) = [sample for sample in samples(site) if sample[1] == "refused_by_store"]
    assert what == ["rejected", "refused_by_store", "192.0.2.1", "a1", "m", 1, NOW]
    assert text == "m,cluster=c,hostname=a1"


@pytest.mark.parametrize(("seconds", "is_doubtful"), [(299, False), (301, True)])
def test_messages_from_the_future_are_stored_and_sampled(seconds: int, is_doubtful: bool) -> None:
    site = Site()
    site.offer(
        event("now", cluster="c", hostname="a1"),
        line(time=(NOW + seconds) * SECOND, cluster="c", hostname="a2"),
    )
    assert len(site.store.offered) == 2
    expected = [("stored", "ahead", "192.0.2.1", "a2", "m", 1, NOW + seconds, "m,cluster=c,hostname=a2")]
    assert samples(site) == (expected if is_doubtful else [])


def test_a_flood_is_only_sampled_but_counted_in_full() -> None:
    site = Site()
    site.offer(*[line({"value": 1.0}, cluster="c") for _ in range(1000)])
    assert site.account.dropped == {"metric": 1000}
    assert [sample[5] for sample in samples(site)] == [100]
