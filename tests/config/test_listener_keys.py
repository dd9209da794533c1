"""What the configuration says of where servers listen: endpoints, TLS, and who wants which port."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from ccstore.config import (
    TlsConfig,
)
from tests.support.certificates import certificates
from tests.support.config_case import (
    Load,
    complete,
    problem,
    problems,
    receiver,
    warning,
)


def test_precision(load: Load) -> None:
    assert problem(load, receiver(type="udp", precision="nss")) == (
        "receivers.r.precision: got 'nss', expected one of auto, s, ms, us, ns (did you mean 'ns'?)"
    )


def test_endpoint(load: Load) -> None:
    config = load(
        complete(receivers={"t": {"type": "tcp", "endpoint": "tcp:0"}}, api={"endpoint": "unix:/x"})
    )
    assert getattr(config.receivers[0], "endpoint", None) == "tcp:0"
    assert config.api.endpoint == "unix:/x"
    for wrong in ("8094", ":8094", "", 8094, "127.0.0.1:80"):
        assert "expected a Twisted server endpoint" in problem(load, receiver(type="tcp", endpoint=wrong))


def test_endpoint_excludes_the_keys_that_it_replaces(load: Load) -> None:
    found = problems(load, receiver(type="tcp", endpoint="tcp:1", address="", port=1, tls_key="x"))
    assert [each.key for each in found] == ["receivers.r.address", "receivers.r.port", "receivers.r.tls_key"]
    assert str(found[1]).endswith("got 1, expected nothing, since endpoint says all of this")


def test_udp_has_neither_endpoint_nor_tls_nor_connections(load: Load) -> None:
    found = problems(load, receiver(type="udp", endpoint="udp:1", tls_certificate="x"))
    assert [each.key for each in found] == ["receivers.r.endpoint", "receivers.r.tls_certificate"]
    assert "UDP has no connections" in warning(load, receiver(type="udp", max_connections=1))
    assert "expected an IP address" in problem(load, receiver(type="udp", address="node1"))


def test_endpoints_are_understood_before_anything_starts(load: Load, cwd: Path) -> None:
    certificates(cwd)
    (cwd / "both.pem").write_bytes((cwd / "server.pem").read_bytes() + (cwd / "client.key").read_bytes())
    expected = "expected a Twisted server endpoint "
    wrong = {
        "tcp:18094:foo=bar": "(it has no parameter 'foo')",
        "tcp:http": "('http' is not a number)",
        "nothing:1": "(Unknown endpoint type: 'nothing')",
        "stdio:": "(stdio is no place to listen on)",
        f"ssl:1:privateKey={cwd}/ca.pem": "(there is no certificate or no private key in the file it names)",
        f"ssl:1:privateKey={cwd}/both.pem": "(the certificate and the private key do not belong together)",
    }
    for endpoint, said in wrong.items():
        found = problem(load, receiver(type="tcp", endpoint=endpoint))
        assert found.startswith("receivers.r.endpoint: got ")
        assert found.endswith(expected + said)
        assert problem(load, complete(api={"endpoint": endpoint})).endswith(expected + said)


def test_endpoints_that_may_work_when_it_starts(load: Load) -> None:
    for endpoint in ("systemd:domain=INET:index=0", "ssl:1:privateKey=not-yet-there.pem", "unix:/not/there"):
        assert load(complete(api={"endpoint": endpoint})).api.endpoint == endpoint


def test_tls(load: Load, cwd: Path) -> None:
    etc = cwd.parent / "etc"
    certificates(etc)
    (etc / "both.pem").write_bytes((etc / "server.pem").read_bytes() + (etc / "server.key").read_bytes())
    keys = {"tls_certificate": "both.pem"}
    assert load(complete(api=keys)).api.tls == TlsConfig(etc / "both.pem", etc / "both.pem", None)
    keys |= {"tls_key": str(etc / "server.key"), "tls_client_ca": "../etc/ca.pem"}
    assert load(complete(api=keys)).api.tls == TlsConfig(
        etc / "both.pem", etc / "server.key", cwd / "../etc/ca.pem"
    )


def test_tls_files_must_be_there(load: Load, cwd: Path) -> None:
    (cwd / "folder").mkdir()
    first, second = problems(load, complete(api={"tls_certificate": "no.pem", "tls_key": "folder"}))
    assert "got 'no.pem', expected an existing file" in str(first)
    assert "got 'folder', expected a readable file (is a directory)" in str(second)


def test_tls_needs_a_certificate(load: Load, cwd: Path) -> None:
    (cwd / "ca.pem").touch()
    assert problem(load, receiver(type="tcp", tls_client_ca="ca.pem")) == (
        "receivers.r.tls_client_ca: got 'ca.pem', expected tls_certificate beside it"
    )


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (
            {"tls_certificate": "junk"},
            "tls_certificate: got 'junk', expected a PEM file with a certificate (there is no ",
        ),
        (
            {"tls_certificate": "broken"},
            "tls_certificate: got 'broken', expected a PEM file with a certificate (",
        ),
        (
            {"tls_certificate": "server.pem"},
            "tls_certificate: got 'server.pem', expected a PEM file with a private key (",
        ),
        (
            {"tls_certificate": "server.pem", "tls_key": "junk"},
            "tls_key: got 'junk', expected a PEM file with a private key (",
        ),
        (
            {"tls_certificate": "server.pem", "tls_key": "locked"},
            "tls_key: got 'locked', expected a private key without a passphrase (",
        ),
        (
            {"tls_certificate": "server.pem", "tls_key": "client.key"},
            "tls_key: got 'client.key', expected the private key of the certificate (that in ",
        ),
        (
            {"tls_certificate": "server.pem", "tls_key": "server.key", "tls_client_ca": "server.key"},
            "tls_client_ca: got 'server.key', expected a PEM file with a certificate (",
        ),
    ],
)
def test_tls_files_that_are_of_no_use(load: Load, cwd: Path, keys: dict[str, str], said: str) -> None:
    certificates(cwd)
    (cwd / "junk").write_text("junk")
    (cwd / "broken").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    locked = load_pem_private_key((cwd / "server.key").read_bytes(), None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
    )
    (cwd / "locked").write_bytes(locked)
    for kind in ("tcp", "http"):
        assert problem(load, receiver(type=kind, **keys)).startswith(f"receivers.r.{said}")
    assert problem(load, complete(api=keys)).startswith(f"api.{said}")


@pytest.mark.parametrize(
    ("one", "other", "clash"),
    [
        ({"type": "tcp", "port": 5}, {"type": "http", "port": "5"}, True),
        (
            {"type": "tcp", "port": 5, "address": "localhost"},
            {"type": "tcp", "port": 5, "address": "127.0.0.1"},
            True,
        ),
        ({"type": "tcp", "port": 5, "address": ""}, {"type": "tcp", "port": 5, "address": "127.0.0.1"}, True),
        ({"type": "udp"}, {"type": "udp"}, True),
        (
            {"type": "tcp", "port": 5, "address": "127.0.0.2"},
            {"type": "tcp", "port": 5, "address": "127.0.0.1"},
            False,
        ),
        ({"type": "tcp", "port": 5, "address": "::1"}, {"type": "tcp", "port": 5}, False),
        ({"type": "tcp", "port": 5}, {"type": "udp", "port": 5}, False),
        ({"type": "tcp", "port": 5}, {"type": "tcp", "port": 6}, False),
        ({"type": "tcp", "port": 0}, {"type": "tcp", "port": 0}, False),
        ({"type": "tcp"}, {"type": "tcp", "endpoint": "tcp:8094"}, False),
    ],
)
def test_one_port_wanted_twice(load: Load, one: dict[str, Any], other: dict[str, Any], clash: bool) -> None:
    content = complete(receivers={"a": one, "b": other})
    if clash:
        found = problem(load, content)
        assert found.startswith("receivers.b")
        assert "expected another port: receivers.a listens on " in found
    else:
        assert len(load(content).receivers) == 2


def test_api_wants_the_port_of_a_receiver(load: Load) -> None:
    assert problem(load, complete(receivers={"a": {"type": "http", "port": 8088}}, api={})) == (
        "api.port: got 8088, expected another port: receivers.a listens on *:8088 too"
    )


def test_origins(load: Load) -> None:
    """As browsers name them: with addresses as well, and without the port that goes without saying."""
    given = ["https://Grafana.example.org:443/", "http://10.0.0.5:3000", "http://[fd00::1]", "*"]
    assert load(complete(api={"cors_origins": given})).api.limits.cors_origins == {
        "https://grafana.example.org",
        "http://10.0.0.5:3000",
        "http://[fd00::1]",
        "*",
    }
    for wrong in (
        "grafana.example.org",
        "http://10.0.0",
        "http://a/b",
        "http://u@a",
        "ftp://a",
        "http://a:b",
        7,
    ):
        assert f"api.cors_origins: got {wrong!r}, expected a list of origins" in problem(
            load, complete(api={"cors_origins": [wrong]})
        )
