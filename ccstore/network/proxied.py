"""Connections by way of a load balancer, which says whose they are: the PROXY protocol, version 1 and 2.

See https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt. Twisted reads the headers; its own wrapper of
connections asks for the sender before the header is read, and closes what a balancer sends of its own accord.
"""

from __future__ import annotations

import ipaddress
from typing import Any, Final

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.protocols.haproxy._v1parser import V1Parser
from twisted.protocols.haproxy._v2parser import V2Parser
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure

from ccstore.logs import RateLimit, more_like_it
from ccstore.network.addresses import address_of

#: What an endpoint string begins with if connections have such a header.
PREFIX: Final = "haproxy:"
#: Seconds in which the header has to come, and between two warnings of one sender.
_IN_TIME: Final = 10.0
_WARN_EVERY: Final = 10.0

_V1, _V2 = b"PROXY ", V2Parser.PREFIX
#: Bytes of a header: the longest of version 1, and what all of version 2 begin with.
_V1_SIZE, _V2_SIZE = 107, 16


class HeaderError(Exception):
    """There is no header of the PROXY protocol, or a wrong one; the text says what is wrong."""


def read_header(data: bytes) -> tuple[IAddress | None, int] | None:
    """The header at the beginning of what a connection has sent.

    It is None as long as there has to come more. Else it is whose connection it is, or None if that is the
    balancer's own, and how many bytes the header has. Raises :class:`HeaderError`.
    """
    if _V1.startswith(data[: len(_V1)]):
        end = data.find(b"\r\n", 0, _V1_SIZE)
        if end >= 0:
            return _address(V1Parser, data[:end]), end + 2
        if len(data) >= _V1_SIZE:
            raise HeaderError("its first line is too long for a PROXY header")
        return None
    if _V2.startswith(data[: len(_V2)]):
        if len(data) < _V2_SIZE:
            return None
        size = _V2_SIZE + int.from_bytes(data[14:16], "big")
        return None if len(data) < size else (_address(V2Parser, data[:size]), size)
    raise HeaderError("it does not begin with a PROXY header")


def _address(parser: Any, header: bytes) -> IAddress | None:
    if header.startswith(b"PROXY UNKNOWN"):
        return None  # for Twisted's parser, more has to follow
    try:
        source: Any = parser.parse(header).source
        if not isinstance(source, (IPv4Address, IPv6Address)):
            return source  # type: ignore[no-any-return]
        # The parsers take any word for an address, and it goes into the log.
        host = str(ipaddress.ip_address(source.host))
        return (IPv6Address if ":" in host else IPv4Address)("TCP", host, source.port)
    except Exception:  # the parsers raise all sorts
        raise HeaderError("its PROXY header is wrong") from None


class _ProxiedConnection(ProtocolWrapper):
    """A connection, handed on to a protocol as soon as it is known whose it is."""

    def __init__(self, factory: ProxiedFactory) -> None:
        super().__init__(factory, Protocol())  # which does nothing, until it is known whose this is
        self._proxied = factory
        self._is_known = False
        self._head = b""
        self._source: IAddress | None = None
        self._too_late: IDelayedCall | None = None

    def makeConnection(self, transport: Any) -> None:
        super().makeConnection(transport)
        self._too_late = self._proxied.clock.callLater(
            _IN_TIME, self._refuse, HeaderError(f"no PROXY header came within {_IN_TIME:g} s")
        )

    def dataReceived(self, data: bytes) -> None:
        if self._is_known:
            self.wrappedProtocol.dataReceived(data)
            return
        if self._too_late is None:
            return  # refused, and not yet gone
        self._head += data
        try:
            header = read_header(self._head)
        except HeaderError as error:
            self._refuse(error)
            return
        if header is None:
            return
        self._stop_waiting()
        self._source, size = header
        rest, self._head = self._head[size:], b""
        protocol = self._proxied.wrappedFactory.buildProtocol(self.getPeer())
        if protocol is None:
            self.transport.abortConnection()  # type: ignore[union-attr]
            return
        self._is_known = True
        self.wrappedProtocol = protocol
        protocol.makeConnection(self)
        if rest:
            protocol.dataReceived(rest)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        # A balancer sees whether we are there by connecting, and may say nothing at all.
        if self._too_late is not None and self._head:
            self._proxied.failed(HeaderError("it ended in the middle of its PROXY header"), self)
        self._stop_waiting()
        super().connectionLost(reason)

    def getPeer(self) -> IAddress:
        """Whose connection it is."""
        return super().getPeer() if self._source is None else self._source

    @property
    def bufferSize(self) -> int:
        """How much is read in one go, which protocols set."""
        return self.transport.bufferSize  # type: ignore[union-attr,no-any-return]

    @bufferSize.setter
    def bufferSize(self, size: int) -> None:
        self.transport.bufferSize = size  # type: ignore[union-attr]

    def _refuse(self, error: HeaderError) -> None:
        self._stop_waiting()
        self._proxied.failed(error, self)
        self.transport.loseConnection()  # type: ignore[union-attr]

    def _stop_waiting(self) -> None:
        if self._too_late is not None:
            if self._too_late.active():
                self._too_late.cancel()
            self._too_late = None


class ProxiedFactory(WrappingFactory[Any]):
    """Hands connections on to another factory as those of whom their headers name.

    :param what: who listens, for the log.
    :ivar failures: connections without a header that can be read.
    """

    noisy = False
    log = Logger()

    def __init__(self, factory: Factory[Any], clock: IReactorTime, what: str) -> None:
        super().__init__(factory)
        self.clock = clock
        self.failures = 0
        self._what = what
        self._warnings = RateLimit(clock, _WARN_EVERY)

    def buildProtocol(self, addr: IAddress | None) -> _ProxiedConnection:
        return _ProxiedConnection(self)

    def failed(self, error: HeaderError, connection: Any) -> None:
        """Count a connection, and say so now and then."""
        self.failures += 1
        sender = address_of(connection.transport.getPeer())
        suppressed = self._warnings.check((str(error), sender.rpartition(":")[0]))
        if suppressed is not None:
            self.log.warn(
                "{what}: {sender}: closed the connection: {error}; only a load balancer that sends it should"
                " connect here{more}",
                what=self._what,
                sender=sender,
                error=error,
                more=more_like_it(suppressed),
            )
