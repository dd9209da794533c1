"""`ccstore send`: its options, what becomes of each body, and how far it is."""

from __future__ import annotations

import io
from typing import Any

import pytest
from treq.testing import StubTreq
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionLost, ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseNeverReceived

from ccstore.client.cutting import Body
from ccstore.client.progress import Progress
from ccstore.client.send import Options as SendOptions
from ccstore.client.send import Sender, Stopped
from ccstore.client.server import Server
from ccstore.client.session import ClientError
from ccstore.commands.options import parse
from ccstore.lineprotocol import decode
from tests.support.loopback import NOW
from tests.support.stub_server import URL, Anything, Silent


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("-event x", "--cluster: the name of the cluster is needed"),
        ("-event x -log y -cluster c", "only one of --event and --log"),
        ("-hostname h", "--hostname: only with --event or --log"),
        ("-tag a=b", "--tag: only with --event or --log"),
        ("-event x -cluster c -tag a", "--tag: expected KEY=VALUE, got 'a'"),
        ("-precision d", "--precision: expected one of auto, ns, us, ms, s, got 'd'"),
        ("-retries x", "--retries: expected a number, got 'x'"),
        ("-timeout 3", "--timeout: expected a duration such as 30s, got '3'"),
        ("-nope", "option -n not recognized"),
    ],
)
def test_wrong_options_of_send(words: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert parse(SendOptions(), words.split()) is None
    err = capsys.readouterr().err
    assert err.startswith(f"ccstore send: {said}".split(", ns")[0]), err
    assert err.count("\n") == 1


def test_the_line_of_the_event_client() -> None:
    options = SendOptions()
    options.parseOptions(["-cluster=alex", "-hostname", "a0101", "-name", "my event", "-event", 'say "hi"\n'])
    line = r'my\ event,cluster=alex,hostname=a0101 event="say \"hi\"\n" 1700000000000000000'
    assert options.line(NOW) == line.encode() + b"\n"
    options.parseOptions(["-event", "x", "-cluster", "c", "-tag", "type=node", "-time", "-1m"])
    (message,) = decode(options.line(NOW), default_time=0).messages
    assert (message.name, message.tags["type"], message.time) == ("my event", "node", (NOW - 60) * 10**9)


def test_what_cannot_be_a_line_is_said() -> None:
    options = SendOptions()
    options.parseOptions(["-event", "x", "-cluster", "c\\"])
    with pytest.raises(ClientError, match="line protocol cannot carry"):
        options.line(NOW)


def body(first: int = 1, count: int = 2) -> Body:
    return Body(first, count, count, b'm event="x"\n' * count)


class SenderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.said: list[str] = []
        self.asked = 0
        self.answers: list[tuple[int, Any] | Exception] = []

    def sender(self, *words: str) -> Sender:
        options = SendOptions()
        options.parseOptions(list(words))

        def answers(request: Any) -> tuple[int, Any]:
            answer = self.answers.pop(0)
            assert not isinstance(answer, Exception)
            self.url = request.uri
            return answer

        stub = StubTreq(Anything(answers))

        class Http:
            def request(inner, *given: Any, **more: Any) -> Any:
                self.asked += 1
                if isinstance(self.answers[0], Exception):
                    return fail(self.answers.pop(0))
                return stub.request(*given, **more)

        made = Server(Http(), self.clock, URL, token=None, timeout=30)
        return Sender(made, self.clock, options, self.said.append)

    def send(self, sender: Sender, what: Body | None = None) -> Deferred[None]:
        return Deferred.fromCoroutine(sender.send(what or body()))

    def test_what_is_taken_is_counted(self) -> None:
        sender = self.sender("-cluster", "alex", "-precision", "s")
        self.answers = [(200, b"")]
        self.successResultOf(self.send(sender))
        self.assertEqual(self.url, b"/api/write/?precision=s&cluster=alex")
        self.assertEqual((sender.tally.accepted, sender.tally.status), (2, 0))
        self.assertEqual(sender.tally.report(), ["2 lines accepted"])

    def test_bad_lines_are_told_by_their_number_in_the_whole_input(self) -> None:
        sender = self.sender()
        bad = [{"line": number, "column": 3, "reason": "no field"} for number in range(1, 41)]
        self.answers = [(400, {"error": "", "stored": 10, "rejected": 90, "lines": bad})]
        self.successResultOf(self.send(sender, body(first=1001, count=100)))
        self.assertEqual((sender.tally.accepted, sender.tally.rejected, sender.tally.status), (10, 90, 1))
        report = sender.tally.report()
        self.assertEqual(report[0], "line 1001, column 3: no field")
        self.assertEqual(report[-2:], ["and 70 more bad lines", "10 lines accepted, 90 rejected"])

    def test_it_comes_again_when_the_server_says(self) -> None:
        sender = self.sender()
        self.answers = [(503, {"error": "cannot store now"}), (200, b"")]
        sending = self.send(sender)
        self.clock.advance(6.9)
        self.assertNoResult(sending)
        self.assertEqual(self.said, ["cannot store now; trying again in 7 s"])
        self.clock.advance(0.1)
        self.successResultOf(sending)
        self.assertEqual((sender.tally.accepted, sender.tally.status, self.asked), (2, 0, 2))

    def test_it_does_not_come_again_for_ever(self) -> None:
        sender = self.sender("-retries", "3")
        self.answers = [(503, {"error": "full"})] * 4
        sending = self.send(sender, body(first=11))
        self.clock.pump([7] * 3)
        error = self.failureResultOf(sending, Stopped).value
        self.assertEqual(str(error), "full; nothing from line 11 on was stored")
        self.assertEqual(self.asked, 4)

    def test_what_becomes_of_a_body_when_somebody_stops_it(self) -> None:
        sender = self.sender()
        self.answers = [(503, {"error": "full"})]
        self.send(sender)
        sender.interrupt()
        self.assertEqual(
            sender.tally.failures[0]["reason"], "interrupted before the answer; they are not stored"
        )
        options = SendOptions()
        options.parseOptions([])
        silent = Server(Silent(), self.clock, URL, token=None, timeout=30)
        sender = Sender(silent, self.clock, options, self.said.append)
        self.send(sender)
        sender.interrupt()
        self.assertIn("they may be stored or not", str(sender.tally.failures[0]["reason"]))

    def test_a_server_that_is_restarted_is_waited_for(self) -> None:
        sender = self.sender()
        self.answers = [(200, b""), ConnectionRefusedError(), ConnectionRefusedError(), (200, b"")]
        self.successResultOf(self.send(sender))
        sending = self.send(sender)
        self.clock.advance(1)
        self.clock.advance(2)
        self.successResultOf(sending)
        self.assertEqual(sender.tally.accepted, 4)

    def test_a_server_that_was_never_there_is_not(self) -> None:
        self.answers = [ConnectionRefusedError()]
        self.failureResultOf(self.send(self.sender()), Stopped)

    def test_what_may_be_stored_is_not_sent_twice_but_reported(self) -> None:
        sender = self.sender()
        self.answers = [ResponseNeverReceived([Failure(ConnectionLost())]), (200, b"")]
        self.successResultOf(self.send(sender, body(first=5)))
        self.successResultOf(self.send(sender, body(first=7)))
        self.assertEqual((sender.tally.accepted, sender.tally.not_sent, sender.tally.status), (2, 2, 2))
        self.assertEqual(
            sender.tally.report(),
            [
                "lines 5 to 6: http://stub closed the connection without an answer; they may be stored"
                " or not",
                "2 lines accepted, 2 failed",
            ],
        )

    def test_a_body_that_is_not_taken_is_reported_and_the_others_are_sent(self) -> None:
        sender = self.sender()
        self.answers = [(413, {"error": "too large"}), (200, b"")]
        self.successResultOf(self.send(sender))
        self.successResultOf(self.send(sender))
        self.assertEqual(
            sender.tally.as_json()["failures"], [{"first": 1, "last": 2, "reason": "413: too large"}]
        )
        self.assertEqual((sender.tally.accepted, sender.tally.status), (2, 2))

    def test_no_more_is_sent_where_nothing_can_be(self) -> None:
        for status in (401, 404):
            self.answers = [(status, {"error": "no"})]
            error = self.failureResultOf(self.send(self.sender()), ClientError).value
            self.assertIn(f"http://stub says {status}: no", str(error))


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_progress_of_a_file_has_a_bar() -> None:
    clock, terminal = Clock(), _Terminal()
    progress = Progress(terminal, clock, 1000)
    clock.advance(2)
    progress.show(500, 3000)
    progress.show(501, 3001)  # too soon for another
    assert terminal.getvalue() == f"\r\x1b[K[{'#' * 15}{' ' * 15}]  50%  3,000 lines, 1,500 a second"
    progress.clear()
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_the_progress_of_a_pipe_has_none_and_that_of_a_log_file_is_nothing() -> None:
    clock, terminal, file = Clock(), _Terminal(), io.StringIO()
    for stream in (terminal, file):
        progress = Progress(stream, clock, None)
        clock.advance(1)
        progress.show(500, 10)
        progress.clear()
    assert "10 lines, 10 a second" in terminal.getvalue()
    assert "[#" not in terminal.getvalue()
    assert file.getvalue() == ""
