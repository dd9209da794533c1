"""``ccstore completion``: prints the completion script for a shell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from twisted.python.usage import UsageError

from ccstore.client.session import DONE, FAILED
from ccstore.commands.description import Value
from ccstore.commands.options import CommandOptions, parse

#: The files that come with the package, named as they are installed.
MADE: Final = Path(__file__).parent / "made"
#: The script of each shell.
SCRIPTS: Final[Mapping[str, Path]] = {"bash": MADE / "ccstore", "zsh": MADE / "_ccstore"}


class Options(CommandOptions):
    """The options of ``ccstore completion``."""

    command = "completion"
    synopsis = "|".join(SCRIPTS)
    longdesc = (
        "Prints the script with which a shell completes the commands, their options, and the values of "
        "those. In ~/.bashrc, or behind compinit in ~/.zshrc (with zsh for bash), this line has each new "
        "shell read it:\n\n"
        'eval "$(ccstore completion bash)"'
    )
    arguments = (Value("SHELL", choices=tuple(SCRIPTS)),)
    statuses = ((str(DONE), "All is well."), (str(FAILED), "The options are wrong."))

    shell: str

    def parseArgs(self, *words: str) -> None:
        if len(words) != 1 or words[0] not in SCRIPTS:
            raise UsageError(f"expected one of {', '.join(SCRIPTS)}, got {' '.join(words) or 'nothing'}")
        (self.shell,) = words


def main(words: Sequence[str]) -> int:
    """Run the command."""
    options = parse(Options(), words)
    if options is None:
        return FAILED
    print(SCRIPTS[options.shell].read_text("utf-8"), end="")
    return DONE
