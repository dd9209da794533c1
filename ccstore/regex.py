"""Regular expressions from outside: the syntax of RE2, whose time is linear in the text."""

from __future__ import annotations

import re
from typing import Any, Final

import re2

#: Bytes of memory that one compiled expression may take; a larger one is refused.
_MAX_MEMORY: Final = 8 << 20


def compile_regex(pattern: str, *, ignores_case: bool = False) -> Any:
    """Compile a regular expression for searching bytes; raises :class:`ValueError` that says what is wrong.

    Bytes, because RE2 works on UTF-8: a text that is encoded once serves any number of expressions.
    """
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MAX_MEMORY
    options.case_sensitive = not ignores_case
    try:
        return re2.compile(pattern.encode(), options)
    except UnicodeEncodeError:
        raise ValueError(f"the regular expression {pattern[:60]!r} is wrong: it is not Unicode") from None
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        said = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise ValueError(f"the regular expression {pattern[:60]!r} is wrong: {_in_words(said)}") from None


def compile_text(text: bytes) -> Any:
    """Compile an expression for bytes as they are, in any case of the letters of ASCII, and perhaps others.

    Where there are none of them, that is found in half of the time that ``bytes.find`` takes, and without the
    interpreter lock; where they are, each takes ten times as long.
    """
    options = re2.Options()
    options.log_errors = False
    options.case_sensitive = False
    # Each byte by itself: else the long s and the Kelvin sign were letters of ASCII as well.
    options.encoding = re2.Options.Encoding.LATIN1
    options.literal = True
    return re2.compile(text, options)


def _in_words(said: str) -> str:
    """What RE2 says of an expression, with what it means in quotes: it often is a sign or two."""
    what, _, where = said.partition(": ")
    sign = what[-1:]
    if sign in (")", "]"):
        # Behind it stands the expression, which is told already.
        return f"{what[:-1]}{sign!r}"
    return f"{what}: {where[:60]!r}" if where else what[:100]


def quote(text: str) -> str:
    """The regular expression that matches this text and nothing else."""
    return re.escape(text)


#: Tokens of an expression as far as they matter to :func:`required_text`: what is quoted, what repeats what
#: stands before it, classes of characters, and the beginnings and ends of groups.
_TOKEN: Final = re.compile(
    r"(?P<quoted>\\[^A-Za-z0-9])|(?P<special>\\(?:[pPxQCE0-9]|$))|(?P<escape>\\.)"
    r"|(?P<class>\[\^?\]?(?:\\.|\[:\^?[a-z]+:\]|[^\]\\])*\])|(?P<repeat>[*+?]|\{[0-9]+(?:,[0-9]*)?\})"
    r"|(?P<begin>\((?:\?(?:P?<\w+>|[ims]*:)|(?!\?)))|(?P<end>\))|(?P<other>[|.^$])|(?P<plain>[^\\\[(])",
    re.DOTALL,
)
_FLAGS: Final = re.compile(r"\(\?([ims]+)\)")


def required_text(pattern: str, *, ignores_case: bool = False) -> tuple[str, bool]:
    """The longest of :func:`required_texts`."""
    texts, ignores_case = required_texts(pattern, ignores_case=ignores_case)
    return max(texts, key=len, default=""), ignores_case


def required_texts(pattern: str, *, ignores_case: bool = False) -> tuple[list[str], bool]:
    """Texts known to be in whatever a right expression matches, and whether in any case.

    It finds what stands in the expression as it is, outside of groups and alternatives; the empty text is in
    everything. Where case does not matter, only the letters of ASCII are looked at so.
    """
    flags = _FLAGS.match(pattern)
    if flags is not None:
        ignores_case |= "i" in flags[1]
        pattern = pattern[flags.end() :]
    runs = [""]
    depth = position = 0
    while position < len(pattern):
        token = _TOKEN.match(pattern, position)
        if token is None or token.lastgroup == "special" or (token[0] == "|" and not depth):
            return [], False
        position = token.end()
        kind = token.lastgroup
        depth += (kind == "begin") - (kind == "end")
        if depth or kind not in ("quoted", "plain", "repeat"):
            runs.append("")
        elif kind == "repeat":
            # It repeats the last character, perhaps not even once.
            runs[-1] = runs[-1][:-1] if token[0] != "+" else runs[-1]
            runs.append("")
        elif ignores_case and (not token[0].isascii() or token[0] in "kKsS"):
            # RE2 finds the Kelvin sign and the long s by these.
            runs.append("")
        else:
            runs[-1] += token[0][-1]
    return [run for run in runs if run], ignores_case
