"""The man page, in the language of the macros of man(7)."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from itertools import chain
from typing import Final

from ccstore.cli import Command
from ccstore.commands.description import Description, Option, Value
from ccstore.commands.run import GO_CONFIG
from ccstore.shell.commands import descriptions

_ABOUT: Final = "a short-term store for the events and logs of HPC clusters"
_DESCRIPTION: Final = (
    "ccstore is a daemon that takes the job events, system events and logs of HPC clusters as InfluxDB line "
    "protocol over TCP, UDP, HTTP or NATS, keeps them in an SQLite file or a PostgreSQL database, deletes "
    "events after a retention time, and answers queries over REST. Its other commands are for whoever runs "
    "it, and for scripts.",
    "An option may have one dash instead of two. Durations are such as 30s, 12h or 30d. Each command has the "
    "options --help (-h), which shows its options, and --version, besides those below.",
    "Without a command, ccstore starts the daemon as cc-event-store starts, and reads "
    f"{GO_CONFIG} if it is told of no other file.",
)
#: Options of every command, which the description has.
_COMMON: Final = ("--help", "--version")
_FILES: Final = (
    (
        "/etc/ccstore/ccstore.yaml",
        "The configuration, where the systemd unit that comes with ccstore has it.",
    ),
    (GO_CONFIG, "The configuration when ccstore is started without a command."),
    (
        "~/.config/ccstore/client.yaml",
        "Named servers for all that ask a daemon: contexts, an object with a name for each, which has url "
        "and, if needed, token_file (or token) and ca; and current, the name of the one that is used "
        "without --context, --url and $CCSTORE_URL.",
    ),
    ("ccstore.db", "The messages, if the configuration names no other file; in the working directory."),
    (
        "ccstore-spool.db",
        "Messages that wait for a PostgreSQL server that is away; in the working directory.",
    ),
    (
        "share/doc/ccstore/conf/",
        "Below the folder that ccstore is installed in: ccstore.yaml, a configuration that explains every "
        "key; ccstore.service, a unit for systemd; ccstore.logrotate; and cc-event-store/, a configuration "
        "in the form that cc-event-store has.",
    ),
)
_ENVIRONMENT: Final = (
    ("CCSTORE_URL", "Where the REST interface is, for all that ask a daemon without --url or --context."),
    ("CCSTORE_TOKEN", "The token that they show to it, without --token-file."),
    ("XDG_CONFIG_HOME", "Where ccstore/client.yaml is, if not in ~/.config."),
    ("PAGER", "What query shows its output with on a terminal, if not less; cat or nothing is none."),
    ("LESS", "The options of less, if not FRX."),
    ("NO_COLOR", "If it is set, there are no colours without --color=always."),
    ("TZ", "The time zone in which times are read and shown without --utc."),
    ("PGPASSWORD, PGPASSFILE, ...", "Those of libpq, for a PostgreSQL database; its documentation has them."),
    ("COLUMNS", "How wide help texts and bars are."),
)
_SIGNALS: Final = (
    (
        "SIGTERM, SIGINT",
        "The daemon stops listening, reads what has arrived, commits it, and closes the database. Then it "
        "ends by the same signal.",
    ),
    (
        "SIGHUP",
        "It reads its configuration again, and takes over what is different. If that is wrong, the log says "
        "what, and nothing changes.",
    ),
    ("SIGUSR1", "It begins a new log file, and renames the old one to .1 unless that was done already."),
)
_EXAMPLES: Final = (
    ("Look at a configuration, then start the daemon with it:", "ccstore check --config ccstore.yaml"),
    ("", "ccstore run --config ccstore.yaml"),
    ("Send an event:", "ccstore send --cluster alex --name job --tag type=node --event '{\"jobId\": 69}'"),
    ("Send a file of line protocol:", "ccstore send --cluster alex < lines.txt"),
    ("The events of some hosts in the last hour:", "ccstore query -c alex -H 'a[0101-0103]' --from -1h"),
    ("What comes in from now on, but for what is said again and again:", "ccstore query -f --not-grep nfs"),
    ("The errors of this morning, one line each:", "ccstore query -S 06:00 --level err -o short-iso"),
    ("How many messages of which name there were when:", "ccstore histogram --by name --since yesterday"),
    ("Which hosts there are, and when each was heard of last:", "ccstore hosts --cluster alex"),
    ("Whether every sender does right:", "ccstore doctor"),
    (
        "Move into PostgreSQL:",
        "ccstore copy sqlite:/var/lib/ccstore/ccstore.db postgresql://ccstore@db.example.org/ccstore",
    ),
    ("Complete commands and options in bash:", 'eval "$(ccstore completion bash)"'),
)
_SEE_ALSO: Final = "twistd(1), systemctl(1), journalctl(1), logrotate(8), sqlite3(1), psql(1)"


def manual() -> str:
    """The page as a file."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    commands = list(descriptions())
    yield '.\\" Made by `python -m ccstore.shell` from the options of the commands.'
    yield '.TH CCSTORE 1 "" ccstore "User Commands"'
    yield from (".SH NAME", f"ccstore {_escape('-')} {_escape(_ABOUT)}")
    yield from (".SH SYNOPSIS", ".B ccstore", ".I COMMAND", "[\\fIOPTION\\fR ...]", ".SH DESCRIPTION")
    yield from _paragraphs(_DESCRIPTION)
    yield ".SH COMMANDS"
    for command, description in commands:
        yield from _command(command, description)
    yield from _section("FILES", _FILES)
    yield from _section("ENVIRONMENT", _ENVIRONMENT)
    yield ".SH EXIT STATUS"
    for command, description in commands:
        if description.statuses:
            yield f".SS {command.name}"
            for status, text in description.statuses:
                yield from _item(f"\\fB{_escape(status)}\\fR", text)
    yield from _section("SIGNALS", _SIGNALS)
    yield ".SH EXAMPLES"
    for text, line in _EXAMPLES:
        if text:
            yield from (".PP", *_fill(text))
        yield from (".PP", ".RS 4", ".nf", _escape(line), ".fi", ".RE")
    yield from (".SH SEE ALSO", *_fill(_SEE_ALSO))


def _command(command: Command, description: Description) -> Iterator[str]:
    yield f".SS {command.name}"
    for number, synopsis in enumerate(description.synopses):
        yield from (".br",) if number else ()
        yield f"\\fB{_escape(description.name)}\\fR {_escape(synopsis)}".rstrip()
    yield from (".PP", *(_paragraphs(description.text.split("\n\n")) if description.text else _said(command)))
    for argument in description.arguments:
        if argument.help:
            yield from _item(_value(argument), argument.help)
    for option in description.options:
        if option.names[-1] in _COMMON:
            continue
        yield from _item(_option(option), option.explained)


def _said(command: Command) -> Iterator[str]:
    """What the table of commands says, for one that says nothing itself."""
    return _fill(f"{command.help[0].upper()}{command.help[1:]}.")


def _option(option: Option) -> str:
    names = ", ".join(f"\\fB{_escape(name)}\\fR" for name in option.names)
    return names if option.value is None else f"{names} {_value(option.value)}"


def _value(value: Value) -> str:
    return f"\\fI{_escape(value.name)}\\fR"


def _section(title: str, items: tuple[tuple[str, str], ...]) -> Iterator[str]:
    return chain([f".SH {title}"], *(_item(f"\\fB{_escape(name)}\\fR", text) for name, text in items))


def _item(name: str, text: str) -> Iterator[str]:
    return chain((".TP", name), _fill(text))


def _paragraphs(texts: tuple[str, ...] | list[str]) -> Iterator[str]:
    for number, text in enumerate(texts):
        yield from (".PP",) if number else ()
        yield from _fill(text)


def _fill(text: str) -> Iterator[str]:
    wrapped = textwrap.wrap(text, 100, break_on_hyphens=False, break_long_words=False)
    return map(_escape, wrapped)


def _escape(text: str) -> str:
    """Text as it is: nothing in it is a request, an escape, or a hyphen that cannot be pasted."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    return f"\\&{escaped}" if escaped.startswith(".") else escaped
