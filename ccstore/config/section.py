"""Taking values out of an object, key by key, while everything that is wrong with them is written down."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

from attrs import Factory, evolve, frozen
from cryptography.x509 import Certificate

from .document import Object, reason
from .kinds import Kind, Unfit, file_path, near
from .pem import complaint_of_age
from .values import NOTHING, ConfigError, Problem, Words

#: What is in the names of keys that have to do with security.
_SECURITY: Final = re.compile("tls|ssl|cert|passw|secret|token|jwt|auth|cred|nkey|login|verify")

T = TypeVar("T")
Position = tuple[int, ...]


@frozen
class Report:
    """
    What was found wrong or doubtful so far, each with its position, for the order of the file.

    With ``is_lenient``, whatever key is not known is only warned of.
    """

    is_lenient: bool = False
    _problems: list[tuple[Position, Problem]] = Factory(list)
    _warnings: list[tuple[Position, str]] = Factory(list)

    def problem(self, position: Position, problem: Problem) -> None:
        """Write down a mistake."""
        self._problems.append((position, problem))

    def warn(self, position: Position, line: str) -> None:
        """Write down something doubtful."""
        self._warnings.append((position, line))

    def raise_problems(self) -> None:
        """
        Do nothing if there are none.

        :raises ConfigError: with all of them.
        """
        if self._problems:
            ordered = sorted(self._problems, key=lambda entry: entry[0])
            raise ConfigError(tuple(problem for _, problem in ordered))

    def warnings(self) -> tuple[str, ...]:
        """All that is doubtful, in the order of the file."""
        return tuple(line for _, line in sorted(self._warnings, key=lambda entry: entry[0]))


@frozen
class Surroundings:
    """
    Where files and variables named in the configuration are looked up; both directories are absolute.

    ``now`` is in seconds since the epoch.
    """

    cwd: Path
    folder: Path
    environ: Mapping[str, str]
    now: float = Factory(time.time)

    def find(self, name: str) -> Path:
        """
        Find a file: relative to the working directory, then to the folder of the central file.

        :raises Unfit: if it is in neither.
        """
        places = list(dict.fromkeys((self.cwd / name, self.folder / name)))
        for path in places:
            if os.path.exists(path):
                return path
        raise Unfit(f"an existing file (there is no {' and no '.join(map(str, places))})")


@frozen
class Place:
    """A key of a file: what problems and warnings are attached to."""

    report: Report
    file: str
    key: str = ""
    position: Position = ()

    def inside(self, key: str, *index: int) -> Place:
        """Go to a key of the object here; without an index, a key that it lacks."""
        path = f"{self.key}.{key}" if self.key else key
        return evolve(self, key=path, position=self.position + index)

    def problem(self, value: object, expected: str) -> None:
        """Write down that a value is not what was expected."""
        self.report.problem(self.position, Problem(self.file, self.key, value, expected))

    def unfit(self, value: object, error: Unfit) -> None:
        """Write down a value that is not of its kind."""
        self.problem(value if error.value is None else error.value, error.expected)

    def warn(self, line: str) -> None:
        """Write down something doubtful about what is here."""
        where = f"{self.file}: {self.key}" if self.key else self.file
        self.report.warn(self.position, f"{where}: {line}")


class Section:
    """
    One object of the configuration, read key by key without regard to case.

    A value that is wrong is written down and replaced by the default, so that reading goes on. `finish`
    complains of all keys that nobody asked for; ``known`` has those that somebody did.
    """

    def __init__(self, here: Place, data: Object, surroundings: Surroundings) -> None:
        self.here = here
        self.surroundings = surroundings
        self.known: set[str] = set()
        self.failed: set[str] = set()
        self._excused: set[str] = set()
        self._found: dict[str, tuple[int, str, object]] = {}
        for index, (written, value) in enumerate(data.items()):
            key = written.lower()
            if key in self._found:
                other = self._found[key][1]
                here.inside(written, index).problem(
                    Words(f"the key twice, as {other!r} and {written!r}"), "each key once, whatever its case"
                )
            self._found[key] = (index, written, value)

    def place(self, key: str) -> Place:
        """Where a key is, for what is to be said of it."""
        found = self._found.get(key)
        return self.here.inside(key) if found is None else self.here.inside(key, found[0])

    def value(self, key: str) -> object:
        """What the file says, unchecked; None if nothing."""
        self.known.add(key)
        found = self._found.get(key)
        return None if found is None else found[2]

    def has(self, key: str) -> bool:
        """Whether the file says anything about a key."""
        return self.value(key) is not None

    def take(self, key: str, kind: Kind[T], default: T) -> T:
        """Give the value of a key, or the default if it is missing, null or wrong."""
        value = self.value(key)
        if value is None:
            return default
        try:
            return kind(value)
        except Unfit as error:
            self.fail(key, value, error)
            return default

    def require(self, key: str, kind: Kind[T], expected: str) -> T | None:
        """Give the value of a key that must be there; None if it is not, or is wrong."""
        if not self.has(key):
            self.fail(key, NOTHING, Unfit(expected))
        return self.take(key, kind, None)

    def fail(self, key: str, value: object, error: Unfit) -> None:
        """Write down what is wrong with a key."""
        self.failed.add(key)
        self.place(key).unfit(value, error)

    def ignore(self, *keys: str) -> None:
        """Accept keys that have no effect here."""
        self.known.update(keys)

    def refuse(self, key: str, expected: str) -> None:
        """Treat a key as wrong that would be misunderstood if it were only ignored."""
        self._excused.add(key)
        if key in self._found and self._found[key][2] is not None:
            self.fail(key, self._found[key][2], Unfit(expected))

    def discourage(self, key: str, why: str) -> None:
        """Ignore a key, and say so."""
        self._excused.add(key)
        if key in self._found:
            self.place(key).warn(f"ignored: {why}")

    def finish(self, *, is_guarded: bool = False) -> None:
        """
        Complain of each key that nobody asked for.

        It is a problem if it is much like a known one, so that somebody meant that, or has to do with who may
        come in: such a key that has no effect leaves a door open. With ``is_guarded``, any is.
        """
        for key, (index, written, _) in self._found.items():
            if key in self.known or key in self._excused:
                continue
            place, hint = self.here.inside(written, index), near(key, self.known)
            if self.here.report.is_lenient or not (hint or is_guarded or _SECURITY.search(key)):
                place.warn(f"unknown key, ignored{hint}")
            else:
                known = f"a known one{hint}" if hint else f"one of {', '.join(sorted(self.known))}"
                place.problem(Words("an unknown key"), f"{known}; --lenient ignores such keys")

    def readable_file(self, key: str) -> Path | None:
        """Give the path of a file that exists and can be opened; None if none is given, or it cannot."""
        name = self.take(key, file_path, None)
        if name is None:
            return None
        try:
            path = self.surroundings.find(name)
            with path.open("rb"):
                return path
        except Unfit as error:
            self.fail(key, name, error)
        except OSError as error:
            self.fail(key, name, Unfit(f"a readable file ({reason(error)})"))
        return None

    def warn_of_age(
        self, key: str, own: Sequence[Certificate], authorities: Sequence[Certificate] = ()
    ) -> None:
        """Warn of certificates that are not good at this time, or soon will not be."""
        complaint = complaint_of_age(own, authorities, self.surroundings.now)
        if complaint is not None:
            self.place(key).warn(complaint)
