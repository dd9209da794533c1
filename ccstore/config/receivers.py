"""The receivers: what types there are, and what keys each has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from attrs import asdict

from ccstore.message import is_cluster

from . import kinds
from .document import Object
from .kinds import Unfit, near
from .listeners import Ports, read_limits, read_listening
from .nats import read_nats
from .rule_section import read_rules
from .section import Place, Section, Surroundings
from .users import read_user
from .values import (
    TCP_CONNECTIONS,
    EecptReceiverConfig,
    HttpReceiverConfig,
    ReceiverConfig,
    TcpReceiverConfig,
    UdpReceiverConfig,
)

_KIB, _MIB, _GIB = 2**10, 2**20, 2**30

_PRECISION = kinds.choice("auto", "s", "ms", "us", "ns")
_LINE_LENGTH = kinds.size(64, _GIB)
_INTERVAL = kinds.duration_between(1, 86400, 'a duration from "1s" to "24h"')
_NO_DATABASES: Mapping[str, str] = MappingProxyType({})

# Types of the Go daemon that have nothing to deliver here.
METRICS_ONLY = ("prometheus", "ipmi", "redfish")


def _read_tcp(section: Section, name: str, ports: Ports) -> TcpReceiverConfig:
    listening = read_listening(section, ports, address="", port=8094)
    return TcpReceiverConfig(
        name=name,
        endpoint=listening.endpoint,
        address=listening.address,
        port=listening.port,
        tls=listening.tls,
        cluster=section.take("cluster", kinds.optional_text, None),
        precision=section.take("precision", _PRECISION, "auto"),
        idle_timeout=section.take("idle_timeout", kinds.duration, 0.0),
        max_line_length=section.take("max_line_length", _LINE_LENGTH, _MIB),
        max_connections=section.take("max_connections", kinds.integer(0, 10**6), TCP_CONNECTIONS),
        rules=read_rules(section),
    )


def _read_udp(section: Section, name: str, ports: Ports) -> UdpReceiverConfig:
    section.refuse("endpoint", "address and port: there are no endpoints for UDP")
    for key in ("tls_certificate", "tls_key", "tls_client_ca"):
        section.refuse(key, "nothing: there is no TLS for UDP")
    for key in ("idle_timeout", "max_connections"):
        section.discourage(key, "UDP has no connections")
    address = section.take("address", kinds.ip_address, "")
    port = section.take("port", kinds.port, 8094)
    ports.claim(section, "UDP", address, port)
    return UdpReceiverConfig(
        name=name,
        address=address,
        port=port,
        cluster=section.take("cluster", kinds.optional_text, None),
        precision=section.take("precision", _PRECISION, "auto"),
        receive_buffer=section.take("receive_buffer", kinds.size(4 * _KIB, _GIB), 4 * _MIB),
        max_line_length=section.take("max_line_length", _LINE_LENGTH, _MIB),
        rules=read_rules(section),
    )


def _read_http(section: Section, name: str, ports: Ports) -> HttpReceiverConfig:
    listening = read_listening(section, ports, address="", port=8080)
    username, password = read_user(section, "username", _user_name)
    return HttpReceiverConfig(
        name=name,
        endpoint=listening.endpoint,
        address=listening.address,
        port=listening.port,
        tls=listening.tls,
        path=section.take("path", kinds.url_path, ""),
        idle_timeout=section.take("idle_timeout", kinds.duration, 120.0),
        keep_alives_enabled=section.take("keep_alives_enabled", kinds.boolean, True),
        username=username,
        password=password,
        cluster=section.take("cluster", kinds.optional_text, None),
        precision=section.take("precision", _PRECISION, "auto"),
        max_body=section.take("max_body", kinds.size(_KIB, _GIB), 16 * _MIB),
        max_unpacked=section.take("max_unpacked", kinds.size(_KIB, 4 * _GIB), 32 * _MIB),
        access_log=section.take("access_log", kinds.boolean, False),
        influx=section.take("influx", _influx, "auto"),
        cluster_from_database=section.take("cluster_from", _cluster_from, False),
        databases=section.take("databases", _databases, _NO_DATABASES),
        rules=read_rules(section),
        limits=read_limits(section),
    )


def _read_eecpt(section: Section, name: str, ports: Ports) -> EecptReceiverConfig:
    return EecptReceiverConfig(
        **asdict(_read_http(section, name, ports), recurse=False),
        analysis_buffer_size=section.take("analysis_buffer_size", kinds.integer(4, 1000), 4),
        analysis_interval=section.take("analysis_interval", _INTERVAL, 300.0),
        analysis_metric=section.take("analysis_metric", _metric, "region_metric"),
    )


def _metric(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise Unfit("the name of a metric")
    return value


def _influx(value: object) -> str:
    if isinstance(value, bool):
        return "always" if value else "never"
    if value != "auto":
        raise Unfit("true, false or auto")
    return "auto"


def _cluster_from(value: object) -> bool:
    if value not in ("database", "bucket", "db"):
        raise Unfit('"database" (or "bucket", which is the same)')
    return True


def _databases(value: object) -> Mapping[str, str]:
    expected = "an object with the cluster of each database or bucket, such as {telegraf: alex}"
    if not isinstance(value, Object):
        raise Unfit(expected)
    databases = {}
    for name, cluster in value.items():
        if not isinstance(cluster, str) or not is_cluster(cluster):
            raise Unfit(f"{expected}; what {name!r} has is not the name of a cluster")
        databases[name] = cluster
    return MappingProxyType(databases)


def _user_name(name: str) -> str:
    # Basic authentication ends the name at the first colon: such a user could never log in.
    if ":" in name:
        raise Unfit("a user name without a colon")
    return name


READERS: dict[str, Callable[[Section, str, Ports], ReceiverConfig]] = {
    "tcp": _read_tcp,
    "udp": _read_udp,
    "http": _read_http,
    "eecpt": _read_eecpt,
    "nats": read_nats,
}


#: Parts of the daemon, whose counts stand beside those of the receivers.
_RESERVED: Final = ("api", "storage")


def read_receivers(
    here: Place, data: Object, surroundings: Surroundings, ports: Ports
) -> tuple[ReceiverConfig, ...]:
    """Read all receivers that can be started; ``here`` is the place of the object that names them."""
    receivers = []
    for index, (name, value) in enumerate(data.items()):
        place = here.inside(name, index)
        if not name:
            place.problem(name, "a name for the receiver")
        elif name in _RESERVED:
            place.problem(name, f"another name for the receiver: the daemon has a part called {name}")
        elif not isinstance(value, Object):
            place.problem(value, "an object with the receiver's keys")
        else:
            receiver = read_receiver(Section(place, value, surroundings), name, ports)
            receivers += [receiver] if receiver else []
    if not data:
        here.warn("no receivers are configured: messages come in by the API only")
    return tuple(receivers)


def read_receiver(section: Section, name: str, ports: Ports) -> ReceiverConfig | None:
    """Read one receiver; None if its type is missing, wrong, or not started here."""
    named = section.require("type", kinds.text, f"one of {', '.join(READERS)}")
    if named is None:
        return None
    kind = named.lower()
    if kind in METRICS_ONLY:
        section.place("type").warn(f"a receiver of type {kind} delivers only metrics, it is not started")
    elif kind not in READERS:
        hint = near(kind, [*READERS, *METRICS_ONLY])
        section.fail("type", named, Unfit(f"one of {', '.join(READERS)}{hint}"))
    else:
        receiver = READERS[kind](section, name, ports)
        section.finish()
        return receiver
    return None
