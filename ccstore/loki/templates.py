"""Templates of ``line_format`` and ``label_format``, in the language of Go: as much of it as is used here."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final
from urllib.parse import quote_plus, unquote_plus

from ccstore.instants import show_moment
from ccstore.loki.lexer import bytes_of, duration_of
from ccstore.loki.reading_words import names_in
from ccstore.loki.sample_text import number_text
from ccstore.regex import compile_regex

#: The labels, the line and its time (ns).
Scope = tuple[Mapping[str, str], str, int]
Template = Callable[[Scope], str]
_Value = str | float | bool
_Expression = Callable[[Scope], _Value]

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
#: Characters of a template, and of what it may make of a line.
_LONGEST: Final = 10_000
_LONGEST_TEXT: Final = 1 << 20


#: So often, in so many characters, an expression is taken to match where it is replaced.
_OFTEN: Final = 8


class TextTooLong(Exception):
    """A template makes too much of a line."""


def _checked(size: int) -> None:
    if size > _LONGEST_TEXT:
        raise TextTooLong(f"the template makes more than {_LONGEST_TEXT} characters of the line")


def text_of(value: _Value) -> str:
    """A value as it is put into a text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else number_text(value)


def _number(value: _Value) -> float:
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return 0.0
    return float(value)


def _replaced_plainly(text: _Value, part: _Value, by: _Value, number: int = -1) -> str:
    whole, old, new = text_of(text), text_of(part), text_of(by)
    _checked(len(whole) + whole.count(old) * len(new))
    return whole.replace(old, new, number)


def _replaced(pattern: _Value, text: _Value, by: _Value) -> str:
    _checked(len(text_of(text)) + (text_of(by) != "") * len(text_of(text)) * len(text_of(by)) // _OFTEN)
    try:
        compiled = compile_regex(text_of(pattern))
    except ValueError:
        return text_of(text)
    # Go has ${1} where RE2 has \1.
    rewritten = re.sub(r"\$\{?(\w+)\}?", r"\\\1", text_of(by).replace("\\", "\\\\"))
    found: bytes = compiled.sub(rewritten.encode(), text_of(text).encode())
    _checked(len(found))
    return found.decode(errors="replace")


def _decoded(text: _Value) -> str:
    try:
        return base64.b64decode(text_of(text)).decode(errors="replace")
    except (binascii.Error, ValueError):
        return ""


def _printf(form: _Value, *values: _Value) -> str:
    left = [*values]

    def put_in(verb: re.Match[str]) -> str:
        if verb[0] == "%%":
            return "%"
        if not left:
            return "%!(MISSING)"
        value = left.pop(0)
        if verb[2] in "dxXo":
            return f"%{verb[1]}{verb[2]}" % int(_number(value))
        if verb[2] in "feg":
            return f"%{verb[1]}{verb[2]}" % _number(value)
        if verb[2] == "q":
            return f'"{text_of(value)}"'
        return f"%{verb[1]}s" % text_of(value)

    return re.sub(r"%([-+ 0]?[0-9]{0,3}(?:\.[0-9]{1,3})?)([svdfegqxXo%])", put_in, text_of(form))


def _quietly(read: Callable[[str], float], scale: float = 1) -> Callable[[_Value], _Value]:
    def value_of(given: _Value) -> _Value:
        try:
            return read(text_of(given)) / scale
        except ValueError:
            return 0.0

    return value_of


def _divided(one: _Value, other: _Value) -> _Value:
    return int(_number(one) / _number(other)) if _number(other) else 0


def _cut(length: _Value, text: _Value) -> str:
    most = int(_number(length))
    return text_of(text)[:most] if most >= 0 else text_of(text)[most:]


_FUNCTIONS: Final[Mapping[str, tuple[int, Callable[..., _Value]]]] = {
    # Each with the least number of arguments; what is piped in is the last one.
    **{name: (1, lambda text: text_of(text).lower()) for name in ("ToLower", "lower")},
    **{name: (1, lambda text: text_of(text).upper()) for name in ("ToUpper", "upper")},
    "title": (1, lambda text: text_of(text).title()),
    "TrimSpace": (1, lambda text: text_of(text).strip()),
    "trim": (1, lambda text: text_of(text).strip()),
    "Trim": (2, lambda text, chars: text_of(text).strip(text_of(chars))),
    "TrimLeft": (2, lambda text, chars: text_of(text).lstrip(text_of(chars))),
    "TrimRight": (2, lambda text, chars: text_of(text).rstrip(text_of(chars))),
    "TrimPrefix": (2, lambda text, part: text_of(text).removeprefix(text_of(part))),
    "TrimSuffix": (2, lambda text, part: text_of(text).removesuffix(text_of(part))),
    "trimPrefix": (2, lambda part, text: text_of(text).removeprefix(text_of(part))),
    "trimSuffix": (2, lambda part, text: text_of(text).removesuffix(text_of(part))),
    "trimAll": (2, lambda chars, text: text_of(text).strip(text_of(chars))),
    "Replace": (4, lambda text, a, b, n: _replaced_plainly(text, a, b, int(_number(n)))),
    "replace": (3, lambda a, b, text: _replaced_plainly(text, a, b)),
    "trunc": (2, _cut),
    "substr": (
        3,
        lambda a, b, text: text_of(text)[int(_number(a)) : int(_number(b)) if _number(b) >= 0 else None],
    ),
    "default": (2, lambda default, value: value if text_of(value) else default),
    "printf": (1, _printf),
    "contains": (2, lambda part, text: text_of(part) in text_of(text)),
    "hasPrefix": (2, lambda part, text: text_of(text).startswith(text_of(part))),
    "hasSuffix": (2, lambda part, text: text_of(text).endswith(text_of(part))),
    "eq": (2, lambda one, *others: any(text_of(one) == text_of(each) for each in others)),
    "ne": (2, lambda one, other: text_of(one) != text_of(other)),
    "lt": (2, lambda one, other: _number(one) < _number(other)),
    "le": (2, lambda one, other: _number(one) <= _number(other)),
    "gt": (2, lambda one, other: _number(one) > _number(other)),
    "ge": (2, lambda one, other: _number(one) >= _number(other)),
    "and": (1, lambda *all: next((each for each in all if not _is_true(each)), all[-1])),
    "or": (1, lambda *all: next((each for each in all if _is_true(each)), all[-1])),
    "not": (1, lambda value: not _is_true(value)),
    "len": (1, lambda text: len(text_of(text).encode())),
    "int": (1, lambda value: int(_number(value))),
    "float64": (1, _number),
    "add": (2, lambda *all: int(sum(map(_number, all)))),
    "sub": (2, lambda one, other: int(_number(one) - _number(other))),
    "mul": (2, lambda one, other: int(_number(one) * _number(other))),
    "div": (2, _divided),
    "addf": (2, lambda *all: sum(map(_number, all))),
    "subf": (2, lambda one, other: _number(one) - _number(other)),
    "mulf": (2, lambda one, other: _number(one) * _number(other)),
    "divf": (2, lambda one, other: _number(one) / _number(other) if _number(other) else 0.0),
    "bytes": (1, _quietly(bytes_of)),
    "duration": (1, _quietly(duration_of, 1e9)),
    "duration_seconds": (1, _quietly(duration_of, 1e9)),
    "regexReplaceAll": (3, _replaced),
    "regexReplaceAllLiteral": (3, lambda a, text, by: _replaced(a, text, text_of(by).replace("$", "$$"))),
    "alignLeft": (2, lambda n, text: text_of(text)[: int(_number(n))].ljust(int(_number(n)))),
    "alignRight": (2, lambda n, text: text_of(text)[-int(_number(n)) :].rjust(int(_number(n)))),
    "urlencode": (1, lambda text: quote_plus(text_of(text))),
    "urldecode": (1, lambda text: unquote_plus(text_of(text))),
    "b64enc": (1, lambda text: base64.b64encode(text_of(text).encode()).decode()),
    "b64dec": (1, _decoded),
}
#: Characters that an alignment may make of a text.
_WIDEST: Final = 10_000


def _is_true(value: _Value) -> bool:
    return bool(value)


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
            _checked(size)
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
    return (lambda scope: chosen(scope) if _is_true(test(scope)) else otherwise(scope)), position


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
    if name not in _FUNCTIONS:
        raise ValueError(f"the template function {name!r} is not there, there are {names_in(_FUNCTIONS)}")
    least, function = _FUNCTIONS[name]
    is_open = name in ("printf", "eq", "and", "or", "add", "addf")
    if len(arguments) < least or (len(arguments) > least and not is_open):
        raise ValueError(f"the template function {name!r} takes {least} arguments, got {len(arguments)}")
    if name.startswith("align"):
        return lambda scope: function(min(_number(arguments[0](scope)), _WIDEST), arguments[1](scope))

    def call(scope: Scope) -> _Value:
        given = [each(scope) for each in arguments]
        _checked(sum(len(each) for each in given if isinstance(each, str)))
        return function(*given)

    return call
