"""The doctor, with a real daemon that is fed each mistake, and with figures that are hard to bring about."""

from __future__ import annotations

import copy
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ccstore.accounting.diagnosis import diagnose
from ccstore.accounting.finding import Finding
from tests.support.client_commands import Done, Site, nothing_listens
from tests.support.configuration import write_config
from tests.support.loopback import NOW
from tests.support.running_daemon import PATIENCE, Daemon
from tests.support.sinks import event

HERE = {"address": "127.0.0.1", "port": 0}
RECEIVERS = {
    "nodes": {"type": "tcp", **HERE},
    "datagrams": {"type": "udp", **HERE},
    "collector": {"type": "http", **HERE, "precision": "ns"},
}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Daemon(tmp_path, "--config", write_config(tmp_path, receivers=RECEIVERS)) as daemon:
        yield Site(daemon)


def post(site: Site, *lines: bytes) -> None:
    assert site.daemon.ask("POST", "/", b"\n".join(lines), line="HTTP")[0] in (200, 400)


def stream(site: Site, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", site.daemon.ports["TCP"]), PATIENCE) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1000):
            pass


def datagram(site: Site, data: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(data, ("127.0.0.1", site.daemon.ports["UDP"]))
    site.daemon.arrived("datagrams", 1)


def check(done: Done, *words: str) -> str:
    """One problem, which has these words; it is also what programs are told."""
    assert (done.status, done.err) == (1, ""), done.out
    (problem,) = [line for line in done.out.splitlines() if "problem: " in line]
    for word in words:
        assert word in problem
    assert done.out.endswith("\n1 problem\n")
    return problem


def test_a_store_that_is_well(site: Site) -> None:
    assert site.run("doctor") == (0, "healthy\n", "")
    stream(site, event("a") + b"\n")
    post(site, event("b", time=time.time_ns()))
    done = site.run("doctor")
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines() == [
        "receiver nodes (tcp): 1 lines, 1 stored, 0 rejected, 0 dropped: nothing to complain of",
        "receiver collector (http): 1 lines, 1 stored, 0 rejected, 0 dropped: nothing to complain of",
        "healthy",
    ]
    done = site.run("doctor", "--json")
    assert (done.status, done.json) == (0, {"healthy": True, "findings": []})


def test_nobody_to_ask(site: Site) -> None:
    done = site.run("doctor", "--url", nothing_listens())
    assert (done.status, done.out) == (2, "")


def test_seconds_read_as_nanoseconds(site: Site) -> None:
    post(site, *[event("a", host="a0107", time=int(time.time())) for _ in range(3)])
    check(
        site.run("doctor"),
        "sender 127.0.0.1 (host a0107): 3 lines have timestamps in seconds that are read as nanoseconds",
        "set 'precision: auto' for receiver 'collector'",
    )
    done = site.run("doctor", "--json")
    assert done.status == 1
    (finding,) = done.json["findings"]
    assert (finding["problem"], finding["receiver"], finding["reason"]) == (True, "collector", "expired")
    assert (finding["senders"], finding["lines"]) == (["127.0.0.1 (host a0107)"], 3)
    assert done.json["healthy"] is False


def test_no_cluster(site: Site) -> None:
    stream(site, event("a", cluster=None, host="a0108") + b"\n")
    check(
        site.run("doctor"),
        "sender 127.0.0.1 (host a0108): 1 lines name no cluster: ",
        "set the tag 'cluster' at the sender, or 'cluster' for this receiver",
    )


def test_a_clock_that_is_behind(site: Site) -> None:
    stream(site, event("a", host="a0109", time=int(time.time()) - 3 * 86400) + b"\n")
    check(
        site.run("doctor"),
        "sender 127.0.0.1 (host a0109): 1 lines were about 3 days old when they came",
        "set the clock of that host if it is behind",
    )


def test_a_clock_that_was_never_set(site: Site) -> None:
    stream(site, event("a", host="a0109", time=1000) + b"\n")
    check(site.run("doctor"), "(host a0109): 1 lines are of 19", "as if the clock had never been set")


def test_a_log_of_long_ago_that_is_stored(site: Site) -> None:
    stream(site, b'm,cluster=alex,hostname=a0109 log="old" 1\n')
    check(
        site.run("doctor"),
        "(host a0109): lines are of 1970-01-01",
        "as if the clock had never been set; they are stored",
        "set the clock of that host",
    )


def test_a_clock_that_is_ahead(site: Site) -> None:
    stream(site, event("a", host="a0110", time=int(time.time()) + 2 * 3600 + 300) + b"\n")
    problem = check(
        site.run("doctor"),
        "sender 127.0.0.1 (host a0110): lines are about 2 hours ahead of the store's clock",
        "set the clock of that host",
    )
    assert "time zone" not in problem


def test_local_time_that_passes_for_utc(site: Site) -> None:
    stream(site, event("a", host="a0110", time=int(time.time()) + 2 * 3600) + b"\n")
    check(site.run("doctor"), "it may send its local time as if it were UTC")


def test_metrics_sent_to_an_event_store(site: Site) -> None:
    datagram(site, b"cpu_load,cluster=alex,hostname=a0111,type=node value=0.5")
    check(
        site.run("doctor"),
        "sender 127.0.0.1 (host a0111): 1 lines are metrics, which an event store does not keep: "
        "send them to the metric store",
    )


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"job,cluster=alex evnt\n", "1 lines are no line protocol: expected '=' after the field key …"),
        (b'm,cluster=alex\x07 log="a"\n', "found '\\x07'"),
        (b'{"jobId": 69}\n', "1 lines are JSON, not line protocol: put the JSON into a string"),
        (b'm event="a" 99999999999999999999\n', "timestamps that are out of range"),
        (
            b"POST /api/write HTTP/1.1\r\nHost: store\r\nAuthorization: Bearer secret\r\n\r\n",
            "3 lines are requests of HTTP, which this receiver does not speak",
        ),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n", "1 lines are binary: perhaps TLS"),
    ],
)
def test_lines_that_are_none(site: Site, data: bytes, said: str) -> None:
    stream(site, data)
    problem = check(site.run("doctor"), "sender 127.0.0.1: ", said)
    assert "secret" not in problem
    assert b"secret" not in site.daemon.ask("GET", "/api/samples")[1]


def test_fields_by_another_name(site: Site) -> None:
    stream(site, b'job,cluster=alex,hostname=a1 message="started"\n')
    check(site.run("doctor"), "(host a1): 1 lines have neither a field 'event' nor a field 'log'")


def test_one_sender_that_dominates(site: Site) -> None:
    stream(site, event("good") + b"\n" + b"bad\n" * 50 + b"cpu value=1\n" * 40)
    done = site.run("doctor")
    assert done.status == 1
    note = [line for line in done.out.splitlines() if line.startswith("  note: ")]
    assert note == [
        "  note: sender 127.0.0.1: has 100% of what is not stored here, which is 99% of this receiver's"
        " lines: begin with it"
    ]
    assert done.out.endswith("2 problems\n")


def test_a_rule_that_fails(tmp_path: Path) -> None:
    rules = {"drop_messages_if": ["tag.nothing < 3"]}
    receivers = {"nodes": {"type": "tcp", **HERE, "process_messages": rules}}
    with Daemon(tmp_path, "--config", write_config(tmp_path, receivers=receivers)) as daemon:
        site = Site(daemon)
        stream(site, event("a", host="a0112") + b"\n")
        check(
            site.run("doctor"),
            "sender 127.0.0.1 (host a0112): 1 lines are dropped, since a rule of process_messages fails on",
            "correct the rule, or the sender",
        )


def test_a_note_is_no_problem(tmp_path: Path) -> None:
    config = write_config(tmp_path, receivers=RECEIVERS, storage={"store_logs": False})
    with Daemon(tmp_path, "--config", config) as daemon:
        site = Site(daemon)
        stream(site, b'slurmd,cluster=alex,hostname=a1 log="a"\n')
        done = site.run("doctor")
    assert done.status == 0
    assert "  note: sender 127.0.0.1 (host a1): 1 lines are logs, and store_logs is false" in done.out
    assert done.out.endswith("healthy\n")


# -- figures that are hard to bring about

STATS: dict[str, Any] = {
    "manager": {"errors": {}, "status": {}},
    "backend": {"errors": {}, "status": {}},
    "receivers": {"r": {"type": "udp", "received": 10, "stored": 10, "rejected": {}, "dropped": {}}},
}


def sample(reason: str, sender: str = "10.0.0.1", **more: Any) -> dict[str, Any]:
    fixed = {"outcome": "dropped", "host": "", "name": "", "count": 1, "first": NOW, "last": NOW}
    return {**fixed, "time": float(NOW), "detail": "", "text": "", "reason": reason, "sender": sender, **more}


def found(
    *samples: dict[str, Any], precision: str = "auto", figures: Any = None, stats: Any = None
) -> list[Finding]:
    given = copy.deepcopy({**STATS, **(stats or {})})
    given["receivers"]["r"].update(figures or {})
    sampled = {"type": "udp", "precision": precision, "others": 0, "samples": list(samples)}
    return diagnose(given, {"time": NOW, "receivers": {"r": sampled}})


@pytest.mark.parametrize(
    ("precision", "factor", "said"),
    [
        ("ns", 10**9, "in seconds that are read as nanoseconds"),
        ("ns", 10**6, "in milliseconds that are read as nanoseconds"),
        ("ns", 10**3, "in microseconds that are read as nanoseconds"),
        ("us", 10**6, "in seconds that are read as microseconds"),
        ("us", 10**3, "in milliseconds that are read as microseconds"),
        ("ms", 10**3, "in seconds that are read as milliseconds"),
        # The unit came with the request.
        ("auto", 10**9, "in seconds that are read as nanoseconds"),
    ],
)
def test_each_unit_that_is_taken_for_another(precision: str, factor: int, said: str) -> None:
    (finding,) = found(
        sample("expired", time=NOW / factor), precision=precision, figures={"dropped": {"expired": 7}}
    )
    assert f"7 lines have timestamps {said}" in str(finding)


def test_what_the_store_and_the_receivers_say_of_themselves() -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"stats": {"manager": {"errors": {"unavailable": "database is locked"}}}}, "database is locked"),
        ({"stats": {"manager": {"errors": {"spool": "it was removed"}}}}, "be spooled: it was removed"),
        ({"stats": {"backend": {"errors": {"delete_sql_exec_failed": 2}}}}, "could not be deleted 2 times"),
        ({"figures": {"connected": False}}, "there is no connection to the NATS server"),
        ({"figures": {"slow_consumer": 5}}, "5 times the NATS server closed the connection"),
        ({"figures": {"rejected": {"too_large": 5}}}, "5 lines are in messages larger than max_payload"),
        ({"figures": {"kernel_drops": 5}}, "5 datagrams were dropped by the kernel"),
        ({"figures": {"refused_connections": 5}}, "raise max_connections"),
        ({"figures": {"refused_no_files": 5}}, "LimitNOFILE="),
        ({"figures": {"no_proxy_header": 5}}, "send-proxy"),
        ({"figures": {"tls_failures": 5}}, "before TLS was agreed on"),
        ({"figures": {"refused_bodies": 5}}, "smaller batches"),
        ({"figures": {"bad_requests": 5}}, "5 connections brought what is no request over HTTP"),
        ({"figures": {"cut_connections": 5}}, "5 connections were closed, since a request did not come"),
        ({"figures": {"foreign_requests": 5}}, "5 requests were refused, since their host"),
        ({"figures": {"certificate_expires": int(NOW) + 3 * 86400}}, "the certificate expires in 3 days, at"),
        ({"figures": {"certificate_expires": int(NOW) - 1}}, "the certificate has expired, at"),
        ({"figures": {"dropped": {"overload": 5}}}, "5 lines came faster than they could be stored"),
        ({"figures": {"dropped": {"store_unavailable": 5}}}, "5 lines could not be stored"),
        ({"figures": {"rejected": {"hung_up": 5}}}, "5 lines were not looked at"),
        ({"figures": {"rejected": {"something_new": 5}}}, "5 lines were rejected: something new"),
    ]
    for given, said in cases:
        (finding,) = found(**given)
        assert finding.is_problem
        assert said in str(finding)
    # What a site has dropped by its own rules is as it should be.
    (finding,) = found(figures={"dropped": {"rule": 5}})
    assert not finding.is_problem
    assert found(figures={"certificate_expires": int(NOW) + 15 * 86400}) == []
    assert found(figures={"kernel_drops": None, "refused_connections": 0}) == []


def test_who_was_refused_is_named_with_what_it_did() -> None:
    samples = [
        sample("bad_requests", f"10.0.0.{number}", outcome="refused", detail=detail, count=90)
        for number, detail in enumerate(("it speaks TLS", "this is SSH", "it speaks TLS"))
    ]
    (finding,) = found(*samples, figures={"bad_requests": 270, "received": 0, "rejected": {}})
    assert str(finding).startswith(
        "senders 10.0.0.0, 10.0.0.1, 10.0.0.2: 270 connections brought what is no request over HTTP (it"
        " speaks TLS; this is SSH): "
    )


def test_many_senders_with_one_mistake_are_one_finding() -> None:
    samples = [sample("metric", f"10.0.0.{number}") for number in range(8)]
    (finding,) = found(*samples, figures={"dropped": {"metric": 800}})
    assert str(finding).startswith(
        "senders 10.0.0.0, 10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4 and 3 more: 800 lines are metrics"
    )
    assert len(finding.senders) == 8


def test_mistakes_with_one_reason_are_told_apart() -> None:
    findings = found(
        sample("expired", "10.0.0.1", time=NOW / 10**9),
        sample("expired", "10.0.0.2", time=NOW - 5 * 86400.0),
        figures={"dropped": {"expired": 9}},
        precision="ns",
    )
    assert len(findings) == 2
    # Which of them had how many is not known.
    assert [finding.lines for finding in findings] == [None, None]


def test_the_sender_that_dominates_has_most_of_what_is_lost() -> None:
    figures = {"received": 1000, "dropped": {"metric": 500}}
    rest = [sample("metric", f"10.0.1.{number}") for number in range(10)]
    for count, is_told in ((90, True), (9, False), (30, False)):
        findings = found(sample("metric", count=count), *rest, figures=figures)
        notes = [str(finding) for finding in findings if not finding.is_problem]
        told = (
            "sender 10.0.0.1: has 90% of what is not stored here, which is 50% of this receiver's lines:"
            " begin with it"
        )
        assert notes == ([told] if is_told else [])
