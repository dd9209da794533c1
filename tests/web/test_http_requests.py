"""What every port over HTTP makes of requests: their length and target, who is behind them, what is none."""

from __future__ import annotations

from typing import Any

from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from ccstore.network.greetings import spoken
from ccstore.web.accesslog import without_secrets
from tests.support.http_case import LINES, RequestTestCase, head

CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(LINES), LINES)


class LengthTests(RequestTestCase):
    """A body has a length or comes in chunks; if there is neither, its lines would be taken for requests."""

    def test_a_write_without_a_length_is_refused_whatever_it_is_for(self) -> None:
        for path in ("/", "/api/write", "/write?db=x", "/api/v2/write?bucket=x", "/api/v3/write_lp?db=x"):
            for version in (b"HTTP/1.1", b"HTTP/1.0"):
                for more in ({}, {"transfer_encoding": "identity"}):
                    request = head("POST", path, **more).replace(b"HTTP/1.1", version)
                    answer = self.raw(request + LINES)
                    self.assertEqual((answer.status, answer.headers["connection"]), (411, "close"), request)
                    self.assertIn(b"Content-Length", answer.body)
                    self.assertEqual(self.wire.value().count(b"HTTP/1."), 1)
        self.assertEqual(self.sink.texts, [])
        self.assertEqual(self.figure("bad_requests"), 20)

    def test_what_follows_on_the_connection_is_read_and_dropped_and_then_it_ends(self) -> None:
        connection = self.connect()
        connection.dataReceived(head())
        for _ in range(10):
            connection.dataReceived(LINES)
        self.assertTrue(self.wire.connected)
        self.clock.advance(3)
        self.assertFalse(self.wire.connected)
        self.assertEqual(self.wire.value().count(b"HTTP/1."), 1)
        self.assertEqual(self.receiver.account.received, 0)

    def test_an_empty_body_that_is_declared_is_a_success(self) -> None:
        self.assertEqual(self.raw(head(length=0)).status, 200)
        self.assertEqual(self.raw(head(transfer_encoding="chunked") + b"0\r\n\r\n").status, 200)

    def test_a_length_or_chunks_are_enough_in_any_spelling(self) -> None:
        for name, value in (("Transfer_Encoding", "Chunked"), ("transfer_encoding", "chunked")):
            self.assertEqual(self.raw(head(**{name: value}) + CHUNKS).status, 200)
        answer = self.raw(head(transfer_encoding="identity", length=len(LINES)) + LINES)
        self.assertEqual(answer.status, 200)
        self.assertEqual(self.sink.texts, ["a"] * 3)

    def test_two_lengths_are_refused(self) -> None:
        for more in (
            {"transfer_encoding": "chunked", "length": len(LINES)},
            {"content_length": "1", "Content_Length": "2"},
            {"content_length": "x"},
            {"transfer_encoding": "gzip, chunked"},
        ):
            answer = self.raw(head(**more) + LINES)
            self.assertEqual(answer.status, 400, more)
            self.assertIn("a body has to have one Content-Length", answer.error["error"])
        self.assertEqual(self.raw(head(transfer_encoding="chunked") + b"x\r\n").status, 400)
        self.assertEqual(self.figure("bad_requests"), 5)
        self.assertEqual(self.sink.texts, [])

    def test_what_has_no_body_needs_no_length(self) -> None:
        self.assertEqual(self.raw(head("POST", "/query?q=CREATE+DATABASE+x")).status, 200)
        self.assertEqual(self.raw(head("GET", "/ping")).status, 204)


class TargetTests(RequestTestCase):
    """RFC 9112, 3.2."""

    def write(self, target: str, **headers: Any) -> int:
        return self.raw(head("POST", target, length=len(LINES), **headers) + LINES).status

    def test_absolute_targets_are_as_good_as_paths(self) -> None:
        self.start(path="/api/write")
        for target in (
            "http://h/api/write",
            "HTTP://h:8080/api/write/?cluster=x",
            "https://events.example.org/api/write?x=http://y/",
            "http://user:secret@[::1]:80/api/write",
        ):
            self.assertEqual(self.write(target), 200, target)
        self.assertEqual(self.write("http://h/other"), 404)
        self.assertEqual(self.write("http://h"), 404)
        self.assertEqual(self.sink.texts, ["a"] * 4)

    def test_an_absolute_target_without_a_path_is_for_the_root(self) -> None:
        self.assertEqual(self.write("http://h"), 200)
        self.assertEqual(self.write("http://h?cluster=fritz"), 200)
        self.assertEqual(self.sink.origins[-1].cluster, "fritz")

    def test_clients_of_influxdb_are_told_by_the_path(self) -> None:
        self.start(path="/lines")
        for target in ("/write?db=x", "/api/v2/write?bucket=x", "/api/v3/write_lp?db=x"):
            self.assertEqual(self.write(f"http://h:8086{target}"), 204)
        self.assertEqual(self.raw(head("GET", "http://h/ping")).status, 204)

    def test_the_other_forms(self) -> None:
        answer = self.raw(head("CONNECT", "h:443"))
        self.assertEqual((answer.status, answer.headers["allow"]), (405, "GET, HEAD, POST"))
        self.assertEqual(self.raw(head("OPTIONS", "*")).status, 200)
        self.assertEqual(self.raw(head("OPTIONS", "http://h")).status, 200)
        for target in ("api/write", "h:80", "ftp://h/x", "http:///x", "http://a b", "http://h:x/", "http:/x"):
            self.assertEqual(self.write(target), 400, target)
        self.assertEqual(self.sink.texts, [])

    def test_passwords_in_a_target_that_cannot_be_read_are_not_shown(self) -> None:
        answer = self.raw(head("POST", "ftp://joe:secret@h/?token=secret", length=0))
        self.assertEqual(answer.status, 400)
        self.assertNotIn(b"secret", answer.body)


class HalfClosedTests(RequestTestCase):
    """A client that sends no more may wait for its answer."""

    def test_a_write_is_committed_and_answered(self) -> None:
        self.sink.holds = True
        connection = self.connect()
        connection.dataReceived(head(length=len(LINES)) + LINES)
        connection.readConnectionLost()
        self.assertTrue(self.wire.connected)
        self.sink.commit()
        self.assertEqual(self.answer().status, 200)
        self.assertFalse(self.wire.connected)

    def test_all_of_several_requests_are_answered(self) -> None:
        for holds in (False, True):
            self.start()
            self.sink.holds = holds
            connection = self.connect()
            connection.dataReceived((head(length=len(LINES)) + LINES) * 3)
            connection.readConnectionLost()
            for _ in range(3):
                self.sink.commit()
            self.assertEqual(self.wire.value().count(b" 200 OK"), 3)
            self.assertFalse(self.wire.connected)

    def test_an_idle_one_is_closed(self) -> None:
        connection = self.connect()
        connection.readConnectionLost()
        self.assertEqual((self.wire.connected, self.wire.value()), (False, b""))
        self.assertEqual(self.figure("bad_requests"), 0)

    def test_half_a_request_is_told_so_and_nothing_of_it_is_stored(self) -> None:
        for data, said in (
            (head()[:-2], "the request ended in the middle of its head"),
            (b"POST / HT", "the request ended in the middle of its head"),
            (head(length=100) + LINES, f"the middle of its body, after {len(LINES)} of 100 bytes"),
            (head(transfer_encoding="chunked") + CHUNKS[:20], "the request ended in the middle of its body"),
        ):
            connection = self.connect()
            connection.dataReceived(data)
            connection.readConnectionLost()
            answer = self.answer()
            self.assertEqual(answer.status, 400)
            self.assertIn(said, answer.error["error"])
            self.assertFalse(self.wire.connected)
        self.assertEqual(self.sink.texts, [])

    def test_one_that_waits_long_is_asked_whether_it_is_still_there(self) -> None:
        """Since the system tells no difference between one that waits and one that has gone."""
        self.sink.holds = True
        for version, asked in ((b"HTTP/1.1", 3), (b"HTTP/1.0", 0)):
            connection = self.connect()
            connection.dataReceived(head(length=len(LINES)).replace(b"HTTP/1.1", version) + LINES)
            self.clock.pump([1] * 3)
            self.assertEqual(self.wire.value(), b"")
            connection.readConnectionLost()
            connection.readConnectionLost()
            # First soon, and then each second.
            self.clock.pump([0.02] * 3)
            self.assertEqual(self.wire.value().count(b"100 Continue"), min(asked, 1))
            self.clock.pump([0.02] * 150)
            self.assertEqual(self.wire.value(), b"HTTP/1.1 100 Continue\r\n\r\n" * asked)
            self.sink.commit()
            self.assertIn(b" 200 OK", self.wire.value())
        self.assertEqual(self.clock.getDelayedCalls(), [])


class NoRequestTests(RequestTestCase):
    """What is no request of HTTP is answered at once, counted, and told of."""

    def test_each_kind(self) -> None:
        for data, said in (
            (
                b"GET / HTTP/1.1\nHost: h\n\n",
                "the lines of a request end with CR and LF, these with LF alone",
            ),
            (b"GET / HTTP/1.1\n", "these with LF alone"),
            (b"GET / HTTP/1.1\r\nHost: h\n", "these with LF alone"),
            (b"GET / HTTP/1.1\nHost: h\n\r\n", "these with LF alone"),
            (b"SSH-2.0-OpenSSH_9.2\r\n", "this is SSH, and HTTP is spoken here"),
            (b"*1\r\n$4\r\nPING\r\n", "this is Redis"),
            (b"PING\r\n", "this is Redis"),
            (LINES, "this is line protocol"),
            (b"job,cluster=alex,hostname=a01", "this is line protocol"),
            (b"load value=1\r\n", "this is line protocol"),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "this is HTTP/2 without TLS"),
            (b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n", "this is the PROXY protocol of a load balancer"),
            (b"\x00\x00\x00\x08\x04\xd2\x16\x2f", "this is PostgreSQL"),
            (b"\x05\x01\x00", "this is no request of HTTP/1.1"),
            (b"{", "this is no request of HTTP/1.1"),
            (b"GET / HTTP/3.0\r\n", "this is no request of HTTP/1.1"),
            (b"GET / HTTP/1.1 \r\n", "this is no request of HTTP/1.1"),
            (b"GET\t/", "this is no request of HTTP/1.1"),
            (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", "a header of the request cannot be read"),
        ):
            self.start()
            connection = self.connect()
            connection.dataReceived(data)
            answer = self.answer()
            self.assertEqual(answer.status, 400, data)
            self.assertIn(said, answer.error["error"], data)
            self.assertEqual(answer.headers["connection"], "close")
            # And it ends, whatever still comes.
            connection.dataReceived(b"GET / HTTP/1.1\r\n\r\n" * 3)
            self.clock.advance(3)
            self.assertFalse(self.wire.connected)
            self.assertEqual(self.wire.value().count(b"HTTP/1.1 4"), 1)
            self.assertEqual(self.figure("bad_requests"), 1)
            self.assertEqual(len(self.sampled("bad_requests")), 1)

    def test_who_speaks_tls_is_closed_since_it_would_understand_no_answer(self) -> None:
        hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
        for data in (hello, hello + b"\r\n\r\n", hello + b"\n"):
            with capturedLogs() as logs:
                self.connect().dataReceived(data)
            self.assertEqual((self.wire.connected, self.wire.value()), (False, b""))
            self.start()
        (line,) = [formatEvent(entry) for entry in logs]
        self.assertEqual(
            line, "http: 10.0.0.1:40000: refused what it sent: it speaks TLS, and this port does not"
        )

    def test_it_is_logged_once_in_a_while(self) -> None:
        with capturedLogs() as logs:
            for _ in range(100):
                self.raw(b"PING\r\n")
                self.raw(b"SSH-2.0-x\r\n")
        self.assertEqual(len(logs), 2)
        self.assertEqual(self.figure("bad_requests"), 200)

    def test_whatever_is_sent_there_are_few_kinds_of_it(self) -> None:
        with capturedLogs() as logs:
            for number in range(50):
                self.raw(head("POST", f"ftp://{number}/", length=0))
                self.raw(head(length=0, origin=f"http://{number}.example"))
                self.raw(head(length=0).replace(b"Host: x", b"Host: %d.example" % number))
                self.connect().dataReceived(head(length=1000) + b"#" * number)
                self.wire.protocol.readConnectionLost()
        self.assertEqual(len(logs), 4)
        samples = self.receiver.account.samples.as_json()["samples"]
        assert isinstance(samples, list)
        self.assertEqual(len(samples), 4)

    def test_the_beginning_of_any_request_is_waited_for(self) -> None:
        for request in (head(length=0), head("GET", "/ping"), head("M-SEARCH", "http://h/%7Ex?y=z;[]")):
            connection = self.connect()
            for byte in b"\r\n" + request:
                self.assertEqual(self.wire.value(), b"")
                connection.dataReceived(bytes([byte]))
            self.assertIn(self.answer().status, (200, 204, 405))

    def test_heads_that_are_too_large(self) -> None:
        self.assertEqual(self.raw(b"GET /" + b"x" * 20_000).status, 414)
        self.assertEqual(self.raw(b"GET / HTTP/1.1\r\nx: " + b"x" * 20_000).status, 431)
        self.assertEqual(self.raw(b"GET / HTTP/1.1\r\n" + b"x: yyyyyyyyyy\r\n" * 2000).status, 431)
        self.assertEqual(self.raw(b"GET / HTTP/1.1\r\n" + b"x:\r\n" * 600).status, 431)

    def test_what_is_read_of_greetings(self) -> None:
        for data in (b"GET / HTTP/1.1\r\n", b"", b"good day"):
            self.assertIsNone(spoken(data))


class CallerTests(RequestTestCase):
    """Pages of other origins."""

    def status(self, method: str = "POST", *, host: str = "h", target: str = "/", **headers: str) -> int:
        request = head(method, target, length=len(LINES), **headers)
        return self.raw(request.replace(b"Host: x", f"Host: {host}".encode()) + LINES).status

    def test_a_page_of_another_origin_may_not_write(self) -> None:
        for origin in (
            "http://evil.example",
            "https://h.evil.example",
            "http://h:81",
            "null",
            "chrome-extension://x",
            "h",
        ):
            for target in ("/", "/write?db=x", "/api/v2/write?bucket=x"):
                status = self.status(origin=origin, content_type="text/plain", target=target)
                self.assertEqual(status, 403, origin)
        for site in ("cross-site", "same-site", "Cross-Site"):
            self.assertEqual(self.status(sec_fetch_site=site), 403, site)
        self.assertEqual(self.sink.texts, [])
        self.assertEqual(self.figure("foreign_requests"), 21)
        self.assertTrue(self.sampled("foreign_requests"))

    def test_it_is_refused_before_its_body_comes(self) -> None:
        answer = self.raw(head(length=1000, origin="http://evil.example", expect="100-continue"))
        self.assertEqual(answer.status, 403)
        self.assertIn("allowed_hosts", answer.error["error"])

    def test_all_others_may(self) -> None:
        for headers in (
            {},
            {"origin": "http://h"},
            {"origin": "https://h"},
            {"origin": "HTTP://H:80"},
            {"host": "h:8080", "origin": "http://h:8080"},
            {"host": "localhost:8080", "origin": "http://localhost:8080"},
            {"host": "[::1]:8080", "origin": "http://[::1]:8080"},
            {"origin": "https://front.example.org", "x_forwarded_host": "front.example.org"},
            {"origin": "https://front.example.org", "sec_fetch_site": "same-origin"},
            {"sec_fetch_site": "none"},
        ):
            self.assertEqual(self.status(**headers), 200, headers)

    def test_what_changes_nothing_may_be_asked_from_anywhere(self) -> None:
        status = self.status("GET", target="/ping", origin="http://evil.example", sec_fetch_site="cross-site")
        self.assertEqual(status, 204)

    def test_hosts_that_are_allowed_may(self) -> None:
        self.start(allowed_hosts=["Events.example.org"])
        for headers in (
            {"origin": "https://events.example.org"},
            {"origin": "https://events.example.org:8443", "sec_fetch_site": "cross-site"},
            {"host": "events.example.org:8080"},
            {"host": "events.example.org."},
        ):
            self.assertEqual(self.status(**headers), 200, headers)
        self.assertEqual(self.status(origin="https://evil.example"), 403)
        self.start(allowed_hosts="*")
        self.assertEqual(self.status(host="any.example", origin="https://evil.example"), 200)

    def test_on_the_loopback_a_foreign_host_is_refused_whatever_is_asked(self) -> None:
        for host in (
            "evil.example",
            "evil.example:8080",
            "127.0.0.1.evil.example",
            "192.0.2.1",
            "[2001:db8::1]:80",
        ):
            for method in ("POST", "GET"):
                self.assertEqual(self.status(method, target="/ping", host=host), 421, host)
        # With its own origin, and what a page can add.
        status = self.status(
            host="evil.example",
            origin="http://evil.example",
            sec_fetch_site="same-origin",
            x_forwarded_host="localhost",
        )
        self.assertEqual(status, 421)
        self.assertEqual(self.sink.texts, [])

    def test_on_the_loopback_all_its_own_names_are_good(self) -> None:
        for host in (
            *(
                "localhost",
                "LOCALHOST:1",
                "127.0.0.1",
                "127.1.2.3:8080",
                "[::1]",
                "[::1]:8080",
                "x.localhost",
            ),
            # Nobody else can have a page at a name without a dot.
            *("h", "ccstore:8080", ""),
        ):
            self.assertEqual(self.status(host=host), 200, host)
        self.assertEqual(self.raw(b"POST / HTTP/1.0\r\nContent-Length: 0\r\n\r\n").status, 200)

    def test_beyond_the_loopback_every_host_is_good(self) -> None:
        for address in ("0.0.0.0", "", "::"):
            self.start(address=address)
            self.assertEqual(self.status(host="events.example.org"), 200, address)

    def test_behind_a_load_balancer_that_says_whose_a_connection_is_every_host_is_good(self) -> None:
        self.start(endpoint="haproxy:tcp:8080:interface=127.0.0.1")
        self.assertFalse(self.receiver.port.site.is_local)
        self.start(endpoint="tcp:8080:interface=127.0.0.1")
        self.assertTrue(self.receiver.port.site.is_local)

    def test_a_host_that_is_none(self) -> None:
        for host in ("a..b", "a b", "a/b", "x\r\nHost: y", "\xff"):
            self.assertEqual(self.status(host=host), 400, host)


class AnswerTests(RequestTestCase):
    def test_no_answer_is_taken_for_anything_else_than_it_is(self) -> None:
        for data in (
            head(length=len(LINES)) + LINES,
            head("GET", "/"),
            head("GET", "/ping"),
            head("GET", "/query?q=x"),
            head(length=10**9),
            head(length=0, origin="http://evil.example"),
            head(),
            b"PING\r\n",
        ):
            self.assertEqual(self.raw(data).headers["x-content-type-options"], "nosniff", data)

    def test_a_request_for_the_head_gets_no_body(self) -> None:
        answer = self.raw(head("HEAD", "/").replace(b"Host: x", b"Host: evil.example"))
        self.assertEqual((answer.status, answer.body), (421, b""))


class SecretTests(SynchronousTestCase):
    """What access logs show of URLs."""

    def test_credentials_are_left_out(self) -> None:
        for url, shown in (
            (b"/write?db=x&u=joe&p=secret", b"/write?db=x&u=***&p=***"),
            (b"/?jwt=a.b.c", b"/?jwt=***"),
            (b"/?%70=secret;TOKEN=secret&x=1", b"/?%70=***;TOKEN=***&x=1"),
            (b"/?access_token=a&password=b&api-key=c", b"/?access_token=***&password=***&api-key=***"),
            (b"http://joe:secret@h/x?auth=1#token=2", b"http://***@h/x?auth=***#token=***"),
            (b"/api/write?cluster=alex&precision=s&up=1", b"/api/write?cluster=alex&precision=s&up=1"),
            (b"/u=1/p=2", b"/u=1/p=2"),
        ):
            self.assertEqual(without_secrets(url), shown)


class AccessLogTests(RequestTestCase):
    def test_a_line_has_no_credentials_from_wherever(self) -> None:
        self.start(access_log=True)
        with capturedLogs() as logs:
            self.receiver.port.site.startFactory()
            self.addCleanup(self.receiver.port.site.stopFactory)
            self.raw(
                head("GET", "http://a:SECRET@h/ping?jwt=SECRET", referer="http://b:SECRET@h/?p=SECRET&x=1")
            )
        (line,) = [text for text in map(formatEvent, logs) if text and "/ping" in text]
        self.assertNotIn("SECRET", line)
        self.assertIn('"GET /ping?jwt=*** HTTP/1.1" 204', line)
        self.assertIn('"http://***@h/?p=***&x=1"', line)
