"""Configuration files as they are: bytes, JSON, YAML. Knows syntax, and nothing of what the keys mean."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from .kinds import Unfit
from .values import Words, show


class Object(dict[str, object]):
    """An object of JSON or YAML; ``repeated`` has each key given again, and where that was, if known."""

    def __init__(self) -> None:
        super().__init__()
        self.repeated: list[tuple[str, str]] = []


def reason(error: OSError) -> str:
    """Say in lower case and without the path why a file cannot be read."""
    return (error.strerror or type(error).__name__).lower()


def read_bytes(path: Path) -> bytes:
    """
    Give the content of a file.

    :raises Unfit: if it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise Unfit("a readable file", Words(reason(error))) from None


def read_text(path: Path) -> str:
    """
    Give the content of a UTF-8 file, without a byte order mark.

    :raises Unfit: if it cannot be read, or has another encoding.
    """
    data = read_bytes(path)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        where = _where(before.count(b"\n") + 1, error.start - before.rfind(b"\n"))
        raise Unfit("a file in UTF-8", Words(f"the byte {data[error.start]:#04x}{where}")) from None


def read_object(path: Path) -> Object:
    """
    Read the object that a JSON or YAML file consists of.

    :raises Unfit: with line and column where they are known, if there is no such file or object.
    """
    text = read_text(path)
    if not text.strip():
        raise Unfit("an object of JSON or YAML", Words("an empty file"))
    value = _parse(text, path.suffix.lower())
    if value is None:
        raise Unfit("an object of JSON or YAML", Words("a file without content"))
    if not isinstance(value, Object):
        raise Unfit("an object of JSON or YAML", value)
    return value


def repeated_keys(value: object) -> Iterator[tuple[list[str | int], str, str]]:
    """Find keys given twice at any depth: the way to their object, the key, and where it is, if known."""
    waiting: list[tuple[list[str | int], object]] = [([], value)]
    # A YAML anchor may be used many times, and even within itself.
    visited: set[int] = set()
    while waiting:
        way, value = waiting.pop()
        if not isinstance(value, (Object, list)) or id(value) in visited:
            continue
        visited.add(id(value))
        if isinstance(value, Object):
            yield from ((way, key, where) for key, where in value.repeated)
            waiting.extend(([*way, key], inner) for key, inner in value.items())
        else:
            waiting.extend(([*way, index], inner) for index, inner in enumerate(value))


def _parse(text: str, suffix: str) -> object:
    if suffix in (".yaml", ".yml"):
        return _parse_yaml(text)
    if suffix == ".json":
        return _parse_json(text)
    try:
        return _parse_json(text)
    except Unfit:
        # Of two complaints, the one about the format that this looks like is the useful one.
        if text.lstrip().startswith(("{", "[")):
            raise
        return _parse_yaml(text)


def _where(line: int, column: int) -> str:
    return f" at line {line}, column {column}"


def _parse_json(text: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=_json_object, parse_constant=_json_constant)
    except json.JSONDecodeError as error:
        where = _where(error.lineno, error.colno)
        raise Unfit("valid JSON", Words(f"an error{where}: {error.msg.lower()}")) from None
    except (ValueError, RecursionError) as error:
        raise Unfit("valid JSON", Words(_cause(error))) from None


def _json_object(pairs: list[tuple[str, object]]) -> Object:
    made = Object()
    for key, value in pairs:
        if key in made:
            made.repeated.append((key, ""))
        made[key] = value
    return made


def _json_constant(word: str) -> object:
    raise ValueError(f"the number {word}")


def _cause(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "objects or lists nested too deeply"
    # Python's own words for it speak of a setting of the interpreter.
    return "a number with too many digits" if "int_max_str_digits" in str(error) else f"an error: {error}"


class _Loader(yaml.SafeLoader):
    """The safe loader, with objects that know which of their keys came twice."""


def _yaml_object(loader: _Loader, node: yaml.MappingNode) -> Iterator[Object]:
    made = Object()
    # Yielded before it is filled, as an anchor within may refer to it.
    yield made
    seen = set()
    for key, _ in node.value:
        if key.tag == "tag:yaml.org,2002:merge":
            continue
        if key.tag != "tag:yaml.org,2002:str":
            raise yaml.constructor.ConstructorError(
                None, None, "found a key that is not a string, put it in quotes", key.start_mark
            )
        if key.value in seen:
            made.repeated.append((key.value, _marked(key.start_mark)))
        seen.add(key.value)
    made.update((str(key), value) for key, value in loader.construct_mapping(node).items())


_Loader.add_constructor("tag:yaml.org,2002:map", _yaml_object)


def _parse_yaml(text: str) -> object:
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        where = _marked(error.problem_mark or error.context_mark)
        # An unquoted password may look like an alias or a tag: the word itself is left out.
        what = re.sub(r"\b(alias|anchor|handle|tag)\b.*", r"\1", error.problem or error.context or "")
        raise Unfit("valid YAML", Words(f"an error{where}: {what}")) from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        where = _where(before.count("\n") + 1, error.position - before.rfind("\n"))
        raise Unfit("valid YAML", Words(f"the character {show(chr(error.character))}{where}")) from None
    # A date such as 2024-99-99 raises a bare ValueError.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise Unfit("valid YAML", Words(_cause(error))) from None


def _marked(mark: yaml.Mark | None) -> str:
    return _where(mark.line + 1, mark.column + 1) if mark is not None else ""
