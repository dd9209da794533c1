"""Programs that write to InfluxDB write to a daemon: two libraries, and requests as others make."""

from __future__ import annotations

import gzip
import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import influxdb
import pytest
from influxdb.exceptions import InfluxDBClientError
from influxdb_client import InfluxDBClient, Point
from influxdb_client.client.write.retry import WritesRetry
from influxdb_client.client.write_api import SYNCHRONOUS, WriteOptions
from influxdb_client.rest import ApiException

from tests.support.running_daemon import Daemon
from tests.support.sinks import event

USER, PASSWORD = "node", "secret"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    here = {"address": "127.0.0.1", "port": 0}
    http = {"type": "http", **here, "username": USER, "password": PASSWORD, "cluster_from": "database"}
    configuration = {
        "receivers": {"http": http},
        "storage": {"backend": {"type": "sqlite", "database_path": str(tmp_path / "ccstore.db")}},
        "api": here,
    }
    (tmp_path / "ccstore.json").write_text(json.dumps(configuration))
    with Daemon(tmp_path, "--config", tmp_path / "ccstore.json") as started:
        yield started


def stored(daemon: Daemon, cluster: str = "alex") -> list[str]:
    ((entry,),) = daemon.query({}, cluster=cluster)
    return [row["Event"] for row in entry["data"]]


def v1(daemon: Daemon, **more: Any) -> influxdb.InfluxDBClient:
    return influxdb.InfluxDBClient("127.0.0.1", daemon.ports["HTTP"], database="alex", retries=1, **more)


def v2(daemon: Daemon, token: str = f"{USER}:{PASSWORD}", **more: Any) -> InfluxDBClient:
    return InfluxDBClient(f"http://127.0.0.1:{daemon.ports['HTTP']}", token, org="hpc", **more)


@pytest.mark.parametrize("is_packed", [False, True])
def test_the_library_influxdb(daemon: Daemon, is_packed: bool) -> None:
    with v1(daemon, username=USER, password=PASSWORD, gzip=is_packed) as client:
        assert client.ping().startswith("1.8")
        client.create_database("alex")
        assert client.get_list_database() == [{"name": "alex"}]
        assert client.get_list_retention_policies("alex")[0]["name"] == "autogen"
        now = int(time.time())
        units = {"n": 10**9, "u": 10**6, "ms": 1000, "s": 1}
        for precision, per_second in units.items():
            point = {
                "measurement": "job",
                "tags": {"hostname": "a0101"},
                "time": now * per_second,
                "fields": {"event": f"by {precision}"},
            }
            assert client.write_points([point], time_precision=precision)
        metric = [{"measurement": "load", "fields": {"value": 1.0}}]
        assert client.write_points(metric)  # not stored, but no fault of the sender's
        with pytest.raises(InfluxDBClientError, match="partial write: 1 of 2 lines are bad") as caught:
            client.write_points(['good event="x"', "bad"], protocol="line")
        assert caught.value.code == 400
        with pytest.raises(InfluxDBClientError, match="answers no query such as"):
            client.query("SELECT * FROM job")
    assert sorted(stored(daemon)) == sorted([*(f"by {unit}" for unit in units), "x"])
    books = daemon.stats()["receivers"]["http"]
    assert (books["received"], books["stored"], books["dropped"]) == (7, 5, {"metric": 1})


def test_the_library_influxdb_without_the_password(daemon: Daemon) -> None:
    with v1(daemon, username=USER, password="wrong") as client:
        with pytest.raises(InfluxDBClientError, match="authorization failed") as caught:
            client.write_points(['m event="x"'], protocol="line")
        assert caught.value.code == 401


@pytest.mark.parametrize("is_packed", [False, True])
def test_the_library_influxdb_client(daemon: Daemon, is_packed: bool) -> None:
    with v2(daemon, enable_gzip=is_packed) as client:
        assert client.ping()
        assert client.health().status == "pass"
        assert client.version().startswith("1.8")
        writer = client.write_api(write_options=SYNCHRONOUS)
        now = int(time.time())
        for unit, per_second in (("ns", 10**9), ("us", 10**6), ("ms", 1000), ("s", 1)):
            point = Point("job").tag("hostname", "a0101").field("event", unit).time(now * per_second, unit)
            writer.write("alex", record=point, write_precision=unit)
        with pytest.raises(ApiException, match="partial write: 1 of 2 lines are bad") as caught:
            writer.write("alex", record=b"bad\n" + event("x", cluster=None))
        assert caught.value.status == 400
    assert sorted(stored(daemon)) == ["ms", "ns", "s", "us", "x"]


def test_the_library_influxdb_client_without_the_password(daemon: Daemon) -> None:
    with v2(daemon, "wrong") as client, pytest.raises(ApiException) as caught:
        client.write_api(write_options=SYNCHRONOUS).write("alex", record=event("x"))
    assert caught.value.status == 401


def test_what_cannot_be_stored_now_is_tried_again_and_comes_once(daemon: Daemon, tmp_path: Path) -> None:
    failures: list[object] = []
    options = WriteOptions(batch_size=1, retry_interval=100, max_retries=20, max_retry_time=120_000)
    with v2(daemon) as client, closing(sqlite3.connect(tmp_path / "ccstore.db")) as other:
        writer = client.write_api(write_options=options, error_callback=lambda *given: failures.append(given))
        other.execute("BEGIN IMMEDIATE")
        writer.write("alex", record=event("patience"))
        # Until the first attempt has failed.
        daemon.wait_for("cannot write: .*database is locked")
        other.rollback()
        writer.close()  # waits for what is to be written
    assert failures == []
    assert stored(daemon) == ["patience"]
    assert isinstance(options.to_retry_strategy(), WritesRetry)


def test_requests_as_telegraf_makes_them(daemon: Daemon) -> None:
    authorization = {"Authorization": "Basic bm9kZTpzZWNyZXQ="}
    with closing(daemon.connect("HTTP")) as connection:
        # outputs.influxdb: a form, then chunks of gzip; anything but 204 would be sent again.
        form = urlencode({"q": 'CREATE DATABASE "alex"'})
        headers = {"Content-Type": "application/x-www-form-urlencoded", **authorization}
        connection.request("POST", "/query", form, headers)
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())) == (200, {"results": [{"statement_id": 0}]})
        packed = gzip.compress(event("one", cluster=None) + b"\n")
        headers = {"Content-Type": "text/plain; charset=utf-8", "Content-Encoding": "gzip"}
        for path, more in (
            ("/write?db=alex", authorization),
            # outputs.influxdb_v2
            ("/api/v2/write?bucket=alex&org=hpc", {"Authorization": f"Token {USER}:{PASSWORD}"}),
        ):
            connection.request("POST", path, iter([packed[:7], packed[7:]]), {**headers, **more})
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (204, b"")
    assert stored(daemon) == ["one", "one"]


def test_requests_as_the_sinks_of_the_metric_collector_make_them(daemon: Daemon) -> None:
    now = int(time.time())
    with closing(daemon.connect("HTTP")) as connection:
        # influxSink and influxAsyncSink: a ping, then lines with a token, which has no user if none is set.
        connection.request("GET", "/ping", headers={"Authorization": f"Token {PASSWORD}"})
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (204, b"")
        lines = event("in nanoseconds", cluster=None, time=now * 10**9)
        for token in (PASSWORD, f"{USER}:{PASSWORD}"):
            headers = {"Authorization": f"Token {token}"}
            connection.request("POST", "/api/v2/write?bucket=alex&org=hpc&precision=s", lines, headers)
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (204, b"")
        # httpSink: any path, no type, and nothing but 200 will do.
        lines = event("in seconds", cluster=None, time=now)
        headers = {"Authorization": "Basic bm9kZTpzZWNyZXQ="}
        for path in ("/api/write?cluster=alex", "/write?cluster=alex", "/?cluster=alex"):
            connection.request("POST", path, lines, headers)
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, b"")
    assert sorted(stored(daemon)) == ["in nanoseconds"] * 2 + ["in seconds"] * 3
