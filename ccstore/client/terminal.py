"""What becomes of output on a terminal: colours, a pager, and nothing that it would take for a command."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, TextIO

from ccstore.client.marking import Marks

#: As git gives its pager: end at once if all fits on the screen, show colours, leave the screen as it is.
_PAGER_MANNERS: Final = {"LESS": "FRX", "LV": "-c"}
_RESET: Final = "\x1b[0m"
#: Black on white, or the other way round: it is seen in whatever colour the line is.
_MARK: Final = "\x1b[7m"
#: Levels by the words for them, from the worst, and the colour of each; what is not here has none.
_COLORS: Final = (
    (("emerg", "emergency", "panic", "alert", "crit", "critical", "fatal"), "\x1b[1;31m"),
    (("err", "error"), "\x1b[31m"),
    (("warn", "warning"), "\x1b[33m"),
    (("notice",), "\x1b[1m"),
    (("debug", "trace"), "\x1b[2m"),
)
_OF_LEVEL: Final = {word: color for words, color in _COLORS for word in words}
#: Levels as syslog numbers them.
_NUMBERS: Final = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
#: Colours that are told apart on black and on white, for the parts of a bar.
PARTS: Final = ("\x1b[34m", "\x1b[33m", "\x1b[32m", "\x1b[35m", "\x1b[36m", "\x1b[31m")


class Enough(Exception):
    """Nobody reads the output any more."""


class Painter:
    """Gives text its colour, or leaves it as it is.

    :param marks: finds what is made to stand out.
    :ivar is_on: whether there are colours.
    """

    def __init__(self, is_on: bool, marks: Marks | None = None) -> None:
        self.is_on = is_on
        self._marks = marks

    def head(self, text: str) -> str:
        """The head of a table."""
        return self.painted(text, "\x1b[1m")

    def of_level(self, text: str, level: str) -> str:
        """A text by the level that its message says it has."""
        return self.painted(text, self._color(level))

    def marked(self, text: str, level: str) -> str:
        """What was looked for in a text stands out, in a line of this level."""
        if not self.is_on or self._marks is None:
            return text
        color = self._color(level)
        return "".join(
            f"{_MARK}{part}{_RESET}{color}" if is_found else part
            for part, is_found in self._marks.parts(text)
        )

    def _color(self, level: str) -> str:
        word = level.strip().lower()
        if word.isdecimal() and int(word) < len(_NUMBERS):
            word = _NUMBERS[int(word)]
        return _OF_LEVEL.get(word, "")

    def painted(self, text: str, color: str) -> str:
        """A text in a colour."""
        return f"{color}{text}{_RESET}" if self.is_on and color and text else text


def has_color(choice: str, stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether there are colours: always, never, or on a terminal unless $NO_COLOR says otherwise."""
    if choice != "auto":
        return choice == "always"
    return stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM", "") != "dumb"


def clean(text: str) -> str:
    """Without what a terminal would take for a command."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def say(command: str, text: str) -> None:
    """Tell people something besides what they asked for."""
    print(f"ccstore {command}: {clean(text)}", file=sys.stderr, flush=True)


def clean_lines(text: str, *, is_json: bool = False) -> str:
    """The same for text of several lines, which stay such.

    :param is_json: escapes are those of JSON.
    """
    if text.replace("\n", "").isprintable():
        return text
    escape = _as_json if is_json else clean
    return "".join(
        character if character.isprintable() or character == "\n" else escape(character) for character in text
    )


def _as_json(character: str) -> str:
    code = ord(character)
    if code < 0x10000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"


class Output:
    """Standard output, or a pager before it; what is written is there at once.

    :param is_paged: whether a pager is wanted where standard output is a terminal.
    :ivar is_terminal: whether people see it.
    """

    def __init__(self, stream: TextIO, environ: Mapping[str, str], *, is_paged: bool) -> None:
        self._stream = stream
        self.is_terminal = stream.isatty()
        self._pager: subprocess.Popen[bytes] | None = None
        self._environ = environ
        self._command = _pager(environ) if is_paged and self.is_terminal else ""

    @property
    def width(self) -> int:
        """Of the terminal, in characters."""
        return shutil.get_terminal_size().columns

    def write(self, text: str) -> None:
        """Write it; raises :class:`Enough` if nobody reads it."""
        if not text:
            return
        if self._command and self._pager is None:
            # Not before there is something to see: what is said of nothing needs no pager.
            environ = {**_PAGER_MANNERS, **self._environ}
            self._pager = subprocess.Popen(self._command, shell=True, stdin=subprocess.PIPE, env=environ)
            # From now on Ctrl-C is for the pager, and this process ends when that is left.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        if self._pager is not None:
            assert self._pager.stdin is not None
            try:
                self._pager.stdin.write(text.encode("utf-8", "backslashreplace"))
                self._pager.stdin.flush()
            except BrokenPipeError:
                raise Enough from None
            return
        stream: Any = self._stream
        stream.write(text)
        stream.flush()
        # As CarefulStreams have it, who say themselves what is the matter.
        if getattr(stream, "is_gone", False) or getattr(stream, "error", None) is not None:
            raise Enough

    def can_show(self, text: str) -> bool:
        """Whether its encoding has these characters."""
        try:
            text.encode(getattr(self._stream, "encoding", None) or "ascii")
        except (UnicodeEncodeError, LookupError):
            return False
        return True

    def end(self) -> None:
        """Wait until a pager has been left."""
        if self._pager is None:
            return
        assert self._pager.stdin is not None
        with suppress(BrokenPipeError):
            self._pager.stdin.close()
        self._pager.wait()


def _pager(environ: Mapping[str, str]) -> str:
    """The command of the pager, or an empty string for none."""
    command = environ.get("PAGER", "less").strip()
    try:
        first = (shlex.split(command) or [""])[0]
    except ValueError:
        first = command
    # One that is not there would take what is shown with it.
    is_there = "=" in first or shutil.which(first) is not None
    return command if command != "cat" and is_there else ""


def standard_output(*, is_paged: bool) -> Output:
    """That of this process."""
    return Output(sys.stdout, os.environ, is_paged=is_paged)
