"""The router: what it keeps, and for which cluster."""

from __future__ import annotations

import pytest
from zope.interface.verify import verifyObject

from ccstore.batch import Batch
from ccstore.interfaces import IMessageSink, IMessageStore, Refusal
from ccstore.message import Message, Series
from ccstore.pipeline.router import BAD_CLUSTER, NO_CLUSTER
from tests.support.router_site import NOW, RETENTION, SECOND, Site, event, line, outcome, payload


def test_the_parts_provide_their_interfaces() -> None:
    site = Site()
    assert verifyObject(IMessageStore, site.store)
    assert verifyObject(IMessageSink, site.router)


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
