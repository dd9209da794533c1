"""Holds, and what is deleted next, below /api/v1."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlencode

from tests.support.api_case import ApiTestCase

RULES = [
    {"match": {"name": "job*"}, "period": "30d"},
    {"match": {"kind": "log", "host": "a[01-02]"}, "period": "1h"},
]


class HoldTests(ApiTestCase):
    def setUp(self) -> None:
        self.start_with(storage={"retention_time": "1h", "retention": RULES})

    async def ask_for(self, path: str, **parameters: str) -> Any:
        answer = await self.ask("GET", f"/api/v1/{path}?{urlencode(parameters)}")
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json

    async def hold(self, status: int = 200, **parameters: str) -> Any:
        answer = await self.ask("POST", "/api/v1/holds", urlencode(parameters).encode())
        self.assertEqual(answer.status, status, answer.body)
        return answer.json

    async def test_a_hold_is_listed_until_it_is_released(self) -> None:
        given = {"cluster": "alex", "host": "a[01-02]", "from": "2026-01-31", "to": "2026-02-01"}
        made = await self.hold(**given, reason="ticket 4711", who="anna")
        (held,) = (await self.ask_for("holds"))["holds"]
        self.assertEqual(held["id"], made["id"])
        self.assertEqual((held["reason"], held["who"]), ("ticket 4711", "anna"))
        begin, end = (f"{each}T00:00:00.000000000Z" for each in ("2026-01-31", "2026-02-01"))
        self.assertEqual(held["match"], f"cluster=alex host=a[01-02] from={begin} to={end}")
        path = f"/api/v1/holds/{held['id']}"
        self.assertEqual((await self.ask("DELETE", f"{path}?who=anna")).json, {"id": held["id"]})
        self.assertEqual((await self.ask("DELETE", path)).status, 404)
        self.assertEqual((await self.ask("DELETE", "/api/v1/holds/x")).status, 404)
        self.assertEqual((await self.ask_for("holds"))["holds"], [])

    async def test_what_is_wrong_is_said(self) -> None:
        for given, said in (
            ({"host": "a01"}, "reason: expected why"),
            ({"reason": "why"}, "got nothing: everything would be held"),
            ({"reason": "why", "text": "x"}, "'text': there is no such parameter: expected one of cluster"),
            ({"reason": "why", "tag.jobid": "1"}, "a hold is for all messages of some streams and times"),
            ({"reason": "why", "host": "a[1"}, "host: expected hosts such as"),
            ({"reason": "why", "limit": "1"}, ", level, from, to, reason, who"),
            ({"reason": "why", "hots": "a1"}, "'hots': there is no such parameter"),
        ):
            answer = await self.hold(400, **given)
            self.assertIn(said, answer["error"])
        self.assertEqual((await self.ask("GET", "/api/v1/retention?x=1")).status, 400)

    async def test_what_is_deleted_is_told_by_rule(self) -> None:
        now = int(time.time())
        for name, kind, age in (("job", "event", 7200), ("node", "event", 60), ("slurmd", "log", 1800)):
            line = f'{name},cluster=alex,hostname=a01 {kind}="text" {now - age}'
            self.assertEqual((await self.write(line.encode())).status, 200)
        rules = {tuple(each["match"]): each for each in (await self.ask_for("retention"))["rules"]}
        self.assertEqual({each["now"]["rows"] for each in rules.values()}, {0})
        within = {match: each["within_a_day"]["rows"] for match, each in rules.items()}
        self.assertEqual(within, {("name=job*",): 0, ("retention_time",): 1, ("kind=log host=a[01-02]",): 1})
        self.assertGreater(rules["retention_time",]["within_a_day"]["bytes"], 0)
        await self.hold(reason="why", name="node")
        (plain,) = [
            each for each in (await self.ask_for("retention"))["rules"] if each["match"] == ["retention_time"]
        ]
        self.assertEqual((plain["within_a_day"]["rows"], plain["within_a_day"]["held"]), (0, 1))
        found = await self.ask_for("messages")
        self.assertEqual(sorted(each["name"] for each in found["messages"]), ["job", "node", "slurmd"])
