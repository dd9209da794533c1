"""The console script ``ccstore``: ``twistd ccstore`` for those who do not want to know about twistd."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from ccstore import __version__

USAGE = """\
Usage: ccstore COMMAND [OPTION ...]

  run [OPTION ...]    start the daemon in the foreground, as `twistd -n ccstore` does
  check [OPTION ...]  read the configuration, say what is wrong with it, and exit
  version             print the version
  help                print this text

`ccstore run --help` lists the options of run and check.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, and give the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    match words:
        case ["run", *options]:
            return run(options)
        case ["check", *options]:
            return run(["--check", *options])
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


def run(options: Sequence[str]) -> int:
    """Hand over to twistd: in the foreground, and without a pid file, which has no use there."""
    # twistd finds us by a file in a directory `twisted/plugins` somewhere on sys.path. Whoever could import
    # this module need not have that directory there: an import hook, as some editable installs use, serves
    # the package `ccstore` and nothing beside it. It has to be done before twisted.plugins is first imported.
    beside = str(Path(__file__).resolve().parent.parent)
    if beside not in sys.path:
        sys.path.append(beside)

    from twisted.scripts import twistd

    # twistd reads its arguments from there, and calls itself by the first of them in its messages.
    sys.argv = ["twistd", "--nodaemon", "--pidfile=", "ccstore", *options]
    twistd.run()
    return 0
