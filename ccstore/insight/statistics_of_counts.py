"""How surprising counts are: the few statistics by which templates are put in order."""

from __future__ import annotations

from collections.abc import Sequence
from math import erfc, exp, lgamma, log, sqrt
from typing import Final

#: What is no more likely than this by chance is significant.
SIGNIFICANT: Final = 0.05


def log_likelihood_ratio(seen: float, exposure: float, elsewhere: float, other_exposure: float) -> float:
    """G² of two rates, with the sign of their difference: that of the first if it is higher.

    How much better two rates explain what was seen than one does, both taken for Poisson processes. Under one
    rate it is distributed as chi-square with one degree of freedom.

    :param seen: in ``exposure``, such as host-hours; ``elsewhere`` in ``other_exposure``.
    """
    if exposure <= 0 or other_exposure <= 0:
        return 0.0
    share = exposure / (exposure + other_exposure)
    total = seen + elsewhere
    expected, expected_elsewhere = total * share, total * (1 - share)
    found = 0.0
    if seen:
        found += seen * log(seen / expected)
    if elsewhere:
        found += elsewhere * log(elsewhere / expected_elsewhere)
    return 2 * max(found, 0.0) * (1 if seen >= expected else -1)


def chance_of(g2: float) -> float:
    """The probability of so large a G², or a larger one, if there is nothing behind it."""
    return erfc(sqrt(g2 / 2)) if g2 > 0 else 1.0


def corrected(chances: Sequence[float]) -> list[float]:
    """The q-values of p-values, in their order, by Benjamini and Hochberg.

    Of those whose q is at most 0.05, no more than one in twenty is there by chance.
    """
    order = sorted(range(len(chances)), key=chances.__getitem__, reverse=True)
    found = [1.0] * len(chances)
    least = 1.0
    for place, number in enumerate(order):
        rank = len(chances) - place
        least = min(least, chances[number] * len(chances) / rank)
        found[number] = least
    return found


def chance_of_overlap(population: int, marked: int, drawn: int, overlap: int) -> float:
    """The probability that of some drawn at random, so many or more are marked (hypergeometric).

    :param population: of which ``marked`` are marked, and ``drawn`` are drawn.
    """
    most = min(marked, drawn)
    if overlap <= max(0, drawn + marked - population):
        return 1.0
    whole = _log_choices(population, drawn)
    return min(
        1.0,
        sum(
            exp(_log_choices(marked, each) + _log_choices(population - marked, drawn - each) - whole)
            for each in range(overlap, most + 1)
            if drawn - each <= population - marked
        ),
    )


def _log_choices(many: int, few: int) -> float:
    return lgamma(many + 1) - lgamma(few + 1) - lgamma(many - few + 1)
