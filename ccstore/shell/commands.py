"""All commands, described."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from types import SimpleNamespace

from ccstore.cli import COMMANDS, Command
from ccstore.commands.description import Description


def descriptions() -> Iterator[tuple[Command, Description]]:
    """Every command, and what its own options say of it, in the order of the table."""
    for command in COMMANDS:
        name = f"ccstore {command.name}"
        if command.options is None:
            yield command, Description(name, ("",), "", ())
        else:
            module, _, kind = command.options.partition(":")
            options = getattr(import_module(module), kind)()
            options.parent = SimpleNamespace(command=name)
            yield command, options.describe()
