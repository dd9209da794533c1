"""The statistics, against what is known of them."""

from __future__ import annotations

from math import comb

import pytest

from ccstore.insight.statistics_of_counts import (
    chance_of,
    chance_of_overlap,
    corrected,
    log_likelihood_ratio,
)


def test_the_log_likelihood_ratio_has_a_sign_and_the_size_of_the_book() -> None:
    assert log_likelihood_ratio(10, 100, 10, 100) == pytest.approx(0)
    # 2 (20 ln(20/15) + 10 ln(10/15))
    assert log_likelihood_ratio(20, 100, 10, 100) == pytest.approx(3.3979, abs=1e-3)
    assert log_likelihood_ratio(10, 100, 20, 100) == pytest.approx(-3.3979, abs=1e-3)
    assert log_likelihood_ratio(0, 1, 0, 1) == 0
    assert log_likelihood_ratio(5, 1, 5, 0) == 0


def test_the_chance_is_that_of_chi_square() -> None:
    assert chance_of(3.841459) == pytest.approx(0.05, abs=1e-6)
    assert chance_of(6.634897) == pytest.approx(0.01, abs=1e-6)
    assert chance_of(-3) == 1


def test_chances_are_corrected_for_their_number() -> None:
    assert corrected([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.02, 0.04, 0.04, 0.02])
    assert corrected([]) == []
    assert corrected([0.9, 0.001]) == pytest.approx([0.9, 0.002])


@pytest.mark.parametrize(
    ("population", "marked", "drawn", "overlap"), [(20, 5, 4, 2), (50, 10, 10, 7), (9, 9, 3, 3), (8, 3, 8, 3)]
)
def test_overlaps_are_as_likely_as_counted(population: int, marked: int, drawn: int, overlap: int) -> None:
    ways = sum(
        comb(marked, each) * comb(population - marked, drawn - each)
        for each in range(overlap, min(marked, drawn) + 1)
    )
    found = chance_of_overlap(population, marked, drawn, overlap)
    assert found == pytest.approx(ways / comb(population, drawn))


def test_an_overlap_of_large_numbers_is_quickly_known() -> None:
    assert chance_of_overlap(100_000, 640, 700, 500) < 1e-300
    assert chance_of_overlap(1024, 64, 64, 64) == pytest.approx(1 / comb(1024, 64))
