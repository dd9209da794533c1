"""The console script ``ccstore``: which commands there are, and where each is to be found."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final, NamedTuple

from ccstore import __version__
from ccstore.commands.output import CarefulStreams
from ccstore.commands.run import GO_CONFIG, run_as_go


class Command(NamedTuple):
    """A command, and the function that does it.

    :ivar function: ``module:name``, imported when the command is given. It is called with the words behind
        the command, and returns the exit status.
    :ivar arguments: how the help text shows them.
    :ivar failed: its exit status if it could not do its work.
    :ivar options: ``module:name`` of the class of its options, which describes it.
    """

    name: str
    function: str
    arguments: str
    help: str
    failed: int = 1
    options: str | None = None


COMMANDS: Final = (
    Command(
        "run",
        "ccstore.commands.run:run",
        "[OPTION ...]",
        "start the daemon, as `twistd -n ccstore` does",
        options="ccstore.tap:Options",
    ),
    Command(
        "check",
        "ccstore.commands.run:check",
        "[OPTION ...]",
        "say what is wrong with the configuration",
        options="ccstore.tap:Options",
    ),
    Command(
        "send",
        "ccstore.client.send:main",
        "[OPTION ...]",
        "send an event, or lines from standard input",
        failed=2,
        options="ccstore.client.send:Options",
    ),
    Command(
        "query",
        "ccstore.client.query_command:main",
        "[OPTION ...]",
        "show events or logs",
        failed=2,
        options="ccstore.client.query_command:Options",
    ),
    Command(
        "clusters",
        "ccstore.client.counting_commands:clusters",
        "[OPTION ...]",
        "show which clusters there are, and how much of each",
        failed=2,
        options="ccstore.client.counting_commands:ClustersOptions",
    ),
    Command(
        "hosts",
        "ccstore.client.counting_commands:hosts",
        "[OPTION ...]",
        "show which hosts there are, and when each was heard of last",
        failed=2,
        options="ccstore.client.counting_commands:HostsOptions",
    ),
    Command(
        "senders",
        "ccstore.client.senders_command:main",
        "[OPTION ...]",
        "show who sends, how often, and who is silent",
        failed=2,
        options="ccstore.client.senders_command:Options",
    ),
    Command(
        "values",
        "ccstore.client.counting_commands:values",
        "LABEL [OPTION ...]",
        "show the values of a label, and how many messages have each",
        failed=2,
        options="ccstore.client.counting_commands:ValuesOptions",
    ),
    Command(
        "histogram",
        "ccstore.client.histogram_command:main",
        "[OPTION ...]",
        "show how many messages there were when, as bars",
        failed=2,
        options="ccstore.client.histogram_command:Options",
    ),
    Command(
        "hold",
        "ccstore.client.keeping_commands:hold",
        "add|list|release [OPTION ...]",
        "keep messages from being deleted, and release them",
        failed=2,
        options="ccstore.client.keeping_commands:HoldOptions",
    ),
    Command(
        "retention",
        "ccstore.client.keeping_commands:retention",
        "[OPTION ...]",
        "show what is deleted next, by rule",
        failed=2,
        options="ccstore.client.keeping_commands:RetentionOptions",
    ),
    Command(
        "fold",
        "ccstore.client.fold_command:main",
        "[OPTION ...]",
        "show equal messages as one, with how many and where",
        failed=2,
        options="ccstore.client.fold_command:Options",
    ),
    Command(
        "job",
        "ccstore.client.insight_commands:job",
        "JOB [OPTION ...]",
        "show what happened in a job, and what of that was unusual",
        failed=2,
        options="ccstore.client.insight_commands:JobOptions",
    ),
    Command(
        "node",
        "ccstore.client.insight_commands:node",
        "HOST [OPTION ...]",
        "show the jobs, states and silences of a node",
        failed=2,
        options="ccstore.client.insight_commands:NodeOptions",
    ),
    Command(
        "before",
        "ccstore.client.insight_commands:before",
        "[OPTION ...]",
        "show what came before some messages",
        failed=2,
        options="ccstore.client.insight_commands:BeforeOptions",
    ),
    Command(
        "cause",
        "ccstore.client.insight_commands:cause",
        "[OPTION ...]",
        "show what the hosts of a burst of messages have in common",
        failed=2,
        options="ccstore.client.insight_commands:CauseOptions",
    ),
    Command(
        "stats",
        "ccstore.client.stats:main",
        "[OPTION ...]",
        "show the counters",
        failed=2,
        options="ccstore.client.stats:Options",
    ),
    Command(
        "doctor",
        "ccstore.client.doctor:main",
        "[OPTION ...]",
        "say which senders are misconfigured",
        failed=2,
        options="ccstore.client.doctor:Options",
    ),
    Command(
        "import",
        "ccstore.importing.command:main",
        "SOURCE ...",
        "bring in a database of cc-event-store, or files of line protocol",
        options="ccstore.importing.command:Options",
    ),
    Command(
        "copy",
        "ccstore.commands.copy:main",
        "FROM TO",
        "copy a store into another one",
        options="ccstore.commands.copy:Options",
    ),
    Command(
        "export",
        "ccstore.commands.export_plain:main",
        "[OPTION ...]",
        "write all messages into a plain SQLite file",
        options="ccstore.commands.export_plain:Options",
    ),
    Command(
        "pack",
        "ccstore.commands.pack:main",
        "[OPTION ...]",
        "pack the older messages of the store",
        options="ccstore.commands.pack:Options",
    ),
    Command(
        "token",
        "ccstore.client.token:main",
        "[OPTION ...]",
        "make keys and tokens",
        failed=2,
        options="ccstore.client.token:Options",
    ),
    Command(
        "completion",
        "ccstore.shell.completion:main",
        "bash|zsh",
        "print what makes a shell complete commands and options",
        failed=2,
        options="ccstore.shell.completion:Options",
    ),
    Command("version", "ccstore.cli:version", "", "print the version"),
    Command("help", "ccstore.cli:usage", "", "print this text"),
)
#: Options that are commands, as other programs have them.
_SYNONYMS: Final = {
    "--version": "version",
    "-version": "version",
    "--help": "help",
    "-help": "help",
    "-h": "help",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, and give the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    command = _find(words)
    name = "ccstore" if command is None else f"ccstore {command.name}"
    with CarefulStreams(name, 1 if command is None else command.failed):
        if _is_start(words):
            return run_as_go(words)
        if command is not None and (command.arguments or not words[1:]):
            module, _, function = command.function.partition(":")
            status: int = getattr(import_module(module), function)(words[1:])
            return status
        if command is not None:
            print(f"ccstore: {words[0]} takes no arguments", file=sys.stderr)
        elif words:
            print(f"ccstore: unknown command {words[0]!r}", file=sys.stderr)
        print(_usage(), end="", file=sys.stderr)
        return 2


def _find(words: Sequence[str]) -> Command | None:
    name = _SYNONYMS.get(words[0], words[0]) if words else None
    return next((command for command in COMMANDS if command.name == name), None)


def _is_start(words: Sequence[str]) -> bool:
    """Whether these words start the Go daemon, which needs none at all."""
    if not words:
        return os.path.exists(GO_CONFIG)
    return words[0].startswith("-") and words[0] not in _SYNONYMS


def version(options: Sequence[str]) -> int:
    """Print the version."""
    print(f"ccstore {__version__}")
    return 0


def usage(options: Sequence[str]) -> int:
    """Print the commands."""
    print(_usage(), end="")
    return 0


def _usage() -> str:
    shown = [(f"{command.name} {command.arguments}".rstrip(), command.help) for command in COMMANDS]
    width = max(len(words) for words, _ in shown)
    lines = [f"  {words:<{width}}  {text}\n" for words, text in shown]
    return (
        f"Usage: ccstore COMMAND [OPTION ...]\n\n{''.join(lines)}\n"
        "`ccstore COMMAND --help` lists the options of a command.\n\n"
        "Without a command, ccstore starts as cc-event-store does:\n\n"
        "  ccstore [-config FILE] [-loglevel debug|info|warn|err|fatal|crit] [-logdate]\n\n"
        f"The FILE is {GO_CONFIG} if there is one and no other is named.\n"
    )
