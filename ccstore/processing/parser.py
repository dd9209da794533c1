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
from typing import Any, Final, NoReturn

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
from ccstore.processing.names import Known, Run
from ccstore.processing.nodes import (
    UNKNOWN,
    ConditionFailed,
    Node,
    calling,
    check_condition,
    constant,
    fail,
    join,
    spending,
    too_deep,
)
from ccstore.processing.operations import OPERATORS
from ccstore.processing.subject import Subject
from ccstore.processing.tokens import Token, short, tokens_of

#: How deep parentheses and the like may lie in one another, see also ``nodes.MAX_DEPTH``; and loops, of which
#: a level takes more of Python's stack.
MAX_NESTING: Final = 50
MAX_LOOPS: Final = 8

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
#: Tags that conditions are likely to name as if they were names.
_COMMON_TAGS: Final = frozenset(
    ("hostname", "host", "cluster", "function", "method", "unit", "jobid", "rank")
)
_LITERALS: Final[Mapping[str, Any]] = {"true": True, "false": False, "nil": None}
_LATER: Final = "the language has it, ccstore does not yet"


def is_reserved(name: str) -> bool:
    """Whether a name has a meaning in conditions already, other than as a function."""
    return names.find(name) is not None or name in names.MESSAGE or name in _LITERALS


class Parser:
    """
    Reads one condition.

    :ivar places: that it needs in a subject, for variables and the items of loops.
    """

    def __init__(self, source: str, constants: Mapping[str, Any]) -> None:
        self._constants = constants
        self._tokens = iter(tokens_of(source))
        self._token = next(self._tokens)
        self._depth = 0
        self._variables: dict[str, Node] = {}
        self._items: list[Mapping[str, Node]] = []
        self.places = 0

    # -- tokens

    def _next(self) -> Token:
        token = self._token
        self._token = next(self._tokens, token)
        return token

    def _is(self, *operators: str) -> bool:
        return self._token.kind == "operator" and self._token.value in operators

    def _expect(self, operator: str, why: str = "") -> Token:
        if not self._is(operator):
            self._fail(f"expected {operator!r}{why}, found {self._token}")
        return self._next()

    def _fail(self, reason: str, token: Token | None = None) -> NoReturn:
        fail(token or self._token, reason)

    # -- the grammar

    def read(self) -> Node:
        node = self._expression()
        if self._token.kind != "end":
            self._fail(f"expected an operator or the end, found {self._token}")
        return node

    def _expression(self) -> Node:
        self._depth += 1
        if self._depth > MAX_NESTING:
            too_deep(self._token, MAX_NESTING)
        node = self._declaration() if self._is("let") else self._operators(0)
        while self._is("?"):
            node = self._conditional(node, self._next())
        self._depth -= 1
        return node

    def _declaration(self) -> Node:
        """``let x = …; what follows``: the value is worked out once."""
        self._next()
        token = self._next()
        name = str(token.value)
        if token.kind != "name":
            self._fail(f"expected the name of a variable after 'let', found {token}", token)
        if is_reserved(name) or name in (
            *self._variables,
            *self._constants,
            *FUNCTIONS,
            *LOOPS,
            *NOT_YET,
            "now",
        ):
            self._fail(f"expected another name for a variable: {name!r} has a meaning already", token)
        self._expect("=", f" after the variable {name!r}")
        value = self._expression()
        self._expect(";", f" after the value of {name!r}")
        place = self._take_places(1)
        self._variables[name] = self._at(place, token, value) if not value.constant else value
        inner = self._expression()
        del self._variables[name]
        if value.constant:
            return inner
        assign, run = value.run, inner.run

        def declared(subject: Subject) -> Any:
            subject.places[place] = assign(subject)
            return run(subject)

        return join(declared, token, (value, inner), inner.kind)

    def _take_places(self, count: int) -> int:
        self.places += count
        return self.places - count

    @staticmethod
    def _at(place: int, token: Token, value: Node, kind: str | None = None) -> Node:
        """What stands at a place of the subject, which comes from a value."""
        return Node(
            lambda subject: subject.places[place],
            token.position,
            value.kind if kind is None else kind,
            is_of_series=value.is_of_series,
        )

    def _conditional(self, asked: Node, token: Token) -> Node:
        if_true = asked if self._is(":") else self._expression()
        self._expect(":", " of the conditional")
        return conditional(asked, if_true, self._expression(), token)

    def _operators(self, precedence: int) -> Node:
        """What is joined by operators that bind at least so strongly."""
        left = self._operand()
        before = ""
        while self._token.kind == "operator":
            token = self._token
            operator = str(token.value)
            is_negated = operator == "not"
            if is_negated:
                if precedence > OPERATORS["in"][1]:
                    break
                self._next()
                if self._token.kind != "operator" or self._token.value not in NEGATED:
                    self._fail(f"expected one of {', '.join(sorted(NEGATED))} after not, found {self._token}")
                token = self._token
                operator = str(token.value)
            strength = _PRECEDENCES.get(operator, -1)
            if strength < precedence:
                break
            if before == "??" and operator not in ("??", "|"):
                self._fail(f"expected parentheses around the part with '??' before {operator!r}", token)
            self._next()
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
        if self._is("="):
            self._fail("'=' is not known here (== compares)")
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
        token = self._next()
        if token.kind != "name":
            self._fail(f"expected a function after '|', found {token}", token)
        return self._function(token, [value])

    def _logical(self, left: Node, token: Token, strength: int) -> Node:
        """All that is joined by `and`, or by `or`, in one go: it may be long, and is not deep."""
        same = OR if token.value in OR else AND
        parts = [left, self._operators(strength + 1)]
        while self._is(*same):
            self._next()
            parts.append(self._operators(strength + 1))
        return logical(parts, token)

    def _comparison(self, left: Node, token: Token, strength: int) -> Node:
        compared = []
        while True:
            right = self._operators(strength + 1)
            compared.append(self._binary(left, token, right))
            if not self._is(*COMPARISONS):
                return chained(compared, token)
            left, token = right, self._next()

    def _binary(self, left: Node, token: Token, right: Node) -> Node:
        return binary(left, token, right, self._run(left), self._run(right))

    def _operand(self) -> Node:
        token = self._token
        if self._is("!", "not"):
            return negated(self._deeper(_NOT, self._next()), token)
        if self._is("-", "+"):
            return signed(self._deeper(_MINUS, self._next()), token)
        if self._is("("):
            self._next()
            node = self._expression()
            self._expect(")", f" for the '(' at column {token.position + 1}")
        elif self._is("["):
            node = self._list()
        elif self._is("{"):
            node = self._map()
        elif self._is("#", "."):
            node = self._item()
        elif token.kind == "name":
            node = self._named()
        elif token.kind in ("string", "number"):
            node = constant(self._next().value, token.position)
        else:
            self._fail(f"expected a value, found {token}")
        return self._postfix(node)

    def _list(self) -> Node:
        token = self._next()
        items = self._separated("]", " or ']' in the list")
        if all(item.constant for item in items):
            return constant([item.constant[0] for item in items], token.position)
        runs = [item.run for item in items]
        return join(lambda subject: [run(subject) for run in runs], token, items, "a list")

    def _separated(self, end: str, why: str) -> list[Node]:
        """Expressions with commas between them, and perhaps one behind them, up to what ends them."""
        found: list[Node] = []
        while not self._is(end):
            if found:
                self._expect(",", why)
                if self._is(end):
                    break
            found.append(self._expression())
        self._next()
        return found

    def _map(self) -> Node:
        token = self._next()
        keys: list[Node] = []
        values: list[Node] = []
        while not self._is("}"):
            if keys:
                self._expect(",", " or '}' in the map")
                if self._is("}"):
                    break
            key = self._token
            if key.kind in ("name", "string", "number"):
                keys.append(constant(str(self._next().value), key.position))
            elif self._is("("):
                keys.append(self._expression())
            else:
                self._fail(f"expected a key of the map, found {key}")
            self._expect(":", " after the key of the map")
            values.append(self._expression())
        self._next()
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
        token = self._token
        if not self._items:
            self._fail(f"{token} stands for an item of a list, in a predicate as of any(…) or filter(…)")
        name = ""
        if self._is("#"):
            self._next()
            if self._token.kind == "name":
                name = str(self._next().value)
        if name not in self._items[-1]:
            self._fail(
                f"#{name}: {_LATER}" if name == "acc" else f"expected # or #index, found #{name}", token
            )
        return self._items[-1][name]

    def _named(self) -> Node:
        token = self._next()
        name = str(token.value)
        if name in _LITERALS:
            return constant(_LITERALS[name], token.position)
        if name in self._variables:
            return evolve(self._variables[name], position=token.position)
        if name in names.MESSAGE:
            return self._method(token)
        if self._is("("):
            return self._function(token, [])
        known = names.find(name)
        if known is None and name in self._constants:
            return constant(self._constants[name], token.position)
        if known is None:
            self._fail(self._unknown(name), token)
        return self._from(known, token)

    @staticmethod
    def _from(known: Known, token: Token) -> Node:
        return Node(known.run, token.position, known.kind, is_of_series=known.is_of_series)

    @staticmethod
    def _unknown(name: str) -> str:
        if name in NOT_YET:
            return f"{name}: {_LATER}"
        if name in FUNCTIONS or name in LOOPS or name == "now":
            return f"expected '(' after the function {name!r}"
        if name in _COMMON_TAGS:
            return f"the name {name!r} is not known: a tag is tag.{name}"
        return f"the name {name!r} is not known, expected one of {', '.join(names.NAMES)}, msg or tag_<key>"

    def _arguments(self) -> list[Node]:
        self._expect("(")
        return self._separated(")", " or ')'")

    def _function(self, token: Token, given: list[Node]) -> Node:
        """A call; ``given`` is what stands before a pipe."""
        name = str(token.value)
        if name in LOOPS:
            return self._loop(token, given)
        if name in NOT_YET:
            self._fail(f"{name}: {_LATER}", token)
        if name == "now":
            self._check_count(token, "0", given + self._arguments(), 0, 0)
            return self._from(names.NOW, token)
        if name not in FUNCTIONS:
            known = ", ".join((*FUNCTIONS, *LOOPS, "now"))
            self._fail(f"the function {short(name)} is not known, expected one of {known}", token)
        function, least, most, kind = FUNCTIONS[name]
        arguments = given + self._arguments()
        wanted = str(least) if least == most else f"{least} to {most}"
        self._check_count(token, wanted, arguments, least, most)
        run = calling(function, [self._run(argument) for argument in arguments], token.position)
        return join(run, token, arguments, kind)

    def _check_count(
        self, token: Token, wanted: str, arguments: Sequence[Node], least: int, most: int
    ) -> None:
        if not least <= len(arguments) <= most:
            self._fail(f"{token.value} takes {wanted} arguments, not {len(arguments)}", token)

    def _loop(self, token: Token, given: list[Node]) -> Node:
        """A function with a predicate, which may have braces around it."""
        name = str(token.value)
        loop = LOOPS[name]
        if len(self._items) == MAX_LOOPS:
            too_deep(token, MAX_LOOPS)
        self._expect("(", f" after the function {name!r}")
        items = given[0] if given else self._expression()
        if items.kind not in ("a list", UNKNOWN):
            self._fail(f"{name} expects a list, found {items.kind}", token)
        place = self._take_places(2)
        item = self._at(place, token, items, UNKNOWN)
        self._items.append({"": item, "index": self._at(place + 1, token, items, "a number")})
        if not given and not self._is(")"):
            self._expect(",", f" and a predicate in {name}(…)")
        predicate = item
        if not self._is(")"):
            predicate = self._predicate()
        elif not loop.is_optional:
            self._fail(f"expected a predicate in {name}(…), found {self._token}")
        self._items.pop()
        if self._is(","):
            self._next()
        self._expect(")", f" for the function {name!r}")
        if loop.asks:
            check_condition(predicate, name)
        return join(loop.run(items, predicate, place, name), token, (items, predicate), loop.kind)

    def _predicate(self) -> Node:
        opening = self._token
        if not self._is("{"):
            return self._expression()
        self._next()
        node = self._expression()
        self._expect("}", f" for the '{{' at column {opening.position + 1}")
        return node

    def _run(self, node: Node) -> Run:
        """How a part is run that something is done with: in a loop, it is counted what that may take."""
        return spending(node) if self._items else node.run

    def _method(self, message: Token) -> Node:
        self._expect(".", f" and a method after {message.value!r}")
        token = self._next()
        method = names.METHODS.get(str(token.value)) if token.kind == "name" else None
        if method is None:
            if token.value in names.METHODS_NOT_YET:
                self._fail(f"{token.value}: {_LATER}", token)
            self._fail(f"expected one of {', '.join(names.METHODS)}, found {token}", token)
        arguments = self._arguments()
        self._check_count(token, str(method.arguments), arguments, method.arguments, method.arguments)
        runs = [self._run(argument) for argument in arguments]
        run = calling(method.run, [_itself, *runs], token.position)
        node = join(run, token, arguments, method.kind)
        return node if method.is_of_series else evolve(node, is_of_series=False)

    # -- what follows a value

    def _postfix(self, node: Node) -> Node:
        """Keys, parts and methods behind a value."""
        start = self._token
        found: list[Link] = []
        while self._is(".", "?.", "["):
            token = self._next()
            before = UNKNOWN if found else node.kind
            if token.value == "[" or (token.value == "?." and self._is("[") and self._next()):
                found.append(self._index(token, before))
            else:
                found.append(self._key(token, before))
        return chain(node, self._run(node), found, start) if found else node

    def _key(self, dot: Token, kind: str) -> Link:
        """:param kind: of the value before it."""
        token = self._next()
        if token.kind != "name" and not (token.kind == "operator" and str(token.value).isalpha()):
            self._fail(f"expected a key after '.', found {token}", token)
        key = str(token.value)
        if self._is("("):
            check_method(dot, key, kind)
            return method_link(dot, key, self._arguments())
        return key_link(dot, constant(key, token.position), kind)

    def _index(self, token: Token, kind: str) -> Link:
        nothing = constant(None, token.position)
        first = nothing if self._is(":") else self._expression()
        is_part = self._is(":")
        if is_part:
            self._next()
        last = self._expression() if is_part and not self._is("]") else nothing
        self._expect("]", f" for the '[' at column {token.position + 1}")
        return part_link(token, first, last) if is_part else key_link(token, first, kind)


def _itself(subject: Subject) -> Subject:
    return subject
