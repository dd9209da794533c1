"""Events that have expired when they come, and what is warned of."""

from __future__ import annotations

from twisted.logger import capturedLogs, formatEvent

from ccstore.accounting.account import Origin
from ccstore.interfaces import Refusal
from ccstore.message import Message
from ccstore.pipeline.router import BAD_CLUSTER, NO_CLUSTER
from tests.support.router_site import NOW, RETENTION, SECOND, Site, event, line, outcome

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
