"""The samples of lines that were not stored: bounded, fair, and without credentials."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccstore.accounting.samples import PER_SECOND, SIZE, TEXT_LIMIT, Samples

SECOND = 10**9
NOW = 1_700_000_000 * SECOND


def shown(samples: Samples) -> list[Any]:
    result = samples.as_json()["samples"]
    assert isinstance(result, list)
    return result


def test_lines_of_one_sender_and_one_reason_are_one_sample() -> None:
    samples = Samples()
    for number in range(3):
        samples.add("rejected", "malformed", "10.0.0.1", NOW + number * SECOND, detail="no field", text="m")
    samples.add("rejected", "malformed", "fe80::12", NOW, detail="no field", text="n")
    first, second = shown(samples)
    assert first == {
        "outcome": "rejected",
        "reason": "malformed",
        "sender": "10.0.0.1",
        "host": "",
        "name": "",
        "count": 3,
        "first": NOW // SECOND,
        "last": NOW // SECOND + 2,
        "time": None,
        "detail": "no field",
        "text": "m",
    }
    assert (second["sender"], second["count"]) == ("fe80::12", 1)


def test_what_a_line_quotes_makes_no_other_sample_of_it() -> None:
    samples = Samples()
    for number in range(5):
        samples.add("rejected", "malformed", "a", NOW, detail=f"invalid timestamp '{number}.5'")
    (sample,) = shown(samples)
    assert (sample["count"], sample["detail"]) == (5, "invalid timestamp …")


def test_what_is_a_mark_of_the_format_stays() -> None:
    samples = Samples()
    samples.add("rejected", "malformed", "a", NOW, detail="expected '=' after the field key 'no', found ' '")
    assert shown(samples)[0]["detail"] == "expected '=' after the field key …, found ' '"


def test_the_latest_time_is_remembered() -> None:
    samples = Samples()
    for stamp in (1, 2 * SECOND):
        samples.add("dropped", "expired", "a", NOW, stamp=stamp)
    assert [sample["time"] for sample in shown(samples)] == [2.0]


def test_only_so_many_lines_are_looked_at_in_a_second() -> None:
    samples = Samples()
    looked_at = [samples.wants("metric", NOW + number) for number in range(2 * PER_SECOND)]
    assert looked_at == [True] * PER_SECOND + [False] * PER_SECOND
    assert samples.wants("expired", NOW), "one reason hides no other"
    assert samples.wants("metric", NOW + SECOND)
    assert samples.wants("metric", NOW - SECOND), "a clock that goes backwards stops nothing"


def test_made_up_senders_push_out_only_what_is_old() -> None:
    samples = Samples()
    samples.add("dropped", "metric", "honest", NOW)
    for number in range(2 * SIZE):
        samples.add("dropped", "metric", f"made up {number}", NOW + SECOND)
    assert len(shown(samples)) == SIZE
    assert shown(samples)[0]["sender"] == "honest"
    assert samples.others == SIZE + 1
    samples.add("dropped", "metric", "later", NOW + 61 * SECOND)
    senders = [sample["sender"] for sample in shown(samples)]
    assert (len(senders), senders[-1], "honest" in senders) == (SIZE, "later", False)


@pytest.mark.parametrize(
    "text",
    [
        "hb,cluster=alex,token=hunter event=",
        "Authorization: Bearer hunter",
        "X-Auth-Token: hunter",
        'm password="hunter and more hunter"',
        'm password="hunter and the end is cut',
        "login password = 'hunter",
        "MY_PASSWORD=hunter",
        '{"password": "hunter"}',
        r'fleet event="{\"token\": \"hunter\"}"',
        "apikey=hunter",
        "nats://user:hunter@host:4222",
        "eyJhbGciOi.hunter.hunter",
        "SUAOMA2NXLZDVHQZ2CUXWhunterWM5HXPEO2JZRZSMJ3N4KMZZJ4MHQOXM",
    ],
)
def test_no_credential_is_shown(text: str) -> None:
    samples = Samples()
    samples.add("rejected", "malformed", "a", NOW, host=text, name=text, detail=text, text=text)
    assert "hunter" not in str(samples.as_json())
    assert "***" in shown(samples)[0]["text"]


def test_a_plain_line_is_shown_as_it_is() -> None:
    samples = Samples()
    samples.add("rejected", "malformed", "a", NOW, text="job,cluster=alex,hostname=a0101 evnt=1")
    assert shown(samples)[0]["text"] == "job,cluster=alex,hostname=a0101 evnt=1"


@given(st.text(), st.text(), st.text(max_size=400))
def test_whatever_comes_is_cut_short_and_printable(host: str, name: str, text: str) -> None:
    samples = Samples()
    samples.add("rejected", "malformed", "a", NOW, host=host, name=name, text=text)
    (sample,) = shown(samples)
    for value in (sample["host"], sample["name"], sample["text"]):
        assert len(value) <= TEXT_LIMIT
        assert value.isprintable()
