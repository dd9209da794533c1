from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from ccstore.batch import Batch
from ccstore.insight.before_study import BeforeBounds, BeforeInquiry, spread
from ccstore.insight.occurrences import Target
from ccstore.insight.topology import ByName
from ccstore.message import Message
from ccstore.query import Selection, TextCondition
from ccstore.storage.reading.studying import StudyQuestion
from tests.support.stores import NOW, SECOND, MemoryBackend, message

MINUTE = 60 * SECOND
TARGET = Target(Selection(texts=(TextCondition("contains", "going down"),)))


def test_some_of_many_are_evenly_spread_and_so_are_the_first_of_these() -> None:
    assert spread(0, 5) == []
    assert spread(1, 5) == [0]
    assert sorted(spread(7, 100)) == [*range(7)]
    assert sorted(spread(128, 100)) == [place * 128 // 100 for place in range(100)]
    for some in (spread(1000, 100)[:number] for number in (4, 8, 16, 50)):
        gaps = [later - earlier for earlier, later in zip(sorted(some), sorted(some)[1:], strict=False)]
        assert max(gaps) <= 2 * 1000 / len(some)


def lines(count: int) -> list[Message]:
    """So many faults of hosts, ten minutes after an error and beside some that say the same every day."""
    found = []
    for number in range(count):
        host, at = f"a{number % 40 + 101:04}", NOW + number * 90 * MINUTE
        found.append(log(host, f"error {number}", at - 4 * MINUTE))
        found.append(log(host, f"node {number} is going down", at))
        found += [log(host, f"check {place}", at - place * 9 * MINUTE) for place in range(1, 7)]
    return sorted(found, key=lambda each: each.time)


def log(host: str, text: str, at: int) -> Message:
    return message(text, at, "log", name="syslog", hostname=host)


def answered(count: int, more: Sequence[Message] = (), **bounds: int) -> tuple[Any, Counter[str]]:
    """What is found of so many faults, and how often what is asked.

    :param more: messages that are there as well.
    """
    backend = MemoryBackend(100_000)
    backend.open()
    backend.write(Batch.of([*lines(count), *more]))
    inquiry = BeforeInquiry(TARGET, 10 * MINUTE, ByName(), BeforeBounds(**bounds))
    found: list[Any] = []
    backend.read(StudyQuestion(inquiry, -(2**63)), timeout=60).addCallback(found.append)
    return found[0].found, backend.studied


def test_many_cases_take_no_more_questions() -> None:
    few, asked_of_few = answered(12)
    many, asked_of_many = answered(90)
    assert (few["cases"], many["cases"]) == (12, 90)
    assert few["cut"] is None
    assert many["cut"] is None
    assert many["before"][0]["template"] == "error <num>"
    assert (many["before"][0]["cases"], many["before"][0]["controls"]) == (90, 0)
    assert asked_of_many == {"WantedRows": 1, "WantedValues": 1, "WantedSpans": 4}
    assert asked_of_few["WantedSpans"] == 3


def test_of_more_cases_than_are_looked_at_it_says_how_many() -> None:
    found, _ = answered(25, cases=20)
    assert found["cases"] == 20
    assert found["cut"] == "of 25 times it came, 20 were looked at, evenly over all of them"
    assert (found["before"][0]["cases"], found["before"][0]["support"]) == (20, 1.0)


def test_fewer_cases_are_looked_at_where_there_is_much_before_each() -> None:
    found, asked = answered(40, effort=60)
    cases = found["cases"]
    assert 1 < cases < 20
    assert found["cut"] == f"of 40 times it came, {cases} were looked at, evenly over all of them"
    assert found["controls"] % cases == 0
    assert asked["WantedSpans"] <= 4
    # One is looked at in any case.
    assert answered(40, effort=0)[0]["cases"] == 1


def test_of_windows_with_many_messages_it_says_that_the_newest_were_looked_at() -> None:
    found, _ = answered(3, rows=1)
    assert found["cut"] == "of windows with more than 1 messages of one stream, the newest were looked at"


def test_what_is_compared_with_are_hosts_of_the_same_cluster() -> None:
    """Others of the same rack by their names say nothing in the window, since they are not there."""
    elsewhere = [
        message("ok", NOW, "log", cluster="fritz", name="syslog", hostname=f"a{number:04}")
        for number in range(150, 200)
    ]
    assert answered(12, elsewhere)[0] == answered(12)[0]


def test_of_many_hosts_of_one_message_some_are_looked_at() -> None:
    down = log("adm1", "Nodes a[0101-0140] not responding, going down", NOW - 600 * MINUTE)
    found, _ = answered(1, [down], hosts=10)
    assert (found["hosts"]["count"], found["cases"]) == (40, 2)
    assert found["cut"] == "of more than 10 hosts of one message, 10 were looked at"
    assert answered(1, [down], hosts=40)[0]["cut"] is None
