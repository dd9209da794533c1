"""What the configuration says of receivers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

from ccstore.config import (
    ClientTlsConfig,
    EecptReceiverConfig,
    HttpLimits,
    HttpReceiverConfig,
    NatsReceiverConfig,
    TcpReceiverConfig,
    UdpReceiverConfig,
)
from tests.support.certificates import certificates
from tests.support.config_case import (
    SECRET,
    Load,
    complete,
    problem,
    problems,
    receiver,
    warning,
)
from tests.support.nats_server import Key, creds


def test_defaults_of_receivers(load: Load) -> None:
    config = load(complete(receivers={"t": {"type": "tcp"}, "u": {"type": "udp"}, "h": {"type": "http"}}))
    assert config.receivers == (
        TcpReceiverConfig("t", None, "", 8094, None, None, "auto", 0.0, 2**20, 20000),
        UdpReceiverConfig("u", "", 8094, None, "auto", 4 * 2**20, 2**20),
        HttpReceiverConfig(
            "h",
            None,
            "",
            8080,
            None,
            "",
            120.0,
            True,
            None,
            None,
            None,
            "auto",
            2**24,
            2**25,
            False,
            "auto",
            False,
            {},
        ),
    )
    assert config.warnings == ()
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        config.receivers = ()  # type: ignore[misc]


def test_options_of_receivers(load: Load) -> None:
    tcp: dict[str, Any] = {
        "type": "TCP",
        "port": "1",
        "cluster": "alex",
        "precision": "ms",
        "idle_timeout": "5m",
    }
    tcp |= {"max_line_length": "2k", "max_connections": 0, "process_messages": {}}
    udp = {"type": "udp", "address": "localhost", "port": 1, "receive_buffer": "8MiB", "cluster": ""}
    http = {"type": "http", "path": "write", "keep_alives_enabled": False, "access_log": True}
    http |= {"max_body": "1k", "max_unpacked": 2048, "username": "u", "password": "p", "process_messages": []}
    http |= {"influx": False, "cluster_from": "bucket", "databases": {"x": "alex"}}
    config = load(complete(receivers={"t": tcp, "u": udp, "h": http}))
    assert config.receivers == (
        TcpReceiverConfig("t", None, "", 1, None, "alex", "ms", 300.0, 2048, 0),
        UdpReceiverConfig("u", "127.0.0.1", 1, None, "auto", 8 * 2**20, 2**20),
        HttpReceiverConfig(
            "h",
            None,
            "",
            8080,
            None,
            "/write",
            120.0,
            False,
            "u",
            "p",
            None,
            "auto",
            1024,
            2048,
            True,
            "never",
            True,
            {"x": "alex"},
        ),
    )


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("influx", "yes", "true, false or auto"),
        ("cluster_from", "org", '"database" (or "bucket"'),
        ("databases", "alex", "such as {telegraf: alex}"),
        ("databases", {"x": 1}, "what 'x' has is not the name of a cluster"),
        ("databases", {"x": ""}, "what 'x' has is not the name of a cluster"),
        ("databases", {"x": "a\nb"}, "what 'x' has is not the name of a cluster"),
    ],
)
def test_what_is_said_of_wrong_influx_keys(load: Load, key: str, value: object, expected: str) -> None:
    said = problem(load, receiver(type="http", **{key: value}))
    assert f".{key}: " in said
    assert expected in said


def test_limits_of_ports_over_http(load: Load) -> None:
    limits = {"max_connections": 5, "max_connections_per_address": 2}
    limits |= {"allowed_hosts": ["Events.example.org.", "[::1]", "*"]}
    wanted = HttpLimits(5, 2, frozenset({"events.example.org", "::1", "*"}))
    for kind in ("http", "eecpt"):
        config = load(complete(receivers={"r": {"type": kind, **limits}}, api=limits))
        assert getattr(config.receivers[0], "limits", None) == config.api.limits == wanted
    assert load(complete(api={"allowed_hosts": "h"})).api.limits == HttpLimits(10_000, 0, frozenset({"h"}))


@pytest.mark.parametrize("given", [["http://h"], ["h:80"], [1], "", ["*.example.org"], {"h": 1}])
def test_wrong_allowed_hosts(load: Load, given: object) -> None:
    assert "such as [events.example.org]" in problem(load, complete(api={"allowed_hosts": given}))


@pytest.mark.parametrize(("given", "path"), [("", ""), ("/", ""), ("write", "/write"), ("/api/", "/api/")])
def test_url_paths(load: Load, given: str, path: str) -> None:
    assert getattr(load(receiver(type="http", path=given)).receivers[0], "path", None) == path


@pytest.mark.parametrize("given", ["/a b", "/a?b", "http://h/a", 3])
def test_wrong_url_paths(load: Load, given: object) -> None:
    assert 'such as "/write"' in problem(load, receiver(type="http", path=given))


@pytest.mark.parametrize("kind", ["prometheus", "ipmi", "redfish"])
def test_receivers_of_metrics_only(load: Load, kind: str) -> None:
    content = receiver(type=kind, anything=1)
    assert load(content).receivers == ()
    assert warning(load, content) == (
        f"receivers.r.type: a receiver of type {kind} delivers only metrics, it is not started"
    )


def test_unknown_types_of_receivers(load: Load) -> None:
    assert problem(load, receiver(type="htttp")) == (
        "receivers.r.type: got 'htttp', expected one of tcp, udp, http, eecpt, nats (did you mean 'http'?)"
    )
    expected = "expected one of tcp, udp, http, eecpt, nats"
    assert problem(load, receiver(port=1)) == f"receivers.r.type: got nothing, {expected}"
    assert "got 5, expected a string" in problem(load, receiver(type=5))
    assert "expected an object with the receiver's keys" in problem(load, complete(receivers={"r": "tcp"}))
    assert "expected a name" in problem(load, complete(receivers={"": {"type": "tcp"}}))


NO_TLS = ClientTlsConfig(False, False, None, None, None)


def nats(**keys: object) -> dict[str, Any]:
    return receiver(type="nats", **{"subject": "alex.>", **keys})


def test_defaults_of_nats(load: Load) -> None:
    (config,) = load(nats()).receivers
    assert config == NatsReceiverConfig(
        name="r",
        address="localhost",
        port=4222,
        tls=NO_TLS,
        subject="alex.>",
        queue_group=None,
        stream=None,
        durable=None,
        user=None,
        password=None,
        nkey_file=None,
        cluster=None,
        precision="auto",
        max_payload=2**24,
    )


def test_options_of_nats(load: Load, cwd: Path) -> None:
    certificates(cwd)
    (cwd / "user").write_text("somebody\n")
    keys = {"address": "nats.example.org", "port": "1", "stream": "JOBS", "durable": "cc", "cluster": "alex"}
    keys |= {"user_file": "user", "password_env": "PASSWORD", "password": "not this", "precision": "s"}
    keys |= {"tls_ca": "ca.pem", "tls_certificate": "client.pem", "tls_key": "client.key"}
    content = nats(**keys, max_payload="1MiB", process_messages=[])
    (config,) = load(content, environ={"PASSWORD": SECRET}).receivers
    assert config == NatsReceiverConfig(
        name="r",
        address="nats.example.org",
        port=1,
        tls=ClientTlsConfig(True, False, cwd / "ca.pem", cwd / "client.pem", cwd / "client.key"),
        subject="alex.>",
        queue_group=None,
        stream="JOBS",
        durable="cc",
        user="somebody",
        password=SECRET,
        nkey_file=None,
        cluster="alex",
        precision="s",
        max_payload=2**20,
    )
    assert SECRET not in repr(config)


@pytest.mark.parametrize(
    ("given", "address", "is_tls"),
    [("nats://a.b", "a.b", False), ("TLS://10.0.0.1", "10.0.0.1", True), ("::1", "::1", False)],
)
def test_addresses_of_nats(load: Load, given: str, address: str, is_tls: bool) -> None:
    (config,) = load(nats(address=given)).receivers
    assert isinstance(config, NatsReceiverConfig)
    assert (config.address, config.tls.is_required) == (address, is_tls)


@pytest.mark.parametrize("given", ["", "http://a", "a:4222", "nats://", "a b", 1])
def test_wrong_addresses_of_nats(load: Load, given: object) -> None:
    assert "expected a server's host name or IP address" in problem(load, nats(address=given))


@pytest.mark.parametrize("given", ["a", "*", ">", "a.*.b", "*.events.*", "a.>", "ä.b", "$SYS.x", "a-b_c"])
def test_subjects(load: Load, given: str) -> None:
    assert getattr(load(nats(subject=given)).receivers[0], "subject", None) == given


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, 'the subject to subscribe to, such as "*.events.>"'),
        ("", "a NATS subject such as"),
        (3, "a NATS subject such as"),
        ("a..b", "something between the dots"),
        (".a", "something between the dots"),
        ("a b", "without spaces"),
        ("a\r\nPUB", "without spaces"),
        ("a.>.b", "'>' stands at the end"),
        ("a.b*", "a wildcard stands alone between the dots"),
        (">a", "a wildcard stands alone between the dots"),
        ("a" * 1025, "at most 1024 bytes"),
    ],
)
def test_wrong_subjects(load: Load, given: object, expected: str) -> None:
    text = problem(load, nats(subject=given))
    assert text.startswith("receivers.r.subject: got ")
    assert expected in text


@pytest.mark.parametrize(
    ("keys", "key", "expected"),
    [
        ({"port": 0}, "port", "a port from 1 to 65535"),
        ({"port": "x"}, "port", "a port"),
        ({"endpoint": "tcp:1"}, "endpoint", "address and port"),
        ({"queue_group": "a b"}, "queue_group", "the name of a queue group, without spaces"),
        ({"stream": "A"}, "durable", "a durable, since there is a stream (both or none)"),
        ({"durable": "A"}, "stream", "a stream, since there is a durable (both or none)"),
        ({"stream": "A.B", "durable": "c"}, "stream", "a JetStream name, without spaces, dots"),
        ({"stream": "A", "durable": "c", "queue_group": "q"}, "queue_group", "nothing: a durable is shared"),
        ({"user": "u"}, "password", "a password, since there is a user (both or none)"),
        ({"password": SECRET}, "user", "a user, since there is a password (both or none)"),
        ({"nkey_file": "none"}, "nkey_file", "an existing file"),
        ({"nkey_file": "work"}, "nkey_file", "a readable file (is a directory)"),
        ({"nkey_file": "other"}, "nkey_file", "a .creds file, or a file with nothing but an nkey seed"),
        ({"tls": "yes"}, "tls", "true or false"),
        ({"tls_ca": "seed"}, "tls_ca", "a PEM file with a certificate"),
        ({"tls_key": "client.key"}, "tls_key", "tls_certificate beside it"),
        ({"tls_certificate": "client.pem"}, "tls_certificate", "a PEM file with a private key"),
        ({"tls_certificate": "client.pem", "tls_key": "server.key"}, "tls_key", "that in"),
        ({"max_payload": "65MiB"}, "max_payload", "a size"),
    ],
)
def test_what_is_wrong_with_nats(
    load: Load, cwd: Path, keys: dict[str, object], key: str, expected: str
) -> None:
    certificates(cwd)
    (cwd / "seed").write_text(Key().seed)
    (cwd / "other").write_text("no seed\n")
    (cwd / "work").mkdir()
    found = problems(load, nats(**keys))
    assert found[0].key == f"receivers.r.{key}"
    assert expected in str(found[0])
    assert SECRET not in "".join(map(str, found))


def test_files_of_nkeys(load: Load, cwd: Path) -> None:
    (cwd / "seed").write_text(Key().seed + "\n")
    (cwd / "user.creds").write_text(creds("a.b.c", Key().seed))
    for name in ("seed", "user.creds"):
        assert getattr(load(nats(nkey_file=name)).receivers[0], "nkey_file", None) == cwd / name


def test_eecpt(load: Load) -> None:
    (config,) = load(receiver(type="eecpt")).receivers
    assert isinstance(config, EecptReceiverConfig)
    assert (config.port, config.path, config.idle_timeout) == (8080, "", 120.0)
    found = config.analysis_buffer_size, config.analysis_interval, config.analysis_metric
    assert found == (4, 300.0, "region_metric")
    keys = {"analysis_buffer_size": 10, "analysis_interval": "10s", "analysis_metric": "m", "path": "write"}
    (config,) = load(receiver(type="EECPT", cluster="alex", port="9", **keys)).receivers
    assert isinstance(config, EecptReceiverConfig)
    assert (config.port, config.path, config.cluster) == (9, "/write", "alex")
    found = config.analysis_buffer_size, config.analysis_interval, config.analysis_metric
    assert found == (10, 10.0, "m")
    wrong = receiver(type="eecpt", analysis_buffer_size=3, analysis_interval="0", analysis_metric="")
    assert [str(each).partition("receivers.r.")[2] for each in problems(load, wrong)] == [
        "analysis_buffer_size: got 3, expected a whole number from 4 to 1000",
        'analysis_interval: got \'0\', expected a duration from "1s" to "24h"',
        "analysis_metric: got '', expected the name of a metric",
    ]
