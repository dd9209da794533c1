"""The client protocol of NATS without a server: frames, keys, and what a connection makes of them."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ccstore.config.kinds import Unfit
from ccstore.config.nkeys import Credentials, parse_credentials
from ccstore.receivers.nats import framing
from ccstore.receivers.nats.client import Connection
from ccstore.receivers.nats.framing import MAX_LINE, Delivery, Framing, Word
from ccstore.receivers.nats.handshake import Introduction
from ccstore.receivers.nats.liveness import PING_EVERY
from ccstore.receivers.nats.reasons import PATIENCE, NatsError
from tests.support.loopback import Wire
from tests.support.nats_server import Key, creds, encoded

LIMIT = 1000

_TOKENS = st.from_regex(rb"[!-~]{1,8}", fullmatch=True)
_PAYLOADS = st.one_of(
    st.binary(max_size=40), st.sampled_from([b"\r\n", b"MSG a 1 3\r\n", b"PING\r\n", b"x" * LIMIT])
)
_HEADERS = st.sampled_from([b"NATS/1.0\r\n\r\n", b"NATS/1.0 408 Request Timeout\r\na: b\r\n\r\n"])


@st.composite
def messages(draw: st.DrawFn) -> tuple[bytes, Delivery]:
    """A message, as a server sends it."""
    subject, sid = draw(_TOKENS), draw(_TOKENS)
    reply = draw(st.one_of(st.just(b""), _TOKENS))
    headers = draw(st.one_of(st.just(b""), _HEADERS))
    payload = draw(st.one_of(_PAYLOADS, st.just(b"y" * (LIMIT + 1))))
    whole = headers + payload
    sizes = b"%d %d" % (len(headers), len(whole)) if headers else b"%d" % len(whole)
    words = [b"HMSG" if headers else b"MSG", subject, sid, *([reply] if reply else []), sizes]
    if len(payload) > LIMIT:
        delivery = Delivery(subject, sid, reply, b"", None, len(payload))
    else:
        delivery = Delivery(subject, sid, reply, headers, payload, len(payload))
    return b" ".join(words) + b"\r\n" + whole + b"\r\n", delivery


_WORDS = st.sampled_from(
    [
        (b"PING\r\n", Word("PING", b"")),
        (b"pong\r\n", Word("PONG", b"")),
        (b"+OK\r\n", Word("+OK", b"")),
        (b"-ERR 'Slow Consumer'\r\n", Word("-ERR", b"'Slow Consumer'")),
        (b'INFO {"a": 1} \r\n', Word("INFO", b'{"a": 1}')),
    ]
)
_WRONG = (
    b"HTTP/1.1 400 Bad Request\r\n",
    b"MSG\r\n",
    b"MSG a 1\r\n",
    b"MSG a 1 2 3 4\r\nabc\r\n",
    b"MSG a 1 -1\r\n",
    b"MSG a 1 1_0\r\n",
    b"MSG a 1 9999999999999\r\n",
    b"MSG a 1 2\r\nabc\r\n",
    b"MSG a 1 2000\r\n" + b"x" * 2001 + b"\r\n",
    b"HMSG a 1 3\r\nabc\r\n",
    b"HMSG a 1 4 3\r\nabc\r\n",
    b"\r\n",
    b"\xff\xfe\r\n",
    b"x" * (MAX_LINE + 10),
)


def fed(pieces: Sequence[bytes]) -> tuple[list[Delivery | Word], bool]:
    cutter = Framing(LIMIT)
    frames = [frame for piece in pieces for frame in cutter.feed(piece)]
    assert cutter.held <= sum(map(len, pieces))
    return frames, cutter.error is not None


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    ends = sorted({place % (len(data) + 1) for place in places})
    return [data[begin:end] for begin, end in zip([0, *ends], [*ends, len(data)], strict=True)]


_PLACES = st.lists(st.integers(0, 10**6), max_size=20)


@given(st.lists(st.one_of(messages(), _WORDS), max_size=8), _PLACES)
def test_frames_do_not_depend_on_where_they_are_cut(said: list[tuple[bytes, Any]], places: list[int]) -> None:
    data = b"".join([frame for frame, _ in said])
    meant = [meaning for _, meaning in said]
    assert fed(cut(data, places)) == (meant, False)
    assert fed([data[place : place + 1] for place in range(len(data))]) == (meant, False)


@given(st.lists(messages(), max_size=3), st.sampled_from(_WRONG), _PLACES)
def test_what_is_no_protocol_ends_it_and_costs_nothing_before(
    said: list[tuple[bytes, Delivery]], wrong: bytes, places: list[int]
) -> None:
    data = b"".join([frame for frame, _ in said]) + wrong + b"PING\r\n"
    assert fed(cut(data, places)) == ([meaning for _, meaning in said], True)


@given(st.lists(st.one_of(st.binary(max_size=30), st.sampled_from(_WRONG), _WORDS.map(lambda each: each[0]))))
def test_any_bytes_are_taken_without_an_exception(pieces: list[bytes]) -> None:
    whole, is_wrong = fed([b"".join(pieces)])
    assert fed(pieces) == (whole, is_wrong)


def test_of_a_message_that_is_too_large_nothing_is_held() -> None:
    cutter = Framing(LIMIT)
    cutter.feed(b"MSG a 1 100000\r\n")
    for _ in range(100):
        assert cutter.feed(b"x" * 1000) == []
        assert cutter.held == 0
    assert cutter.feed(b"\r\nPING\r\n") == [
        Delivery(b"a", b"1", b"", b"", None, 100000),
        Word("PING", b""),
    ]


def test_status_and_headers() -> None:
    headers = b"NATS/1.0 408 Request Timeout\r\nKey:  b: c\r\n\r\n"
    (frame,) = Framing(LIMIT).feed(b"HMSG a 1 %d %d\r\n%b\r\n" % (len(headers), len(headers), headers))
    assert isinstance(frame, Delivery)
    assert (frame.status, frame.header("key"), frame.header("other")) == ("408 Request Timeout", "b: c", None)
    (frame,) = Framing(LIMIT).feed(b"MSG a 1 1\r\nx\r\n")
    assert isinstance(frame, Delivery)
    assert (frame.status, frame.header("key")) == ("", None)


# --- keys ---------------------------------------------------------------------------------------------------


def verify(credentials: Credentials, nonce: bytes) -> None:
    public = base64.b32decode(credentials.public_key + "=" * (-len(credentials.public_key) % 8))[1:33]
    signature = credentials.sign(nonce)
    assert "=" not in signature
    raw = base64.urlsafe_b64decode(signature + "==")
    Ed25519PublicKey.from_public_bytes(public).verify(raw, nonce)


def test_a_bare_seed() -> None:
    key = Key()
    for content in (key.seed, f"\n  {key.seed}\r\n", f"# a comment\n{key.seed}\n"):
        credentials = parse_credentials(content)
        assert (credentials.token, credentials.public_key) == (None, key.public)
        verify(credentials, b"nonce")


def test_a_seed_as_other_programs_write_it() -> None:
    # From the documentation of nkeys.
    credentials = parse_credentials("SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY")
    assert credentials.public_key == "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"


def test_a_file_of_credentials() -> None:
    key = Key()
    for content in (creds("a.b.c", key.seed), creds("a.b.c", key.seed).replace("\n", "\r\n")):
        credentials = parse_credentials(content)
        assert (credentials.token, credentials.public_key) == ("a.b.c", key.public)
        assert key.seed not in repr(credentials)
        assert "a.b.c" not in repr(credentials)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "a .creds file, or a file with nothing but an nkey seed"),
        ("two words", "a .creds file, or a file with nothing but an nkey seed"),
        ("nothing", "it is no base32"),
        # Keys are drawn at random: a name of its own lets every run call the test the same.
        pytest.param(Key().public, "a user's nkey seed", id="public key"),
        pytest.param(Key(0).seed, "not a user's", id="seed of an account"),
        (encoded(bytes([18 << 3 | 5, 0]) + bytes(31)), "a user's nkey seed"),
        (creds("a.b", "SU"), "a NATS user JWT"),
        (creds("a.b.c", "SU"), "a user's nkey seed"),
        (creds("a.b.c", Key().seed).replace("SEED", "KEY"), "with a user's nkey seed"),
        ("-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----", "a NATS user JWT"),
    ],
)
def test_files_that_are_neither(content: str, expected: str) -> None:
    with pytest.raises(Unfit) as caught:
        parse_credentials(content)
    assert expected in caught.value.expected
    assert not content or content not in caught.value.expected


def test_a_seed_that_was_mistyped() -> None:
    seed = Key().seed
    wrong = seed[:20] + ("A" if seed[20] != "A" else "B") + seed[21:]
    with pytest.raises(Unfit) as caught:
        parse_credentials(wrong)
    assert "its checksum is wrong" in caught.value.expected


# --- a connection -------------------------------------------------------------------------------------------


class ConnectionTests(SynchronousTestCase):
    """With a transport that only remembers, and a clock that is set by hand."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.deliveries: list[Delivery] = []
        self.complaints: list[str] = []

    def begin(self, info: str = '{"version": "2.9", "headers": true}', **keys: Any) -> None:
        """Connect, and let the server introduce itself."""
        introduction = {
            "name": "ccstore n",
            "user": None,
            "password": None,
            "credentials": lambda: None,
            "tls": None,
            "default_tls": lambda: "options",
            "is_tls_first": False,
            "max_payload": LIMIT,
        }
        self.connection = Connection(
            Introduction(**{**introduction, **keys}),
            self.clock,
            self.deliveries.extend,
            self.complaints.append,
        )
        self.wire = Wire("10.0.0.1", 4222)
        self.wire.protocol = self.connection
        self.connection.makeConnection(self.wire)
        self.started: list[Any] = []
        self.wire.startTLS = self.started.append  # type: ignore[attr-defined]
        if info:
            self.connection.dataReceived(f"INFO {info} \r\n".encode())

    def let_in(self) -> None:
        self.begin()
        self.connection.dataReceived(b"PONG\r\n")
        self.successResultOf(self.connection.ready)
        self.wire.clear()

    def said(self) -> dict[str, Any]:
        """What was said to introduce ourselves."""
        first, second, _ = self.wire.value().split(b"\r\n")
        self.assertEqual(second, b"PING")
        content = json.loads(first.removeprefix(b"CONNECT "))
        assert isinstance(content, dict)
        return content

    def refusal(self) -> str:
        self.assertFalse(self.wire.connected)
        return str(self.failureResultOf(self.connection.ready, NatsError).value)

    def test_introduction(self) -> None:
        self.begin(user="u", password="p")
        said = self.said()
        self.assertEqual((said["user"], said["pass"], said["verbose"]), ("u", "p", False))
        self.assertEqual((said["headers"], said["no_responders"], said["tls_required"]), (True, True, False))
        self.assertNoResult(self.connection.ready)
        self.connection.dataReceived(b"PONG\r\n")
        self.successResultOf(self.connection.ready)

    def test_a_nonce_is_signed(self) -> None:
        key = Key()
        self.begin('{"nonce": "abc"}', credentials=lambda: parse_credentials(key.seed))
        said = self.said()
        self.assertEqual(said["nkey"], key.public)
        self.assertNotIn("jwt", said)
        self.begin('{"nonce": "abc"}', credentials=lambda: parse_credentials(creds("a.b.c", key.seed)))
        said = self.said()
        self.assertEqual(said["jwt"], "a.b.c")
        self.assertNotIn("nkey", said)
        self.begin(credentials=lambda: parse_credentials(key.seed))
        self.assertIn("without a nonce", self.refusal())

    def test_tls_as_the_server_or_the_configuration_wants_it(self) -> None:
        self.begin('{"tls_required": true}')
        self.assertEqual((self.started, self.said()["tls_required"]), (["options"], True))
        self.begin('{"tls_required": true}', tls=lambda: "ours")
        self.assertEqual(self.started, ["ours"])
        self.begin('{"tls_available": true}', tls=lambda: "ours")
        self.assertEqual(self.started, ["ours"])
        self.begin('{"tls_available": true}')
        self.assertEqual(self.started, [])
        self.begin(tls=lambda: "ours", user="u", password="p")
        self.assertEqual(self.wire.value(), b"")  # no password over an open line
        self.assertIn("the server has no TLS", self.refusal())

    def test_nothing_may_come_between_info_and_tls(self) -> None:
        for more in (b"PING\r\n", b"MSG a 1 1", b"x"):
            self.begin("")
            self.connection.dataReceived(b'INFO {"tls_required": true}\r\n' + more)
            self.assertIn("between INFO and the start of TLS", self.refusal())

    def test_refusals_are_told_in_the_servers_words(self) -> None:
        self.begin()
        self.connection.dataReceived(b"-ERR 'Authorization Violation'\r\n")
        self.assertEqual(self.refusal(), "the server says: Authorization Violation")

    def test_what_is_no_server_of_nats(self) -> None:
        deep = b"[" * 20000
        for wrong in (b"SSH-2.0-OpenSSH_9.2\r\n", b"INFO no\r\n", b"INFO [1]\r\n", b"INFO %b\r\n" % deep):
            self.begin("")
            self.connection.dataReceived(wrong)
            self.assertIn("the server sends ", self.refusal())

    def test_a_server_that_says_nothing(self) -> None:
        self.begin("")
        self.clock.advance(PATIENCE)
        self.assertIn("has not let us in", self.refusal())

    def test_messages_before_an_error_count(self) -> None:
        self.let_in()
        self.connection.dataReceived(b"MSG a 1 1\r\nx\r\nMSG a 1 1\r\ny\r\nnonsense\r\n")
        self.assertEqual([each.payload for each in self.deliveries], [b"x", b"y"])
        self.assertIn("nonsense", self.successResultOf(self.connection.closed))

    def test_pings_are_answered(self) -> None:
        self.let_in()
        self.connection.dataReceived(b"PING\r\n")
        self.assertEqual(self.wire.value(), framing.PONG)

    def test_a_server_that_is_silent_is_given_up(self) -> None:
        self.let_in()
        for _ in range(10):
            self.clock.advance(PING_EVERY)
            self.assertEqual(self.wire.value(), framing.PING)
            self.connection.dataReceived(b"PONG\r\n")
            self.wire.clear()
        for _ in range(3):
            self.clock.advance(PING_EVERY)
        self.assertIn("nothing was heard", self.successResultOf(self.connection.closed))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_server_that_is_not_read_is_not_silent(self) -> None:
        self.let_in()
        self.connection.set_paused(True)
        self.assertTrue(self.wire.is_paused)
        self.clock.pump([PING_EVERY] * 10)
        self.assertTrue(self.wire.connected)
        self.connection.set_paused(False)
        self.assertFalse(self.wire.is_paused)
        self.clock.advance(PING_EVERY)
        self.assertTrue(self.wire.connected)

    def test_what_we_may_not_publish_does_not_end_the_connection(self) -> None:
        self.let_in()
        self.connection.dataReceived(b"-ERR 'Permissions Violation for Publish to \"$JS.ACK\x1b\"'\r\n")
        self.assertTrue(self.wire.connected)
        self.assertEqual(len(self.complaints), 1)
        self.assertNotIn("\x1b", self.complaints[0])

    def test_what_waits_for_an_answer_fails_with_the_connection(self) -> None:
        self.let_in()
        answered = self.connection.ping()
        self.wire.lose(ConnectionLost())
        self.failureResultOf(answered, NatsError)
        self.assertEqual(self.successResultOf(self.connection.closed), "the server has closed the connection")
        self.failureResultOf(self.connection.ping(), NatsError)
        self.connection.publish((b"a", b"b", b""))
        self.connection.set_paused(True)
        self.connection.close()
        self.connection.fail("late")
