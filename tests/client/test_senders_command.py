"""What ``ccstore senders`` shows: answers that are hard to bring about, and a real daemon."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ccstore.client.senders_command import Options, show
from tests.support.client_commands import Site
from tests.support.configuration import write_config
from tests.support.running_daemon import Daemon
from tests.support.sinks import event

SENDER: dict[str, Any] = {
    **{"cluster": "alex", "host": "a0101", "receiver": "nodes", "messages": 5120, "silent": False},
    **{"first": "2026-01-31T10:00:00.000000000Z", "last": "2026-01-31T10:02:00.000000000Z"},
    **{"outage": False, "silent_for": 2.0, "silent_after": 720.0, "gap": {"usual": 30.0, "longest": 240.0}},
    **{"says": "usually every 30 s, longest gap 4 min, last heard of 2 s ago", "skew": -0.2, "skewed": False},
    **{"rate": {"now": 2.0, "usual": 2.0, "spread": 1.0, "is": "usual"}, "rejected": {}},
}
SILENT = {
    **SENDER,
    **{"host": "a0102", "silent": True, "silent_for": 1320.0},
    "says": "usually every 30 s, longest gap 4 min, silent for 22 min",
}
OUTAGE = {
    **{"cluster": "alex", "silent": 120, "of": 128, "since": "2026-01-31T10:02:00.000000000Z"},
    **{"hosts": [f"b{number:03}" for number in range(20)], "others": 100, "folded": "b[000-119]"},
}


def shown(senders: list[dict[str, Any]], *words: str, outages: Any = ()) -> str:
    """What is shown of an answer for these words of a command."""
    options = Options()
    options.parseOptions(["--utc", *words])
    return show({"senders": copy.deepcopy(senders), "outages": [*outages]}, options)


def test_the_table_fits_a_terminal() -> None:
    fast = {
        **SENDER,
        **{"host": "a0103", "messages": 98_123_456, "skew": 3600.2, "skewed": True},
        **{"rate": {**SENDER["rate"], "now": 600_000.0, "is": "high"}, "rejected": {"expired": 12}},
    }
    text = shown([SENDER, SILENT, fast])
    assert max(map(len, text.splitlines())) <= 80
    assert " ".join(text.splitlines()[2].split()) == "a0102 nodes 5120 22 min ago 30 s 2 ok SILENT"
    assert text.splitlines()[3].endswith("600000 high  +60 min  12 expired")


def test_who_is_silent_is_shown_with_what_is_usual() -> None:
    text = shown([SILENT], "--silent")
    assert text.splitlines()[1] == "a0102  nodes     22 min  usually every 30 s, longest gap 4 min"


def test_a_maintenance_is_one_line_unless_hosts_are_asked_for() -> None:
    gone = [{**SILENT, "host": f"b{number:03}", "outage": True} for number in range(120)]
    text = shown([*gone, SILENT], "--silent", outages=[OUTAGE])
    first, _, row = text.splitlines()
    assert first == ("120 of 128 hosts of alex silent since 2026-01-31 10:02:00.000Z: b[000-119]")
    assert row.startswith("a0102")
    assert len(shown(gone, "--silent", "-H", "b*", outages=[OUTAGE]).splitlines()) == 121
    assert "120 of" not in shown([SILENT], "--silent", "-c", "fritz", outages=[OUTAGE])


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Daemon(tmp_path, "--config", write_config(tmp_path)) as daemon:
        yield Site(daemon)


def test_a_daemon_is_asked(site: Site) -> None:
    assert site.daemon.ask("POST", "/api/write", b"\n".join([event("a"), event("b", host="a0102")]))[0] == 200
    done = site.run("senders", "-H", "a01*", "--utc")
    assert (done.status, done.err) == (0, "")
    assert [line.split()[:3] for line in done.out.splitlines()[1:]] == [
        ["a0101", "api", "1"],
        ["a0102", "api", "1"],
    ]
    assert json.loads(site.run("senders", "-o", "json").out)["total"] == 2
    assert site.run("senders", "--silent") == (0, "", "")
    done = site.run("senders", "-H", "a0103")
    assert (done.status, done.out) == (1, "")
    assert "there is no host 'a0103', the nearest is 'a010" in done.err
    for words, said in (
        (("--order", "x"), "--order: expected host, last, silence, messages, rate or skew, got 'x'"),
        (("-n", "0"), "--limit: expected a number from 1 to 100000, got '0'"),
        (("-o", "csv"), "--output: expected text or json, got 'csv'"),
        (("-H", "a[1"), "--host: expected hosts such as a[0101-0103,0200]"),
    ):
        done = site.run("senders", *words)
        assert done.status == 2
        assert said in done.err
