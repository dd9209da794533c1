"""Line protocol over UDP: one or many lines per datagram; what cannot be taken is dropped, and counted."""

from __future__ import annotations

import errno
import socket
from typing import Any, Final, NamedTuple

from attrs import frozen
from twisted.application.service import Service
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.udp import Port
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ccstore.accounting.figures import Figures, counter
from ccstore.batch import Batch
from ccstore.config import UdpReceiverConfig
from ccstore.interfaces import IReceiver, Limits
from ccstore.network.listening import ListenError, where, why
from ccstore.pipeline.intake import Intake
from ccstore.pipeline.piecewise import MessageQueue, PieceSizes
from ccstore.pipeline.scheduler import LEAST_PIECE
from ccstore.receivers.kernel_drops import KernelDrops

#: More than any datagram has.
_MAX_DATAGRAM: Final = 65536
#: Seconds that decoding may take at the stop.
_STOP: Final = 5.0
#: The next datagram may be somebody else's: that this one was right says nothing of it.
_PIECES: Final = PieceSizes(LEAST_PIECE, LEAST_PIECE, LEAST_PIECE)


@frozen
class GatherLimits:
    """When datagrams are left to the kernel for a moment: to read a few costs nearly as much as a hundred.

    :ivar read: bytes that are read in a turn of the reactor.
    :ivar many: datagrams read in one go from which on more will come at once.
    :ivar seconds: for which those are left to the kernel.
    :ivar room: bytes of the kernel's buffer without which they are not left there.
    """

    read: int = 65536
    many: int = 4
    seconds: float = 0.002
    room: int = 1 << 20


class _Node(NamedTuple):
    host: str
    port: int

    def pass_over(self, lines: bytes) -> None:
        """See :class:`ccstore.pipeline.joint.Sender`; datagrams do not go on."""


class _LineDatagrams(DatagramProtocol):
    noisy = False

    def __init__(self, receiver: UdpReceiver) -> None:
        self._receiver = receiver

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self._receiver.take(datagram, addr)


class _OpenPort:
    """A port that is open, and whether it is read.

    :ivar place: for which it was opened.
    :ivar is_reading: False while what comes is left to the kernel.
    """

    def __init__(self, port: Port, place: tuple[str, int], reactor: Any, limits: GatherLimits) -> None:
        self.port = port
        self.place = place
        self.is_reading = True
        self._reactor = reactor
        self._limits = limits
        self._has_room = True  # in the kernel's buffer, for what comes meanwhile
        self._resume: IDelayedCall | None = None
        port.maxThroughput = limits.read

    def widen(self, wanted: int) -> int:
        """Ask for a receive buffer of so many bytes; how many the system gives."""
        handle = self.port.getHandle()
        try:
            # Only root may go beyond net.core.rmem_max.
            handle.setsockopt(socket.SOL_SOCKET, getattr(socket, "SO_RCVBUFFORCE", 33), wanted)
        except OSError as error:
            if error.errno != errno.EPERM:
                raise
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, wanted)
        # The kernel tells twice of it.
        given: int = handle.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
        self._has_room = given >= self._limits.room
        return given

    def set_reading(self, is_reading: bool) -> None:
        """Read, or leave what comes to the kernel."""
        if is_reading != self.is_reading:
            self.is_reading = is_reading
            self.port.resumeProducing() if is_reading else self.port.pauseProducing()

    def read_on(self, datagrams: int, size: int) -> None:
        """Read on, at once or in a moment: so many came in one go, so many bytes of them."""
        if self._has_room and datagrams >= self._limits.many and size < self._limits.read:
            self.set_reading(False)
            self._resume = self._reactor.callLater(self._limits.seconds, self._read_again)
        else:
            self.set_reading(True)

    def _read_again(self) -> None:
        self._resume = None
        self.set_reading(True)

    def stop_gathering(self) -> None:
        """It is about to be closed."""
        if self._resume is not None:
            self._resume.cancel()
            self._resume = None


class _Overflow:
    """Hands messages over as long as there is room for what waits, and drops the others."""

    def __init__(self, intake: Intake, limits: Limits) -> None:
        self.limits = limits
        self._intake = intake
        self._size = 0  # bytes that wait to be stored

    def accept(self, messages: Batch, hosts: list[str], size: int) -> None:
        """Hand over what came in so many bytes, from these hosts."""
        account = self._intake.account
        room = self.limits.messages - account.waiting
        if room < 0 or (self._size and self._size + size > self.limits.size):
            room = 0
        if len(messages) > room:
            account.drop("overload", len(messages) - room)
            samples, now = account.samples, self._intake.now()
            if samples.wants("overload", now):
                samples.add("dropped", "overload", hosts[room], now)
            self._intake.warn("overload", hosts[room], "dropped lines: too much is waiting to be stored")
            messages, hosts = messages[:room], hosts[:room]
        if not messages:
            return
        self._size += size

        def done(result: object) -> None:
            self._size -= size

        committed = self._intake.accept(messages, self._intake.origin("", senders=hosts), urgent=False)
        committed.addErrback(self._not_stored)
        committed.addBoth(done)

    def _not_stored(self, failure: Failure) -> None:
        self._intake.warn(
            "lost", self._intake.account.name, f"messages could not be stored: {failure.getErrorMessage()}"
        )


@implementer(IReceiver)
class UdpReceiver(Service):
    """See the module.

    :param max_waiting: messages that may wait to be stored, above which datagrams are dropped.
    :param max_waiting_size: the same in bytes.
    :param gathering: when datagrams are left to the kernel for a moment.
    """

    log = Logger()

    def __init__(
        self,
        config: UdpReceiverConfig,
        intake: Intake,
        reactor: Any,
        *,
        max_waiting: int,
        max_waiting_size: int,
        gathering: GatherLimits | None = None,
    ) -> None:
        self.setName(config.name)
        self.intake = intake
        self.account = intake.account
        self._config = config
        self._reactor = reactor
        self._gathering = gathering or GatherLimits()
        self._overflow = _Overflow(intake, Limits(max_waiting, max_waiting_size))
        self._drops = KernelDrops(intake)
        self._queue: MessageQueue[_Node] = MessageQueue(intake, _PIECES)
        self._port: _OpenPort | None = None
        self._former: list[_OpenPort] = []
        self._read = self._read_size = 0  # datagrams, and their bytes, since they were last handed over

    @property
    def is_reading(self) -> bool:
        """Whether what comes is read, or left to the kernel for the time being."""
        return self._port is not None and self._port.is_reading

    # -- IReceiver

    def listen(self) -> str:
        """See :meth:`IReceiver.listen`."""
        config = self._config
        try:
            port = self._reactor.listenUDP(
                config.port, _LineDatagrams(self), interface=config.address, maxPacketSize=_MAX_DATAGRAM
            )
        except CannotListenError as error:
            raise ListenError(
                f"receiver {config.name!r}: cannot listen on UDP {config.address or '*'}:{config.port}: "
                f"{why(error)}"
            ) from None
        if self._port is not None:
            self._former.append(self._port)
        self._port = _OpenPort(port, (config.address, config.port), self._reactor, self._gathering)
        self._widen(self._port)
        return f"line protocol over UDP on {where(port)}"

    def reconfigure(self, config: UdpReceiverConfig, limits: Limits) -> bool:
        """See :meth:`IReceiver.reconfigure`."""
        before, self._config = self._config, config
        self._overflow.limits = limits
        self._queue.reconfigure()
        if self._port is None or self._port.place != (config.address, config.port):
            return False
        if before.receive_buffer != config.receive_buffer:
            self._widen(self._port)
        return True

    async def leave(self) -> None:
        """See :meth:`IReceiver.leave`: what the kernel holds for us is read first."""
        former, self._former = self._former, []
        for port in former:
            await self._close(port)

    def _widen(self, port: _OpenPort) -> None:
        """Ask for the receive buffer that is configured, and say if the system gives less."""
        wanted = self._config.receive_buffer
        given = port.widen(wanted)
        if given < wanted:
            self.log.warn(
                "{name}: the receive buffer has {given} bytes instead of {wanted}: raise net.core.rmem_max",
                name=self.name,
                given=given,
                wanted=wanted,
            )

    async def stop_listening(self) -> None:
        """See :meth:`IReceiver.stop_listening`: what the kernel holds for us is read first."""
        if self._port is None:
            return
        port, self._port = self._port, None
        await self.leave()
        await self._close(port)

    async def _close(self, opened: _OpenPort) -> None:
        opened.stop_gathering()
        port = opened.port
        # A turn reads only so much, and a sender that never pauses must not hold up the stop.
        for _ in range(2 * self._config.receive_buffer // port.maxThroughput + 1):
            port.doRead()
            has_read = bool(self._read)
            self._hand_over(_STOP)
            if not has_read:
                break
        self._drops.leave(port.getHandle())
        await port.stopListening()

    async def drain(self) -> None:
        """See :meth:`IReceiver.drain`; nothing is left to do."""

    def figures(self) -> Figures:
        """See :meth:`IReceiver.figures`."""
        if self._port is not None:
            self._drops.look(self._port.port.getHandle())
        return Figures(
            kernel_drops=counter(
                self._drops.count, "Datagrams that the kernel dropped, since the receive buffer was full."
            )
        )

    # -- datagrams

    def take(self, datagram: bytes, addr: Any) -> None:
        """Take in one datagram."""
        self._read += 1
        self._read_size += len(datagram)
        if not datagram:
            return
        unread = self._queue.unread
        if not unread:
            self._reactor.callLater(0, self._hand_over)
        unread.append((datagram, _Node(addr[0], addr[1])))

    def _hand_over(self, seconds: float | None = None) -> None:
        """Decode and pass on the datagrams that were read in one go, as far as there is time."""
        port, queue = self._port, self._queue
        if port is not None:
            self._drops.look_now_and_then(port.port.getHandle())
        unread = queue.unread
        together = queue.together()
        if together is not None:
            self._overflow.accept(*together, sum([len(datagram) for datagram, _ in unread]))
        else:
            self._read_in_pieces(self.intake.scheduler.share(self) if seconds is None else seconds)
        if queue.unread:
            # Read no more before there is time for it; meanwhile the kernel's buffer takes it.
            self._reactor.callLater(0, self._hand_over)
            if port is not None:
                port.set_reading(False)
        elif port is not None:
            port.read_on(self._read, self._read_size)
        self._read = self._read_size = 0

    def _read_in_pieces(self, seconds: float) -> None:
        messages, hosts, size = Batch(), list[str](), 0
        for part in self._queue.in_pieces(seconds):
            node, decoded = part.sender, part.decoded
            self.intake.reject(decoded.errors, f"{node.host}:{node.port}")
            messages.extend(decoded.messages)
            hosts += [node.host] * len(decoded.messages)
            size += part.size
        self._overflow.accept(messages, hosts, size)
