"""Options as programs in Go take them: with one dash or two."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from getopt import GetoptError, getopt, gnu_getopt
from itertools import islice
from typing import Any, ClassVar, TypeVar

from twisted.python import usage

from ccstore.commands.description import Description, Option, Value

# As strconv.ParseBool has them.
_TRUE = frozenset(("1", "t", "T", "true", "TRUE", "True"))
_FALSE = frozenset(("0", "f", "F", "false", "FALSE", "False"))


class GoOptions(usage.Options):
    """Options that may have one dash instead of two; flags may have ``=true`` or ``=false`` behind them.

    :cvar option_values: what the values of options are; those of base classes need not be given again.
    :cvar arguments: the words that are no options.
    :cvar statuses: exit statuses, and when the command ends with each.
    :cvar hidden: options that are taken, but shown nowhere.
    :cvar is_mixed: options may stand behind other words.
    :cvar repeated: options that may be given several times: their value is the list of all that was given.
    """

    synopsis = "[options]"
    longdesc: Any = ""
    option_values: ClassVar[Mapping[str, Value]] = {}
    arguments: ClassVar[Sequence[Value]] = ()
    statuses: Sequence[tuple[str, str]] = ()
    hidden: Collection[str] = ()
    is_mixed = False
    repeated: ClassVar[Collection[str]] = ()

    opt_h = usage.Options.opt_help

    @property
    def full_name(self) -> str:
        """The command as it is given; twistd's, if it is not told by who calls."""
        return getattr(self.parent, "command", None) or "twistd [twistd options] ccstore"

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """See :class:`twisted.python.usage.Options`."""
        given: Any = self
        parameters = [name.rstrip("=") for name in given.longOpt if name.endswith("=")]
        flags = [name for name in given.longOpt if not name.endswith("=")]
        words = two_dashes(options or (), parameters, flags, is_mixed=self.is_mixed)
        super().parseOptions(self._sorted(words) if self.is_mixed or self.repeated else words)

    def _sorted(self, words: Sequence[str]) -> list[str]:
        """Options by their whole names before all other words; those that are repeated are taken out."""
        given: Any = self
        read = gnu_getopt if self.is_mixed else getopt
        try:
            options, rest = read(words, given.shortOpt, given.longOpt)
        except GetoptError as error:
            raise usage.UsageError(str(error)) from None
        for name in self.repeated:
            given[name] = []
        out = []
        for name, value in options:
            name = given.synonyms[name[1:]] if len(name) == 2 else name[2:]
            if name in self.repeated:
                given[name].append(value)
            else:
                out.append(f"--{name}={value}" if f"{name}=" in given.longOpt else f"--{name}")
        return [*out, "--", *rest]

    def describe(self) -> Description:
        """All that there is to say about the command."""
        return Description(
            self.full_name,
            self.synopsis.split("\n"),
            self.longdesc,
            tuple(self._describe_options()),
            self.arguments,
            self.statuses,
        )

    def _describe_options(self) -> Iterator[Option]:
        """What is the command's own first, then what it has in common with others."""
        given: Any = self
        short = {name: f"-{key}" for key, name in given.synonyms.items() if len(key) == 1}
        kinds = [kind for kind in type(self).__mro__ if issubclass(kind, usage.Options)]
        values: dict[str, Value] = {}
        for kind in reversed(kinds):
            values |= vars(kind).get("option_values", {})
        for name in dict.fromkeys(name for kind in kinds for name in _own(kind)):
            if name not in self.hidden:
                takes_value = f"{name}=" in given.longOpt
                yield Option(
                    (*filter(None, [short.get(name)]), f"--{name}"),
                    values.get(name, Value("VALUE")) if takes_value else None,
                    " ".join(given.docs[name].split()),
                    given.defaults.get(name) if takes_value else None,
                )

    def getSynopsis(self) -> str:
        """See :class:`twisted.python.usage.Options`."""
        return self.describe().usage

    def getUsage(self, width: int | None = None) -> str:
        """See :class:`twisted.python.usage.Options`."""
        return self.describe().details(width or int(os.environ.get("COLUMNS", "80")))

    def opt_version(self) -> None:
        """Print the version, and exit."""
        from ccstore import __version__

        print(f"ccstore {__version__}")
        raise SystemExit(0)


def _own(kind: type) -> Iterator[str]:
    """The names of the options that a class adds to those of its bases."""
    for row in (*vars(kind).get("optParameters", ()), *vars(kind).get("optFlags", ())):
        yield row[0]
    for name in vars(kind):
        if name.startswith("opt_") and len(name) > len("opt_x"):
            yield name.removeprefix("opt_").replace("_", "-")


class CommandOptions(GoOptions):
    """Options of a command that has nothing to do with twistd.

    :cvar command: its name, behind ``ccstore``.
    """

    command = ""

    @property
    def full_name(self) -> str:
        """The command as it is given."""
        return f"ccstore {self.command}"


_Options = TypeVar("_Options", bound=CommandOptions)


def parse(options: _Options, words: Sequence[str]) -> _Options | None:
    """Fill in the options; None if they are wrong, which standard error has been told then."""
    try:
        options.parseOptions(words)
    except usage.UsageError as error:
        command = options.full_name
        print(f"{command}: {str(error).rstrip('.')}; `{command} --help` lists the options", file=sys.stderr)
        return None
    return options


def two_dashes(
    words: Sequence[str],
    parameters: Collection[str],
    flags: Collection[str],
    *,
    is_mixed: bool = False,
) -> list[str]:
    """The same options, each with two dashes.

    :param parameters: names of options with a value, which is left alone whatever it looks like.
    :param flags: names of options without one.
    :param is_mixed: options may stand behind other words.
    """
    out: list[str] = []
    rest = iter(words)
    for word in rest:
        name, equals, value = word.lstrip("-").partition("=")
        if word in ("-", "--") or not word.startswith("-") or word.startswith("---"):
            out.append(word)
            if not is_mixed or word == "--":
                out += rest
        elif name in parameters:
            out.append(f"--{name}{equals}{value}")
            if not equals:
                out += islice(rest, 1)
        elif name in flags and (not equals or value in _TRUE):
            out.append(f"--{name}")
        elif name in flags and value in _FALSE:
            pass
        else:
            out.append(word)
    return out
