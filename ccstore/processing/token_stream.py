"""The tokens of a condition, taken one after the other."""

from __future__ import annotations

from typing import NoReturn

from ccstore.processing.nodes import fail
from ccstore.processing.tokens import Token, tokens_of


class TokenStream:
    """Where the parser is in a condition.

    :ivar current: the token that is not taken yet; behind the last one, that of kind ``end`` for ever.
    """

    def __init__(self, source: str) -> None:
        self._rest = iter(tokens_of(source))
        self.current = next(self._rest)

    def take(self) -> Token:
        """The current token, and go on to the next."""
        token = self.current
        self.current = next(self._rest, token)
        return token

    def has(self, *operators: str) -> bool:
        """Whether the current token is one of these operators."""
        return self.current.kind == "operator" and self.current.value in operators

    def expect(self, operator: str, why: str = "") -> Token:
        """Take an operator that has to be there.

        :param why: said behind it if it is not, such as ``" after the function 'any'"``.
        """
        if not self.has(operator):
            self.fail(f"expected {operator!r}{why}, found {self.current}")
        return self.take()

    def fail(self, reason: str, token: Token | None = None) -> NoReturn:
        """Raise an :class:`ExpressionError` at a token, or at the current one."""
        fail(token or self.current, reason)
