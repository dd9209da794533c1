"""What arrives and has expired already by a rule of retention."""

from __future__ import annotations

from ccstore.keeping import KeepRule, bounds
from ccstore.pipeline.router import Router
from ccstore.query import Matcher, Selection
from ccstore.storage.retention import Retention
from ccstore.timing import SECOND
from tests.support.router_site import NOW, RETENTION, Site, line

RULES = (
    KeepRule(Selection(("alex",), ("event",), matchers=(Matcher("name", "=", "job"),)), 9 * RETENTION, "job"),
    KeepRule(Selection(kinds=("event",), matchers=(Matcher("name", "=", "noise"),)), RETENTION / 2, "noise"),
)


def test_each_message_goes_by_the_period_of_its_stream() -> None:
    site = Site(cluster="alex")
    site.router = Router(
        site.store,
        site.clock,
        retention=RETENTION,
        bounds=bounds(RETENTION, RULES),
        store_logs=True,
        period_of=Retention(site.clock, RETENTION, RULES).period_of,
    )
    old = [
        (name, age)
        for name in ("job", "noise", "node")
        for age in (RETENTION // 4, RETENTION * 3 // 4, 2 * RETENTION, 10 * RETENTION)
    ]
    site.offer(*(line(name=name, time=int(NOW - age) * SECOND, age=str(age)) for name, age in old))
    kept = [(message.name, float(message.tags["age"]) / RETENTION) for message in site.store.offered]
    assert kept == [("job", 0.25), ("job", 0.75), ("job", 2), ("noise", 0.25), ("node", 0.25), ("node", 0.75)]
    assert site.account.dropped["expired"] == 6
