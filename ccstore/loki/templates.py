"""Templates of ``line_format`` and ``label_format``, in the language of Go: as much of it as is used here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from ccstore.instants import show_moment
from ccstore.loki.reading_words import names_in
from ccstore.loki.template_functions import FUNCTIONS, VARIADIC, Value, check_length, is_true, text_of

#: The labels, the line and its time (ns).
Scope = tuple[Mapping[str, str], str, int]
Template = Callable[[Scope], str]
_Expression = Callable[[Scope], Value]

_ACTION: Final = re.compile(
    r"\{\{(?P<left>-(?=\s))?(?P<inner>(?:\"(?:\\.|[^\"\\])*\"|`[^`]*`|[^}`\"]|\}(?!\}))*)\}\}", re.DOTALL
)
_WORD: Final = re.compile(
    r'\s*(?:(?P<string>"(?:\\.|[^"\\])*"|`[^`]*`)|(?P<number>-?[0-9]+(?:\.[0-9]+)?)|(?P<label>\.[A-Za-z_]\w*)'
    r"|(?P<name>[A-Za-z_]\w*)|(?P<op>[()|.]))"
)
_BLOCKS: Final = ("if", "else", "end")
#: Blocks, and parentheses, within each other.
_DEEPEST: Final = 50
#: Characters of a template.
_LONGEST: Final = 10_000


def compile_template(text: str) -> Template:
    """Make a template; raises :class:`ValueError` that says what is wrong with it."""
    if len(text) > _LONGEST:
        raise ValueError(f"the template has {len(text)} characters, and {_LONGEST} are the most there may be")
    return _joined(_block(text, 0, ())[0])


def _joined(parts: Sequence[Template]) -> Template:
    if len(parts) == 1:
        return parts[0]

    def join(scope: Scope) -> str:
        texts, size = [], 0
        for part in parts:
            texts.append(part(scope))
            size += len(texts[-1])
            check_length(size)
        return "".join(texts)

    return join


def _block(text: str, position: int, ends: Sequence[str], depth: int = 0) -> tuple[list[Template], int, str]:
    """What stands up to one of these ends; how far that is, and the words of the end."""
    if depth > _DEEPEST:
        raise ValueError("there are too many blocks within each other in the template")
    parts: list[Template] = []
    trims = False
    while (begin := text.find("{{", position)) >= 0:
        action = _ACTION.match(text, begin)
        if action is None:
            raise ValueError("a {{ of the template is not closed by }}")
        inner = action["inner"]
        before = text[position:begin]
        before = before.rstrip() if action["left"] else before
        parts += _literal(before.lstrip() if trims else before)
        trims, position = inner.endswith("-") and inner[-2:-1].isspace(), action.end()
        inner = (inner[:-1] if trims else inner).strip()
        word = inner.split(maxsplit=1)[0] if inner else ""
        if inner.startswith("/*"):
            continue
        if word in ends:
            return parts, position, inner
        if word == "if":
            part, position = _choice(text, inner[2:], position, depth)
            parts.append(part)
        elif word in _BLOCKS:
            raise ValueError(f"{{{{{word}}}}} belongs to no {{{{if}}}} in the template")
        else:
            parts.append(_shown(_expression(inner)))
    rest = text[position:]
    if ends:
        raise ValueError("an {{if}} of the template is not closed by {{end}}")
    return [*parts, *_literal(rest.lstrip() if trims else rest)], len(text), ""


def _literal(text: str) -> list[Template]:
    return [lambda scope: text] if text else []


def _shown(expression: _Expression) -> Template:
    return lambda scope: text_of(expression(scope))


def _choice(text: str, condition: str, position: int, depth: int) -> tuple[Template, int]:
    """An ``if``, up to its ``end``."""
    test = _expression(condition.strip())
    then, position, end = _block(text, position, ("else", "end"), depth + 1)
    otherwise: Template = lambda scope: ""  # noqa: E731
    if end != "end":
        more = end.removeprefix("else").strip()
        if more.startswith("if"):
            otherwise, position = _choice(text, more[2:], position, depth + 1)
        else:
            parts, position, _ = _block(text, position, ("end",), depth + 1)
            otherwise = _joined(parts)
    chosen = _joined(then)
    return (lambda scope: chosen(scope) if is_true(test(scope)) else otherwise(scope)), position


def _expression(text: str) -> _Expression:
    words, position = [], 0
    while position < len(text.rstrip()):
        word = _WORD.match(text, position)
        if word is None:
            raise ValueError(f"{text[position : position + 40].strip()!r} cannot be read in a template")
        words.append(word)
        position = word.end()
    reader = _Reader(words)
    found = reader.pipe()
    reader.finish()
    return found


class _Reader:
    """Reads what stands between braces."""

    def __init__(self, words: Sequence[re.Match[str]]) -> None:
        self._words = words
        self._index = 0
        self._depth = 0

    def finish(self) -> None:
        if self._index < len(self._words):
            raise ValueError(
                f"{self._words[self._index][0].strip()!r} stands behind the end of an expression"
            )

    def pipe(self) -> _Expression:
        found = self._call(None)
        while self._take("|"):
            found = self._call(found)
        return found

    def _take(self, op: str) -> bool:
        if self._index < len(self._words) and self._words[self._index]["op"] == op:
            self._index += 1
            return True
        return False

    def _call(self, piped: _Expression | None) -> _Expression:
        word = self._words[self._index] if self._index < len(self._words) else None
        name = word["name"] if word is not None else None
        if name is None or name in ("true", "false"):
            found = self._operand()
            if piped is not None:
                raise ValueError("behind | stands the name of a function in a template")
            return found
        self._index += 1
        arguments: list[_Expression] = []
        while self._index < len(self._words) and self._words[self._index]["op"] not in ("|", ")"):
            arguments.append(self._operand())
        if piped is not None:
            arguments.append(piped)
        return _called(name, arguments)

    def _operand(self) -> _Expression:
        if self._index >= len(self._words):
            raise ValueError("an expression of the template is empty, or ends too early")
        word = self._words[self._index]
        if self._take("("):
            self._depth += 1
            if self._depth > _DEEPEST:
                raise ValueError("there are too many parentheses within each other in the template")
            inner = self.pipe()
            self._depth -= 1
            if not self._take(")"):
                raise ValueError("a ) is missing in the template")
            return inner
        self._index += 1
        return _value(word)


def _value(word: re.Match[str]) -> _Expression:
    if word["label"] is not None:
        label = word["label"][1:]
        return lambda scope: scope[0].get(label, "")
    if word["number"] is not None:
        number = float(word["number"])
        return lambda scope: number
    if word["string"] is not None:
        given = word["string"]
        text = given[1:-1] if given[0] == "`" else re.sub(r"\\(.)", _unescaped, given[1:-1])
        return lambda scope: text
    if word["name"] is not None:
        return _called(word["name"], [])
    raise ValueError(f"{word[0].strip()!r} cannot stand here in a template")


def _unescaped(escape: re.Match[str]) -> str:
    return {"n": "\n", "t": "\t", "r": "\r"}.get(escape[1], escape[1])


def _called(name: str, arguments: Sequence[_Expression]) -> _Expression:
    if name in ("true", "false"):
        return lambda scope: name == "true"
    if name == "__line__":
        return lambda scope: scope[1]
    if name in ("__timestamp__", "now"):
        return lambda scope: show_moment(scope[2])
    if name not in FUNCTIONS:
        raise ValueError(f"the template function {name!r} is not there, there are {names_in(FUNCTIONS)}")
    least, function = FUNCTIONS[name]
    if len(arguments) < least or (len(arguments) > least and name not in VARIADIC):
        raise ValueError(f"the template function {name!r} takes {least} arguments, got {len(arguments)}")

    def call(scope: Scope) -> Value:
        given = [each(scope) for each in arguments]
        check_length(sum(len(each) for each in given if isinstance(each, str)))
        return function(*given)

    return call
