"""``ccstore send``: one event or log, or line protocol from standard input."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Sequence
from typing import Any, Final, cast

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.python.usage import UsageError

from ccstore.client.cutting import Body, Cutter, read
from ccstore.client.progress import Progress, size_of
from ccstore.client.server import Answer, Server, ServerOptions, Unreachable, Vanished, connect
from ccstore.client.session import DONE, FAILED, ClientError, print_json, run
from ccstore.client.tally import Tally
from ccstore.client.terminal import say
from ccstore.commands.description import NAME, NUMBER, TEXT, TIME, Value, choice
from ccstore.commands.options import parse
from ccstore.instants import parse_moment
from ccstore.lineprotocol import NANOSECONDS, Precision, encode
from ccstore.message import Message, Series
from ccstore.timing import Backoff, nanoseconds

#: Seconds to wait before another try, if the server does not say; and at most, whatever it says.
_RETRY_FIRST, _RETRY_MOST = 1.0, 60.0
_OF_NATS: Final = ("subject", "username", "password", "nkeyfile", "server", "port")


class Options(ServerOptions):
    """The options of ``ccstore send``."""

    command = "send"
    problem = "rejected lines"
    synopsis = "--cluster NAME --event TEXT|--log TEXT [options]\n[options] < LINES"
    longdesc = (
        "Sends one event or log. Without --event and --log, sends line protocol from standard input, in "
        "pieces that are answered when they are committed. A piece that the store cannot take now is sent "
        "again; one whose answer is lost is not, but reported.\n\n"
        f"The options {', '.join(f'-{name}' for name in _OF_NATS)} of cc-event-client are taken, and "
        "ignored: NATS is not used."
    )
    hidden = _OF_NATS
    optParameters = [
        ["cluster", None, None, "The cluster; of lines that name none, if they come from standard input."],
        ["name", None, "myevent", "The name (measurement)."],
        ["event", None, None, "The text of an event."],
        ["log", None, None, "The text of a log."],
        ["hostname", None, None, "The host it is about; else this one."],
        ["time", None, None, "When it happened: -5m (ago), 2026-01-31T12:00:00Z, Unix seconds; else now."],
        ["precision", None, "auto", "The unit of timestamps in standard input; auto goes by their size."],
        ["retries", None, "10", "How often to try again what the store cannot take now."],
        *[[name, None, None, "Ignored."] for name in _OF_NATS],
    ]
    optFlags = [["print", "p", "Print the line, and do not send it."]]
    option_values = {
        "cluster": NAME,
        "name": NAME,
        "event": TEXT,
        "log": TEXT,
        "hostname": NAME,
        "time": TIME,
        "tag": Value("KEY=VALUE"),
        "precision": choice(*NANOSECONDS),
        "retries": NUMBER,
    }

    def __init__(self) -> None:
        super().__init__()
        self.tags: dict[str, str] = {}

    def opt_tag(self, text: str) -> None:
        """A further tag, KEY=VALUE; may be given several times."""
        key, equals, value = text.partition("=")
        if not (key and equals and value):
            raise UsageError(f"--tag: expected KEY=VALUE, got {text!r}")
        self.tags[key] = value

    def postOptions(self) -> None:
        """Check what can be checked by itself."""
        super().postOptions()
        if self["precision"] not in NANOSECONDS:
            raise UsageError(
                f"--precision: expected one of {', '.join(NANOSECONDS)}, got {self['precision']!r}"
            )
        if not self["retries"].isdecimal() or len(self["retries"]) > 6:
            raise UsageError(f"--retries: expected a number, got {self['retries']!r}")
        if self["event"] is not None and self["log"] is not None:
            raise UsageError("only one of --event and --log")
        if self.is_single:
            if not self["cluster"]:
                raise UsageError("--cluster: the name of the cluster is needed")
        else:
            for option in ("time", "hostname", "tag", "print"):
                if self.tags if option == "tag" else self[option]:
                    raise UsageError(f"--{option}: only with --event or --log")

    @property
    def is_single(self) -> bool:
        """Whether it is one message, and not lines from standard input."""
        return self["event"] is not None or self["log"] is not None

    def line(self, now: float) -> bytes:
        """The one message as a line. Raises :class:`ClientError` if it cannot be one."""
        kind = "log" if self["event"] is None else "event"
        tags = {"cluster": self["cluster"], "hostname": self["hostname"] or socket.gethostname(), **self.tags}
        try:
            moment = nanoseconds(now)
            if self["time"] is not None:
                moment = parse_moment(self["time"], moment)
            series = Series(self["name"], tags, "log" if kind == "log" else "event")
            return encode([Message.of(series, {kind: self[kind]}, moment)])
        except ValueError as error:
            raise ClientError(f"{error}") from None


class Stopped(ClientError):
    """Nothing more can be sent."""


class Sender:
    """Sends bodies one after the other.

    :param clock: as IReactorTime.
    :param tell: says something to whoever waits.
    :ivar tally: what became of the lines.
    """

    def __init__(self, server: Server, clock: Any, options: Options, tell: Any) -> None:
        self._server = server
        self._clock = clock
        self._retries = int(options["retries"])
        self._params = {"precision": options["precision"]}
        if options["cluster"] and not options.is_single:
            self._params["cluster"] = options["cluster"]
        self._tell = tell
        self._has_answered = False
        self._in_hand: Body | None = None
        self._is_waiting = False
        self.tally = Tally()

    async def send(self, body: Body) -> None:
        """Send a body until it is answered. Raises :class:`ClientError` if no more can be sent."""
        self._in_hand = body
        await self._send(body)
        self._in_hand = None

    def interrupt(self) -> None:
        """Note that there will be no answer any more."""
        if self._in_hand is not None:
            fate = "they are not stored" if self._is_waiting else "they may be stored or not"
            self.tally.fail(self._in_hand, f"interrupted before the answer; {fate}")

    async def _send(self, body: Body) -> None:
        tries = 0
        backoff = Backoff(_RETRY_FIRST, _RETRY_MOST)
        while True:
            delay = backoff.next()
            try:
                answer = await self._server.ask("POST", "/api/write/", body.data, self._params)
            except Unreachable as error:
                # At the very first time, it will hardly be better soon.
                reason = str(error)
                is_over = not self._has_answered or tries >= self._retries
            except Vanished as error:
                self.tally.fail(body, f"{error}; they may be stored or not")
                return
            else:
                self._has_answered = True
                if answer.status != 503:
                    self._take(answer, body)
                    return
                reason, delay = answer.error, _retry_after(answer)
                is_over = tries >= self._retries
            if is_over:
                where = "" if body.first == 1 else f"; nothing from line {body.first} on was stored"
                raise Stopped(f"{reason}{where}")
            tries += 1
            self._tell(f"{reason}; trying again in {delay:g} s")
            self._is_waiting = True
            await deferLater(self._clock, delay)
            self._is_waiting = False

    def _take(self, answer: Answer, body: Body) -> None:
        if answer.status == 200:
            self.tally.accept(body)
            return
        given = answer.json if answer.status == 400 else None
        if isinstance(given, dict) and isinstance(given.get("lines"), list):
            self.tally.accept_in_part(body, given)
        elif answer.status in (413, 500):
            self.tally.fail(body, f"{answer.status}: {answer.error}")
        else:
            raise Stopped(self._server.refusal(answer))


def _retry_after(answer: Answer) -> float:
    try:
        return min(max(0.1, float(answer.headers["retry-after"])), _RETRY_MOST)
    except (KeyError, ValueError):
        return _RETRY_FIRST


async def send_stream(sender: Sender, descriptor: int, progress: Progress, precision: Precision) -> None:
    """Send what can be read, while the next is read already."""
    cutter = Cutter(precision)
    sending: Deferred[None] | None = None
    done = 0

    async def hand_over(body: Body | None) -> None:
        nonlocal sending, done
        if sending is not None:
            last, sending = sending, None
            await last
        while cutter.too_long:
            sender.tally.leave_out(cutter.too_long.pop(0))
        progress.show(done, sender.tally.accepted)
        if body is not None:
            done += len(body.data)
            sending = Deferred.fromCoroutine(sender.send(body))

    async for data in read(descriptor):
        if data is not None:
            for body in cutter.feed(data):
                await hand_over(body)
        elif sending is None or sending.called:
            # Nothing comes for a moment: whoever types, or reads a growing file, need not wait for more.
            await hand_over(cutter.cut())
    await hand_over(cutter.finish())
    await hand_over(None)


def main(words: Sequence[str]) -> int:
    """Run the command."""
    options = parse(Options(), words)
    if options is None:
        return FAILED
    ignored = [f"-{name}" for name in _OF_NATS if options[name] is not None]
    if ignored:
        print(
            f"ccstore send: {', '.join(ignored)}: ignored, messages go to ccstore itself, see --url",
            file=sys.stderr,
        )
    if options["print"]:
        try:
            print(options.line(time.time()).decode(), end="")
        except ClientError as error:
            print(f"ccstore send: {error}", file=sys.stderr)
            return FAILED
        return DONE

    async def command(reactor: Any) -> int:
        return await _send(options, connect(options, reactor), reactor)

    return run(options, command)


async def _send(options: Options, server: Server, reactor: Any) -> int:
    source = sys.stdin.fileno() if not options.is_single else None
    progress = Progress(sys.stderr, reactor, None if source is None else size_of(source))

    def tell(text: str) -> None:
        progress.clear()
        say("send", text)

    sender = Sender(server, reactor, options, tell)

    def finish() -> None:
        progress.clear()
        if options["json"]:
            print_json(sender.tally.as_json())
        elif source is not None or sender.tally.status != DONE:
            for line in sender.tally.report():
                tell(line)

    def interrupt() -> None:
        sender.interrupt()
        finish()

    interrupted = reactor.addSystemEventTrigger("before", "shutdown", interrupt)
    try:
        await server.must_speak_http()
        if source is None:
            line = options.line(reactor.seconds())
            await sender.send(Body(1, 1, 1, line))
        else:
            if sys.stdin.isatty():
                tell("reading line protocol from the terminal, Ctrl-D ends it")
            await send_stream(sender, source, progress, cast(Precision, options["precision"]))
    finally:
        reactor.removeSystemEventTrigger(interrupted)
        finish()
    return sender.tally.status
