"""What is usual for one sender."""

from __future__ import annotations

from ccstore.senders.habit import Habit

START = 1_000_000.0


def learnt(gaps: list[float], messages: int = 1) -> Habit:
    """The habit of a sender that sends after each of these gaps."""
    habit, now = Habit(START, START), START
    for gap in gaps:
        now += gap
        habit.heard(messages, now)
    return habit


def test_the_limit_is_three_times_the_longest_gap() -> None:
    habit = learnt([30.0] * 100 + [240.0] + [30.0] * 100)
    assert 710 < habit.limit <= 720
    assert 30 <= habit.usual_gap < 40
    assert not habit.is_silent(habit.last + 700, START)
    assert habit.is_silent(habit.last + 1320, START)


def test_nothing_is_said_of_who_is_hardly_known() -> None:
    assert not learnt([1.0] * 5).is_silent(START + 10_000, START)
    # Ten lines of a boot are no habit.
    assert not learnt([1.0] * 20).is_silent(START + 10_000, START)
    assert learnt([1.0] * 200).is_silent(START + 10_000, START)


def test_silence_counts_from_when_it_could_be_heard() -> None:
    habit = learnt([10.0] * 100)
    since = habit.last + 5000
    assert not habit.is_silent(since + 30, since)
    assert habit.is_silent(since + 61, since)


def test_an_outage_is_no_habit_but_many_of_them_are() -> None:
    habit = learnt([10.0] * 100 + [50_000.0])
    assert habit.longest_gap <= 60
    before = habit.limit
    for _ in range(8):
        habit.heard(1, habit.last + 50_000)
    assert habit.limit > 50_000 > before


def test_a_longest_gap_is_forgotten_in_weeks() -> None:
    habit = learnt([3600.0] + [600.0] * (6 * 24 * 28))
    assert habit.longest_gap == 600


def test_a_rate_is_held_against_what_is_usual() -> None:
    habit = learnt([6.0] * 1000, messages=2)
    current, usual, spread = habit.rate(habit.last)
    assert (current, round(usual or 0), spread is not None) == (20, 20, True)
    assert habit.verdict(habit.last) == "usual"
    for _ in range(20):
        habit.heard(100, habit.last + 6)
    assert habit.verdict(habit.last) == "high"
    assert learnt([6.0] * 50).verdict(START + 300) is None


def test_a_rate_is_low_before_a_sender_is_silent_and_not_unlearnt_by_that() -> None:
    habit = learnt([2.0] * 5000, messages=10)
    assert habit.verdict(habit.last + 130) == "low"
    habit.heard(10, habit.last + 86400)
    _, usual, _ = habit.rate(habit.last)
    assert usual is not None
    assert usual > 250


def test_hours_of_the_store_are_a_habit() -> None:
    habit = Habit(START - 86400, START)
    habit.learn_hours([0] * 12 + [120, 120, 0, 0, 120] + [120] * 7)
    assert habit.is_known
    # Two hours had nothing.
    assert 7200 < habit.longest_gap < 3 * 3600
    _, usual, _ = habit.rate(START)
    assert round(usual or 0) == 2
