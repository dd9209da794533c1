"""``ccstore completion``: prints the completion script for a shell."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from twisted.python.usage import UsageError

from ccstore.client.contexts import read_contexts
from ccstore.client.session import DONE, FAILED, ClientError
from ccstore.commands.description import Value
from ccstore.commands.options import CommandOptions, parse

#: The files that come with the package, named as they are installed.
MADE: Final = Path(__file__).parent / "made"
#: The script of each shell.
SCRIPTS: Final[Mapping[str, Path]] = {"bash": MADE / "ccstore", "zsh": MADE / "_ccstore"}


class Options(CommandOptions):
    """The options of ``ccstore completion``."""

    command = "completion"
    synopsis = "|".join(SCRIPTS) + "\n--contexts"
    longdesc = (
        "Prints the script with which a shell completes the commands, their options, and the values of "
        "those. In ~/.bashrc, or behind compinit in ~/.zshrc (with zsh for bash), this line has each new "
        "shell read it:\n\n"
        'eval "$(ccstore completion bash)"'
    )
    optFlags: Any = [
        ["contexts", None, "Print the names of the contexts of client.yaml, which the scripts offer."]
    ]
    arguments = (Value("SHELL", choices=tuple(SCRIPTS)),)
    statuses = ((str(DONE), "All is well."), (str(FAILED), "The options are wrong, or client.yaml is."))

    shell: str | None = None

    def parseArgs(self, *words: str) -> None:
        if self["contexts"] and not words:
            return
        if len(words) != 1 or words[0] not in SCRIPTS:
            raise UsageError(f"expected one of {', '.join(SCRIPTS)}, got {' '.join(words) or 'nothing'}")
        (self.shell,) = words


def main(words: Sequence[str]) -> int:
    """Run the command."""
    options = parse(Options(), words)
    if options is None:
        return FAILED
    if options.shell is None:
        return print_contexts()
    print(SCRIPTS[options.shell].read_text("utf-8"), end="")
    return DONE


def print_contexts() -> int:
    """Print the names of the user's contexts; the exit status."""
    try:
        known = read_contexts(os.environ).known
    except ClientError as error:
        print(f"ccstore completion: {error}", file=sys.stderr)
        return FAILED
    print("\n".join(known), end="\n" if known else "")
    return DONE
