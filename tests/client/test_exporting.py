"""Exports over breaks: nothing is lost, and nothing comes twice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ccstore.client.exporting import Exporting, NotAll
from ccstore.client.server import Refused
from tests.support.stub_server import server

#: What an answer does: give so many messages and break off in the next one, say at its end what is missing,
#: be an error, or be whole.
Answer = int | str | tuple[int, Any] | None


def line(number: int) -> bytes:
    return json.dumps({"id": f"m{number}", "text": f"{number}"}).encode() + b"\n"


class ExportingTests(SynchronousTestCase):
    """Of ten messages."""

    def export(
        self, *answers: Answer, limit: int | None = None
    ) -> tuple[list[int], list[str], list[dict[str, str]], Any]:
        """What is shown, said and asked, and what comes of it."""
        clock = Clock()
        shown: list[int] = []
        said: list[str] = []
        asked: list[dict[str, str]] = []
        left = list(answers)

        def answer(request: Any) -> tuple[int, Any]:
            question = {name.decode(): values[0].decode() for name, values in request.args.items()}
            asked.append(question)
            given = left.pop(0) if left else None
            if isinstance(given, tuple):
                return given
            begin = int(question["cursor"][1:]) + 1 if "cursor" in question else 0
            lines = [line(number) for number in range(begin, 10)][: int(question.get("limit", "10"))]
            if given is None:
                return 200, b"".join([*lines, b'{"end": {}}\n'])
            if isinstance(given, str):
                return 200, b"".join([*lines, json.dumps({"end": {"notice": given}}).encode(), b"\n"])
            return 200, b"".join([*lines[:given], line(77)[:9]])

        def show(lines: Sequence[bytes]) -> None:
            shown.extend(int(json.loads(each)["text"]) for each in lines)

        exporting = Exporting(
            server(answer, clock), clock, [("cluster", "alex")], show, said.append, limit=limit
        )
        outcome: list[Any] = []
        Deferred.fromCoroutine(exporting.run()).addBoth(outcome.append)
        for _ in range(100):
            clock.advance(1)
        self.assertEqual(len(outcome), 1)
        self.assertEqual(exporting.count, len(shown))
        return shown, said, asked, outcome[0]

    def test_it_goes_on_behind_what_has_come(self) -> None:
        shown, said, asked, outcome = self.export(3, 0, (503, {"error": "busy"}), 4, None)
        self.assertEqual(shown, [*range(10)])
        self.assertIsNone(outcome)
        self.assertEqual([each.get("cursor") for each in asked], [None, "m2", "m2", "m2", "m6"])
        self.assertEqual({each["cluster"] for each in asked}, {"alex"})
        self.assertEqual(len(said), 4)
        self.assertEqual(said[0], "the answer has no end after 3 messages; going on behind them")

    def test_no_more_comes_than_was_asked_for(self) -> None:
        shown, _, asked, _ = self.export(3, 2, limit=7)
        self.assertEqual(shown, [*range(7)])
        self.assertEqual([each["limit"] for each in asked], ["7", "4", "2"])
        # Where only the end is missing, nothing is.
        shown, said, asked, _ = self.export(7, limit=7)
        self.assertEqual((shown, said, len(asked)), ([*range(7)], [], 1))

    def test_it_is_given_up_where_nothing_comes_again_and_again(self) -> None:
        shown, said, asked, outcome = self.export(2, *[0] * 4, 1, *[0] * 9)
        self.assertEqual(shown, [0, 1, 2])
        self.assertIsInstance(outcome.value, NotAll)
        self.assertEqual(str(outcome.value), "not all: the answer has no end after 3 messages")
        self.assertEqual((len(asked), len(said)), (1 + 4 + 1 + 5, 10))

    def test_what_will_not_pass_ends_it(self) -> None:
        shown, said, _, outcome = self.export(2, (400, {"error": "no such cursor"}))
        self.assertEqual((shown, len(said)), ([0, 1], 1))
        self.assertIsInstance(outcome.value, NotAll)
        self.assertRegex(str(outcome.value), "not all: .* no such cursor after 2 messages")

    def test_what_cannot_be_read_in_the_store_is_told_at_the_end(self) -> None:
        shown, said, _, outcome = self.export("4 logs cannot be read")
        self.assertEqual((shown, said), ([*range(10)], []))
        self.assertIsInstance(outcome.value, NotAll)
        self.assertEqual(str(outcome.value), "not all: 4 logs cannot be read")

    def test_an_error_at_the_beginning_is_told_at_once(self) -> None:
        for status in (400, 503):
            shown, said, asked, outcome = self.export((status, {"error": "no"}))
            self.assertEqual((shown, said, len(asked)), ([], [], 1))
            self.assertIsInstance(outcome.value, Refused)
