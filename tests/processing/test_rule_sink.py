"""Rules between receiver and router: refusals, answers, and the books of a real daemon."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ccstore.interfaces import IMessageSink, Refusal
from ccstore.processing.sink import RuleSink
from ccstore.receivers.http import HttpReceiver
from ccstore.web import Room
from tests.daemon.test_daemon import send_tcp, send_udp
from tests.receivers.test_http_receiver import head, read_answer
from tests.support.configuration import receiver_config, write_config
from tests.support.loopback import Loopback
from tests.support.rule_case import SOURCE, Rules, batch_of, rules_of
from tests.support.running_daemon import Daemon
from tests.support.scratch import scratch
from tests.support.sinks import FakeSink, intake_for


class SinkTests(SynchronousTestCase):
    def test_interface(self) -> None:
        rules = Rules({"drop_messages": ["a"]})
        self.assertTrue(verifyObject(IMessageSink, rules.rules))
        rules.rules.flush()
        self.assertEqual(rules.sink.flushes, 1)

    def test_refusals_have_the_places_that_were_offered(self) -> None:
        rules = Rules({"drop_messages_if": ["event == 'drop'"], "drop_messages": ["noise"]})
        rules.sink.refuses = lambda message: "bad" if message.text == "refuse" else None
        batch = batch_of(
            'noise event="refuse"',
            'a event="refuse"',
            'a event="drop"',
            'a event="keep"',
            'a event="refuse"',
        )
        refusals = self.successResultOf(rules.rules.accept(batch, rules.origin, urgent=True))
        self.assertEqual(refusals, [Refusal(1, "bad"), Refusal(4, "bad")])
        self.assertTrue(rules.account.is_balanced)

    def test_answers_over_http_name_the_right_lines(self) -> None:
        config = receiver_config(scratch(self), "http")
        clock = Loopback()
        sink = FakeSink()
        sink.refuses = lambda message: "bad" if message.text == "refuse" else None
        rules = rules_of({"drop_messages": ["noise"], "drop_messages_if": ["event == 'drop'"]})
        intake = intake_for(config, "http", RuleSink(rules, SOURCE, sink, clock), clock)  # type: ignore[arg-type]
        HttpReceiver(config, intake, clock, Room()).listen()
        connection, wire = clock.connect()
        body = b"""# a comment
noise event="refuse"
a event="drop"

name_only
a event="refuse"
a event="kept
in two lines"
noise log="x"
a event="refuse"
"""
        connection.dataReceived(head(length=len(body)) + body)
        answer = json.loads(read_answer(wire.value())[0].body)
        self.assertEqual(
            [(each["line"], each["reason"]) for each in answer["lines"]],
            [(5, "no field"), (6, "bad"), (10, "bad")],
        )
        account = intake.account
        self.assertEqual((account.received, account.stored), (7, 1))
        self.assertEqual(dict(account.dropped), {"rule": 3})
        self.assertTrue(account.is_balanced)


def test_with_the_real_daemon(tmp_path: Path) -> None:
    """Rules work for all receivers, each with its own, and not for the REST interface."""
    process_messages = {
        "drop_messages": ["noise"],
        "drop_messages_if": ["event matches '^(a+)+$'"],
        "add_tags_if": [{"if": "tag.cluster == nil", "key": "cluster", "value": "alex"}],
        "move_meta_to_tag_if": [{"if": True, "key": "source", "value": "stype"}],
    }
    here = {"address": "127.0.0.1", "port": 0, "process_messages": process_messages}
    receivers: dict[str, Any] = {kind: {"type": kind, **here} for kind in ("tcp", "udp", "http")}
    receivers["http"] = {**receivers["http"], "process_messages": [process_messages]}
    path = write_config(tmp_path, receivers=receivers)
    lines = b'noise event="x"\na event="' + b"a" * 5000 + b'"\na event="' + b"a" * 5000 + b'b"\n'
    with Daemon(tmp_path, "--config", path) as daemon:
        assert daemon.ask("POST", "/", lines, line="HTTP") == (200, b"")
        send_tcp(daemon, lines)
        send_udp(daemon, lines)
        for name in ("tcp", "udp"):
            daemon.arrived(name, 3)
        assert daemon.ask("POST", "/api/write?cluster=alex", b'noise event="by the API"')[0] == 200
        for source, expected in (("HttpReceiver(http)", 1), ("TcpReceiver(tcp)", 1), ("UdpReceiver(udp)", 1)):
            (found,) = daemon.query({"event": "a", "subtype": source})
            assert len(found[0]["data"]) == expected
        (found,) = daemon.query({"event": "noise"})
        assert [row["Event"] for row in found[0]["data"]] == ["by the API"]
        for name, account in daemon.stats()["receivers"].items():
            assert account["dropped"] == ({} if name == "api" else {"rule": 2})
        daemon.stop()
