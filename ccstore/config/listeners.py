"""Where a server listens: an endpoint, or an address, a port and TLS; and that no two want the same port.

And, of those over HTTP, who may connect there.
"""

from __future__ import annotations

import ipaddress
from contextlib import suppress

from attrs import Factory, frozen

from . import kinds, pem
from .document import reason
from .endpoints import endpoint as endpoint_kind
from .endpoints import tls_options_of
from .kinds import Unfit
from .section import Section
from .values import HttpLimits, TlsConfig

_TLS_KEYS = ("tls_certificate", "tls_key", "tls_client_ca")


@frozen
class Listening:
    """With an endpoint, the other three mean nothing."""

    endpoint: str | None
    address: str
    port: int
    tls: TlsConfig | None


@frozen
class Ports:
    """Who listens where, so far."""

    _claims: list[tuple[str, str, int, str]] = Factory(list)

    def claim(self, section: Section, protocol: str, address: str, port: int) -> None:
        """Write down that a section listens there, and a problem if it is not the first."""
        if port == 0 or section.failed & {"address", "port", "endpoint"}:
            return
        for other_protocol, other_address, other_port, owner in self._claims:
            if (protocol, port) == (other_protocol, other_port) and _overlap(address, other_address):
                section.place("port").problem(
                    port, f"another port: {owner} listens on {other_address or '*'}:{port} too"
                )
                break
        self._claims.append((protocol, address, port, section.here.key))


def _overlap(one: str, other: str) -> bool:
    ips = [_resolved(one), _resolved(other)]
    if ips[0] == ips[1]:
        return True
    # All of IPv4 takes in whatever is not IPv6; of a host name nothing better is known.
    return "0.0.0.0" in ips and not any(":" in ip for ip in ips)


def _resolved(address: str) -> str:
    if address in ("", "localhost"):
        return "127.0.0.1" if address else "0.0.0.0"
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return address.lower()


def read_listening(section: Section, ports: Ports, *, address: str, port: int) -> Listening:
    """Read where a server over TCP listens; ``address`` and ``port`` are the defaults."""
    endpoint = section.take("endpoint", endpoint_kind, None)
    if section.has("endpoint"):
        for key in ("address", "port", *_TLS_KEYS):
            if section.has(key):
                section.fail(key, section.value(key), Unfit("nothing, since endpoint says all of this"))
    if endpoint is not None:
        _check_age(section, endpoint)
    chosen = Listening(
        endpoint=endpoint,
        address=section.take("address", kinds.address, address),
        port=section.take("port", kinds.port, port),
        tls=_read_tls(section),
    )
    if not section.has("endpoint"):
        ports.claim(section, "TCP", chosen.address, chosen.port)
    return chosen


def read_limits(section: Section) -> HttpLimits:
    """Read what all servers over HTTP have in common."""
    default, connections = HttpLimits(), kinds.integer(0, 10**6)
    return HttpLimits(
        max_connections=section.take("max_connections", connections, default.max_connections),
        max_connections_per_address=section.take(
            "max_connections_per_address", connections, default.max_connections_per_address
        ),
        allowed_hosts=section.take("allowed_hosts", kinds.host_names, default.allowed_hosts),
    )


def _read_tls(section: Section) -> TlsConfig | None:
    if section.has("endpoint"):
        section.ignore(*_TLS_KEYS)
        return None
    certificate, key, client_ca = (section.readable_file(name) for name in _TLS_KEYS)
    if not section.has("tls_certificate"):
        for name in _TLS_KEYS[1:]:
            if section.has(name):
                section.fail(name, section.value(name), Unfit("tls_certificate beside it"))
    if certificate is None or section.failed & set(_TLS_KEYS):
        return None
    tls = TlsConfig(certificate, key or certificate, client_ca)
    _check_tls(section, tls)
    return tls


def _check_age(section: Section, endpoint: str) -> None:
    with suppress(Exception):  # what is wrong with its files is said where it is read
        options = tls_options_of(endpoint)
        if options is not None:
            own = [options.certificate, *(options.extraCertChain or ())]
            section.warn_of_age("endpoint", [each.to_cryptography() for each in own])


def _check_tls(section: Section, tls: TlsConfig) -> None:
    """Read the files, so that what is wrong with them shows before anything starts."""
    name = "tls_certificate"
    try:
        own, *chain = pem.certificates(tls.certificate)
        name = "tls_key" if section.has("tls_key") else name
        pem.private_key(tls.key, own)
        authorities = []
        if tls.client_ca is not None:
            name = "tls_client_ca"
            authorities = pem.certificates(tls.client_ca)
        section.warn_of_age("tls_certificate", [own, *chain], authorities)
    except Unfit as error:
        section.fail(name, section.value(name), error)
    except OSError as error:
        section.fail(name, section.value(name), Unfit(f"a readable file ({reason(error)})"))
