"""A byte order mark at the beginning of whatever is read is no part of it, as with files from Windows."""

from __future__ import annotations

import gzip
import json
import socket
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from twisted.internet.task import Clock

from ccstore.client.server import ServerOptions, connect
from ccstore.client.token import load_key, make_key
from ccstore.config.nkeys import parse_credentials, read_credentials
from ccstore.importing.command import DONE
from ccstore.lineprotocol import SeriesCache, StreamDecoder, decode
from ccstore.pipeline.joint import plain_together
from tests.support.client_commands import Site
from tests.support.config_case import Load, cwd, load, receiver
from tests.support.faulty_daemon import daemon_in
from tests.support.importing import Run, run, texts
from tests.support.sinks import event

__all__ = ["cwd", "load", "run"]  # fixtures

MARK = b"\xef\xbb\xbf"
LINE = event("a") + b"\n"


def names(decoder: StreamDecoder, *pieces: bytes) -> list[str]:
    messages = [message for piece in pieces for message in decoder.feed(piece, 0).messages]
    return [message.name for message in [*messages, *decoder.finish(0).messages]]


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("before", [b"", b"# a comment\n", b"\n", b"\r\n", b"   "])
def test_a_stream_may_begin_with_it(before: bytes, fast: bool) -> None:
    data = MARK + before + LINE + event("b")
    for cut in range(len(data)):
        decoder = StreamDecoder(fast=fast)
        assert names(decoder, data[:cut], data[cut:]) == ["job", "job"]
    # Whoever sends byte by byte, and once more over the same decoder.
    assert names(decoder, *(bytes([byte]) for byte in data)) == ["job", "job"]


def test_alone_it_is_nothing() -> None:
    for data in (MARK, MARK + b"\n", MARK + b"\r\n"):
        assert decode(data, default_time=0) == ([], [])


@pytest.mark.parametrize("fast", [True, False])
def test_elsewhere_it_is_what_the_reference_decoder_takes_it_for(fast: bool) -> None:
    cache = SeriesCache()
    for _ in range(3):
        # Also when the decoder knows the name already.
        decoder = StreamDecoder(cache, fast=fast)
        assert names(decoder, MARK + MARK + LINE + MARK + LINE) == ["\ufeffjob", "\ufeffjob"]
        assert names(decoder, MARK + LINE, MARK + LINE) == ["job", "\ufeffjob"]
    assert names(StreamDecoder(cache), LINE + MARK + LINE) == ["job", "\ufeffjob"]


def test_mistakes_in_the_first_line_are_where_they_were() -> None:
    (error,) = decode(MARK + b"bad\n", default_time=0).errors
    assert (error.line, error.column, error.reason) == (1, 7, "no field")


def test_with_it_nothing_is_decoded_together() -> None:
    class Node:
        host = "a"

        def pass_over(self, lines: bytes) -> None:
            raise AssertionError(lines)

    decoder = StreamDecoder()
    for _ in range(2):
        assert plain_together(decoder, [(LINE, Node()), (MARK + LINE, Node())], 0) is None
        names(decoder, MARK + LINE + MARK + LINE)


def test_all_ways_into_a_running_daemon(tmp_path: Path) -> None:
    with daemon_in(tmp_path) as daemon:
        for _ in range(2):
            with socket.create_connection(("127.0.0.1", daemon.ports["TCP"])) as wire:
                wire.sendall(MARK + LINE + event("b") + b"\n")
        with socket.socket(type=socket.SOCK_DGRAM) as wire:
            wire.connect(("127.0.0.1", daemon.ports["UDP"]))
            for _ in range(2):
                wire.send(MARK + LINE)
        for line, path in (("HTTP", "/"), ("REST", "/api/write")):
            assert daemon.ask("POST", path, MARK + LINE, line=line) == (200, b"")
        site = Site(daemon)
        assert site.run("send", stdin=MARK + LINE).status == 0
        daemon.arrived("tcp", 4)
        daemon.arrived("udp", 2)
        asked = json.dumps({"cluster": "alex", "queries": [{"event": "job"}]}).encode()
        status, body = daemon.ask("POST", "/api/query", MARK + asked)
        assert status == 200
        ((entry,),) = json.loads(body)["results"]
        assert sorted(row["Event"] for row in entry["data"]) == ["a"] * 7 + ["b"] * 2


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_import(run: Run, tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    (tmp_path / "x.lp").write_bytes(pack(MARK + b'slurmd,cluster=alex log="a"\n'))
    assert run("x.lp") == DONE
    assert texts(tmp_path, "alex_logs") == ["a"]


@pytest.mark.parametrize("name", ["central.json", "central.yaml"])
def test_configuration(load: Load, name: str) -> None:
    assert load("\ufeff" + json.dumps(receiver(type="tcp")), name).receivers


def test_secrets(load: Load, tmp_path: Path) -> None:
    (tmp_path / "name").write_bytes(MARK + b"somebody\n")
    keys = {"username_file": str(tmp_path / "name"), "password_env": "P"}
    (made,) = load(receiver(type="http", **keys), "central.json", {"P": "\ufeffsecret"}).receivers
    assert (made.username, made.password) == ("somebody", "secret")


def test_a_seed_of_nats(tmp_path: Path) -> None:
    seed = b"SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"
    (tmp_path / "seed").write_bytes(MARK + seed)
    assert read_credentials(tmp_path / "seed").public_key == parse_credentials(seed.decode()).public_key


def test_keys_and_tokens_of_the_client(tmp_path: Path) -> None:
    path = tmp_path / "jwt.key"
    make_key(path)
    expected = load_key(path).sign(b"")
    raw = load_key(path).private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    path.write_bytes(MARK + path.read_bytes())
    assert load_key(path).sign(b"") == expected
    path.write_bytes(MARK + b64encode(raw))
    assert load_key(path).sign(b"") == expected
    (tmp_path / "token").write_bytes(MARK + b"secret\n")
    options = ServerOptions()
    options.parseOptions(["--token-file", str(tmp_path / "token")])
    assert connect(options, Clock(), {})._token == "secret"
    options.parseOptions([])
    assert connect(options, Clock(), {"CCSTORE_TOKEN": "\ufeffsecret"})._token == "secret"
