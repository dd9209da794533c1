"""What all commands of the client share: their options, how they start, and how they end."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TextIO, TypeVar

from twisted.internet.task import react
from twisted.python.usage import UsageError

from ccstore.commands.options import GoOptions

#: Exit statuses. Everything is as it was asked for.
DONE: Final = 0
#: The daemon answered, but something is not as it should be: bad lines, missing rows, problems found.
NOT_AS_ASKED: Final = 1
#: Wrong options, nobody answers, no admittance, or an error of the daemon.
FAILED: Final = 2


class ClientError(Exception):
    """The command cannot go on; the text says why, in a line."""


class CommandOptions(GoOptions):
    """Options of a command.

    :cvar command: its name.
    :cvar problem: what exit status 1 means, behind "the daemon answered, but".
    """

    command = ""
    problem = "something is not as it should be"

    @property
    def full_name(self) -> str:
        return f"ccstore {self.command}"

    @property
    def statuses(self) -> Sequence[tuple[str, str]]:  # type: ignore[override]
        return (
            (str(DONE), "All is well."),
            (str(NOT_AS_ASKED), f"The daemon answered, but {self.problem}."),
            (
                str(FAILED),
                "The options are wrong, nobody answers, the token is not accepted, or the daemon has "
                "an error.",
            ),
        )


_Options = TypeVar("_Options", bound=CommandOptions)


def parse(options: _Options, words: Sequence[str]) -> _Options | None:
    """Fill in the options; None if they are wrong, which has been said then."""
    try:
        options.parseOptions(words)
    except UsageError as error:
        command = f"ccstore {options.command}"
        print(f"{command}: {str(error).rstrip('.')}; `{command} --help` lists the options", file=sys.stderr)
        return None
    return options


def run(options: CommandOptions, main: Callable[[Any], Awaitable[int]]) -> int:
    """Run a command to its end, with the reactor, and give its exit status."""
    is_over = False
    status = FAILED

    async def wrapped(reactor: Any) -> None:
        nonlocal is_over, status
        try:
            status = await main(reactor)
        except ClientError as error:
            print(f"ccstore {options.command}: {error}", file=sys.stderr)
        is_over = True

    try:
        react(wrapped)
    except SystemExit as ended:
        if is_over:
            return status
        if ended.code:
            return FAILED  # a mistake in the program; Twisted has logged it
    # Somebody stopped it. Whoever waits sees by what.
    print(f"ccstore {options.command}: interrupted", file=sys.stderr)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGINT)
    return FAILED


def print_json(value: object, stream: TextIO | None = None) -> None:
    """A result for programs."""
    print(json.dumps(value, ensure_ascii=False, indent=1), file=stream or sys.stdout)
