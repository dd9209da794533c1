"""As much of InfluxQL as clients ask at their start, before they write.

https://docs.influxdata.com/influxdb/v1/query_language/spec/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

#: Characters of what is asked, and statements in it: much more than anybody asks at a start.
_LONGEST: Final = 10_000
_MOST: Final = 100
_NAME: Final = r'(?:"(?:[^"\\]|\\.)*"|[A-Za-z_][A-Za-z0-9_]*)'
_CREATE_DATABASE: Final = re.compile(rf"CREATE\s+DATABASE\s+{_NAME}(?:\s+WITH\s.*)?", re.I | re.S)
_SHOW_DATABASES: Final = re.compile(r"SHOW\s+DATABASES", re.I)
_SHOW_POLICIES: Final = re.compile(rf"SHOW\s+RETENTION\s+POLICIES(?:\s+ON\s+{_NAME})?", re.I)
_POLICY_COLUMNS: Final = ("name", "duration", "shardGroupDuration", "replicaN", "default")
#: What a new database of InfluxDB has. How long messages are kept is up to the configuration.
_POLICY: Final = ("autogen", "0s", "168h0m0s", 1, True)


def answer(text: str, databases: Iterable[str]) -> dict[str, Any]:
    """The answer to what is asked; raises ValueError if it is nothing that could be answered.

    :param databases: those that are there, as far as anybody asks.
    """
    if len(text) > _LONGEST:
        raise ValueError(f"a query has at most {_LONGEST} characters here")
    statements = [*_statements(text)]
    if not 0 < len(statements) <= _MOST:
        raise ValueError(f"a query has from 1 to {_MOST} statements here, and this one has {len(statements)}")
    names = sorted(set(databases))
    return {
        "results": [
            {"statement_id": number, **_answer(statement, names)}
            for number, statement in enumerate(statements)
        ]
    }


def _answer(statement: str, databases: list[str]) -> dict[str, Any]:
    if _CREATE_DATABASE.fullmatch(statement):
        return {}  # nothing has to be made: a database is whatever a request names
    if _SHOW_DATABASES.fullmatch(statement):
        return _series("databases", ["name"], [[name] for name in databases])
    if _SHOW_POLICIES.fullmatch(statement):
        return _series(None, _POLICY_COLUMNS, [_POLICY])
    return {
        "error": f"not available: ccstore takes lines here, and answers no query such as {statement[:80]!r}; "
        "see its REST interface, /api/query"
    }


def _series(name: str | None, columns: Iterable[str], values: list[Any]) -> dict[str, Any]:
    series: dict[str, Any] = {} if name is None else {"name": name}
    series["columns"] = [*columns]
    if values:
        series["values"] = values
    return {"series": [series]}


def _statements(text: str) -> Iterator[str]:
    """What stands between semicolons, unless those are quoted."""
    quote, is_escaped, start = "", False, 0
    for place, character in enumerate(text + ";"):
        if place == len(text) or (character == ";" and not quote):
            statement = text[start:place].strip()
            start = place + 1
            if statement:
                yield statement
        elif is_escaped:
            is_escaped = False
        elif quote:
            is_escaped = character == "\\"
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
