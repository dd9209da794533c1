"""The rules of retention in the storage section: `retention: [{match: {...}, period: 30d}]`."""

from __future__ import annotations

from ccstore.keeping import KeepRule, shown
from ccstore.message import CLUSTER_TAG, COLUMN_TAGS, STORED_KINDS, Kind
from ccstore.patterns import label_matcher
from ccstore.query import Matcher, Selection

from . import kinds
from .document import Object
from .kinds import Unfit, near
from .section import Place, Section
from .values import Words

_KEY = "retention"
_LABELS = {"cluster": CLUSTER_TAG, "name": "name", "host": "hostname", **{tag: tag for tag in COLUMN_TAGS}}
_RULES = 'a list of rules such as {match: {name: "job*"}, period: 30d}'
_MATCH = 'labels of streams such as {cluster: fritz, host: "a[0101-0164]"}'
_VALUES = "a string such as login1, or a list of strings"
_PERIOD = kinds.positive_duration('a duration longer than 0, such as "30d"')


def read_retention_rules(section: Section) -> tuple[KeepRule, ...]:
    """Read the rules; one that is wrong is written down and left out."""
    value = section.value(_KEY)
    if value is None:
        return ()
    place = section.place(_KEY)
    if not isinstance(value, list):
        place.problem(value, f"{_RULES}; the period of all other events is retention_time")
        return ()
    rules = []
    for index, each in enumerate(value):
        inner = place.inside(str(index), index)
        if isinstance(each, Object):
            rules.append(_read_rule(Section(inner, each, section.surroundings)))
        else:
            inner.problem(each, "a rule such as {match: {cluster: fritz}, period: 30d}")
    return tuple(rule for rule in rules if rule is not None)


def _read_rule(section: Section) -> KeepRule | None:
    match = section.require("match", _object, _MATCH)
    period = section.require("period", _PERIOD, 'a duration such as "30d"')
    section.finish(is_guarded=True)
    if match is None:
        return None
    place = section.place("match")
    if not match:
        place.problem(Words("nothing"), f"{_MATCH}; retention_time is for all other events")
    chosen = _read_match(place, match)
    if chosen is None or not match or period is None:
        return None
    return KeepRule(chosen, period, shown({key: _texts(value) for key, value in match.items()}))


def _read_match(place: Place, match: Object) -> Selection | None:
    wanted: tuple[Kind, ...] = ("event",)  # logs have to be asked for by name
    matchers: list[Matcher] = []
    is_good = True
    for index, (key, value) in enumerate(match.items()):
        inner = place.inside(key, index)
        bare = key.lower().removesuffix("!")
        try:
            values = _texts(value)
            if key.lower() == "kind":
                wanted = _kinds(values)
            elif bare in _LABELS:
                found = _matcher(_LABELS[bare], values, is_wanted=bare == key.lower())
                matchers += found
            else:
                known = ("kind", *_LABELS)
                inner.problem(Words("an unknown label"), f"one of {', '.join(known)}{near(bare, known)}")
                is_good = False
        except Unfit as error:
            inner.unfit(value, error)
            is_good = False
    return Selection(kinds=wanted, matchers=tuple(matchers)) if is_good else None


def _kinds(values: list[str]) -> tuple[Kind, ...]:
    for value in values:
        if value not in STORED_KINDS:
            raise Unfit(f"{' or '.join(STORED_KINDS)}, or a list of both", value)
    return tuple(kind for kind in STORED_KINDS if kind in values)


def _matcher(label: str, values: list[str], *, is_wanted: bool) -> list[Matcher]:
    try:
        found = label_matcher(label, values, is_wanted=is_wanted)
    except ValueError as error:
        raise Unfit(str(error).removeprefix("expected ")) from None
    return [] if found is None else [found]


def _texts(value: object) -> list[str]:
    """One text, or several."""
    found = value if isinstance(value, list) else [value]
    if not found:
        raise Unfit(_VALUES)
    for each in found:
        if isinstance(each, (int, float)) and not isinstance(each, bool):
            raise Unfit(f'{_VALUES}; numbers in quotes, such as "{each}"', each)
        if not isinstance(each, str):
            raise Unfit(_VALUES, each)
    return [*found]


def _object(value: object) -> Object:
    if not isinstance(value, Object):
        raise Unfit(_MATCH)
    return value
