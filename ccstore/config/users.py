"""A user and a password, both or none."""

from __future__ import annotations

from collections.abc import Callable

from .kinds import Unfit
from .section import Section
from .values import NOTHING


def read_user(section: Section, key: str, kind: Callable[[str], str]) -> tuple[str | None, str | None]:
    """Read them; ``key`` is that of the user's name, and ``kind`` what it may look like."""
    user, password = section.secret(key, kind), section.secret("password", str)
    for given, missing in ((key, "password"), ("password", key)):
        if section.has_secret(given) and not section.has_secret(missing):
            section.fail(missing, NOTHING, Unfit(f"a {missing}, since there is a {given} (both or none)"))
    return user, password
