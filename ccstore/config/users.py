"""A user and a password, both or none."""

from __future__ import annotations

from collections.abc import Callable

from .kinds import Unfit
from .secret import has_secret, take_secret
from .section import Section
from .values import NOTHING


def read_user(section: Section, key: str, kind: Callable[[str], str]) -> tuple[str | None, str | None]:
    """Read them; ``key`` is that of the user's name, and ``kind`` what it may look like."""
    user, password = take_secret(section, key, kind), take_secret(section, "password", str)
    for given, missing in ((key, "password"), ("password", key)):
        if has_secret(section, given) and not has_secret(section, missing):
            section.fail(missing, NOTHING, Unfit(f"a {missing}, since there is a {given} (both or none)"))
    return user, password
