"""What ``promtool check metrics`` asks of metrics, and what the format itself does."""

from __future__ import annotations

import math
import re
from collections.abc import Collection

from attrs import define, field
from prometheus_client.parser import text_string_to_metric_families

#: How the units are called in which nothing is to be measured, and parts of names that look like one.
_OTHER_UNITS = frozenset(
    (
        *("s", "ms", "us", "ns", "sec", "secs", "m", "min", "mins", "minutes", "h", "hours", "days", "weeks"),
        *("milliseconds", "microseconds", "nanoseconds", "b", "kb", "mb", "gb", "tb", "kib", "mib", "gib"),
        *("kilobytes", "megabytes", "gigabytes", "bits", "percent", "celsius"),
    )
)
_TYPES = frozenset(("counter", "gauge", "histogram", "summary", "untyped"))
#: Endings that say of which type a metric is.
_RESERVED = ("_total", "_count", "_sum", "_bucket", "_created")


@define
class Family:
    """A metric: its type, what it is, and its values by their labels."""

    name: str
    type: str
    help: str
    values: dict[tuple[tuple[str, str], ...], float] = field(factory=dict)


def families(body: bytes) -> dict[str, Family]:
    """All metrics, by the names that they have in the text."""
    found = {}
    text = body.decode()
    for parsed in text_string_to_metric_families(text):
        # The library gives every counter the suffix of one.
        heads = [name for name in (parsed.name, f"{parsed.name}_total") if f"# TYPE {name} " in text]
        name = heads[-1] if parsed.type == "counter" else parsed.name
        assert {sample.name for sample in parsed.samples} <= {name, f"{name}_total"}
        assert name not in found, name
        family = found[name] = Family(name, parsed.type, parsed.documentation)
        for sample in parsed.samples:
            labels = tuple(sample.labels.items())
            assert labels not in family.values, (name, labels)
            family.values[labels] = sample.value
    return found


def check(body: bytes, *, counters_without_total: Collection[str] = ()) -> dict[str, Family]:
    """The metrics, which keep every rule."""
    text = body.decode()
    assert text.endswith("\n")
    heads = re.findall(
        r"^# HELP (\S+) \S.*\n# TYPE (\S+) (counter|gauge|untyped)\n\1[ {]", text, re.MULTILINE
    )
    # Each once, the one before the other, and both before the first sample.
    assert len(heads) == text.count("# HELP ") == text.count("# TYPE ")
    assert all(first == second for first, second, _ in heads)
    assert len({name for name, _, _ in heads}) == len(heads)
    found = families(body)
    assert set(found) == {name for name, _, _ in heads}, "there are samples without a head"
    for family in found.values():
        _check_family(family, counters_without_total)
    assert len({family.help for family in found.values()}) == len(found), "two are said to be the same"
    return found


def _check_family(family: Family, counters_without_total: Collection[str]) -> None:
    name = family.name
    assert re.fullmatch(r"ccstore_[a-z]+(_[a-z]+)*", name), name
    assert family.help.endswith("."), name
    parts = name.split("_")
    assert not _OTHER_UNITS & set(parts), name
    assert not _TYPES & set(parts), name
    if family.type == "counter":
        assert name.endswith("_total") or name in counters_without_total, name
        assert all(value >= 0 for value in family.values.values()), name
    elif family.type == "gauge":
        assert not name.endswith(_RESERVED), name
    for unit in ("bytes", "seconds"):
        if unit in parts:
            assert name.removesuffix("_total").endswith(f"_{unit}"), f"{name}: the unit goes last"
    names = {tuple(key for key, _ in labels) for labels in family.values}
    assert len(names) == 1, f"{name} has other labels in each sample"
    for label in names.pop():
        assert re.fullmatch(r"[a-z][a-z_]*", label), label
        assert label not in ("le", "quantile", "instance", "job"), label
    assert all(math.isfinite(value) for value in family.values.values()), name
