"""Rules of retention in the storage section."""

from __future__ import annotations

from typing import Any

import pytest

from ccstore.keeping import KeepRule
from ccstore.query import Matcher, Selection
from tests.support.config_case import Load, complete, problem, sqlite


def with_rules(rules: Any, **more: Any) -> Any:
    storage = {**sqlite()["storage"], "retention": rules, **more}
    return complete(storage=storage)


def test_rules_choose_streams_as_queries_do(load: Load) -> None:
    found = load(
        with_rules(
            [
                {"match": {"host": "a[01-02]", "name!": "beat*"}, "period": "30d"},
                {"match": {"kind": ["log", "event"], "cluster": "alex"}, "period": "1h"},
            ],
            max_size="10GB",
        )
    ).storage
    assert found.max_size == 10**10
    assert found.rules == (
        KeepRule(
            Selection(
                kinds=("event",),
                matchers=(
                    Matcher("hostname", "=", ("a01", "a02")),
                    Matcher("name", "!~", ("(?s)beat.*",)),
                ),
            ),
            30 * 86400,
            "host=a[01-02] name!=beat*",
        ),
        KeepRule(
            Selection(kinds=("event", "log"), matchers=(Matcher("cluster", "=", ("alex",)),)),
            3600,
            "kind=log kind=event cluster=alex",
        ),
    )


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({}, "storage.retention: got an object, expected a list of rules"),
        ("30d", "storage.retention: got '30d', expected a list of rules"),
        (["30d"], "storage.retention.0: got '30d', expected a rule such as"),
        ([{"period": "30d"}], "storage.retention.0.match: got nothing, expected labels of streams"),
        ([{"match": {}, "period": "1d"}], "storage.retention.0.match: got nothing, expected labels"),
        ([{"match": {"name": "x"}}], "storage.retention.0.period: got nothing, expected a duration"),
        ([{"match": {"name": "x"}, "period": "0"}], "storage.retention.0.period: got '0', expected a dur"),
        ([{"match": {"hots": "x"}, "period": "1d"}], "expected one of kind, cluster, name, host"),
        ([{"match": {"kind": "logs"}, "period": "1d"}], "match.kind: got 'logs', expected event or log"),
        ([{"match": {"host": "a[1"}, "period": "1d"}], "match.host: got 'a[1', expected hosts such as"),
        ([{"match": {"type-id": 1}, "period": "1d"}], "match.type-id: got 1, expected a string"),
        ([{"match": {"name": "x"}, "period": "1d", "why": 1}], "storage.retention.0.why: got an unknown"),
    ],
)
def test_wrong_rules(load: Load, rules: Any, said: str) -> None:
    assert said in problem(load, with_rules(rules))
