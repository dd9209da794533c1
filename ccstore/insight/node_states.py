"""What messages tell of the state of a node: drained, down, back again, rebooted."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from attrs import evolve, frozen

from ccstore import hostlist
from ccstore.insight.job_facts import moment_of

#: Words that a text about a state has, so that others need not be looked at.
ABOUT_STATES: Final = (
    r"(?i)state|drain|resum|not responding|now responding|returned to service|rebooted|reason"
)
_HOSTS: Final = r"(?P<hosts>[\w.-]+(?:\[[\d,-]+\])?(?:,[\w.-]+(?:\[[\d,-]+\])?)*)"
#: What slurmctld and slurmd write, and the state it means; None if the text names it.
_SAID: Final = tuple(
    (re.compile(pattern.replace("HOSTS", _HOSTS), re.IGNORECASE), state)
    for pattern, state in (
        (r"node HOSTS reason set to:? (?P<reason>.+)", "reason"),
        (r"nodes? HOSTS (?:state )?(?:is )?(?:now )?set to:? (?P<state>[A-Z_+*]+)", None),
        (r"nodes? HOSTS,? (?:[^,]*, )?state is set to (?P<state>[A-Z_+*]+)", None),
        (r"nodes? HOSTS not responding, setting (?P<state>[A-Z_+*]+)", None),
        (r"nodes? HOSTS not responding", "not responding"),
        (r"nodes? HOSTS (?:has )?(?:unexpectedly rebooted|rebooted unexpectedly)", "rebooted"),
        (r"nodes? HOSTS (?:is )?(?:now responding|returned to service|resumed)", "idle"),
        (r"(?:drain(?:ed|ing)?|offlin\w+) (?:node )?HOSTS:? (?:for |because of )?(?P<reason>.+)", "drained"),
    )
)
_OWN: Final = re.compile(
    r"(?i)(drain(?:ed|ing)?|resumed?|down|offline)\b(?:[:,]? (?:for |because of )?(.+))?"
)
_WORDS: Final = re.compile(r"(\w+)=((?:\[[^\]]*\]|\S)*)")
_REASON: Final = re.compile(r"Reason=(.*?)(?: \[([^@\]]+)@([^\]]+)\]|(?= \w+=)|$)")
#: Measurements whose events are about the state of their host.
_NAMES: Final = re.compile(r"(?i)node_?state|node_?status|slurm_?node|drain|node_?event")


@frozen
class StateFact:
    """What one message tells of a node.

    :ivar time: when, in nanoseconds.
    :ivar state: in small letters, with ``+`` between several; None if only the reason is told.
    :ivar by: who.
    :ivar since: since when (ns), if that is said.
    """

    time: int
    state: str | None
    reason: str | None = None
    by: str | None = None
    since: int | None = None


@frozen
class StatePeriod:
    """A node in a state.

    :ivar until: nanoseconds; None if it still is.
    """

    state: str
    since: int
    until: int | None
    reason: str | None = None
    by: str | None = None


def is_unavailable(state: str) -> bool:
    """Whether a node in this state takes no work."""
    return bool(re.search(r"drain|down|fail|not responding|offline|maint|reboot|unknown", state))


def state_facts(
    host: str, own: str | None, name: str, othertags: str | None, time: int, text: str
) -> list[StateFact]:
    """What a message tells of the state of a host.

    :param own: the host that the message is from; ``name`` is its measurement.
    """
    if text.startswith("{"):
        return [*_of_json(host, own, time, text)]
    if "NodeName=" in text:
        return [*_of_words(host, time, text)]
    for expression, state in _SAID:
        found = expression.search(text)
        if found is not None and _has(found["hosts"], host):
            parts = found.groupdict()
            if state == "reason":
                return [StateFact(time, None, parts["reason"])]
            told = parts["state"] if state is None else state
            return [StateFact(time, _plain(told), parts.get("reason"))]
    if own != host or not (_NAMES.fullmatch(name) or "drain" in text.lower()):
        return []
    tags: Mapping[str, str] = json.loads(othertags) if othertags else {}
    state = next((tags[key] for key in ("state", "node_state", "nodestate") if tags.get(key)), None)
    by = next((tags[key] for key in ("user", "by", "reason_user") if tags.get(key)), None)
    if state is not None:
        return [StateFact(time, _plain(state), tags.get("reason") or text or None, by)]
    said = _OWN.match(text)
    if said is None:
        return []
    word = said[1].lower()
    return [StateFact(time, "idle" if word.startswith("resume") else word, said[2], by)]


def hosts_named(text: str) -> list[str]:
    """The hosts whose state a text is about, as slurmctld writes it; none if it is about no others."""
    if "ode" not in text or text.startswith("{"):
        return []
    for expression, _ in _SAID:
        found = expression.search(text)
        if found is not None:
            try:
                return hostlist.expand(found["hosts"])
            except ValueError:
                return []
    return []


def _plain(state: str) -> str:
    return state.strip("*~#!%$@^-").lower().replace("*", "")


def _has(hosts: str, host: str) -> bool:
    if "[" not in hosts:
        return host in hosts.split(",")
    try:
        return host in hostlist.expand(hosts)
    except ValueError:
        return False


def _of_json(host: str, own: str | None, time: int, text: str) -> Iterator[StateFact]:
    """A payload of cc-backend or the adapter for many nodes, or an object for one."""
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        return
    nodes = read.get("nodes")
    for node in nodes if isinstance(nodes, list) else [read]:
        if not isinstance(node, dict) or "jobId" in node:
            continue
        plain = {key.replace("_", "").lower(): value for key, value in node.items()}
        name = plain.get("hostname") or plain.get("node") or plain.get("nodename") or plain.get("name") or own
        if name != host:
            continue
        told = plain.get("states") or plain.get("state") or plain.get("nodestate")
        states = told if isinstance(told, list) else [told]
        words = [_plain(each) for each in states if isinstance(each, str) and each]
        reason = plain.get("reason")
        by = plain.get("reasonuser") or plain.get("reasonsetbyuser") or plain.get("user") or plain.get("by")
        since = plain.get("since") or plain.get("reasontime") or plain.get("reasonchangedat")
        if words or reason:
            yield StateFact(time, "+".join(words) or None, _word(reason), _word(by), moment_of(since))


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _of_words(host: str, time: int, text: str) -> Iterator[StateFact]:
    """As ``scontrol show node`` writes them."""
    words = {key.lower(): value for key, value in _WORDS.findall(text)}
    if not _has(words.get("nodename", ""), host):
        return
    reason = _REASON.search(text)
    said = reason[1] if reason is not None else None
    by, since = (reason[2], moment_of(reason[3])) if reason is not None else (None, None)
    state = words.get("state")
    if state or said:
        yield StateFact(time, _plain(state) if state else None, said or None, by, since)


def history(facts: Iterable[StateFact]) -> list[StatePeriod]:
    """The states of a node one after the other, the newest first; what is told again is told once."""
    periods: list[StatePeriod] = []
    waiting: StateFact | None = None
    for fact in sorted(facts, key=lambda fact: fact.time):
        last = periods[-1] if periods else None
        if fact.state is None:
            # Slurm tells the reason before the state, or of a state that is.
            if last is not None and is_unavailable(last.state) and last.reason is None:
                periods[-1] = evolve(last, reason=fact.reason, by=last.by or fact.by)
            waiting = fact
            continue
        if last is not None and last.state == fact.state and fact.reason in (None, last.reason):
            continue
        since = fact.time if fact.since is None else min(fact.since, fact.time)
        if last is not None:
            since = max(since, last.since)
            periods[-1] = evolve(last, until=since)
        reason, by = fact.reason, fact.by
        if reason is None and waiting is not None and is_unavailable(fact.state):
            reason, by = waiting.reason, by or waiting.by
        waiting = None
        periods.append(StatePeriod(fact.state, since, None, reason, by))
    return periods[::-1]
