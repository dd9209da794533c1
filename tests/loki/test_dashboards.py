"""The dashboards that come with it ask for what there is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import pytest
import yaml

from ccstore.loki.metric_parser import parse_query
from ccstore.loki.planning import plan_of
from ccstore.loki.syntax import LogQuery
from tests.support.loki_case import SECOND, LokiTestCase, line
from tests.support.running_daemon import ROOT

FOLDER = ROOT / "conf" / "grafana"
#: What Grafana puts in the place of variables.
VARIABLES = {
    **{"$cluster": ".+", "$silence": "15m", "$text": "x"},
    **{"$__auto": "1m", "$__range": "6h", "$__interval": "1m"},
}


def queries(name: str = "*") -> Iterator[str]:
    """All queries of the dashboards, as they are asked."""
    for path in sorted(FOLDER.glob(f"dashboards/{name}.json")):
        dashboard: Mapping[str, list[dict[str, list[dict[str, str]]]]] = json.loads(path.read_text("utf-8"))
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                query = target["expr"]
                for name, value in VARIABLES.items():
                    query = query.replace(name, value)
                yield query


@pytest.mark.parametrize("query", [*queries()])
def test_a_query_is_understood(query: str) -> None:
    assert "$" not in query
    expression = parse_query(query)
    if isinstance(expression, LogQuery):
        assert plan_of(expression).stages == ()


def test_the_files_of_provisioning_fit_together() -> None:
    (source,) = yaml.safe_load((FOLDER / "datasource.yaml").read_text())["datasources"]
    assert (source["type"], source["url"]) == ("loki", "http://127.0.0.1:8088")
    (provider,) = yaml.safe_load((FOLDER / "dashboards.yaml").read_text())["providers"]
    assert provider["type"] == "file"
    for path in FOLDER.glob("dashboards/*.json"):
        dashboard = json.loads(path.read_text("utf-8"))
        assert {panel["datasource"]["uid"] for panel in dashboard["panels"]} == {source["uid"]}


class DashboardTests(LokiTestCase):
    """What the panels show."""

    async def test_each_panel_has_an_answer(self) -> None:
        self.start()
        await self.fill(
            line("job 1", 0, name="job", kind="event", function="start_job"),
            line("error 17 at 3", 0),
            line("error 18 at 4", 1),
            line("long ago", -3600 * SECOND, hostname="a02"),
        )
        found = []
        for query in queries("cluster"):
            if query.startswith("{"):
                continue
            found.append(await self.number(query, 600 * SECOND))
        jobs, levels, events, silent, top = found
        self.assertEqual((jobs, levels), ({}, {}))
        self.assertEqual((events, silent), ({"a01": "1"}, {"a02": "1"}))
        self.assertEqual(top, {"error # at #/syslog": "2", "long ago/syslog": "1"})
        self.assertEqual(await self.number(next(queries("cluster")), 30 * SECOND), {"start_job": "1"})

    async def test_what_is_unusual_is_shown(self) -> None:
        self.start()
        failed = '{"jobId": 7, "user": "ada", "jobState": "failed"}'
        await self.fill(
            line("NVRM: Xid (PCI:0000:3b:00): 79", 0, name="kernel", loglevel="err"),
            *(line(f"check {number}", number, hostname="a02") for number in range(50)),
            line("check", -7200 * SECOND, hostname="a02"),
            line(failed, 1, name="job", kind="event", function="stop_job"),
            line("update_node: node a02 state set to DOWN", 2, hostname="adm1"),
            line("new", 3, name="template_new", kind="event"),
        )
        found: list[object] = []
        for query in queries("insight"):
            if query.startswith("{"):
                found.append(await self.lines(query))
            else:
                found.append(await self.number(query, 50 * SECOND))
        new, errors, loud, jobs, hardware, states = found
        self.assertEqual(
            (new, errors, jobs, hardware), (["new"], {"a01": "1"}, {"ada": "1"}, {"kernel": "1"})
        )
        self.assertEqual([*loud], ["a02"])  # type: ignore[call-overload]
        self.assertEqual(states, ["update_node: node a02 state set to DOWN"])
