"""Going through the words of a query, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final, NoReturn

from ccstore.loki.lexer import Token, TokenKind, duration_of, place_of, tokens_of
from ccstore.loki.syntax import LogQLError

#: How kinds of words are called.
_CALLED = {
    "name": "a name",
    "string": "a string",
    "number": "a number",
    "range": "a range such as [5m]",
    "duration": "a duration such as 5m",
    "end": "the end of the query",
}
#: Calls within each other that a query may take, of about a thousand that Python allows.
_MOST_CALLS: Final = 600


class Words:
    """The words of a query, and how far they have been read."""

    def __init__(self, query: str) -> None:
        self._query = query
        self._tokens = [*tokens_of(query)]
        self._index = 0
        self._calls = 0

    @property
    def next(self) -> Token:
        """The one that comes."""
        return self._tokens[self._index]

    def behind(self, number: int = 1) -> Token:
        """One that comes later."""
        return self._tokens[min(self._index + number, len(self._tokens) - 1)]

    def nest(self, calls: int) -> None:
        """Something takes so many calls within each other; raises :class:`LogQLError` if all are too many.

        What is done with the query later takes about as many as to read it.
        """
        self._calls += calls
        if self._calls > _MOST_CALLS:
            self.wrong("the query has too many operators, conditions and parentheses")

    def is_op(self, *ops: str) -> bool:
        """What comes is one of these signs."""
        return self.next.kind == "op" and self.next.value in ops

    def is_name(self, *names: str) -> bool:
        """What comes is one of these names, in any case, or any name if none is given."""
        return self.next.kind == "name" and (not names or self.next.value.lower() in names)

    def take(self) -> Token:
        """What comes; it is read with that."""
        token = self.next
        self._index += token.kind != "end"
        return token

    def take_op(self, op: str) -> bool:
        """Read this sign, if it comes."""
        if self.is_op(op):
            self.take()
            return True
        return False

    def expect_op(self, *ops: str) -> str:
        """Read one of these signs; raises :class:`LogQLError` if none comes."""
        if not self.is_op(*ops):
            self.fail(*map(repr, ops))
        return self.take().value

    def expect(self, *kinds: TokenKind) -> Token:
        """Read a word of one of these kinds; raises :class:`LogQLError` if none comes."""
        if self.next.kind not in kinds:
            self.fail(*(_CALLED.get(kind, kind) for kind in kinds))
        return self.take()

    def label(self) -> str:
        """Read the name of a label."""
        return self.expect("name").value

    def duration(self) -> int:
        """Read a duration or a range, in nanoseconds."""
        token = self.expect("range", "duration", "number")
        try:
            return duration_of(token.value)
        except ValueError as error:
            self.wrong(str(error), token)

    def checked(self, check: Callable[[str], object]) -> str:
        """Read a string that something can be made of; raises :class:`LogQLError` if it cannot."""
        token = self.expect("string")
        try:
            check(token.value)
        except ValueError as error:
            self.wrong(str(error), token)
        return token.value

    def fail(self, *expected: str) -> NoReturn:
        """Raise :class:`LogQLError`: something else should stand here."""
        token = self.next
        got = _CALLED["end"] if token.kind == "end" else repr(_shown(token))
        *others, last = expected
        wanted = f"{', '.join(others)} or {last}" if others else last
        self.wrong(f"expected {wanted}, got {got}")

    def wrong(self, text: str, token: Token | None = None) -> NoReturn:
        """Raise :class:`LogQLError` with the place of a word, or of the one that comes."""
        raise LogQLError(text, place_of(self._query, (token or self.next).position))


def _shown(token: Token) -> str:
    shown = f"[{token.value}]" if token.kind == "range" else token.value
    return shown[:40]


def names_in(names: Collection[str]) -> str:
    """Names as they are told."""
    return ", ".join(sorted(names))
