"""Values of the configuration: durations, sizes, addresses, and what is said of wrong ones."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.config_case import (
    STORAGE,
    Load,
    complete,
    problem,
    receiver,
    storage,
)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("7 days", "got '7 days', expected a duration with its unit, such as \"7d\""),
        ("2W", "got '2W', expected a duration with its unit, such as \"2w\""),
        ("1y", "(units: w d h m s ms us ns)"),
        (10, 'got 10, expected a duration with its unit, such as "10s"'),
        ("10", "got '10', expected a duration with its unit, such as \"10s\""),
        (0.5, 'got 0.5, expected a duration with its unit, such as "0.5s"'),
        ("-1s", 'got \'-1s\', expected a duration such as "10s", "1h30m" or "30d", not negative'),
        ("soon", "(units: w d h m s ms us ns)"),
        (True, "got true, expected a duration such as"),
        (-1, "got -1, expected a duration such as"),
        ([], "got a list, expected a duration such as"),
    ],
)
def test_wrong_durations_show_what_would_be_right(load: Load, value: object, said: str) -> None:
    assert said in problem(load, receiver(type="tcp", idle_timeout=value))


@pytest.mark.parametrize("zero", [0, 0.0, "0", "0s"])
def test_zero_durations(load: Load, zero: object) -> None:
    assert getattr(load(receiver(type="http", idle_timeout=zero)).receivers[0], "idle_timeout", None) == 0.0


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (4096, 4096),
        ("4096", 4096),
        ("64k", 65536),
        ("64KiB", 65536),
        ("64 kB", 64000),
        ("1m", 2**20),
        ("1GiB", 2**30),
    ],
)
def test_sizes(load: Load, value: object, size: int) -> None:
    assert load(complete(api={"max_body": value})).api.max_body == size


@pytest.mark.parametrize(
    "value", [0, -1, 1.5, True, "", "x", "1.5k", "-1k", "1t", "2GiB", 2**31, "9" * 30, []]
)
def test_wrong_sizes(load: Load, value: object) -> None:
    assert 'expected a size such as 65536, "64k" or "16MiB", from 1024 to 1073741824 bytes' in problem(
        load, complete(api={"max_body": value})
    )


@pytest.mark.parametrize(("value", "port"), [(0, 0), ("0", 0), (65535, 65535), ("08088", 8088)])
def test_ports(load: Load, value: object, port: int) -> None:
    assert load(complete(api={"port": value})).api.port == port


@pytest.mark.parametrize("value", [-1, 65536, "65536", "", "http", True, 80.0, "\u0661", {}])
def test_wrong_ports(load: Load, value: object) -> None:
    assert problem(load, complete(api={"port": value})).endswith("expected a port from 0 to 65535")


@pytest.mark.parametrize("value", ["", "0.0.0.0", "::", "::1", "localhost", "node-1.example.org"])
def test_addresses(load: Load, value: str) -> None:
    assert load(complete(api={"address": value})).api.address == value


@pytest.mark.parametrize("value", ["127.0.0.1:80", "[::1]", "300.1.1.1", "a b", "http://x", 5, None, "-x"])
def test_wrong_addresses(load: Load, value: object) -> None:
    content = complete(api={"address": value})
    if value is None:
        assert load(content).api.address == "localhost"
    else:
        assert "without port and brackets" in problem(load, content)


@pytest.mark.parametrize("value", ["true", 1, 0, "yes"])
def test_booleans_are_booleans(load: Load, value: object) -> None:
    assert "expected true or false, without quotes" in problem(load, storage(store_logs=value))


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"retention_time": "0"}, "would be deleted on arrival"),
        ({"flush_time": "61s"}, 'a duration of at most "60s"'),
        ({"batch_size": 0}, "a whole number from 1 to 1000000"),
        ({"batch_size": "10"}, "got '10', expected a whole number"),
        ({"batch_size": 1e3}, "got 1000.0, expected a whole number"),
        ({"max_waiting": True}, "got true, expected a whole number"),
    ],
)
def test_ranges_of_the_storage(load: Load, keys: dict[str, object], said: str) -> None:
    assert said in problem(load, storage(**keys))


def test_storage_values(load: Load) -> None:
    keys = {"retention_time": "48h", "flush_time": 0, "batch_size": 5, "max_waiting": 9, "store_logs": False}
    keys |= {"store_heartbeats": True}
    config = load(storage(**keys)).storage
    assert (config.retention_time, config.flush_time, config.batch_size) == (172800.0, 0.0, 5)
    assert (config.max_waiting, config.store_logs, config.store_heartbeats) == (9, False, True)


@pytest.mark.parametrize(
    ("written", "mode"),
    [("", 0o600), ("0600", 0o600), ("0640", 0o640), ("640", 0o640), ('"0640"', 0o640), ("0o640", 0o640)],
)
def test_the_mode_of_files(load: Load, written: str, mode: int) -> None:
    """As YAML and people write it."""
    line = f"  file_mode: {written}\n" if written else ""
    text = f"receivers: {{}}\nstorage:\n{line}  backend: {{type: sqlite, database_path: x.db}}\n"
    config: Any = load(text, "central.yaml").storage
    assert (config.file_mode, config.backend.file_mode) == (mode, mode)


@pytest.mark.parametrize("value", ["0644", 0o666, "0o777", True, "rw-------"])
def test_modes_that_everybody_could_read_are_refused(load: Load, value: object) -> None:
    said = problem(load, storage(file_mode=value))
    assert said.startswith("storage.file_mode: got ")
    assert said.endswith('expected "0600", or "0640" for files that the group may read')


def test_max_process_is_ignored_with_a_warning(load: Load) -> None:
    found = load(complete(storage={**STORAGE, "max_process": 4}, receivers={"r": {"type": "tcp"}})).warnings
    assert len(found) == 1
    assert "storage.max_process: ignored" in found[0]


def test_values_are_shown_short_and_in_one_line(load: Load) -> None:
    found = problem(load, receiver(type="x" * 1000 + "\n"))
    assert len(found) < 200
    assert "got 'xxx" in found
    assert "a very large number" in problem(
        load, f'{{"receivers": {{}}, "storage": {json.dumps(STORAGE)}, "api": {{"port": {"9" * 500}}}}}'
    )
    assert "a\\nb: got 'x'" in problem(load, complete(receivers={"a\nb": "x"}))
