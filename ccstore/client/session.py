"""How each command of the client starts and ends: the reactor, exit statuses, and results for programs."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final, TextIO

from twisted.internet.task import react

from ccstore.commands.options import CommandOptions

#: Exit statuses. Everything is as it was asked for.
DONE: Final = 0
#: The daemon answered, but something is not as it should be: bad lines, missing rows, problems found.
NOT_AS_ASKED: Final = 1
#: Wrong options, nobody answers, no admittance, or an error of the daemon.
FAILED: Final = 2


class ClientError(Exception):
    """The command cannot go on; the text says why, in a line."""


def run(
    options: CommandOptions, main: Callable[[Any], Awaitable[int]], ending: Callable[[], None] = lambda: None
) -> int:
    """Run a command to its end, with the reactor, and give its exit status.

    :param ending: is called when the reactor has stopped, also if somebody stopped it.
    """
    is_over = is_stopped = False
    status = FAILED
    said = ""

    async def wrapped(reactor: Any) -> None:
        nonlocal is_over, status, said
        reactor.addSystemEventTrigger("before", "shutdown", stop)
        try:
            status = await main(reactor)
        except ClientError as error:
            said = f"ccstore {options.command}: {error}"
        # What breaks because the reactor stops is none of the command's own end.
        is_over = not is_stopped

    def stop() -> None:
        nonlocal is_stopped
        is_stopped = True

    try:
        react(wrapped)
    except SystemExit as ended:
        ending()
        if is_over:
            if said:
                print(said, file=sys.stderr)
            return status
        if ended.code:
            return FAILED  # a mistake in the program; Twisted has logged it
    # Somebody stopped it: end by the same signal, which a shell or a script looks at.
    print(f"ccstore {options.command}: interrupted", file=sys.stderr)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGINT)
    return FAILED


def print_json(value: object, stream: TextIO | None = None) -> None:
    """A result for programs."""
    print(json.dumps(value, ensure_ascii=False, indent=1), file=stream or sys.stdout)
