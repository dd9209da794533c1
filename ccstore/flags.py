"""Options as programs in Go take them: with one dash or two."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import islice
from typing import Any

from twisted.python import usage

# As strconv.ParseBool has them.
_TRUE = frozenset(("1", "t", "T", "true", "TRUE", "True"))
_FALSE = frozenset(("0", "f", "F", "false", "FALSE", "False"))


class GoOptions(usage.Options):
    """Options that may have one dash instead of two; flags may have ``=true`` or ``=false`` behind them."""

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """See :class:`twisted.python.usage.Options`."""
        given: Any = self
        parameters = [name.rstrip("=") for name in given.longOpt if name.endswith("=")]
        flags = [name for name in given.longOpt if not name.endswith("=")]
        super().parseOptions(two_dashes(options or (), parameters, flags))


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
