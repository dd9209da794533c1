"""The completion scripts. shtab makes them from a parser of argparse, so the commands are told to one.

shtab is needed to make the scripts, not to use them.
"""

from __future__ import annotations

from argparse import Action, ArgumentParser
from collections.abc import Sequence
from typing import Final

import shtab

from ccstore.commands.description import Option, Value
from ccstore.shell.commands import descriptions

#: What offers the names of contexts, which the user's file has. What is wrong with that is not said here.
_CONTEXTS: Final = {
    "bash": """\
_ccstore_contexts() {
  compgen -W "$(ccstore completion --contexts 2>/dev/null)" -- "$1"
}
""",
    "zsh": """\
_ccstore_contexts() {
  compadd -- ${(f)"$(ccstore completion --contexts 2>/dev/null)"}
}
""",
}


def script(shell: str) -> str:
    """The script for a shell, of those that shtab knows."""
    return shtab.complete(_parser(), shell, preamble=_CONTEXTS[shell]).rstrip() + "\n"


def _parser() -> ArgumentParser:
    parser = ArgumentParser("ccstore", add_help=False)
    for name, text in (("--help", "print the commands"), ("--version", "print the version")):
        parser.add_argument(name, action="store_true", help=text)
    commands = parser.add_subparsers()
    for command, description in descriptions():
        one = commands.add_parser(command.name, help=command.help, add_help=False)
        for option in description.options:
            _add_option(one, option)
        for value in description.arguments:
            text = _literal(value.help or value.name)
            argument = one.add_argument(value.name, nargs="+" if value.is_repeated else None, help=text)
            _tell_values(argument, value)
    return parser


def _add_option(parser: ArgumentParser, option: Option) -> None:
    names: Sequence[str] = option.names
    text = _literal(option.help)
    if option.value is None:
        parser.add_argument(*names, action="store_true", help=text)
    else:
        _tell_values(parser.add_argument(*names, metavar=option.value.name, help=text), option.value)


def _tell_values(action: Action, value: Value) -> None:
    if value.is_file:
        action.complete = shtab.FILE  # type: ignore[attr-defined]
    elif value.is_context:
        action.complete = dict.fromkeys(_CONTEXTS, "_ccstore_contexts")  # type: ignore[attr-defined]
    elif value.choices:
        action.choices = value.choices


def _literal(text: str) -> str:
    """A help text as argparse wants it."""
    return text.replace("%", "%%")
