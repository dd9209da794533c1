"""The metrics, read by the library of those who will scrape them."""

from __future__ import annotations

import re
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from ccstore import __version__
from ccstore.api.metrics import render
from tests.api import ApiTestCase
from tests.support import event

STATS: dict[str, Any] = {
    "manager": {"errors": {}, "status": {"processed": 3, "waiting": 1}},
    "backend": {"errors": {"write_unavailable": 2}, "status": {"active_tables": 2, "writes": 1}},
    "info": {"backend_type": "sqlite", "flush_time": "1s", "retention_time": "86400s"},
    "receivers": {
        'a "b"\\\n': {
            "type": "udp",
            "received": 5,
            "stored": 3,
            "waiting": 0,
            "rejected": {"malformed": 2},
            "dropped": {},
            "fields_not_stored": 0,
            "kernel_drops": None,
            "connections": 7,
            "pauses": 1,
        }
    },
    "ccstore": {"version": "1", "uptime": 1.5},
}


def read(body: bytes) -> dict[str, dict[tuple[str, ...], float]]:
    """The value of each metric by the values of its labels."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(body.decode()):
        assert family.type in ("counter", "gauge")
        assert family.documentation
        for sample in family.samples:
            values = found.setdefault(sample.name, {})
            assert tuple(sample.labels.values()) not in values
            values[tuple(sample.labels.values())] = sample.value
    return found


def test_names_types_and_labels_are_well_formed() -> None:
    text = render(STATS).decode()
    assert text.endswith("\n")
    named: dict[str, str] = {}
    for line in text.splitlines():
        if found := re.fullmatch(r"# TYPE (ccstore_[a-z_]+) (counter|gauge)", line):
            named[found[1]] = found[2]
        elif not line.startswith("# HELP "):
            name = re.match(r"[a-z_]+", line)
            assert name is not None
            assert named[name[0]] == ("counter" if name[0].endswith("_total") else "gauge"), line
    assert text.count("# HELP ") == text.count("# TYPE ") == len(named)


def test_every_figure_is_there() -> None:
    found = read(render(STATS))
    receiver = ('a "b"\\\n', "udp")
    assert found["ccstore_info"] == {("1", "sqlite"): 1}
    assert found["ccstore_uptime_seconds"] == {(): 1.5}
    assert found["ccstore_ready"] == {(): 1}
    assert found["ccstore_lines_received_total"] == {receiver: 5}
    assert found["ccstore_lines_rejected_total"] == {(*receiver, "malformed"): 2}
    assert "ccstore_lines_dropped_total" not in found
    assert found["ccstore_receiver_connections"] == {receiver: 7}
    assert found["ccstore_receiver_pauses_total"] == {receiver: 1}
    assert "ccstore_receiver_kernel_drops_total" not in found, "it is not known"
    assert found["ccstore_manager_processed_total"] == {(): 3}
    assert found["ccstore_manager_waiting"] == {(): 1}
    assert found["ccstore_backend_active_tables"] == {(): 2}
    assert found["ccstore_backend_writes_total"] == {(): 1}
    assert found["ccstore_backend_errors_total"] == {("write_unavailable",): 2}


def test_a_store_that_cannot_write_is_not_ready() -> None:
    stats = {**STATS, "manager": {"errors": {"unavailable": "the disk is full"}, "status": {}}}
    assert read(render(stats))["ccstore_ready"] == {(): 0}


class ServerTests(ApiTestCase):
    async def test_the_books_balance_in_the_metrics_too(self) -> None:
        self.start()
        await self.write(event("a"), b"bad", b"cpu,cluster=alex value=1")
        answer = await self.ask("GET", "/metrics")
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8")
        found = read(answer.body)
        self.assertEqual(found["ccstore_info"], {(__version__, "sqlite"): 1})
        for receiver, received in found["ccstore_lines_received_total"].items():
            became = sum(
                value
                for name in ("stored_total", "rejected_total", "dropped_total", "waiting")
                for labels, value in found.get(f"ccstore_lines_{name}", {}).items()
                if labels[:2] == receiver
            )
            self.assertEqual(received, became)
        self.assertEqual(found["ccstore_lines_received_total"]["api", "api"], 3)
        # All counters of the statistics are there, by their values.
        stats = await self.stats()
        for part in ("manager", "backend"):
            for key in stats[part]["status"]:
                self.assertTrue({f"ccstore_{part}_{key}", f"ccstore_{part}_{key}_total"} & set(found), key)

    async def test_they_need_a_token_like_the_statistics(self) -> None:
        self.start(jwt_public_key="AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
        for path in ("/metrics", "/api/samples", "/api/stats"):
            self.assertEqual((await self.ask("GET", path)).status, 401)
