"""The console script ``ccstore``: ``twistd ccstore`` for those who do not want to know about twistd."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from ccstore import __version__

USAGE = """\
Usage: ccstore COMMAND [OPTION ...]

  run [OPTION ...]    start the daemon in the foreground, as `twistd -n ccstore` does
  check [OPTION ...]  read the configuration, say what is wrong with it, and exit
  import SOURCE ...   bring in a database of cc-event-store, or files of line protocol
  version             print the version
  help                print this text

`ccstore run --help` lists the options of run and check, `ccstore import --help` those of import.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, and give the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    match words:
        case ["run", *options]:
            return run("ccstore run", options)
        case ["check", *options]:
            return run("ccstore check", ["--check", *options])
        case ["import", *options]:
            from ccstore.importing.command import main as import_

            return import_(options)
        case ["version" | "--version"]:
            print(f"ccstore {__version__}")
            return 0
        case ["help" | "--help" | "-h"]:
            print(USAGE, end="")
            return 0
        case ["version" | "--version" | "help" | "--help" | "-h" as command, *_]:
            print(f"ccstore: {command} takes no arguments", file=sys.stderr)
        case [command, *_]:
            print(f"ccstore: unknown command {command!r}", file=sys.stderr)
    print(USAGE, end="", file=sys.stderr)
    return 2


def run(command: str, options: Sequence[str]) -> int:
    """Hand over to twistd: in the foreground, and without a pid file, which has no use there."""
    try:
        _run(command, options)
    except KeyboardInterrupt:
        # Before the reactor runs, when there is nothing yet to stop. Whoever waits sees what ended us.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    return 0


def _run(command: str, options: Sequence[str]) -> None:
    # twistd finds us by a file in a directory `twisted/plugins` somewhere on sys.path. Whoever could import
    # this module need not have that directory there: an import hook, as some editable installs use, serves
    # the package `ccstore` and nothing beside it. It has to be done before twisted.plugins is first imported.
    beside = str(Path(__file__).resolve().parent.parent)
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
