"""The keys of a NATS receiver."""

from __future__ import annotations

from pathlib import Path

from . import kinds, nkeys, pem
from .document import reason
from .kinds import Unfit
from .listeners import Ports
from .rule_section import read_rules
from .secret import has_secret
from .section import Section
from .users import read_user
from .values import NOTHING, ClientTlsConfig, NatsReceiverConfig

_KIB, _MIB = 2**10, 2**20
_TLS_FILES = ("tls_ca", "tls_certificate", "tls_key")
#: A line of the protocol has at most 4096 bytes.
_LONGEST = 1024


def read_nats(section: Section, name: str, ports: Ports) -> NatsReceiverConfig:
    """Read the section; the last parameter is for receivers that listen."""
    section.refuse("endpoint", "address and port")
    address, is_tls = section.take("address", _server, ("localhost", False))
    subject = section.require("subject", _subject, 'the subject to subscribe to, such as "*.events.>"')
    user, password, nkey_file = _read_credentials(section)
    stream, durable = (section.take(key, _name, None) for key in ("stream", "durable"))
    for given, missing in (("stream", "durable"), ("durable", "stream")):
        if section.has(given) and not section.has(missing):
            section.fail(missing, NOTHING, Unfit(f"a {missing}, since there is a {given} (both or none)"))
    queue_group = section.take("queue_group", _queue_group, None)
    if section.has("stream") and queue_group is not None:
        section.fail("queue_group", queue_group, Unfit("nothing: a durable is shared"))
    return NatsReceiverConfig(
        name=name,
        address=address,
        port=section.take("port", _port, 4222),
        tls=_read_tls(section, is_tls),
        subject=subject or "",
        queue_group=queue_group,
        stream=stream,
        durable=durable,
        user=user,
        password=password,
        nkey_file=nkey_file,
        cluster=section.take("cluster", kinds.optional_text, None),
        precision=section.take("precision", kinds.choice("auto", "s", "ms", "us", "ns"), "auto"),
        max_payload=section.take("max_payload", kinds.size(_KIB, 64 * _MIB), 16 * _MIB),
        rules=read_rules(section),
    )


def _read_credentials(section: Section) -> tuple[str | None, str | None, Path | None]:
    """Give user and password, or the file of an nkey: of both, what the Go daemon takes, with a warning."""
    given = [key for key in ("user", "password") if has_secret(section, key)]
    has_nkey = section.value("nkey_file") not in (None, "")
    if has_nkey and len(given) < 2:
        for key in given:
            for name in (key, f"{key}_env", f"{key}_file"):
                section.discourage(name, "nkey_file says who we are")
        return None, None, _read_nkey_file(section)
    if has_nkey:
        section.discourage("nkey_file", "user and password say who we are")
    return *read_user(section, "user", str), None


def _read_nkey_file(section: Section) -> Path | None:
    path = section.readable_file("nkey_file")
    if path is None:
        return None
    try:
        nkeys.read_credentials(path)
    except Unfit as error:
        section.fail("nkey_file", section.value("nkey_file"), error)
    except OSError as error:
        section.fail("nkey_file", section.value("nkey_file"), Unfit(f"a readable file ({reason(error)})"))
    return path


def _read_tls(section: Section, is_tls: bool) -> ClientTlsConfig:
    ca, certificate, key = (section.readable_file(name) for name in _TLS_FILES)
    is_first = section.take("tls_first", kinds.boolean, False)
    is_required = section.take("tls", kinds.boolean, is_tls) or is_first
    if section.has("tls_key") and not section.has("tls_certificate"):
        section.fail("tls_key", section.value("tls_key"), Unfit("tls_certificate beside it"))
    name = "tls_ca"
    try:
        if ca is not None:
            pem.certificates(ca)
        name = "tls_certificate"
        if certificate is not None and not section.failed & {"tls_key"}:
            own, *chain = pem.certificates(certificate)
            section.warn_of_age("tls_certificate", [own, *chain])
            name = "tls_key" if section.has("tls_key") else name
            pem.private_key(key or certificate, own)
    except Unfit as error:
        section.fail(name, section.value(name), error)
    except OSError as error:
        section.fail(name, section.value(name), Unfit(f"a readable file ({reason(error)})"))
    return ClientTlsConfig(
        # Whoever names a file for TLS does not want to go without.
        is_required=is_required or ca is not None or certificate is not None,
        is_first=is_first,
        ca=ca,
        certificate=certificate,
        key=None if certificate is None else key or certificate,
    )


def _server(value: object) -> tuple[str, bool]:
    """A server's name or address, which may be written as a URL of NATS; and whether that asks for TLS."""
    host, is_tls = value, False
    if isinstance(value, str):
        scheme, separator, rest = value.partition("://")
        if separator and scheme.lower() in ("nats", "tls"):
            host, is_tls = rest, scheme.lower() == "tls"
    try:
        if host:
            return kinds.address(host), is_tls
    except Unfit:
        pass
    raise Unfit("a server's host name or IP address, without port and brackets")


def _port(value: object) -> int:
    number = kinds.port(value)
    if number == 0:
        raise Unfit("a port from 1 to 65535")
    return number


def _subject(value: object) -> str:
    """A subject of NATS: tokens between dots; ``*`` stands for one, ``>`` for all at the end."""
    expected = 'a NATS subject such as "alex.events.job", "*.events.*" or "alex.>"'
    if not isinstance(value, str) or not value:
        raise Unfit(expected)
    tokens = value.split(".")
    if "" in tokens:
        raise Unfit(f"{expected}, with something between the dots")
    if not all(char.isprintable() and not char.isspace() for char in value):
        raise Unfit(f"{expected}, without spaces")
    for place, token in enumerate(tokens):
        if len(token) > 1 and ("*" in token or ">" in token):
            raise Unfit(f"{expected}; a wildcard stands alone between the dots")
        if token == ">" and place < len(tokens) - 1:
            raise Unfit(f"{expected}; '>' stands at the end")
    if len(value.encode()) > _LONGEST:
        raise Unfit(f"{expected}, of at most {_LONGEST} bytes")
    return value


def _queue_group(value: object) -> str | None:
    if value == "":
        return None
    if not isinstance(value, str) or not all(char.isprintable() and not char.isspace() for char in value):
        raise Unfit("the name of a queue group, without spaces")
    if len(value.encode()) > _LONGEST:
        raise Unfit(f"the name of a queue group, of at most {_LONGEST} bytes")
    return value


def _name(value: object) -> str:
    """The name of a stream or a consumer."""
    if isinstance(value, str) and value.isprintable() and 0 < len(value.encode()) <= 255:
        is_good = not set(value) & set(" ./\\*>")
        if is_good:
            return value
    raise Unfit("a JetStream name, without spaces, dots, slashes and wildcards")
