"""Secrets in the configuration: inline, in a variable or in a file; what they are is never shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from .document import read_text
from .kinds import Kind, Unfit, file_path, text
from .section import Section
from .values import HIDDEN

T = TypeVar("T")


def has_secret(section: Section, key: str) -> bool:
    """Whether a secret is given in one of its three ways, right or wrong; empty inline is not given."""
    return section.has(f"{key}_env") or section.has(f"{key}_file") or section.value(key) not in (None, "")


def take_secret(section: Section, key: str, kind: Callable[[str], T]) -> T | None:
    """
    Give the value of a key that may also come by ``<key>_env`` or ``<key>_file``, in this order.

    A variable or a file that is there but empty is a problem: taken for no secret at all, it would open
    a door that somebody meant to lock.
    """
    section.known.update((key, f"{key}_env", f"{key}_file"))
    if section.has(f"{key}_env"):
        return _referred(section, f"{key}_env", text, "a variable", _variable, kind)
    if section.has(f"{key}_file"):
        return _referred(section, f"{key}_file", file_path, "a file", _content, kind)
    value = section.value(key)
    if not isinstance(value, str):
        if value is not None:
            section.fail(key, HIDDEN, Unfit("a string (in quotes)"))
        return None
    try:
        return kind(value) if value else None
    except Unfit as error:
        section.fail(key, HIDDEN, error)
        return None


def _referred(
    section: Section,
    key: str,
    name_kind: Kind[str],
    holder: str,
    look_up: Callable[[Section, str], str],
    kind: Callable[[str], T],
) -> T | None:
    name = section.take(key, name_kind, None)
    if name is None:
        return None
    try:
        content = look_up(section, name)
    except Unfit as error:
        section.fail(key, name, Unfit(error.expected))
        return None
    try:
        return kind(content)
    except Unfit as error:
        section.fail(key, name, Unfit(f"{holder} with {error.expected}"))
        return None


def _variable(section: Section, name: str) -> str:
    # As a file, it may have been written with a byte order mark.
    value = section.surroundings.environ.get(name, "").removeprefix("\ufeff")
    if not value:
        raise Unfit("the name of an environment variable that is set and not empty")
    return value


def _content(section: Section, name: str) -> str:
    try:
        content = read_text(section.surroundings.find(name)).rstrip("\r\n")
    except Unfit as error:
        raise Unfit(f"{error.expected} ({error.value})" if error.value else error.expected) from None
    if not content:
        raise Unfit("a file that is not empty")
    return content
