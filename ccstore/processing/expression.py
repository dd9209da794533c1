"""
Conditions: from text to a function of a message.

The language is the part of `expr` (https://expr-lang.org/docs/language-definition) that conditions of
ClusterCockpit's message processor use. The parser climbs precedences, as that of `expr` does, with the same
numbers:

======================================================= ====
``or`` ``||``                                             10
``and`` ``&&``                                            15
``== != < <= > >= in matches contains startsWith …``      20
``+ -``                                                   30
``not`` ``!``                                             50
``* / %``                                                 60
``-`` before a value                                      90
``??``                                                   500
======================================================= ====
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NoReturn

from attrs import evolve, field, frozen

from ccstore.processing import names
from ccstore.processing.names import Known, Run
from ccstore.processing.operations import (
    FUNCTIONS,
    OPERATORS,
    Failed,
    fetch,
    kind_of,
    matcher,
    negative,
    truth,
)
from ccstore.processing.subject import Subject
from ccstore.processing.tokens import ExpressionError, Token, short, tokens_of

__all__ = ["Condition", "ConditionFailed", "ExpressionError"]

#: How deep parentheses and the like may lie in one another, and how deep the parts that come out of it: a sum
#: is as deep as it has terms. Python's own stack ends at a thousand calls, and a level takes several.
MAX_NESTING: Final = 50
MAX_DEPTH: Final = 100

_OR: Final = frozenset(("||", "or"))
_AND: Final = frozenset(("&&", "and"))
_COMPARISONS: Final = frozenset(("<", "<=", ">", ">="))
_NEGATED: Final = frozenset(("in", "matches", "contains", "startsWith", "endsWith"))
_PRECEDENCES: Final[Mapping[str, int]] = {
    **dict.fromkeys(_OR, 10),
    **dict.fromkeys(_AND, 15),
    **{operator: precedence for operator, (_, precedence, _) in OPERATORS.items()},
    "??": 500,
}
_NOT: Final = 50
_MINUS: Final = 90
#: What there is in the language besides.
_LEFT_OUT: Final[Mapping[str, str]] = {
    "let": "variables",
    **dict.fromkeys(("all", "any", "one", "none", "map", "filter", "find", "count"), "predicates"),
}
#: Tags that conditions are likely to name as if they were names.
_COMMON_TAGS: Final = frozenset(
    ("hostname", "host", "cluster", "function", "method", "unit", "jobid", "rank")
)
_BOOLEAN: Final = "a truth value"
_UNKNOWN: Final = "anything"


class ConditionFailed(Exception):
    """A condition has no answer for a message.

    :ivar position: the character of the condition at which it failed, from 0.
    """

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(position, reason)
        self.position = position
        self.reason = reason


@frozen
class Condition:
    """
    A condition, ready to be asked.

    :ivar is_of_series: the answer depends on name, tags, meta and kind of a message alone.
    """

    source: str
    is_of_series: bool = field(eq=False)
    _run: Run = field(eq=False, repr=False)
    _constants: Mapping[str, Any] = field(factory=dict, hash=False, repr=False)

    @classmethod
    def of(cls, source: str, constants: Mapping[str, Any] | None = None) -> Condition:
        """
        Read a condition; ``*`` is always true.

        :param constants: values that it may name besides those of the message.
        :raises ExpressionError: if it cannot be read, or can never be true or false.
        """
        parser = _Parser(source, constants or {})
        node = _always if source.strip() == "*" else parser.read()
        if node.kind not in (_BOOLEAN, _UNKNOWN):
            raise ExpressionError(node.position, f"expected what is true or false, found {node.kind}")
        return cls(source, node.is_of_series, node.run, constants or {})

    def holds(self, subject: Subject) -> bool:
        """Whether it is true for a message; raises :class:`ConditionFailed`."""
        found = self._run(subject)
        if found is True or found is False:
            return bool(found)
        raise ConditionFailed(0, f"expected true or false, got {kind_of(found)}")


@frozen
class _Node:
    """A part of a condition that has been read.

    :ivar kind: what its value is, ``anything`` if that depends on the message.
    :ivar depth: of the parts within.
    :ivar constant: its value, in a tuple, if it is known.
    """

    run: Run
    position: int
    kind: str = _UNKNOWN
    depth: int = 1
    is_of_series: bool = True
    constant: tuple[Any, ...] = ()


_always: Final = _Node(lambda subject: True, 0, _BOOLEAN)


def _constant(value: Any, position: int) -> _Node:
    return _Node(lambda subject: value, position, kind_of(value), constant=(value,))


class _Parser:
    def __init__(self, source: str, constants: Mapping[str, Any]) -> None:
        self._constants = constants
        self._tokens = iter(tokens_of(source))
        self._token = next(self._tokens)
        self._depth = 0

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
        raise ExpressionError((token or self._token).position, reason)

    # -- making parts

    def _join(self, run: Run, token: Token, parts: Sequence[_Node], kind: str = _UNKNOWN) -> _Node:
        depth = 1 + max([part.depth for part in parts], default=0)
        if depth > MAX_DEPTH:
            self._too_deep(token, MAX_DEPTH)
        return _Node(run, token.position, kind, depth, all(part.is_of_series for part in parts))

    def _too_deep(self, token: Token, limit: int) -> NoReturn:
        self._fail(f"parts lie in one another more than {limit} deep here", token)

    def _boolean(self, node: _Node, operator: object) -> None:
        if node.kind not in (_BOOLEAN, _UNKNOWN):
            raise ExpressionError(
                node.position, f"expected what is true or false beside {operator!r}, found {node.kind}"
            )

    # -- the grammar

    def read(self) -> _Node:
        node = self._expression()
        if self._token.kind != "end":
            self._fail(f"expected an operator or the end, found {self._token}")
        return node

    def _expression(self) -> _Node:
        self._depth += 1
        if self._depth > MAX_NESTING:
            self._too_deep(self._token, MAX_NESTING)
        node = self._operators(0)
        while self._is("?"):
            node = self._conditional(node, self._next())
        self._depth -= 1
        return node

    def _conditional(self, asked: _Node, token: Token) -> _Node:
        self._boolean(asked, "?")
        if_true = asked if self._is(":") else self._expression()
        self._expect(":", " of the conditional")
        if_false = self._expression()
        kind = if_true.kind if if_true.kind == if_false.kind else _UNKNOWN
        ask, yes, no = self._asking(asked), if_true.run, if_false.run
        return self._join(
            lambda subject: yes(subject) if ask(subject) else no(subject),
            token,
            (asked, if_true, if_false),
            kind,
        )

    def _operators(self, precedence: int) -> _Node:
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
                if self._token.kind != "operator" or self._token.value not in _NEGATED:
                    self._fail(
                        f"expected one of {', '.join(sorted(_NEGATED))} after not, found {self._token}"
                    )
                token = self._token
                operator = str(token.value)
            strength = _PRECEDENCES.get(operator, -1)
            if strength < precedence:
                break
            if before == "??" and operator != "??":
                self._fail(f"expected parentheses around the part with '??' before {operator!r}", token)
            self._next()
            if operator in _OR or operator in _AND:
                left = self._logical(left, token, strength)
            elif operator in _COMPARISONS:
                left = self._comparison(left, token, strength)
            else:
                left = self._binary(left, token, self._operators(strength + 1))
            if is_negated:
                left = self._not(left, token)
            before = operator
        return left

    def _logical(self, left: _Node, token: Token, strength: int) -> _Node:
        """All that is joined by `and`, or by `or`, in one go: it may be long, and is not deep."""
        same = _OR if token.value in _OR else _AND
        parts = [left, self._operators(strength + 1)]
        while self._is(*same):
            self._next()
            parts.append(self._operators(strength + 1))
        for part in parts:
            self._boolean(part, token.value)
        *asks, last = [self._asking(part) for part in parts]
        ends_with = same is _OR

        def run(subject: Subject) -> bool:
            for ask in asks:
                if ask(subject) is ends_with:
                    return ends_with
            return last(subject)

        return self._join(run, token, parts, _BOOLEAN)

    def _comparison(self, left: _Node, token: Token, strength: int) -> _Node:
        """``a < b < c`` means ``a < b and b < c``."""
        compared = []
        while True:
            right = self._operators(strength + 1)
            compared.append(self._binary(left, token, right))
            if not self._is(*_COMPARISONS):
                break
            left, token = right, self._next()
        if len(compared) == 1:
            return compared[0]
        runs = [node.run for node in compared]
        return self._join(lambda subject: all(run(subject) for run in runs), token, compared, _BOOLEAN)

    def _binary(self, left: _Node, token: Token, right: _Node) -> _Node:
        operator = str(token.value)
        one, other = left.run, right.run
        if operator == "??":

            def either(subject: Subject) -> Any:
                value = one(subject)
                return other(subject) if value is None else value

            return self._join(either, token, (left, right))
        operation, _, kind = OPERATORS[operator]
        self._check_kinds(left, token, right)
        position = token.position
        value = right.constant[0] if right.constant else None
        if operator == "matches" and isinstance(value, str):
            run = self._matches(one, value, right.position)
        elif operator == "in" and isinstance(value, list) and all(isinstance(each, str) for each in value):
            among = frozenset(value)
            run = lambda subject: isinstance(given := one(subject), str) and given in among  # noqa: E731
        elif operator in ("==", "!=") and isinstance(value, str):
            is_wanted = operator == "=="
            run = lambda subject: (one(subject) == value) is is_wanted  # noqa: E731
        else:

            def run(subject: Subject) -> Any:
                try:
                    return operation(one(subject), other(subject))
                except Failed as failed:
                    raise ConditionFailed(position, str(failed)) from None

        return self._join(run, token, (left, right), kind)

    @staticmethod
    def _matches(one: Run, expression: str, position: int) -> Run:
        try:
            check = matcher(expression)
        except Failed as failed:
            raise ExpressionError(position, str(failed)) from None

        def run(subject: Subject) -> bool:
            try:
                return check(one(subject))
            except Failed as failed:
                raise ConditionFailed(position, str(failed)) from None

        return run

    def _check_kinds(self, left: _Node, token: Token, right: _Node) -> None:
        """Refuse what would fail for every message."""
        operator = str(token.value)
        kinds = (left.kind, right.kind)
        if operator in ("==", "!=") or ("nil" in kinds and operator in _NEGATED):
            return
        expected: tuple[str, ...]
        if operator == "in":
            expected = ("a list", "a map")
            kinds = (right.kind, right.kind)
        elif operator in _NEGATED:
            expected = ("a string",)
        elif operator in _COMPARISONS or operator == "+":
            expected = ("a string", "a number")
            if _UNKNOWN not in kinds and kinds[0] != kinds[1]:
                self._fail(f"{kinds[0]} {operator} {kinds[1]} has no meaning", token)
        else:
            expected = ("a number",)
        for kind in kinds:
            if kind not in (*expected, _UNKNOWN):
                self._fail(f"expected {' or '.join(expected)} beside {operator!r}, found {kind}", token)

    def _asking(self, node: _Node) -> Callable[[Subject], bool]:
        """Run it, and take only true or false."""
        run = node.run
        if node.kind == _BOOLEAN:
            return run
        position = node.position

        def ask(subject: Subject) -> bool:
            try:
                return truth(run(subject))
            except Failed as failed:
                raise ConditionFailed(position, str(failed)) from None

        return ask

    def _not(self, node: _Node, token: Token) -> _Node:
        self._boolean(node, "not")
        ask = self._asking(node)
        return self._join(lambda subject: not ask(subject), token, (node,), _BOOLEAN)

    def _operand(self) -> _Node:
        token = self._token
        if self._is("!", "not", "-", "+"):
            self._depth += 1
            if self._depth > MAX_NESTING:
                self._too_deep(token, MAX_NESTING)
            self._next()
            if token.value in ("!", "not"):
                node = self._not(self._operators(_NOT), token)
            else:
                node = self._signed(self._operators(_MINUS), token)
            self._depth -= 1
            return node
        if self._is("("):
            self._next()
            node = self._expression()
            self._expect(")", f" for the '(' at column {token.position + 1}")
        elif self._is("["):
            node = self._list()
        elif token.kind == "name":
            node = self._named()
        elif token.kind in ("string", "number"):
            node = _constant(self._next().value, token.position)
        else:
            self._fail(f"expected a value, found {token}")
        return self._postfix(node)

    def _signed(self, node: _Node, token: Token) -> _Node:
        if node.kind not in ("a number", _UNKNOWN):
            self._fail(f"expected a number after {token.value!r}, found {node.kind}", token)
        is_negative = token.value == "-"
        if node.constant:
            return _constant(negative(node.constant[0]) if is_negative else node.constant[0], token.position)
        run, position = node.run, token.position

        def signed(subject: Subject) -> Any:
            try:
                value = negative(run(subject))
            except Failed as failed:
                raise ConditionFailed(position, str(failed)) from None
            return value if is_negative else negative(value)

        return self._join(signed, token, (node,), "a number")

    def _list(self) -> _Node:
        token = self._next()
        items: list[_Node] = []
        while not self._is("]"):
            if items:
                self._expect(",", " or ']' in the list")
                if self._is("]"):
                    break
            items.append(self._expression())
        self._next()
        if all(item.constant for item in items):
            return _constant([item.constant[0] for item in items], token.position)
        runs = [item.run for item in items]
        return self._join(lambda subject: [run(subject) for run in runs], token, items, "a list")

    def _named(self) -> _Node:
        token = self._next()
        name = str(token.value)
        literals: dict[str, Any] = {"true": True, "false": False, "nil": None}
        if name in literals:
            return _constant(literals[name], token.position)
        if name in names.MESSAGE:
            return self._method(token)
        if self._is("("):
            return self._function(token)
        known = names.find(name)
        if known is None and name in self._constants:
            return _constant(self._constants[name], token.position)
        if known is None:
            self._fail(self._unknown(name), token)
        return self._from(known, token)

    @staticmethod
    def _from(known: Known, token: Token) -> _Node:
        return _Node(known.run, token.position, known.kind, is_of_series=known.is_of_series)

    def _unknown(self, name: str) -> str:
        if name in _LEFT_OUT:
            return f"{_LEFT_OUT[name]} are not part of conditions here: {name!r}"
        if name in FUNCTIONS:
            return f"expected '(' after the function {name!r}"
        if name in _COMMON_TAGS:
            return f"the name {name!r} is not known: a tag is tag.{name}"
        return f"the name {name!r} is not known, expected one of {', '.join(names.NAMES)}, msg or tag_<key>"

    def _arguments(self) -> list[_Node]:
        self._expect("(")
        arguments: list[_Node] = []
        while not self._is(")"):
            if arguments:
                self._expect(",", " or ')'")
                if self._is(")"):
                    break
            arguments.append(self._expression())
        self._next()
        return arguments

    def _function(self, token: Token) -> _Node:
        name = str(token.value)
        if name not in FUNCTIONS:
            if name in _LEFT_OUT:
                self._fail(self._unknown(name), token)
            self._fail(
                f"the function {short(name)} is not known, expected one of {', '.join(FUNCTIONS)}", token
            )
        function, least, most, kind = FUNCTIONS[name]
        arguments = self._arguments()
        if not least <= len(arguments) <= most:
            wanted = str(least) if least == most else f"{least} to {most}"
            self._fail(f"{name} takes {wanted} arguments, not {len(arguments)}", token)
        return self._join(_calling(function, arguments, token.position), token, arguments, kind)

    def _method(self, message: Token) -> _Node:
        self._expect(".", f" and a method after {message.value!r}")
        token = self._next()
        method = names.METHODS.get(str(token.value)) if token.kind == "name" else None
        if method is None:
            self._fail(f"expected one of {', '.join(names.METHODS)}, found {token}", token)
        arguments = self._arguments()
        if len(arguments) != method.arguments:
            self._fail(f"{token.value} takes {method.arguments} arguments, not {len(arguments)}", token)
        run = _calling(method.run, [_Node(_itself, 0), *arguments], token.position)
        node = self._join(run, token, arguments, method.kind)
        return node if method.is_of_series else evolve(node, is_of_series=False)

    # -- what is at a key

    def _postfix(self, node: _Node) -> _Node:
        """Keys and indexes behind a value; with ``?.`` before one of them, nil ends the whole chain."""
        start = self._token
        links: list[tuple[Run, bool, int]] = []
        parts = [node]
        while self._is(".", "?.", "["):
            token = self._next()
            is_optional = token.value == "?."
            if token.value == "[" or (is_optional and self._is("[") and self._next()):
                key = self._index(token)
            else:
                key = self._key()
            if self._is("("):
                self._fail(f"only msg has methods, and functions stand alone: {', '.join(FUNCTIONS)}", token)
            links.append((key.run, is_optional, token.position))
            parts.append(key)
        if not links:
            return node
        if node.kind in ("a string", "a number", _BOOLEAN, "nil"):
            self._fail(f"there are no keys in {node.kind}", start)
        run = node.run

        def chain(subject: Subject) -> Any:
            value = run(subject)
            for key, is_optional, position in links:
                if is_optional and value is None:
                    return None
                try:
                    value = fetch(value, key(subject))
                except Failed as failed:
                    raise ConditionFailed(position, str(failed)) from None
            return value

        return self._join(chain, start, parts)

    def _key(self) -> _Node:
        token = self._next()
        if token.kind != "name" and not (token.kind == "operator" and str(token.value).isalpha()):
            self._fail(f"expected a key after '.', found {token}", token)
        return _constant(str(token.value), token.position)

    def _index(self, token: Token) -> _Node:
        if not self._is(":"):
            key = self._expression()
        if self._is(":"):
            self._fail("expected ']': parts of lists and strings are not part of conditions here")
        self._expect("]", f" for the '[' at column {token.position + 1}")
        return key


def _itself(subject: Subject) -> Subject:
    return subject


def _calling(function: Callable[..., Any], arguments: Sequence[_Node], position: int) -> Run:
    runs = [argument.run for argument in arguments]

    def call(subject: Subject) -> Any:
        try:
            return function(*[run(subject) for run in runs])
        except Failed as failed:
            raise ConditionFailed(position, str(failed)) from None

    return call
