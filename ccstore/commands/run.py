"""The commands that hand over to twistd, and the start without a command, as the Go daemon has it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast

from ccstore.daemon.process import hold_reloads

#: The configuration of the Go daemon, if it is not told of another.
GO_CONFIG: Final = "./config.json"


def run(options: Sequence[str]) -> int:
    """Start the daemon in the foreground, without a pid file, which has no use there."""
    hold_reloads()
    return _start("ccstore run", options)


def run_as_go(options: Sequence[str]) -> int:
    """Start the daemon as the Go daemon starts, which has no commands, and reads a file in any case."""
    is_given = any(_names_config(word) for word in options)
    hold_reloads()
    return _start("ccstore", options if is_given else ["--config", GO_CONFIG, *options])


def _names_config(word: str) -> bool:
    name = word.lstrip("-").partition("=")[0]
    return name == "config" or (word[:2] == "-c" and name != "check")


def check(options: Sequence[str]) -> int:
    """Read the configuration, and say what is wrong with it."""
    return _start("ccstore check", ["--check", *options])


def _start(command: str, options: Sequence[str]) -> int:
    try:
        _hand_over(command, options)
    except KeyboardInterrupt:
        # The reactor does not run yet: nothing is to be stopped. End by the same signal, for the shell.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    return 0


def _hand_over(command: str, options: Sequence[str]) -> None:
    # twistd finds us by a file in a directory `twisted/plugins` somewhere on sys.path. Whoever could import
    # this module need not have that directory there: an import hook, as some editable installs use, serves
    # the package `ccstore` and nothing beside it. It has to be done before twisted.plugins is first imported.
    beside = str(Path(__file__).resolve().parents[2])
    if beside not in sys.path:
        sys.path.append(beside)

    from twisted.python.usage import UsageError
    from twisted.scripts import twistd

    settings = cast(Any, twistd).ServerOptions()
    settings.command = command  # for the help text, see our own options
    try:
        settings.parseOptions(["--nodaemon", "--pidfile=", "ccstore", *options])
    except UsageError as error:
        print(f"{command}: {str(error).rstrip('.')}; `{command} --help` lists the options", file=sys.stderr)
        raise SystemExit(1) from None
    twistd.runApp(settings)
