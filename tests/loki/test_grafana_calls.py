"""Calls as Grafana's data source, its Explore and its Drilldown make them."""

from __future__ import annotations

from typing import Any

from tests.support.loki_case import BASE, SECOND, LokiTestCase, line

#: The time of the calls, as Grafana writes it.
START, END = str(BASE - 60 * SECOND), str(BASE + 600 * SECOND)


class GrafanaTests(LokiTestCase):
    """What is asked when somebody looks at logs."""

    async def some(self) -> None:
        self.start()
        await self.fill(
            *(
                line(
                    f"line {number} of a{number % 3}",
                    number * SECOND,
                    hostname=f"a{number % 3}",
                    loglevel=level,
                )
                for number in range(30)
                for level in [("err", "info")[number % 2]]
            )
        )

    async def logs(self, query: str, **given: Any) -> list[tuple[int, str]]:
        """Lines with their times, as they are shown."""
        given = {"direction": "backward", "start": START, "end": END, "step": "2000ms", **given}
        data = await self.data("query_range", query=query, **given)
        return sorted(
            ((int(value[0]), value[1]) for stream in data["result"] for value in stream["values"]),
            reverse=True,
        )

    async def test_explore(self) -> None:
        """Labels, values, an estimate, lines, and their volume, whose counts are those of the lines."""
        await self.some()
        self.assertIn("hostname", await self.data("labels", start=START, end=END))
        query = '{hostname="a1"}'
        values = await self.data("label/hostname/values", start=START, end=END, query='{cluster="alex"}')
        self.assertEqual(values, ["a0", "a1", "a2"])
        stats = (await self.get("index/stats", query=query, start=START, end=END)).json
        lines = await self.logs(f"{query} |= `line`", limit=1000)
        self.assertEqual((len(lines), stats["entries"]), (10, 10))
        volume = await self.data(
            "query_range",
            query="sum by (level, detected_level)"
            f" (count_over_time({query} |= `line` | drop __error__[5000ms]))",
            start=START,
            end=END,
            step="5000ms",
        )
        counts = {
            series["metric"]["detected_level"]: sum(int(value) for _, value in series["values"])
            for series in volume["result"]
        }
        self.assertEqual(counts, {"error": 5, "info": 5})

    async def test_a_query_that_is_split_by_time(self) -> None:
        """Each part begins where the one before ends, and no line is in two of them."""
        await self.some()
        whole = await self.logs('{cluster="alex"}', limit=1000)
        parts: list[tuple[int, str]] = []
        for begin in range(0, 30, 7):
            span = {"start": str(BASE + begin * SECOND), "end": str(BASE + (begin + 7) * SECOND)}
            parts += await self.logs('{cluster="alex"}', limit=1000, **span)
        self.assertEqual(sorted(parts, reverse=True), whole)

    async def test_what_is_around_a_line(self) -> None:
        """Before it without it, and from it on, in its stream."""
        await self.some()
        time, text = (await self.logs('{hostname="a1"} |= "line 13 "'))[0]
        stream = '{cluster="alex", hostname="a1", kind="log", name="syslog", service_name="syslog"}'
        before = await self.logs(stream, start=str(time - 7200 * SECOND), end=str(time), limit=2)
        self.assertEqual([each[1] for each in before], ["line 10 of a1", "line 7 of a1"])
        after = await self.logs(
            stream, start=str(time), end=str(time + 7200 * SECOND), limit=3, direction="forward"
        )
        self.assertEqual([each[1] for each in after], ["line 19 of a1", "line 16 of a1", text])

    async def test_drilldown(self) -> None:
        """Its landing page, and what it shows of a service."""
        await self.some()
        span = {"start": START, "end": END}
        data = await self.data(
            "index/volume", query='{service_name=~".+"}', targetLabels="service_name", limit=5000, **span
        )
        self.assertEqual([each["metric"] for each in data["result"]], [{"service_name": "syslog"}])
        service = "{service_name=`syslog`}"
        data = await self.data(
            "query_range",
            query=f"sum by (detected_level) (count_over_time({service} | drop __error__ [10s]))",
            step="10s",
            **span,
        )
        self.assertEqual([each["metric"]["detected_level"] for each in data["result"]], ["error", "info"])
        labels = (await self.get("detected_labels", query=service, **span)).json["detectedLabels"]
        self.assertIn({"label": "hostname", "cardinality": 3}, labels)
        fields = (await self.get("detected_fields", query=service, line_limit=1000, **span)).json["fields"]
        self.assertIn("loglevel", [each["label"] for each in fields])
        shown = await self.logs(
            f"{service} | hostname=~`a1|a2` | detected_level=`error`"
            " | json | logfmt | drop __error__, __error_details__"
        )
        self.assertEqual(len(shown), 10)
