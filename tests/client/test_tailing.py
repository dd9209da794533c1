"""Following over breaks: nothing is missed, and nothing shown twice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from ccstore.client.server import Refused, Server, Unreachable
from ccstore.client.server_sent import Event, EventStream
from ccstore.client.tailing import Tailing
from tests.support.stub_server import Broken, server


def event(number: int, *, arrival: str | None = None) -> str:
    data = json.dumps({"id": f"m{number}", "time_ns": f"{number}", "text": f"{number}"})
    return f"event: message\n{f'id: {arrival}{chr(10)}' if arrival else ''}data: {data}\n\n"


class TailingTests(SynchronousTestCase):
    """Each connection ends when it has given what stands for it."""

    def follow(self, *answers: str | tuple[int, Any]) -> tuple[list[str], list[str], list[Any], Any]:
        clock = Clock()
        shown: list[str] = []
        said: list[str] = []
        asked: list[Any] = []
        left = list(answers)

        def answer(request: Any) -> tuple[int, Any]:
            question = {name.decode(): values[0].decode() for name, values in request.args.items()}
            asked.append((question, request.getHeader("last-event-id")))
            given = left.pop(0) if left else (400, {"error": "over"})
            return (200, f"retry: 2000\n\n{given}".encode()) if isinstance(given, str) else given

        def show(lines: Sequence[bytes]) -> None:
            shown.extend(json.loads(line)["text"] for line in lines)

        question = [("cluster", "alex"), ("limit", "10")]
        tailing = Tailing(server(answer, clock), clock, question, show, said.append)
        running = Deferred.fromCoroutine(tailing.run())
        ended: list[Any] = []
        running.addErrback(ended.append)
        for _ in range(20):
            clock.advance(10)
        self.assertEqual(len(ended), 1)
        return shown, said, asked, ended[0].value

    def test_it_goes_on_where_it_was(self) -> None:
        shown, said, asked, _ = self.follow(
            event(1) + event(2) + "id: A\n\n" + event(3, arrival="B"),
            event(4, arrival="C"),
            event(5, arrival="D"),
        )
        self.assertEqual(shown, ["1", "2", "3", "4", "5"])
        first = {"cluster": "alex", "limit": "10"}
        self.assertEqual(asked, [(first, None), (first, "B"), (first, "C"), (first, "D")])
        self.assertEqual(
            [text.partition(";")[0].partition(":")[0] for text in said[:2]],
            [
                "the daemon stops, or lets go of us",
                "connected again",
            ],
        )

    def test_a_break_in_the_past_begins_again_from_the_oldest_that_was_shown(self) -> None:
        shown, _, asked, _ = self.follow(
            event(7) + event(8),
            event(7) + event(8) + event(9) + "id: A\n\n",
        )
        self.assertEqual(shown, ["7", "8", "9"])
        self.assertEqual(asked[1], ({"cluster": "alex", "from": "7"}, None))
        self.assertEqual(asked[2][1], "A")

    def test_a_daemon_that_cannot_just_now_is_waited_for(self) -> None:
        shown, said, asked, error = self.follow(
            event(1, arrival="A"), (503, {"error": "later"}), (502, b"a proxy"), event(2, arrival="B")
        )
        self.assertEqual(shown, ["1", "2"])
        self.assertEqual([last for _, last in asked], [None, "A", "A", "A", "B"])
        self.assertIsInstance(error, Refused)  # the 400 at the end
        # Each break is told once, however many tries there were.
        told = ["trying again" in text for text in said]
        self.assertEqual(told, [True, False, True])

    def test_what_is_wrong_from_the_beginning_ends_it(self) -> None:
        for status in (503, 400):
            shown, said, asked, error = self.follow((status, {"error": "no"}))
            self.assertEqual((shown, said, len(asked)), ([], [], 1))
            self.assertIn(f"says {status}: no", str(error))

    def test_nobody_there_at_first_is_an_error(self) -> None:
        clock = Clock()
        broken = Server(Broken(ConnectionRefusedError()), clock, "http://stub", token=None, timeout=30)
        tailing = Tailing(broken, clock, [], lambda lines: None, lambda text: None)
        found: Failure = self.failureResultOf(Deferred.fromCoroutine(tailing.run()))
        self.assertIsInstance(found.value, Unreachable)

    def test_a_gap_is_told_with_how_to_see_it(self) -> None:
        gap = json.dumps({"messages": 5, "from": "F", "to": "T", "reason": "they came fast"})
        shown, said, asked, _ = self.follow(
            event(1, arrival="A") + f"event: gap\nid: G\ndata: {gap}\n\n" + event(2)
        )
        self.assertEqual(shown, ["1", "2"])
        self.assertIn("5 messages are left out, they came fast; to see them: --from F --to T", said[0])
        # Messages that were shown may have the same times as those that were not.
        self.assertIn("without --follow, which shows again those of these times", said[0])
        self.assertEqual(asked[1][1], "G")


class EventStreamTests(SynchronousTestCase):
    def test_events_however_they_are_cut(self) -> None:
        text = (
            "retry: 1\n\n: nothing\n\nevent: gap\nid: 1\ndata: a\ndata:b\n\nid: 2\r\n\r\ndata: é\n\n".encode()
        )
        expected = [Event("gap", "a\nb", "1"), Event("message", "", "2"), Event("message", "é", None)]
        for size in (1, 2, 3, 7, len(text)):
            stream = EventStream()
            found = []
            for start in range(0, len(text), size):
                found += stream.feed(text[start : start + size])
            self.assertEqual(found, expected)
