"""
The grammar of conditions.

The language is that of `expr` (https://expr-lang.org/docs/language-definition), as far as conditions are
likely to need it. The parser climbs precedences, as that of `expr` does, with the same numbers:

======================================================= ====
``|``                                                      0
``or`` ``||``                                             10
``and`` ``&&``                                            15
``== != < <= > >= in matches contains startsWith …``      20
``..``                                                    25
``+ -``                                                   30
``not`` ``!``                                             50
``* / %``                                                 60
``-`` before a value                                      90
``** ^`` (from the right)                                100
``??``                                                   500
======================================================= ====
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from attrs import evolve

from ccstore.processing import names
from ccstore.processing.combining import (
    AND,
    COMPARISONS,
    NEGATED,
    OR,
    binary,
    chained,
    conditional,
    logical,
    negated,
    signed,
)
from ccstore.processing.functions import FUNCTIONS, NOT_YET
from ccstore.processing.links import Link, chain, check_method, key_link, method_link, part_link
from ccstore.processing.loops import LOOPS
from ccstore.processing.nodes import (
    UNKNOWN,
    ConditionFailed,
    Node,
    calling,
    check_condition,
    constant,
    join,
    too_deep,
)
from ccstore.processing.operations import OPERATORS
from ccstore.processing.scope import LATER, Scope, node_of
from ccstore.processing.subject import Subject
from ccstore.processing.token_stream import TokenStream
from ccstore.processing.tokens import Token, short

#: How deep parentheses and the like may lie in one another, see also ``nodes.MAX_DEPTH``.
MAX_NESTING: Final = 50

_FROM_THE_RIGHT: Final = frozenset(("**", "^"))
_PRECEDENCES: Final[Mapping[str, int]] = {
    "|": 0,
    **dict.fromkeys(OR, 10),
    **dict.fromkeys(AND, 15),
    **{operator: precedence for operator, (_, precedence, _) in OPERATORS.items()},
    "??": 500,
}
_NOT: Final = 50
_MINUS: Final = 90


class Parser:
    """
    Reads one condition.

    Each method reads one part of the grammar, from its first token on. They call one another as parts lie in
    one another, so the class is as long as the language, and is better read whole.

    :param constants: values of the configuration, by their names.
    """

    def __init__(self, source: str, constants: Mapping[str, Any]) -> None:
        self._tokens = TokenStream(source)
        self._scope = Scope(constants)
        self._depth = 0

    @property
    def places(self) -> int:
        """How many places the condition needs in a subject."""
        return self._scope.places

    def read(self) -> Node:
        """The whole condition; raises :class:`ExpressionError`."""
        node = self._expression()
        if self._tokens.current.kind != "end":
            self._tokens.fail(f"expected an operator or the end, found {self._tokens.current}")
        return node

    def _expression(self) -> Node:
        self._depth += 1
        if self._depth > MAX_NESTING:
            too_deep(self._tokens.current, MAX_NESTING)
        node = self._declaration() if self._tokens.has("let") else self._operators(0)
        while self._tokens.has("?"):
            node = self._conditional(node, self._tokens.take())
        self._depth -= 1
        return node

    def _declaration(self) -> Node:
        """``let x = …; what follows``: the value is worked out once."""
        self._tokens.take()
        token = self._tokens.take()
        name = str(token.value)
        if token.kind != "name":
            self._tokens.fail(f"expected the name of a variable after 'let', found {token}", token)
        self._scope.check_is_free(token)
        self._tokens.expect("=", f" after the variable {name!r}")
        value = self._expression()
        self._tokens.expect(";", f" after the value of {name!r}")
        place = self._scope.declare(token, value)
        inner = self._expression()
        self._scope.forget(token)
        if value.constant:
            return inner
        assign, run = value.run, inner.run

        def declared(subject: Subject) -> Any:
            subject.places[place] = assign(subject)
            return run(subject)

        return join(declared, token, (value, inner), inner.kind)

    def _conditional(self, asked: Node, token: Token) -> Node:
        if_true = asked if self._tokens.has(":") else self._expression()
        self._tokens.expect(":", " of the conditional")
        return conditional(asked, if_true, self._expression(), token)

    def _operators(self, precedence: int) -> Node:
        """What is joined by operators that bind at least so strongly."""
        left = self._operand()
        before = ""
        while self._tokens.current.kind == "operator":
            token = self._tokens.current
            operator = str(token.value)
            is_negated = operator == "not"
            if is_negated:
                if precedence > OPERATORS["in"][1]:
                    break
                self._tokens.take()
                token = self._tokens.current
                if token.kind != "operator" or token.value not in NEGATED:
                    self._tokens.fail(
                        f"expected one of {', '.join(sorted(NEGATED))} after not, found {token}"
                    )
                operator = str(token.value)
            strength = _PRECEDENCES.get(operator, -1)
            if strength < precedence:
                break
            if before == "??" and operator not in ("??", "|"):
                self._tokens.fail(
                    f"expected parentheses around the part with '??' before {operator!r}", token
                )
            self._tokens.take()
            if operator == "|":
                left = self._piped(left)
            elif operator in OR or operator in AND:
                left = self._logical(left, token, strength)
            elif operator in COMPARISONS:
                left = self._comparison(left, token, strength)
            elif operator in _FROM_THE_RIGHT:
                left = self._binary(left, token, self._deeper(strength, token))
            else:
                left = self._binary(left, token, self._operators(strength + 1))
            if is_negated:
                left = negated(left, token)
            before = operator
        if self._tokens.has("="):
            self._tokens.fail("'=' is not known here (== compares)")
        return left

    def _deeper(self, precedence: int, token: Token) -> Node:
        """The same, where a condition may have any number of these in one another."""
        self._depth += 1
        if self._depth > MAX_NESTING:
            too_deep(token, MAX_NESTING)
        node = self._operators(precedence)
        self._depth -= 1
        return node

    def _piped(self, value: Node) -> Node:
        """``x | f(y)`` is ``f(x, y)``."""
        token = self._tokens.take()
        if token.kind != "name":
            self._tokens.fail(f"expected a function after '|', found {token}", token)
        return self._function(token, [value])

    def _logical(self, left: Node, token: Token, strength: int) -> Node:
        """All that is joined by `and`, or by `or`, in one go: it may be long, and is not deep."""
        same = OR if token.value in OR else AND
        parts = [left, self._operators(strength + 1)]
        while self._tokens.has(*same):
            self._tokens.take()
            parts.append(self._operators(strength + 1))
        return logical(parts, token)

    def _comparison(self, left: Node, token: Token, strength: int) -> Node:
        compared = []
        while True:
            right = self._operators(strength + 1)
            compared.append(self._binary(left, token, right))
            if not self._tokens.has(*COMPARISONS):
                return chained(compared, token)
            left, token = right, self._tokens.take()

    def _binary(self, left: Node, token: Token, right: Node) -> Node:
        return binary(left, token, right, self._scope.run(left), self._scope.run(right))

    def _operand(self) -> Node:
        token = self._tokens.current
        if self._tokens.has("!", "not"):
            return negated(self._deeper(_NOT, self._tokens.take()), token)
        if self._tokens.has("-", "+"):
            return signed(self._deeper(_MINUS, self._tokens.take()), token)
        if self._tokens.has("("):
            self._tokens.take()
            node = self._expression()
            self._tokens.expect(")", f" for the '(' at column {token.position + 1}")
        elif self._tokens.has("["):
            node = self._list()
        elif self._tokens.has("{"):
            node = self._map()
        elif self._tokens.has("#", "."):
            node = self._item()
        elif token.kind == "name":
            node = self._named()
        elif token.kind in ("string", "number"):
            node = constant(self._tokens.take().value, token.position)
        else:
            self._tokens.fail(f"expected a value, found {token}")
        return self._postfix(node)

    def _list(self) -> Node:
        token = self._tokens.take()
        items = self._separated("]", " or ']' in the list")
        if all(item.constant for item in items):
            return constant([item.constant[0] for item in items], token.position)
        runs = [item.run for item in items]
        return join(lambda subject: [run(subject) for run in runs], token, items, "a list")

    def _separated(self, end: str, why: str) -> list[Node]:
        """Expressions with commas between them, and perhaps one behind them, up to what ends them."""
        found: list[Node] = []
        while not self._tokens.has(end):
            if found:
                self._tokens.expect(",", why)
                if self._tokens.has(end):
                    break
            found.append(self._expression())
        self._tokens.take()
        return found

    def _map(self) -> Node:
        token = self._tokens.take()
        keys: list[Node] = []
        values: list[Node] = []
        while not self._tokens.has("}"):
            if keys:
                self._tokens.expect(",", " or '}' in the map")
                if self._tokens.has("}"):
                    break
            key = self._tokens.current
            if key.kind in ("name", "string", "number"):
                keys.append(constant(str(self._tokens.take().value), key.position))
            elif self._tokens.has("("):
                keys.append(self._expression())
            else:
                self._tokens.fail(f"expected a key of the map, found {key}")
            self._tokens.expect(":", " after the key of the map")
            values.append(self._expression())
        self._tokens.take()
        pairs = [(key.run, value.run) for key, value in zip(keys, values, strict=True)]
        position = token.position

        def make(subject: Subject) -> Any:
            made = {key(subject): value(subject) for key, value in pairs}
            if not all(isinstance(key, str) for key in made):
                raise ConditionFailed(position, "the keys of a map are strings")
            return made

        return join(make, token, [*keys, *values], "a map")

    def _item(self) -> Node:
        """``#`` and what belongs to it; a dot alone is the beginning of a key of it."""
        token = self._tokens.current
        if not self._scope.is_in_loop:
            self._tokens.fail(
                f"{token} stands for an item of a list, in a predicate as of any(…) or filter(…)"
            )
        name = ""
        if self._tokens.has("#"):
            self._tokens.take()
            if self._tokens.current.kind == "name":
                name = str(self._tokens.take().value)
        return self._scope.item(token, name)

    def _named(self) -> Node:
        token = self._tokens.take()
        name = str(token.value)
        if self._scope.is_value(name):
            return self._scope.find(token)
        if name in names.MESSAGE:
            return self._method(token)
        if self._tokens.has("("):
            return self._function(token, [])
        return self._scope.find(token)

    def _arguments(self) -> list[Node]:
        self._tokens.expect("(")
        return self._separated(")", " or ')'")

    def _function(self, token: Token, given: list[Node]) -> Node:
        """A call; ``given`` is what stands before a pipe."""
        name = str(token.value)
        if name in LOOPS:
            return self._loop(token, given)
        if name in NOT_YET:
            self._tokens.fail(f"{name}: {LATER}", token)
        if name == "now":
            self._check_count(token, "0", given + self._arguments(), 0, 0)
            return node_of(names.NOW, token)
        if name not in FUNCTIONS:
            known = ", ".join((*FUNCTIONS, *LOOPS, "now"))
            self._tokens.fail(f"the function {short(name)} is not known, expected one of {known}", token)
        function, least, most, kind = FUNCTIONS[name]
        arguments = given + self._arguments()
        wanted = str(least) if least == most else f"{least} to {most}"
        self._check_count(token, wanted, arguments, least, most)
        run = calling(function, [self._scope.run(argument) for argument in arguments], token.position)
        return join(run, token, arguments, kind)

    def _check_count(
        self, token: Token, wanted: str, arguments: Sequence[Node], least: int, most: int
    ) -> None:
        if not least <= len(arguments) <= most:
            self._tokens.fail(f"{token.value} takes {wanted} arguments, not {len(arguments)}", token)

    def _loop(self, token: Token, given: list[Node]) -> Node:
        """A function with a predicate, which may have braces around it."""
        name = str(token.value)
        loop = LOOPS[name]
        self._scope.check_loop(token)
        self._tokens.expect("(", f" after the function {name!r}")
        items = given[0] if given else self._expression()
        if items.kind not in ("a list", UNKNOWN):
            self._tokens.fail(f"{name} expects a list, found {items.kind}", token)
        place, item = self._scope.enter_loop(token, items)
        if not given and not self._tokens.has(")"):
            self._tokens.expect(",", f" and a predicate in {name}(…)")
        predicate = item
        if not self._tokens.has(")"):
            predicate = self._predicate()
        elif not loop.is_optional:
            self._tokens.fail(f"expected a predicate in {name}(…), found {self._tokens.current}")
        self._scope.leave_loop()
        if self._tokens.has(","):
            self._tokens.take()
        self._tokens.expect(")", f" for the function {name!r}")
        if loop.asks:
            check_condition(predicate, name)
        return join(loop.run(items, predicate, place, name), token, (items, predicate), loop.kind)

    def _predicate(self) -> Node:
        opening = self._tokens.current
        if not self._tokens.has("{"):
            return self._expression()
        self._tokens.take()
        node = self._expression()
        self._tokens.expect("}", f" for the '{{' at column {opening.position + 1}")
        return node

    def _method(self, message: Token) -> Node:
        self._tokens.expect(".", f" and a method after {message.value!r}")
        token = self._tokens.take()
        method = names.METHODS.get(str(token.value)) if token.kind == "name" else None
        if method is None:
            if token.value in names.METHODS_NOT_YET:
                self._tokens.fail(f"{token.value}: {LATER}", token)
            self._tokens.fail(f"expected one of {', '.join(names.METHODS)}, found {token}", token)
        arguments = self._arguments()
        self._check_count(token, str(method.arguments), arguments, method.arguments, method.arguments)
        runs = [self._scope.run(argument) for argument in arguments]
        run = calling(method.run, [_itself, *runs], token.position)
        node = join(run, token, arguments, method.kind)
        return node if method.is_of_series else evolve(node, is_of_series=False)

    # -- what follows a value

    def _postfix(self, node: Node) -> Node:
        """Keys, parts and methods behind a value."""
        start = self._tokens.current
        found: list[Link] = []
        while self._tokens.has(".", "?.", "["):
            token = self._tokens.take()
            before = UNKNOWN if found else node.kind
            if token.value == "[" or (token.value == "?." and self._tokens.has("[") and self._tokens.take()):
                found.append(self._index(token, before))
            else:
                found.append(self._key(token, before))
        return chain(node, self._scope.run(node), found, start) if found else node

    def _key(self, dot: Token, kind: str) -> Link:
        """:param kind: of the value before it."""
        token = self._tokens.take()
        if token.kind != "name" and not (token.kind == "operator" and str(token.value).isalpha()):
            self._tokens.fail(f"expected a key after '.', found {token}", token)
        key = str(token.value)
        if self._tokens.has("("):
            check_method(dot, key, kind)
            return method_link(dot, key, self._arguments())
        return key_link(dot, constant(key, token.position), kind)

    def _index(self, token: Token, kind: str) -> Link:
        nothing = constant(None, token.position)
        first = nothing if self._tokens.has(":") else self._expression()
        is_part = self._tokens.has(":")
        if is_part:
            self._tokens.take()
        last = self._expression() if is_part and not self._tokens.has("]") else nothing
        self._tokens.expect("]", f" for the '[' at column {token.position + 1}")
        return part_link(token, first, last) if is_part else key_link(token, first, kind)


def _itself(subject: Subject) -> Subject:
    return subject
