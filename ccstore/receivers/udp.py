"""Line protocol over UDP: one or many lines per datagram; what cannot be taken is dropped, and counted."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from typing import Any, NamedTuple

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
from ccstore.pipeline.joint import plain_together
from ccstore.pipeline.scheduler import LEAST_PIECE

#: More than any datagram has.
_MAX_DATAGRAM = 65536
#: Bytes that are read in a turn of the reactor.
_READ = 65536
#: Datagrams read in one go from which on more will come at once, and seconds for which those are left to the
#: kernel: to read a few costs nearly as much as to read a hundred.
_MANY, _GATHER = 4, 0.002
#: Bytes of the kernel's buffer without which they are not left there.
_ROOM = 1 << 20
#: Seconds between two looks at the kernel's counter.
_LOOK_EVERY = 10.0
#: Seconds that decoding may take at the stop.
_STOP = 5.0
_KERNEL_TABLES = (Path("/proc/net/udp"), Path("/proc/net/udp6"))


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


@implementer(IReceiver)
class UdpReceiver(Service):
    """See the module.

    :param max_waiting: messages that may wait to be stored, above which datagrams are dropped.
    :param max_waiting_size: the same in bytes.
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
    ) -> None:
        self.setName(config.name)
        self.intake = intake
        self.account = intake.account
        self._config = config
        self._reactor = reactor
        self._max_waiting = max_waiting
        self._max_waiting_size = max_waiting_size
        self._waiting_size = 0
        self._decoder = intake.decoder()
        self._port: Port | None = None
        self._former: list[Port] = []
        self._place: tuple[str, int] | None = None  # for which the port is open
        self._is_reading = True
        self._datagrams = 0
        self._read = self._read_size = 0  # datagrams, and their bytes, since they were last handed over
        self._resume: IDelayedCall | None = None
        self._has_room = True  # in the kernel's buffer, for what comes meanwhile
        self._kernel_drops: int | None = None
        self._drops_of_closed = 0  # of ports that were left
        self._looked_at = 0.0
        self._gathered: list[tuple[bytes, _Node]] = []  # datagrams that were read in one go
        self._offset = 0  # into the first of them, up to which it is decoded

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
        port.maxThroughput = _READ
        if self._port is not None:
            self._former.append(self._port)
        self._port, self._place = port, (config.address, config.port)
        self._is_reading = True
        self._widen(port.getHandle())
        return f"line protocol over UDP on {where(port)}"

    def reconfigure(self, config: UdpReceiverConfig, limits: Limits) -> bool:
        """See :meth:`IReceiver.reconfigure`."""
        before, self._config = self._config, config
        self._max_waiting, self._max_waiting_size = limits.messages, limits.size
        self.intake.set_decoder(self._decoder)
        if self._port is None or self._place != (config.address, config.port):
            return False
        if before.receive_buffer != config.receive_buffer:
            self._widen(self._port.getHandle())
        return True

    async def leave(self) -> None:
        """See :meth:`IReceiver.leave`: what the kernel holds for us is read first."""
        former, self._former = self._former, []
        for port in former:
            await self._close(port)

    def _widen(self, handle: socket.socket) -> None:
        """Ask for the receive buffer that is configured, and say if the system gives less."""
        wanted = self._config.receive_buffer
        try:
            # Only root may go beyond net.core.rmem_max.
            handle.setsockopt(socket.SOL_SOCKET, getattr(socket, "SO_RCVBUFFORCE", 33), wanted)
        except OSError as error:
            if error.errno != errno.EPERM:
                raise
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, wanted)
        given = handle.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2  # the kernel tells twice of it
        self._has_room = given >= _ROOM
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
        if self._resume is not None:
            self._resume.cancel()
            self._resume = None
        await self.leave()
        await self._close(port)

    async def _close(self, port: Port) -> None:
        # A turn reads only so much, and a sender that never pauses must not hold up the stop.
        for _ in range(2 * self._config.receive_buffer // port.maxThroughput + 1):
            before = self._datagrams
            port.doRead()
            self._hand_over(_STOP)
            if self._datagrams == before:
                break
        self._look_at_kernel(port)
        self._drops_of_closed += kernel_drops(port.getHandle()) or 0
        await port.stopListening()

    async def drain(self) -> None:
        """See :meth:`IReceiver.drain`; nothing is left to do."""

    def figures(self) -> Figures:
        """See :meth:`IReceiver.figures`."""
        if self._port is not None:
            self._look_at_kernel(self._port)
        return Figures(
            kernel_drops=counter(
                self._kernel_drops, "Datagrams that the kernel dropped, since the receive buffer was full."
            )
        )

    def _look_at_kernel(self, port: Port) -> None:
        """See what the kernel had no room for, and say so."""
        self._looked_at = self.intake.clock.seconds()
        before, drops = self._kernel_drops, kernel_drops(port.getHandle())
        self._kernel_drops = None if drops is None else self._drops_of_closed + drops
        if self._kernel_drops and self._kernel_drops > (before or 0):
            self.intake.warn(
                "kernel",
                self.account.name,
                f"the kernel has dropped {self._kernel_drops} datagrams so far, the receive buffer was full",
            )

    # -- datagrams

    def take(self, datagram: bytes, addr: Any) -> None:
        """Take in one datagram."""
        self._datagrams += 1
        self._read += 1
        self._read_size += len(datagram)
        if not datagram:
            return
        if not self._gathered:
            self._reactor.callLater(0, self._hand_over)
        self._gathered.append((datagram, _Node(addr[0], addr[1])))

    def _hand_over(self, seconds: float | None = None) -> None:
        """Decode and pass on the datagrams that were read in one go, as far as there is time."""
        if self._port is not None and self.intake.clock.seconds() - self._looked_at > _LOOK_EVERY:
            self._look_at_kernel(self._port)
        # A datagram of which a part is decoded goes before what came after it.
        together = None if self._offset else plain_together(self._decoder, self._gathered, self.intake.now())
        if together is not None:
            size = sum([len(datagram) for datagram, _ in self._gathered])
            self._gathered = []
            self._accept(*together, size)
        else:
            self._accept(*self._decode(self.intake.pace.share(self) if seconds is None else seconds))
        may_gather = self._has_room and self._read >= _MANY and self._read_size < _READ
        self._read = self._read_size = 0
        if self._gathered:
            # Read no more before there is time for it; meanwhile the kernel's buffer takes it.
            self._reactor.callLater(0, self._hand_over)
            self._set_reading(False)
        elif may_gather and self._port is not None:
            self._set_reading(False)
            self._resume = self._reactor.callLater(_GATHER, self._read_on)
        else:
            self._set_reading(True)

    def _read_on(self) -> None:
        self._resume = None
        self._set_reading(True)

    def _set_reading(self, is_reading: bool) -> None:
        if self._port is not None and is_reading != self._is_reading:
            self._is_reading = is_reading
            self._port.resumeProducing() if is_reading else self._port.pauseProducing()

    def _decode(self, seconds: float) -> tuple[Batch, list[str], int]:
        """Decode piece by piece as far as there is time; the messages, the host of each, and the bytes."""
        clock = self.intake.clock
        end = clock.seconds() + seconds
        messages, hosts, size, done = Batch(), list[str](), 0, 0
        while done < len(self._gathered) and clock.seconds() <= end:
            datagram, node = self._gathered[done]
            piece = datagram[self._offset : self._offset + LEAST_PIECE]
            self._offset += len(piece)
            size += len(piece)
            now = self.intake.now()
            decoded = self._decoder.feed(piece, now)
            if self._offset == len(datagram):
                rest = self._decoder.finish(now)
                decoded.errors.extend(rest.errors)
                decoded.messages.extend(rest.messages)
                self._offset = 0
                done += 1
            self.intake.reject(decoded.errors, f"{node.host}:{node.port}")
            messages.extend(decoded.messages)
            hosts += [node.host] * len(decoded.messages)
        self._gathered = self._gathered[done:]
        return messages, hosts, size

    def _accept(self, messages: Batch, hosts: list[str], size: int) -> None:
        room = self._max_waiting - self.account.waiting
        if room < 0 or (self._waiting_size and self._waiting_size + size > self._max_waiting_size):
            room = 0
        if len(messages) > room:
            self.account.drop("overload", len(messages) - room)
            samples, now = self.account.samples, self.intake.now()
            if samples.wants("overload", now):
                samples.add("dropped", "overload", hosts[room], now)
            self.intake.warn("overload", hosts[room], "dropped lines: too much is waiting to be stored")
            messages, hosts = messages[:room], hosts[:room]
        if not messages:
            return
        self._waiting_size += size

        def done(result: object) -> None:
            self._waiting_size -= size

        committed = self.intake.accept(messages, self.intake.origin("", senders=hosts), urgent=False)
        committed.addErrback(self._not_stored)
        committed.addBoth(done)

    def _not_stored(self, failure: Failure) -> None:
        self.intake.warn(
            "lost", self.account.name, f"messages could not be stored: {failure.getErrorMessage()}"
        )


def kernel_drops(handle: socket.socket) -> int | None:
    """Datagrams the kernel dropped because the receive buffer was full; None where it does not tell.

    See the columns of ``/proc/net/udp``: the tenth is the socket's inode, the last the drops.
    """
    inode = str(os.fstat(handle.fileno()).st_ino)
    for table in _KERNEL_TABLES:
        try:
            lines = table.read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            columns = line.split()
            if len(columns) > 12 and columns[9] == inode:
                return int(columns[-1])
    return None
