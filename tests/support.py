"""What several tests need: a sink that only listens, configurations in one line, and clients."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.testing import MemoryReactorClock, StringTransportWithDisconnection
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from ccstore.accounting.account import Account, Origin
from ccstore.config import Config, load_config
from ccstore.interfaces import IMessageSink, Refusal, StoreUnavailable
from ccstore.message import Batch, Message
from ccstore.pipeline.intake import Intake

#: A moment for clocks that are set by hand, in seconds since the epoch.
NOW = 1_700_000_000
_NOBODY = 65534


def scratch(case: SynchronousTestCase) -> Path:
    """A directory that lives as long as the test, and that every user may enter."""
    directory = Path(tempfile.mkdtemp(prefix="ccstore-"))
    case.addCleanup(shutil.rmtree, directory)
    directory.chmod(0o755)
    return directory


@contextmanager
def as_somebody_else() -> Iterator[None]:
    """As a user whom file permissions bind, which they do not if the tests run as root."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)


def event(text: str, *, host: str = "a0101", cluster: str | None = "alex", time: int | str = "") -> bytes:
    """An event as a line, without its newline."""
    tags = f",cluster={cluster}" if cluster else ""
    return f'job{tags},hostname={host} event="{text}" {time}'.strip().encode()


def load(directory: Path, **parts: Mapping[str, Any]) -> Config:
    """A checked configuration; the database lies in the directory, and the REST interface has any port."""
    return load_config(write_config(directory, **parts), cwd=directory, environ={})


def write_config(directory: Path, **parts: Mapping[str, Any]) -> Path:
    """The file for :func:`load`."""
    backend = {"type": "sqlite", "database_path": str(directory / "ccstore.db")}
    content = {
        "receivers": parts.get("receivers", {}),
        "storage": {"backend": backend, **parts.get("storage", {})},
        "api": {"address": "127.0.0.1", "port": 0, **parts.get("api", {})},
    }
    path = directory / "ccstore.json"
    path.write_text(json.dumps(content))
    return path


def receiver_config(directory: Path, kind: str, **keys: Any) -> Any:
    """The configuration of one receiver on any port of the loopback."""
    if "endpoint" not in keys:
        keys = {"address": "127.0.0.1", "port": 0, **keys}
    return load(directory, receivers={kind: {"type": kind, **keys}}).receivers[0]


def intake_for(config: Any, kind: str, sink: FakeSink, clock: Any) -> Intake:
    """The intake as the daemon makes it for a receiver."""
    return Intake(
        config.name,
        kind,
        sink,
        clock,
        cluster=config.cluster,
        precision=config.precision,
        max_line_length=getattr(config, "max_line_length", None),
    )


@implementer(IMessageSink)
class FakeSink:
    """Remembers what it is given and keeps the books; commits at once, or when it is told to.

    :param holds: wait for :meth:`commit`.
    """

    def __init__(self, *, holds: bool = False) -> None:
        self.holds = holds
        self.failure: StoreUnavailable | None = None
        self.refuses: Callable[[Message], str | None] = lambda message: None
        self.messages: list[Message] = []
        self.origins: list[Origin] = []
        self.flushes = 0
        self.announced: list[list[Batch]] = []
        self._waiting: list[tuple[Deferred[Sequence[Refusal]], Account, Sequence[Message]]] = []

    @property
    def texts(self) -> list[str]:
        return [message.text for message in self.messages]

    def accept(self, messages: Batch, origin: Origin, *, urgent: bool) -> Deferred[Sequence[Refusal]]:
        """See :meth:`IMessageSink.accept`."""
        origin.account.accept(len(messages))
        self.messages += messages
        self.origins.append(origin)
        committed: Deferred[Sequence[Refusal]] = Deferred()
        self._waiting.append((committed, origin.account, messages))
        if not self.holds:
            self.commit()
        return committed

    def announce(self, parts: Sequence[Batch], origin: Origin) -> None:
        """See :meth:`IMessageSink.announce`."""
        self.announced.append([*parts])

    def flush(self) -> None:
        """See :meth:`IMessageSink.flush`."""
        self.flushes += 1

    def commit(self) -> None:
        """Commit everything that waits, or fail to."""
        waiting, self._waiting = self._waiting, []
        for committed, account, messages in waiting:
            if self.failure is not None:
                account.lose("store_unavailable", len(messages))
                committed.errback(self.failure)
                continue
            reasons = [(index, self.refuses(message)) for index, message in enumerate(messages)]
            refusals = [Refusal(index, reason) for index, reason in reasons if reason is not None]
            account.store(len(messages) - len(refusals))
            for _ in refusals:
                account.refuse("refused_by_store")
            committed.callback(refusals)


class Loopback(MemoryReactorClock):
    """A reactor without a network: whoever connects gets a transport that only remembers.

    :ivar passes: seconds that pass whenever anybody looks at the clock.
    """

    def __init__(self) -> None:
        super().__init__()
        self.passes = 0.0
        self.advance(NOW)

    def seconds(self) -> float:
        self.rightNow += self.passes
        return float(self.rightNow)

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        """Listen on an address as a real reactor does; the one of Twisted takes all for 0.0.0.0."""
        listening: Any = super().listenTCP(port, factory, backlog, interface)
        kind = IPv6Address if ":" in interface else IPv4Address
        listening._hostAddress = kind("TCP", interface or "0.0.0.0", port)
        listening.factory = factory  # as a real port knows it
        return listening

    def turn(self) -> None:
        """Call what is due now, and not what that calls later."""
        for call in [call for call in self.calls if call.getTime() <= self.rightNow]:
            self.calls.remove(call)
            call.called = True
            call.func(*call.args, **call.kw)

    def connect(self, host: str = "10.0.0.1", port: int = 40000) -> tuple[Any, Wire]:
        """A connection to the port that was opened last: its protocol and its transport."""
        wire = Wire(host, port)
        protocol = self.tcpServers[-1][1].buildProtocol(wire.getPeer())
        wire.protocol = protocol
        protocol.makeConnection(wire)
        return protocol, wire


class Wire(StringTransportWithDisconnection):
    """A transport in memory that may be closed twice, as a real one."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(IPv4Address("TCP", "127.0.0.1", 8094), IPv4Address("TCP", host, port), lenient=True)
        self.disconnecting = False

    def lose(self, reason: Exception) -> None:
        """The other side goes away."""
        self.connected = False
        self.protocol.connectionLost(Failure(reason))

    @property
    def is_paused(self) -> bool:
        return self.producerState == "paused"


class Client(Protocol):
    """The other end of a real connection: what came, and when it ended."""

    def __init__(self) -> None:
        self.received = b""
        self.closed: Deferred[None] = Deferred()
        self._wanted: list[tuple[bytes, Deferred[bytes]]] = []

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        for wanted in list(self._wanted):
            if wanted[0] in self.received:
                self._wanted.remove(wanted)
                wanted[1].callback(self.received)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        for _, waiter in self._wanted:
            waiter.errback(reason)
        self.closed.callback(None)

    def until(self, part: bytes) -> Deferred[bytes]:
        """Wait for this part of what comes."""
        waiter: Deferred[bytes] = Deferred()
        if part in self.received:
            waiter.callback(self.received)
        else:
            self._wanted.append((part, waiter))
        return waiter


_PLACE = re.compile(r"(?:line protocol over (TCP|UDP|HTTP)|(REST)) on \S+:([0-9]+)(?![0-9])")


def ports_in(text: str) -> dict[str, int]:
    """The ports that the log names, by TCP, UDP, HTTP and REST."""
    return {line or rest: int(port) for line, rest, port in _PLACE.findall(text)}


def port_in(place: str) -> int:
    """The port in what a receiver says about where it listens."""
    (port,) = ports_in(place).values()
    return port
