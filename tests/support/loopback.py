"""Both ends of connections: a reactor without a network, and clients of a real one."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.testing import MemoryReactorClock, StringTransportWithDisconnection
from twisted.python.failure import Failure

#: A moment for clocks that are set by hand, in seconds since the epoch.
NOW = 1_700_000_000


class Loopback(MemoryReactorClock):
    """A reactor without a network: whoever connects gets a transport that only remembers.

    :ivar passes: seconds that pass whenever anybody looks at the clock.
    """

    def __init__(self) -> None:
        super().__init__()
        self.passes = 0.0
        self.udpPorts: list[DatagramPort] = []
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

    def listenUDP(self, port: int, protocol: Any, interface: str = "", maxPacketSize: int = 8192) -> Any:
        """A port that nothing comes to by itself."""
        self.udpPorts.append(DatagramPort(interface, port))
        return self.udpPorts[-1]

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


class DatagramPort:
    """A port for datagrams that remembers whether it is read.

    :ivar pauses: how often it was not.
    """

    def __init__(self, interface: str, port: int) -> None:
        self.is_paused = False
        self.pauses = 0
        self._address = IPv4Address("UDP", interface or "0.0.0.0", port)

    def pauseProducing(self) -> None:
        """Read no more."""
        self.is_paused = True
        self.pauses += 1

    def resumeProducing(self) -> None:
        """Read on."""
        self.is_paused = False

    def getHost(self) -> IPv4Address:
        """Where it is."""
        return self._address

    def getHandle(self) -> DatagramPort:
        """A socket, whose buffer is as large as one may wish."""
        return self

    def setsockopt(self, level: int, option: int, value: int) -> None:
        """Take any option."""
        self._value = value

    def getsockopt(self, level: int, option: int) -> int:
        """Twice the last option, as the kernel has it for buffers."""
        return 2 * self._value

    def fileno(self) -> int:
        """A descriptor that is none of a socket."""
        return 0


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
        self.reason: Failure | None = None
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
        self.reason = reason
        self.closed.callback(None)

    def until(self, part: bytes) -> Deferred[bytes]:
        """Wait for this part of what comes."""
        waiter: Deferred[bytes] = Deferred()
        if part in self.received:
            waiter.callback(self.received)
        else:
            self._wanted.append((part, waiter))
        return waiter
