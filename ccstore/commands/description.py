"""A command as data: its options, what their values are, and its exit statuses.

Each command's class of options makes its own (:meth:`ccstore.commands.options.GoOptions.describe`). The
help text, the
man page and the completion of the shells are made from it, so that nothing is said twice.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Final

from attrs import frozen

#: Columns of the names of options; longer ones have a line to themselves.
_WIDEST: Final = 26


@frozen
class Value:
    """The value of an option, or an argument of a command.

    :ivar name: what stands for it in the help text, such as ``FILE``.
    :ivar choices: what a shell offers, if it can.
    :ivar is_file: it is the path of a file.
    :ivar is_context: it is the name of one of the user's contexts.
    :ivar is_repeated: there can be several (arguments only).
    """

    name: str
    help: str = ""
    choices: Sequence[str] = ()
    is_file: bool = False
    is_context: bool = False
    is_repeated: bool = False


def choice(*words: str) -> Value:
    """One of a few words, which its name lists."""
    return Value("|".join(words), choices=words)


FILE: Final = Value("FILE", is_file=True)
NAME: Final = Value("NAME")
TEXT: Final = Value("TEXT")
TIME: Final = Value("TIME")
NUMBER: Final = Value("N")
DURATION: Final = Value("DURATION")


@frozen
class Option:
    """An option.

    :ivar names: with their dashes, the short one first.
    :ivar value: None for a flag.
    :ivar default: as the command line would have it, if there is one.
    """

    names: Sequence[str]
    value: Value | None
    help: str
    default: str | None = None

    @property
    def explained(self) -> str:
        """The help text, with the default."""
        return self.help if self.default is None else f"{self.help} [default: {self.default}]"


@frozen
class Description:
    """A command.

    :ivar name: as it is given, such as ``ccstore send``.
    :ivar synopses: each way to give it, without the name.
    :ivar text: what it does; paragraphs are divided by an empty line.
    :ivar statuses: exit statuses, and when it ends with each.
    """

    name: str
    synopses: Sequence[str]
    text: str
    options: Sequence[Option]
    arguments: Sequence[Value] = ()
    statuses: Sequence[tuple[str, str]] = ()

    @property
    def usage(self) -> str:
        """The first lines of the help text."""
        ways = [f"{self.name} {synopsis}".rstrip() for synopsis in self.synopses]
        return "Usage: " + "\n       ".join(ways)

    def details(self, width: int) -> str:
        """The rest of the help text.

        :param width: of the terminal, in characters.
        """
        parts = [
            *("\n" + "\n".join(_wrap(part, width)) + "\n" for part in self.text.split("\n\n")),
            _table("Arguments", [(one.name, one.help) for one in self.arguments if one.help], width),
            _table("Options", [(_shown(option), option.explained) for option in self.options], width),
            _table("Exit status", self.statuses, width),
        ]
        return "".join(parts)


def _shown(option: Option) -> str:
    names = ", ".join(option.names)
    indented = names if len(option.names) > 1 else f"    {names}"
    return indented if option.value is None else f"{indented} {option.value.name}"


def _table(title: str, rows: Sequence[tuple[str, str]], width: int) -> str:
    return "".join([f"\n{title}:\n", *_lines(rows, width)]) if rows else ""


def _wrap(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_on_hyphens=False, break_long_words=False)


def _lines(rows: Sequence[tuple[str, str]], width: int) -> Iterator[str]:
    column = 4 + min(_WIDEST, max(len(name) for name, _ in rows))
    for name, text in rows:
        wrapped = _wrap(text, max(width - column, 20))
        if len(name) + 4 > column:
            yield f"  {name}\n"
            name = ""
        else:
            name = f"  {name}"
        for line in wrapped:
            yield f"{name:<{column}}{line}\n"
            name = ""
