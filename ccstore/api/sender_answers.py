"""Answers that tell who sends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from twisted.web.iweb import IRequest

from ccstore.api.exchange import Exchange
from ccstore.api.parameters import Parameters
from ccstore.api.selecting import Selecting
from ccstore.instants import show_moment
from ccstore.reading.notices import notice_of
from ccstore.reading.sender_list import SENDER_ORDERS, SenderChoice, SenderNames, sender_key
from ccstore.senders.sender import Sender
from ccstore.senders.sender_watch import Seen, SenderWatch, outage_as_json
from ccstore.timing import SECOND
from ccstore.web import json_pieces, stream

_LIMIT: Final = 1000
_MOST: Final = 100_000
_OWN: Final = ("receiver", "silent", "order", "limit")
#: Those of what chooses messages that choose senders.
_CHOOSING: Final = ("cluster", "host", "hostname")
#: Rejected lines whose host is no sender that are shown.
_REJECTED: Final = 100

#: By receiver and host, lines that were not stored, by reason.
_Reasons = Mapping[tuple[str | None, str], Mapping[str, int]]


class SenderAnswers:
    """Who sends, what is usual for each, and who is silent.

    :param samples: gives what ``/api/samples`` has.
    """

    def __init__(
        self, exchange: Exchange, watch: SenderWatch, samples: Callable[[], Mapping[str, Any]]
    ) -> None:
        self._exchange = exchange
        self._watch = watch
        self._samples = samples
        self._names = SenderNames(watch.register)

    async def senders(self, request: IRequest) -> bytes:
        """The senders, each with what is usual for it."""
        exchange, watch = self._exchange, self._watch
        parameters = exchange.parameters(request, _OWN, choosing=_CHOOSING)
        choice = _choice(parameters)
        order = parameters.choice("order", SENDER_ORDERS, "host")
        limit = parameters.number("limit", _LIMIT, least=1, most=_MOST)
        parameters.check()
        seen = await watch.look()
        test = choice.chooser(watch.is_silent)
        chosen = []
        async for sender in exchange.in_turns(watch.register):
            if test(sender):
                chosen.append(sender)
        ranked = await exchange.ranked(chosen, sender_key(order, seen.now))
        samples = [*_not_stored(self._samples())]
        reasons = _by_host(samples)
        notice = None
        if not chosen and choice.is_silent is not True:
            nothing = "nothing has been heard of any host yet"
            notice = await notice_of(choice.selection, self._names, exchange.turn, nothing=nothing)
        known = {sender.host for sender in chosen}
        answer = {
            "time": _moment(seen.now),
            "since": _moment(seen.since),
            "senders": (self._described(sender, seen, reasons) for sender in islice(ranked, limit)),
            "clusters": _clusters(seen),
            "outages": [{**outage_as_json(each), "since": _moment(each.since)} for each in seen.outages],
            "rejected": [each for each in samples if each["host"] not in known][:_REJECTED],
            "total": len(chosen),
            "left_out": watch.register.left_out,
            "without_host": watch.register.without_host,
            "cut": f"there are {len(chosen)} senders" if len(chosen) > limit else None,
            "notice": notice,
        }
        return await stream(request, json_pieces(answer), turn=exchange.turn)

    def _described(self, sender: Sender, seen: Seen, reasons: _Reasons) -> dict[str, object]:
        habit, now = sender.habit, seen.now
        current, usual, spread = habit.rate(now)
        is_silent = self._watch.is_silent(sender)
        skew = sender.skew
        return {
            "cluster": sender.cluster,
            "host": sender.host,
            "receiver": sender.receiver,
            "first": _moment(habit.first),
            "last": _moment(habit.last),
            "messages": sender.messages,
            "silent": is_silent,
            "outage": seen.is_in_outage(sender),
            "silent_for": round(max(0.0, now - habit.last), 3),
            "silent_after": round(habit.limit, 3) if habit.is_known else None,
            "gap": {"usual": round(habit.usual_gap, 3), "longest": round(habit.longest_gap, 3)}
            if habit.gaps
            else None,
            "says": sender.says(now, is_silent=is_silent),
            "rate": {
                "now": current,
                "usual": None if usual is None else round(usual, 3),
                "spread": None if spread is None else round(spread, 3),
                "is": habit.verdict(now),
            },
            "skew": None if skew is None else round(skew, 6),
            "skewed": sender.is_skewed,
            "rejected": dict(reasons.get((sender.receiver, sender.host), {})),
        }


def _choice(parameters: Parameters) -> SenderChoice:
    """What is asked for."""
    is_silent = None
    if parameters.is_given("silent"):
        is_silent = parameters.choice("silent", ("true", "false"), "false") == "true"
    return SenderChoice(Selecting(parameters).selection(), parameters.all("receiver"), is_silent)


def _not_stored(samples: Mapping[str, Any]) -> Iterator[dict[str, object]]:
    """What was looked at of the lines that were not stored."""
    for receiver, sampled in samples["receivers"].items():
        for each in sampled["samples"]:
            if each["outcome"] in ("rejected", "dropped"):
                yield {
                    "receiver": receiver,
                    **{key: each[key] for key in ("outcome", "reason", "sender", "host", "count", "detail")},
                    "last": _moment(each["last"]),
                }


def _by_host(samples: Sequence[Mapping[str, Any]]) -> _Reasons:
    found: dict[tuple[str | None, str], dict[str, int]] = {}
    for each in samples:
        reasons = found.setdefault((each["receiver"], each["host"]), {})
        reasons[each["reason"]] = reasons.get(each["reason"], 0) + each["count"]
    return found


def _moment(seconds: float) -> str:
    """A moment, which is known to the millisecond."""
    return show_moment(round(seconds * 1000) * (SECOND // 1000))


def _clusters(seen: Seen) -> list[dict[str, object]]:
    return [
        {
            "cluster": cluster,
            "hosts": state.hosts,
            "silent": len(state.silent),
            "skewed": state.skewed,
            "worst_skew": None if state.worst_skew is None else round(state.worst_skew, 6),
        }
        for cluster, state in seen.clusters.items()
    ]
