"""Asking a daemon as clients of Loki do."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlencode

from tests.support.api_case import Answer, ApiTestCase

#: A time for messages, in ns: of a whole second some minutes ago.
BASE = (int(time.time()) - 600) * 10**9
SECOND = 10**9


def line(text: str, at: int, *, name: str = "syslog", kind: str = "log", **tags: str) -> bytes:
    """A message as a line of line protocol; its time is counted from :data:`BASE`, in ns."""
    named = {"cluster": "alex", "hostname": "a01", **{key.replace("_", "-"): tags[key] for key in tags}}
    labels = ",".join(f"{key}={value}" for key, value in named.items() if value)
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'{name},{labels} {kind}="{quoted}" {BASE + at}'.encode()


class LokiTestCase(ApiTestCase):
    """A daemon in this process that is asked for what Loki has."""

    async def fill(self, *lines: bytes) -> None:
        """Store these lines."""
        self.assertEqual((await self.write(*lines)).status, 200)

    async def get(self, call: str, *pairs: tuple[str, Any], **given: Any) -> Answer:
        """Ask by URL."""
        asked = urlencode([*pairs, *((name, value) for name, value in given.items())])
        return await self.ask("GET", f"/loki/api/v1/{call}?{asked}")

    async def data(self, call: str, *pairs: tuple[str, Any], **given: Any) -> Any:
        """What is asked for, if all is well."""
        answer = await self.get(call, *pairs, **given)
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(answer.json["status"], "success")
        return answer.json["data"]

    async def lines(self, query: str, **given: Any) -> list[str]:
        """The lines of a query, the newest first."""
        data = await self.data("query_range", query=query, **given)
        self.assertEqual(data["resultType"], "streams")
        values = [value for stream in data["result"] for value in stream["values"]]
        return [value[1] for value in sorted(values, key=lambda value: -int(value[0]))]

    async def number(self, query: str, at: int = 0) -> dict[str, str]:
        """The values of a query at a time from :data:`BASE`, by the values of its labels."""
        data = await self.data("query", query=query, time=BASE + at)
        self.assertEqual(data["resultType"], "vector")
        return {"/".join(each["metric"].values()): each["value"][1] for each in data["result"]}
