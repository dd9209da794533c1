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
        raise ValueError(f"{pattern[:60]!r} is no regular expression: it is not Unicode") from None
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        said = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise ValueError(f"{pattern[:60]!r} is no regular expression: {said[:100]}") from None


def quote(text: str) -> str:
    """The regular expression that matches this text and nothing else."""
    return re.escape(text)
