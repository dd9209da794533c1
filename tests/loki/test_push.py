"""Lines that are pushed as Alloy, Promtail and Fluent Bit do it."""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from ccstore.loki.snappy import unpack_snappy
from tests.support.http_case import basic
from tests.support.loki_case import BASE, LokiTestCase


def varint(value: int) -> bytes:
    """A number of seven bits a byte."""
    value %= 2**64
    made = bytearray()
    while value >= 0x80:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*made, value])


def field(number: int, value: int | bytes) -> bytes:
    """A field of a protocol buffer."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def literal(data: bytes) -> bytes:
    """A block of Snappy that packs nothing."""
    made = varint(len(data))
    for start in range(0, len(data), 60):
        part = data[start : start + 60]
        made += bytes([(len(part) - 1) << 2]) + part
    return made


def entry(text: str, time: int, **metadata: str) -> bytes:
    """A line of a protocol buffer."""
    stamp = field(1, time // 10**9) + field(2, time % 10**9)
    pairs = b"".join(
        field(3, field(1, name.encode()) + field(2, value.encode())) for name, value in metadata.items()
    )
    return field(2, field(1, stamp) + field(2, text.encode()) + pairs)


def unpacked(packed: bytes, limit: int = 1 << 20) -> bytes:
    steps = unpack_snappy(packed, limit)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]


class PushTests(LokiTestCase):
    """Calls of ``push``."""

    async def push(self, body: Any, path: str = "/loki/api/v1/push", **headers: str) -> Any:
        data = body if isinstance(body, bytes) else json.dumps({"streams": body}).encode()
        return await self.ask("POST", path, data, **headers)

    async def messages(self) -> list[dict[str, Any]]:
        answer = await self.ask("GET", "/api/v1/messages?order=oldest")
        return [
            {name: value for name, value in message.items() if name not in ("id", "time")}
            for message in answer.json["messages"]
        ]

    async def test_lines_as_json_become_logs(self) -> None:
        self.start()
        answer = await self.push(
            [
                {
                    "stream": {"cluster": "alex", "job": "slurmd", "instance": "a01:9100", "type_id": "3"},
                    "values": [
                        [str(BASE), "one\nand more"],
                        [str(BASE + 1), "two", {"traceID": "x", "cluster": "fritz"}],
                    ],
                }
            ]
        )
        self.assertEqual((answer.status, answer.body), (204, b""))
        common = {"kind": "log", "name": "slurmd", "hostname": "a01", "type-id": "3"}
        self.assertEqual(
            await self.messages(),
            [
                {**common, "cluster": "alex", "time_ns": str(BASE), "text": "one\nand more"},
                {
                    **{**common, "cluster": "fritz", "time_ns": str(BASE + 1), "text": "two"},
                    "tags": {"traceID": "x"},
                },
            ],
        )
        account = (await self.stats())["receivers"]["api"]
        self.assertEqual((account["received"], account["stored"]), (2, 2))

    async def test_names_and_hosts(self) -> None:
        self.start()
        for number, (labels, name, host, tags) in enumerate(
            (
                ({"service_name": "a", "job": "b"}, "a", None, {"job": "b"}),
                ({"unit": "c", "nodename": "n1"}, "c", "n1", None),
                ({"host": "n2", "instance": "n3"}, "loki", "n2", {"instance": "n3"}),
                ({"name": "d", "hostname": "n4", "service_name": "e"}, "d", "n4", {"service_name": "e"}),
            )
        ):
            stream = {"stream": labels, "values": [[str(BASE + number), "x"]]}
            self.assertEqual((await self.push([stream], "/loki/api/v1/push?cluster=alex")).status, 204)
            message = (await self.messages())[-1]
            found = (message["name"], message.get("hostname"), message.get("tags"), message["cluster"])
            self.assertEqual(found, (name, host, tags, "alex"))

    async def test_protocol_buffers_and_gzip(self) -> None:
        self.start()
        labels = b'{cluster="alex", job="a\\"b"}'
        streams = field(1, field(1, labels) + entry("one", BASE) + entry("two", BASE + 1, level="err"))
        self.assertEqual((await self.push(literal(streams), Content_Encoding="snappy")).status, 204)
        body = json.dumps(
            {"streams": [{"stream": {"cluster": "alex"}, "values": [[str(BASE + 2), "three"]]}]}
        )
        packed = gzip.compress(body.encode())
        self.assertEqual((await self.push(packed, Content_Encoding="gzip")).status, 204)
        again = field(1, field(1, labels) + entry("four", BASE + 3))
        self.assertEqual((await self.push(literal(again))).status, 204)
        self.assertEqual(await self.lines('{cluster="alex"}'), ["four", "three", "two", "one"])
        self.assertEqual(await self.lines('{name="a\\"b"} | level="err"'), ["two"])

    async def test_what_cannot_be_stored_is_told(self) -> None:
        self.start(max_body=4096)
        good = [str(BASE), "good"]
        for body, status, said in (
            ([{"stream": {"a": "b"}, "values": [good]}], 400, "1 of 1 lines were not stored: no cluster"),
            (
                [{"stream": {"cluster": "alex"}, "values": [good, ["soon", "x"], [str(2**70), "x"]]}],
                400,
                "2 of 3 lines were not stored: expected nanoseconds",
            ),
            ([{"stream": {"cluster": "alex"}, "values": [["1"]]}], 400, 'expected ["nanoseconds", "line"]'),
            ([{"stream": ["a"], "values": []}], 400, "expected labels as an object"),
            ([3], 400, "expected labels as an object"),
            (b'{"streams": 3}', 400, "expected a list as 'streams'"),
            (b'{"streams": [', 400, "nothing was stored: "),
            (b"", 400, "no Snappy block"),
            (b"nonsense", 400, "no Snappy block"),
            (literal(b"\x0a\xff"), 400, "the protocol buffer ends too early"),
            (literal(field(1, field(1, b"{a="))), 400, "the labels '{a=' cannot be read"),
            (literal(field(1, 5)), 400, "the protocol buffer ends too early"),
            (varint(1 << 30) + b"x", 400, "larger than 8192 bytes"),
        ):
            answer = await self.push(body)
            self.assertEqual(answer.status, status, body)
            self.assertEqual(answer.header("content-type"), "text/plain; charset=utf-8")
            self.assertIn(said, answer.body.decode())
        self.assertEqual(await self.lines('{cluster="alex"}'), ["good"])
        account = (await self.stats())["receivers"]["api"]
        self.assertEqual(account["received"], account["stored"] + sum(account["rejected"].values()))

    async def test_halves_of_characters_are_replaced(self) -> None:
        self.start()
        body = b'{"streams": [{"stream": {"cluster": "alex"}, "values": [["%d", "a\\ud800b"]]}]}' % BASE
        self.assertEqual((await self.push(body)).status, 204)
        self.assertEqual(await self.lines('{cluster="alex"}'), ["a?b"])

    async def test_a_token_has_to_allow_it(self) -> None:
        key = Ed25519PrivateKey.generate()
        public = b64encode(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()
        self.start(jwt_public_key=public, require_roles=True)
        body = [{"stream": {"cluster": "alex"}, "values": [[str(BASE), "x"]]}]
        for role, path, status in (
            ("write", "/loki/api/v1/push", 204),
            ("read", "/loki/api/v1/push", 403),
            ("read", "/loki/api/v1/%70ush", 403),
            ("read", "/prometheus/api/v1/push", 404),
        ):
            token = jwt.encode({"roles": [role]}, key, algorithm="EdDSA")
            answer = await self.push(body, path, Authorization=basic(f"alloy:{token}"))
            self.assertEqual(answer.status, status, (role, path))


@given(st.binary(max_size=300))
def test_snappy_that_packs_nothing(data: bytes) -> None:
    assert unpacked(literal(data)) == data


def test_snappy_copies() -> None:
    """Literals with their lengths behind the tag, and copies with offsets of one, two and four bytes."""
    assert unpacked(b"\x0a\x00a" + bytes([0b1 | (9 - 4) << 2, 1])) == b"a" * 10
    assert unpacked(b"\x08\x0cabcd" + bytes([0b10 | 3 << 2, 4, 0])) == b"abcdabcd"
    assert unpacked(b"\x07\x0cabcd" + bytes([0b11 | 2 << 2, 2, 0, 0, 0])) == b"abcdcdc"
    long = bytes(range(256)) * 2
    assert unpacked(varint(512) + bytes([61 << 2]) + (511).to_bytes(2, "little") + long) == long


@given(st.binary(max_size=60))
def test_no_bytes_break_it(data: bytes) -> None:
    try:
        unpacked(data, 1000)
    except ValueError:
        return


def test_too_much_is_refused_before_it_is_unpacked() -> None:
    with pytest.raises(ValueError, match="larger than 10 bytes"):
        unpacked(varint(11) + b"\x00a", 10)
