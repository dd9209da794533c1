"""Messages by their templates, at /api/v1/fold."""

from __future__ import annotations

from typing import Any

from tests.api.test_message_answers import MessagesTestCase
from tests.support.job_lines import BEGIN, HOUR, MINUTE, log

STORAGE = {"retention_time": "400d"}


class FoldTests(MessagesTestCase):
    """Asks for templates."""

    async def fold(self, **given: Any) -> Any:
        answer = await self.get("fold", **{"from": BEGIN, "to": BEGIN + 6 * HOUR, **given})
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json

    async def fill(self) -> None:
        """Each of ten hosts says a thing thrice, one of them another one as well."""
        self.start_with(storage=STORAGE)
        lines = [
            log(f"a{host:04}", f"a{host:04}: retry {number} of job {host * 7}", BEGIN + number * HOUR + host)
            for host in range(101, 111)
            for number in range(3)
        ]
        lines.append(log("a0103", "link of ib0 is down", BEGIN + 90 * MINUTE, name="kernel"))
        self.assertEqual((await self.write(*lines, path="/api/write/?precision=ns")).status, 200)

    async def test_equal_messages_are_one(self) -> None:
        await self.fill()
        found = await self.fold(step="1h")
        self.assertEqual(
            (found["total"], found["templates"], found["cut"], found["notice"]), (31, 2, None, None)
        )
        first, second = found["folds"]
        self.assertEqual(first["template"], "<host>: retry <num> of job <num>")
        self.assertEqual((first["count"], first["hosts"]), (30, {"list": "a[0101-0110]", "count": 10}))
        self.assertEqual(first["points"], [[(BEGIN + number * HOUR) // 10**9, 10] for number in range(3)])
        self.assertEqual(first["example"]["text"], "a0110: retry 2 of job 770")
        self.assertEqual(second["hosts"], {"list": "a0103", "count": 1})
        self.assertEqual((second["first"], second["names"]), (second["last"], ["kernel"]))
        # As many as there are messages.
        messages = await self.get("messages", limit=1000, **{"from": BEGIN, "to": BEGIN + 6 * HOUR})
        self.assertEqual(len(messages.json["messages"]), found["total"])

    async def test_orders_and_limits(self) -> None:
        await self.fill()
        rare = await self.fold(order="rare", limit=1)
        self.assertEqual([each["count"] for each in rare["folds"]], [1])
        self.assertEqual(rare["rest"], {"templates": 1, "count": 30})
        for order, expected in (("count", [30, 1]), ("newest", [30, 1]), ("first", [30, 1])):
            self.assertEqual([each["count"] for each in (await self.fold(order=order))["folds"]], expected)

    async def test_some_of_the_messages(self) -> None:
        await self.fill()
        self.assertEqual((await self.fold(host="a[0101-0102]"))["total"], 6)
        self.assertEqual((await self.fold(text="RETRY 1"))["total"], 10)
        self.assertEqual((await self.fold(name="kernel"))["folds"][0]["template"], "link of ib<num> is down")
        nobody = await self.fold(host="a0999")
        self.assertEqual((nobody["total"], nobody["folds"]), (0, []))
        self.assertIn("a0999", nobody["notice"])

    async def test_what_is_new_in_the_store(self) -> None:
        await self.fill()
        since = BEGIN + HOUR
        found = await self.fold(new="store", since=since)
        self.assertEqual([each["template"] for each in found["folds"]], ["link of ib<num> is down"])
        self.assertEqual((found["new"], found["total"], found["cut"]), ("store", 1, None))
        # All that is held is new since the beginning.
        self.assertEqual((await self.fold(new="store"))["templates"], 2)
        self.assertEqual((await self.fold(new="store", host="a0101", since=since))["templates"], 0)

    async def test_what_is_new_on_a_host(self) -> None:
        await self.fill()
        since = BEGIN + 4 * HOUR
        lines = [log(host, "link of ib1 is down", since + 1, name="kernel") for host in ("a0103", "a0105")]
        lines.append(log("b0001", "b0001: retry 9 of job 1", since + 2))
        self.assertEqual((await self.write(*lines, path="/api/write/?precision=ns")).status, 200)
        found = await self.fold(new="host", since=since)
        self.assertEqual(
            [(each["template"], each["hosts"]["list"], each["count"]) for each in found["folds"]],
            [("link of ib<num> is down", "a0105", 1), ("<host>: retry <num> of job <num>", "b0001", 1)],
        )
        self.assertEqual((await self.fold(new="store", since=since))["folds"], [])

    async def test_what_is_wrong_is_told(self) -> None:
        self.start()
        for name, value, said in (
            ("order", "up", "order: expected"),
            ("limit", "0", "limit: expected"),
            ("step", "1", "step: expected at least"),
            ("nonsense", "1", "nonsense"),
            ("new", "rack", "new: expected"),
            ("since", "-1h", "since: expected new=store"),
        ):
            answer = await self.get("fold", **{name: value, "from": 0})
            self.assertEqual(answer.status, 400, name)
            self.assertIn(said, answer.json["error"])
