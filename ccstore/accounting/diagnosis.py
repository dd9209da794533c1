"""What the counters and samples of a running store say about its senders, in plain words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ccstore.accounting.finding import NAMED, Finding
from ccstore.accounting.quiet_hosts import silent_hosts, skewed_hosts
from ccstore.times import show_moment, show_span

#: Part of the bytes that a database may have, from which on it is told.
_NEARLY_FULL: Final = 0.8
#: With fewer samples than that, it means nothing that most are of one sender.
_ENOUGH: Final = 20
_DOMINATES: Final = 0.8
_NANOSECONDS: Final = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9}
_UNITS: Final = {"ns": "nanoseconds", "us": "microseconds", "ms": "milliseconds", "s": "seconds"}
#: A time that is wrong by about a thousand, a million or a thousand million was read in another unit than it
#: has; "about" is up to this factor.
_NEAR: Final = 1.25
_YEAR: Final = 365.25 * 86400
#: Seconds before its end in which a certificate is worth a word, as at the start of the daemon.
_ENDS_SOON: Final = 14 * 86400


def diagnose(stats: Mapping[str, Any], sampled: Mapping[str, Any]) -> list[Finding]:
    """All findings, problems first.

    :param stats: as ``/api/stats`` has it.
    :param sampled: as ``/api/samples`` has it.
    """
    findings = [*_store(stats), *silent_hosts(sampled), *skewed_hosts(stats)]
    for name, figures in stats["receivers"].items():
        samples = sampled["receivers"].get(name, {})
        findings += _receiver(name, figures, samples, sampled["time"])
    return sorted(findings, key=lambda finding: not finding.is_problem)


def _store(stats: Mapping[str, Any]) -> Iterator[Finding]:
    for name, what in (("unavailable", "the store cannot write"), ("spool", "nothing can be spooled")):
        reason = stats["manager"]["errors"].get(name)
        if reason:
            yield Finding(True, None, f"{what}: {reason}", "see to that; what waits is written then")
    refused = stats["backend"]["errors"].get("delete_sql_exec_failed", 0)
    if refused:
        yield Finding(True, None, f"expired events could not be deleted {refused} times", "see the log")
    yield from _room(stats["backend"].get("status", {}))


def _room(status: Mapping[str, Any]) -> Iterator[Finding]:
    """Whether the database has nearly as many bytes as it may."""
    most = status.get("max_bytes")
    used = status.get("bytes", 0) - status.get("free_bytes", 0)
    if most is None or used < _NEARLY_FULL * most:
        return
    says = f"the database has {used >> 20:,} MB of the {most >> 20:,} MB of storage.max_size"
    if used <= most:
        yield Finding(False, None, says, "when it has all, the oldest events that are not held go")
    else:
        do = "release holds (see `ccstore hold list`), give logs a rule in storage.retention, or allow more"
        yield Finding(True, None, f"{says}, and little is left that may be deleted", do)


def _receiver(
    name: str, figures: Mapping[str, Any], sampled: Mapping[str, Any], now: float
) -> Iterator[Finding]:
    sampled_in_all: Sequence[Mapping[str, Any]] = sampled.get("samples", ())
    # A refused connection or request has no lines: it is shown with the counter of such refusals.
    refused = [sample for sample in sampled_in_all if sample["outcome"] == "refused"]
    samples = [sample for sample in sampled_in_all if sample["outcome"] != "refused"]
    precision = sampled.get("precision", "auto")
    counted: dict[str, int] = {**figures["rejected"], **figures["dropped"]}
    for reason in dict.fromkeys([*counted, *(sample["reason"] for sample in samples)]):
        lines = counted.get(reason)
        of_reason = [sample for sample in samples if sample["reason"] == reason]
        groups: dict[tuple[bool, str, str], list[Mapping[str, Any]]] = {}
        for sample in of_reason:
            groups.setdefault(_verdict(reason, sample, name, precision, now), []).append(sample)
        if not groups:
            is_rejected = reason in figures["rejected"]
            groups[_without_samples(reason, is_rejected)] = []
        for (is_problem, says, do), members in groups.items():
            senders = dict.fromkeys(map(_shown, members))
            # The daemon counts by reason: of several mistakes with one reason, none has a number of its own.
            known = lines if len(groups) == 1 else None
            how_many = f"{known:,} lines " if known else "lines "
            yield Finding(is_problem, name, how_many + says, do, list(senders), known, reason)
    yield from _dominating(name, figures, samples)
    yield from _figures(name, figures, refused)
    yield from _certificate(name, figures, now)


def _shown(sample: Mapping[str, Any]) -> str:
    host = sample["host"]
    return f"{sample['sender']} (host {host})" if host and host != sample["sender"] else str(sample["sender"])


def _verdict(
    reason: str, sample: Mapping[str, Any], receiver: str, precision: str, now: float
) -> tuple[bool, str, str]:
    """Whether it is a problem, what is the matter, and what to do."""
    if reason == "expired":
        return _expired(sample, receiver, precision)
    if reason == "ahead":
        return _ahead(sample)
    if reason == "long_ago":
        return _long_ago(sample, receiver, precision)
    if reason == "malformed":
        return _malformed(sample, receiver)
    if reason == "metric":
        return (
            True,
            "are metrics, which an event store does not keep",
            "send them to the metric store, and here only string fields 'event' or 'log'",
        )
    if reason == "rule_failed":
        return (
            True,
            f"are dropped, since a rule of process_messages fails on them ({sample['detail']})",
            "correct the rule, or the sender",
        )
    if reason == "refused_by_store":
        return True, f"are refused by the database ({sample['detail']})", "correct them at the sender"
    return _without_samples(reason, sample["outcome"] == "rejected")


_WORDS: Final = {
    "no_cluster": (
        True,
        "name no cluster",
        "set the tag 'cluster' at the sender, or 'cluster' for this receiver in the configuration, or send"
        " over HTTP with ?cluster=NAME",
    ),
    "bad_cluster": (
        True,
        "have a cluster whose name is empty, too long or not printable",
        "set the tag 'cluster' at the sender to the cluster's name",
    ),
    "log": (
        False,
        "are logs, and store_logs is false",
        "set storage.store_logs to true if logs are to be kept",
    ),
    "control": (False, "are control messages, which are not kept", ""),
    "query": (False, "are queries, which are not kept", ""),
    "other": (
        True,
        "have neither a field 'event' nor a field 'log' that is a string",
        "name the field so at the sender, with its value in double quotes",
    ),
    "fleet_heartbeat": (False, "are heartbeats of a fleet, which have a credential and are not kept", ""),
    "too_large": (
        True,
        "are in messages larger than max_payload, and were rejected",
        "let the sender make smaller messages, or raise max_payload of this receiver",
    ),
    "rule": (False, "are dropped by the rules of process_messages", ""),
    "analysed": (False, "are metrics that were analysed for changes of phase", ""),
    "overload": (
        True,
        "came faster than they could be stored, and were dropped",
        "send them over TCP or HTTP, which slow the sender down, or give the daemon a faster disk",
    ),
    "hung_up": (
        True,
        "were not looked at, since there was no time for all connections with mistakes",
        "correct the senders of malformed lines",
    ),
    "store_unavailable": (
        True,
        "could not be stored when they came",
        "see what the daemon's log says of the database; senders over HTTP were told of it",
    ),
}


def _without_samples(reason: str, is_rejected: bool) -> tuple[bool, str, str]:
    if reason in _WORDS:
        return _WORDS[reason]
    if reason == "rule_failed":
        return (
            True,
            "are dropped, since a rule of process_messages fails on them",
            "see the log, correct the rule",
        )
    return is_rejected, f"were {'rejected' if is_rejected else 'dropped'}: {reason.replace('_', ' ')}", ""


def _expired(sample: Mapping[str, Any], receiver: str, precision: str) -> tuple[bool, str, str]:
    found = _wrong_unit(sample, receiver, precision) or _never_set(sample)
    if found is not None:
        return found
    age = sample["last"] - sample["time"]
    return (
        True,
        f"were {_roughly(age)} old when they came, more than the retention time",
        "set the clock of that host if it is behind (timedatectl tells); if the messages are really that old,"
        " raise storage.retention_time",
    )


def _wrong_unit(sample: Mapping[str, Any], receiver: str, precision: str) -> tuple[bool, str, str] | None:
    stamp = sample["time"]
    factor = sample["last"] / stamp if stamp and stamp > 0 else 0.0
    for power in (9, 6, 3):
        if factor and 1 / _NEAR < factor / 10**power < _NEAR:
            return (
                True,
                f"have timestamps {_units(power, precision)}, and seem to be of {show_moment(stamp)}",
                f"set 'precision: auto' for receiver {receiver!r}, or ?precision=auto in the URL, or the unit"
                " at the sender",
            )
    return None


def _never_set(sample: Mapping[str, Any]) -> tuple[bool, str, str] | None:
    stamp, last = sample["time"], sample["last"]
    if last <= 30 * _YEAR or last - stamp <= 20 * _YEAR:
        return None
    return (
        True,
        f"are of {show_moment(stamp)} by their own time, as if the clock had never been set",
        "set the clock of that host, and look at its NTP service",
    )


def _long_ago(sample: Mapping[str, Any], receiver: str, precision: str) -> tuple[bool, str, str]:
    """They are stored, unlike those of :func:`_expired`."""
    found = _wrong_unit(sample, receiver, precision) or _never_set(sample)
    if found is not None:
        is_problem, says, do = found
        return is_problem, f"{says}; they are stored, but queries for recent ones do not find them", do
    return (
        True,
        f"were {_roughly(sample['last'] - sample['time'])} old when they came; they are stored so",
        "set the clock of that host if it is behind (timedatectl tells); all is well if they are really that"
        " old",
    )


def _units(power: int, precision: str) -> str:
    """Which unit is read as which.

    :param power: the timestamps are too small by that power of ten.
    """
    # With `auto` this hardly happens, and then nanoseconds are as good a guess as any.
    read = _NANOSECONDS.get(precision, 1)
    for unit, size in _NANOSECONDS.items():
        if size == read * 10**power:
            name = next(name for name, other in _NANOSECONDS.items() if other == read)
            return f"in {_UNITS[unit]} that are read as {_UNITS[name]}"
    return f"in a unit that is 10^{power} times the one they are read in"


def _ahead(sample: Mapping[str, Any]) -> tuple[bool, str, str]:
    ahead = sample["time"] - sample["last"]
    hint = ""
    quarters = round(ahead / 900)
    if 0 < quarters <= 56 and abs(ahead - quarters * 900) < 60:
        hint = ", a time zone's worth: it may send its local time as if it were UTC"
    return (
        True,
        f"are {_roughly(ahead)} ahead of the store's clock; they are stored, but queries up to now do not"
        f" find them{hint}",
        "set the clock of that host (timedatectl tells whether it is synchronised)",
    )


def _roughly(seconds: float) -> str:
    return f"about {show_span(seconds)}"


_HTTP: Final = re.compile(
    r"(?:GET|POST|PUT|HEAD|OPTIONS|CONNECT|PRI) \S+|HTTP/|(?:Host|Connection|User-Agent|Accept[\w-]*"
    r"|Content-\w+|Authorization|Cache-Control|Cookie|Expect|Referer|Transfer-Encoding|Upgrade[\w-]*): ",
    re.IGNORECASE,
)


def _malformed(sample: Mapping[str, Any], receiver: str) -> tuple[bool, str, str]:
    text, detail = str(sample["text"]), str(sample["detail"])
    if _HTTP.match(text):
        return (
            True,
            "are requests of HTTP, which this receiver does not speak",
            "send to the port of a receiver of type http, or of the REST interface",
        )
    if text.startswith("\N{REPLACEMENT CHARACTER}" * 2) and "\N{REPLACEMENT CHARACTER}" in text[2:]:
        return (
            True,
            "are binary: perhaps TLS to a port that does not speak it",
            f"give receiver {receiver!r} a tls_certificate, or switch TLS off at the sender",
        )
    if text.startswith(("{", "[")):
        return (
            True,
            "are JSON, not line protocol",
            'put the JSON into a string: NAME,cluster=CLUSTER event="{...}", with \\" for each quote in it',
        )
    if detail.startswith("timestamp out of range"):
        return (
            True,
            "have timestamps that are out of range: a finer unit than the one they are read in",
            f"set 'precision: auto' for receiver {receiver!r}, or the unit at the sender",
        )
    if detail.startswith("the connection ended in the middle"):
        return (
            True,
            "were cut off by the end of their connection",
            "let the sender end its last line with a newline, and close the connection properly",
        )
    return True, f"are no line protocol: {detail}; the first was {text!r}", "correct them at the sender"


def _dominating(
    name: str, figures: Mapping[str, Any], samples: Sequence[Mapping[str, Any]]
) -> Iterator[Finding]:
    """One sender that has most of what goes wrong."""
    by_sender: Counter[str] = Counter()
    for sample in samples:
        if sample["outcome"] != "stored":
            by_sender[sample["sender"]] += sample["count"]
    total = by_sender.total()
    if total < _ENOUGH or not figures["received"]:
        return
    ((sender, count),) = by_sender.most_common(1)
    if count < _DOMINATES * total:
        return
    lost = sum(figures["rejected"].values()) + sum(figures["dropped"].values())
    part = lost / figures["received"]
    yield Finding(
        False,
        name,
        f"has {count / total:.0%} of what is not stored here, which is {part:.0%} of this receiver's lines",
        "begin with it",
        [sender],
    )


def _certificate(name: str, figures: Mapping[str, Any], now: float) -> Iterator[Finding]:
    """Whether those who connect with TLS will still be able to."""
    ends = figures.get("certificate_expires")
    if isinstance(ends, int) and ends - now < _ENDS_SOON:
        when = f"expires in {show_span(ends - now)}" if ends > now else "has expired"
        yield Finding(
            True,
            name,
            f"the certificate {when}, at {show_moment(ends)}",
            "renew it; the new one is used within a minute",
            reason="certificate_expires",
        )


#: Counters of a receiver that should stay at zero: what has happened so often, and what would mend it.
_TROUBLES: Final = (
    (
        "kernel_drops",
        "datagrams were dropped by the kernel, since the receive buffer was full",
        "raise receive_buffer and net.core.rmem_max, or send over TCP",
    ),
    (
        "refused_connections",
        "connections were refused, since there were max_connections already",
        "raise max_connections and the limit of open files, or let senders keep their connections",
    ),
    (
        "refused_no_files",
        "connections were refused, since the daemon had too many files open",
        "allow it more (LimitNOFILE= in the systemd unit, or `ulimit -n`), or find out who leaves"
        " connections open",
    ),
    (
        "no_proxy_header",
        "connections had no PROXY header",
        "let the load balancer send it (send-proxy or send-proxy-v2), and senders connect to the"
        " balancer; the daemon's log names who did not",
    ),
    (
        "slow_consumer",
        "times the NATS server closed the connection, since lines were not taken fast enough",
        "use JetStream (stream and durable), or several receivers with one queue_group",
    ),
    (
        "tls_failures",
        "connections ended before TLS was agreed on",
        "see the daemon's log for the senders; they may lack the certificate of the CA, or speak no TLS",
    ),
    (
        "refused_bodies",
        "requests were refused for their size",
        "let the sender make smaller batches, or raise max_body",
    ),
    (
        "bad_requests",
        "connections brought what is no request over HTTP",
        "let the sender connect to the port of what it speaks, or give this one a tls_certificate if it"
        " speaks TLS",
    ),
    (
        "cut_connections",
        "connections were closed, since a request did not come or an answer was not taken in time",
        "look at the sender, and at what is between it and the daemon; it may only be a scanner",
    ),
    (
        "foreign_requests",
        "requests were refused, since their host or the page that made them is a foreign one",
        "if the port is reached by that name, put it into allowed_hosts; else somebody's browser shows a"
        " page that means no good",
    ),
)


def _figures(
    name: str, figures: Mapping[str, Any], refused: Sequence[Mapping[str, Any]]
) -> Iterator[Finding]:
    """What receivers count besides lines."""
    if figures.get("connected") is False:
        yield Finding(
            True,
            name,
            "there is no connection to the NATS server",
            "see the daemon's log for the reason; it tries again for ever",
            reason="connected",
        )
    for key, says, do in _TROUBLES:
        count = figures.get(key)
        if isinstance(count, int) and count > 0:
            samples = [sample for sample in refused if sample["reason"] == key]
            details = dict.fromkeys(str(sample["detail"]) for sample in samples)
            what = f" ({'; '.join([*details][:NAMED])})" if details else ""
            senders = [*dict.fromkeys(map(_shown, samples))]
            yield Finding(True, name, f"{count:,} {says}{what}", do, senders, reason=key)
