"""Line protocol from NATS, with a real server."""

from __future__ import annotations

import socket
import ssl

from twisted.internet import reactor
from twisted.internet.task import deferLater

from tests.support.certificates import certificates
from tests.support.nats_case import NatsTestCase
from tests.support.nats_server import PATIENCE, Key, creds
from tests.support.sinks import event


def encrypted(plain: socket.socket, ca: str) -> ssl.SSLSocket:
    """TLS over a connection on which the server has said what it is."""
    plain.settimeout(PATIENCE)
    while not plain.recv(65536).endswith(b"\r\n"):
        pass
    return ssl.create_default_context(cafile=ca).wrap_socket(plain, server_hostname="127.0.0.1")


class MessageTests(NatsTestCase):
    """What comes, and how it is taken."""

    async def test_one_or_many_lines_in_each_message(self) -> None:
        server = self.serve()
        receiver = await self.connected(server)
        with server.client() as client:
            client.publish("alex.events.job", event("a"))
            lines = event("b") + b"\n" + event("c") + b"\r\n\n# a comment\n" + event("d")
            client.publish("alex.log.ccb", lines)
            client.publish("alex.events.job", b"")
            client.publish("fritz.events.job", event("for somebody else"))
            client.publish("alex.x", event("e"), headers=b"NATS/1.0\r\nTrace: 1\r\n\r\n")
            client.flush()
        await self.until(lambda: len(self.sink.texts) == 5)
        self.assertEqual(self.sink.texts, [*"abcde"])
        self.assertEqual(receiver.account.received, 5)

    async def test_each_message_may_begin_with_a_byte_order_mark(self) -> None:
        server = self.serve()
        await self.connected(server)
        with server.client() as client:
            for _ in range(2):
                client.publish("alex.events.job", b"\xef\xbb\xbf" + event("a"))
            client.flush()
        await self.until(lambda: len(self.sink.texts) == 2)
        self.assertEqual([message.name for message in self.sink.messages], ["job", "job"])

    async def test_wildcards(self) -> None:
        server = self.serve()
        await self.connected(server, subject="*.events.*")
        self.publish(server, "no", subject="alex.log.ccb")
        self.publish(server, "no", subject="alex.events")
        self.publish(server, "a", subject="alex.events.job")
        self.publish(server, "b", subject="fritz.events.slurm")
        await self.until(lambda: len(self.sink.texts) == 2)
        self.assertEqual(self.sink.texts, ["a", "b"])

    async def test_a_message_ends_with_itself(self) -> None:
        server = self.serve()
        receiver = await self.connected(server)
        with server.client() as client:
            client.publish("alex.a", b'job,cluster=alex event="never closed')
            client.publish("alex.a", event("a"))
            client.publish("alex.b", b"bad\n" + event("b"))
            client.publish("alex.c", b"x\n" * 20000 + event("c"))
            client.flush()
        await self.until(lambda: len(self.sink.texts) == 3)
        self.assertEqual(self.sink.texts, [*"abc"])
        self.assertEqual(receiver.account.rejected, {"malformed": 20002})
        self.assertIn("a line from subject alex.a: line 1, column", await self.until_said("rejected"))

    async def test_what_comes_together_is_handed_over_together(self) -> None:
        server = self.serve()
        receiver = await self.connected(server)
        count = 20000
        self.publish(server, *map(str, range(count)))
        await self.until(lambda: receiver.account.received == count)
        self.assertEqual(self.sink.texts, [str(number) for number in range(count)])
        self.assertLess(len(self.sink.origins), count / 20)
        self.assertEqual(self.sink.origins[0].sender_of(0), "subject alex.events.job")

    async def test_cluster_and_precision_are_those_of_the_receiver(self) -> None:
        server = self.serve()
        await self.connected(server, cluster="fritz", precision="ms")
        with server.client() as client:
            client.publish("alex.a", event("a", cluster=None, time=1700))
        await self.until(lambda: self.sink.texts)
        self.assertEqual(self.sink.origins[0].cluster, "fritz")
        self.assertEqual(self.sink.messages[0].time, 1_700_000_000)

    async def test_a_message_that_is_too_large_is_rejected_alone(self) -> None:
        server = self.serve()
        receiver = await self.connected(server, max_payload="1k")
        with server.client() as client:
            client.publish("alex.a", event("a") + b"\n" * 2000)
            client.publish("alex.a", event("b"))
        await self.until(lambda: self.sink.texts)
        self.assertEqual((self.sink.texts, receiver.account.rejected), (["b"], {"too_large": 1}))

    async def test_who_cannot_store_reads_no_further_and_loses_nothing(self) -> None:
        server = self.serve()
        receiver = await self.connected(server, holds=True, max_waiting=100)
        texts = [str(number) for number in range(50000)]
        self.publish(server, *texts)
        await self.until(lambda: receiver.figures()["pauses"])
        self.assertGreater(self.sink.flushes, 0)
        taken = len(self.sink.texts)
        self.assertLess(taken, len(texts))
        await self.many_turns()
        self.assertEqual(len(self.sink.texts), taken)
        self.sink.holds = False
        self.sink.commit()
        await self.until(lambda: len(self.sink.texts) == len(texts))
        self.assertEqual(self.sink.texts, texts)
        self.assertTrue(receiver.figures()["connected"])

    async def test_a_queue_group_shares_its_messages(self) -> None:
        server = self.serve()
        await self.connected(server, queue_group="store", name="one")
        one = self.sink
        await self.connected(server, queue_group="store", name="two")
        two = self.sink
        await self.connected(server, name="all")
        texts = [str(number) for number in range(1000)]
        self.publish(server, *texts)
        await self.until(lambda: len(one.texts) + len(two.texts) >= 1000 and len(self.sink.texts) >= 1000)
        self.assertEqual(sorted(one.texts + two.texts, key=int), texts)
        self.assertGreater(min(len(one.texts), len(two.texts)), 100)
        self.assertEqual(self.sink.texts, texts)

    async def test_what_has_arrived_is_taken_at_the_stop(self) -> None:
        server = self.serve()
        receiver = await self.connected(server)
        self.publish(server, *map(str, range(5000)))
        await self.end(receiver)
        self.assertEqual(len(self.sink.texts), 5000)
        self.assertNotIn("connection lost", "\n".join(self.said()))

    async def test_a_stop_while_there_is_no_server(self) -> None:
        server = self.serve()
        server.kill()
        receiver = self.receive(server)
        await self.until_said("no connection")
        await self.end(receiver)

    async def test_a_stop_while_it_connects_says_nothing_of_it(self) -> None:
        server = self.serve()
        receiver = self.receive(server)
        await self.end(receiver)
        self.assertNotIn("no connection", "\n".join(self.said()))


class ServerTests(NatsTestCase):
    """A server that comes and goes."""

    async def test_a_server_that_comes_later(self) -> None:
        server = self.serve()
        server.kill()
        receiver = self.receive(server)
        line = await self.until_said("no connection")
        self.assertIn(f"nats: NATS at 127.0.0.1:{server.port}: no connection: Connection was refused", line)
        server.start()
        await self.until(lambda: receiver.figures()["connected"])
        self.publish(server, "a")
        await self.until(lambda: self.sink.texts == ["a"])

    async def test_a_server_that_is_killed_again_and_again(self) -> None:
        server = self.serve()
        receiver = await self.connected(server)
        for number in range(3):
            self.publish(server, str(number))
            await self.until(lambda number=number: len(self.sink.texts) == number + 1)
            server.kill()
            await self.until(lambda: not receiver.figures()["connected"])
            server.start()
            await self.until(lambda: receiver.figures()["connected"])
        self.assertEqual(receiver.figures()["reconnects"], 3)
        self.assertEqual(receiver.figures()["slow_consumer"], 0)
        self.assertEqual(sum("connection lost" in line for line in self.said()), 1)

    async def test_a_server_that_refuses_the_subscription(self) -> None:
        user = '{ user: u, password: p, permissions: { subscribe: "other" } }'
        server = self.serve(f"authorization {{ users: [ {user} ] }}")
        self.receive(server, user="u", password="p")
        self.assertIn("Permissions Violation for Subscription", await self.until_said("no connection"))

    async def test_a_server_that_waits_too_long_for_us(self) -> None:
        server = self.serve('write_deadline: "200ms"\nmax_pending: 1000000\nmax_payload: 100000')
        receiver = await self.connected(server, holds=True, max_waiting=1000)
        with server.client() as client:
            large = [event("x" * 10000)] * 100
            while "Slow Consumer" not in server.log:
                client.publish_all("alex.a", large)
                client.flush()
                await deferLater(reactor, 0)
        self.sink.holds = False
        self.sink.commit()
        line = await self.until_said("because we were too slow")
        self.assertIn("messages may be lost", line)
        self.assertEqual(receiver.figures()["slow_consumer"], 1)
        self.publish(server, "a")
        await self.until(lambda: "a" in self.sink.texts)


class IdentityTests(NatsTestCase):
    """Who we are, and who the server is."""

    async def test_user_and_password(self) -> None:
        server = self.serve("authorization { user: u, password: secret }")
        self.receive(server, user="u", password="wrong", name="wrong")
        self.assertIn("Authorization Violation", await self.until_said("wrong: NATS"))
        (self.directory / "password").write_text("secret\n")
        await self.connected(server, user="u", password_file=str(self.directory / "password"))
        self.assertNotIn("secret", "\n".join(self.said()))

    async def test_a_bare_seed(self) -> None:
        key, other = Key(), Key()
        server = self.serve(f"authorization {{ users: [ {{ nkey: {key.public} }} ] }}")
        for name, each in (("good", key), ("bad", other)):
            (self.directory / name).write_text(each.seed)
        await self.connected(server, nkey_file=str(self.directory / "good"))
        self.receive(server, nkey_file=str(self.directory / "bad"), name="bad")
        self.assertIn("Authorization Violation", await self.until_said("bad: NATS"))

    async def test_credentials_which_are_read_anew_for_each_connection(self) -> None:
        operator, account, user = Key(14), Key(0), Key()
        limits = {"subs": -1, "data": -1, "payload": -1, "conn": -1, "leaf": -1, "imports": -1, "exports": -1}
        limits |= {"wildcards": True}
        server = self.serve(
            f'operator: "{operator.token(operator.public, "operator", "operator")}"\n'
            "resolver: MEMORY\n"
            f"resolver_preload {{ {account.public}: "
            f'"{operator.token(account.public, "account", "account", limits=limits)}" }}'
        )
        path = self.directory / "user.creds"

        def write(key: Key) -> None:
            token = account.token(key.public, "user", "user", subs=-1, data=-1, payload=-1)
            path.write_text(creds(token, user.seed))

        write(user)
        receiver = await self.connected(server, nkey_file=str(path))
        path.unlink()
        server.kill()
        server.start()
        await self.until_said("going on with what it had before")
        await self.until(lambda: receiver.figures()["reconnects"] == 1)
        write(Key())
        server.kill()
        server.start()
        await self.until_said("Authorization Violation")

    async def test_tls(self) -> None:
        certificates(self.directory)
        server = self.serve(
            f'tls {{ cert_file: "{self.directory}/server.pem", key_file: "{self.directory}/server.key" }}'
        )
        ca = str(self.directory / "ca.pem")
        receiver = await self.connected(server, tls_ca=ca)
        sink = self.sink
        self.receive(server, name="untrusting")
        self.assertIn("not signed by anybody we trust", await self.until_said("untrusting: NATS"))
        self.receive(server, name="elsewhere", tls_ca=ca, address="localhost")
        self.assertIn("certificate is for another name", await self.until_said("elsewhere: NATS"))
        with encrypted(socket.create_connection(("127.0.0.1", server.port)), ca) as client:
            client.sendall(b"CONNECT {}\r\nPUB alex.a %d\r\n%b\r\n" % (len(event("a")), event("a")))
            await self.until(lambda: sink.texts == ["a"])
        self.assertTrue(receiver.figures()["connected"])

    async def test_tls_with_a_certificate_of_our_own(self) -> None:
        certificates(self.directory)
        server = self.serve(
            f'tls {{ cert_file: "{self.directory}/server.pem", key_file: "{self.directory}/server.key",'
            f' ca_file: "{self.directory}/ca.pem", verify: true }}'
        )
        keys = {name: str(self.directory / f"{name}.pem") for name in ("ca", "client", "stranger")}
        keys |= {f"{name}_key": str(self.directory / f"{name}.key") for name in ("client", "stranger")}
        receiver = await self.connected(
            server, tls_ca=keys["ca"], tls_certificate=keys["client"], tls_key=keys["client_key"]
        )
        self.receive(
            server,
            name="stranger",
            tls_ca=keys["ca"],
            tls_certificate=keys["stranger"],
            tls_key=keys["stranger_key"],
        )
        await self.until_said("stranger: NATS")
        self.assertTrue(receiver.figures()["connected"])

    async def test_tls_from_the_first_byte_and_much_over_it(self) -> None:
        certificates(self.directory)
        tls = f'cert_file: "{self.directory}/server.pem", key_file: "{self.directory}/server.key"'
        user = "authorization { user: u, password: p }"
        server = self.serve(f"tls {{ {tls}, handshake_first: true }}\n{user}\nallow_non_tls: true")
        receiver = await self.connected(
            server, tls_ca=str(self.directory / "ca.pem"), tls_first=True, user="u", password="p"
        )
        self.assertTrue(receiver.figures()["connected"])

    async def test_a_server_without_tls_is_refused_if_tls_is_wanted(self) -> None:
        server = self.serve()
        self.receive(server, tls=True)
        self.assertIn("the server has no TLS", await self.until_said("no connection"))
