"""Refusals and failures of the store: the router's books balance at every moment."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccstore.accounting.account import Account, Origin
from ccstore.batch import Batch
from ccstore.interfaces import Refusal, StoreUnavailable
from ccstore.message import FieldValue
from ccstore.pipeline.router import BAD_CLUSTER, NO_CLUSTER
from tests.support.router_site import NOW, RETENTION, SECOND, Site, event, line, outcome, payload


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


def test_logs_of_long_ago_are_stored_and_sampled() -> None:
    site = Site()
    years = 11 * 366 * 86400
    fields: dict[str, FieldValue] = {"log": "x"}
    site.offer(
        line(fields, cluster="c", hostname="a1"),
        line(fields, time=(NOW - years // 2) * SECOND, cluster="c", hostname="a2"),
        line(fields, time=(NOW - years) * SECOND, cluster="c", hostname="a3"),
        event("expired", cluster="c", time=1),
    )
    assert len(site.store.offered) == 3
    sampled = [sample[:4] for sample in samples(site) if sample[0] == "stored"]
    assert sampled == [("stored", "long_ago", "192.0.2.1", "a3")]


def test_a_flood_is_only_sampled_but_counted_in_full() -> None:
    site = Site()
    site.offer(*[line({"value": 1.0}, cluster="c") for _ in range(1000)])
    assert site.account.dropped == {"metric": 1000}
    assert [sample[5] for sample in samples(site)] == [100]
