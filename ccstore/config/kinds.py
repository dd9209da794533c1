"""
The kinds of value a key may have.

A kind is a function from what the file says to what the program uses; it raises `Unfit` with what it would
have accepted. Kinds know nothing of files and keys.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import TypeGuard, TypeVar

from ccstore.durations import LONGEST, Duration, better_duration

from .values import Words, show

T = TypeVar("T")
Kind = Callable[[object], T]

_DURATION = 'a duration such as "10s", "1h30m" or "30d"'

_SIZE = re.compile(r"([0-9]{1,18}) ?(|b|k|kb|kib|m|mb|mib|g|gb|gib)", re.IGNORECASE)
_FACTORS = {
    "": 1,
    "b": 1,
    "k": 2**10,
    "kib": 2**10,
    "kb": 10**3,
    "m": 2**20,
    "mib": 2**20,
    "mb": 10**6,
    "g": 2**30,
    "gib": 2**30,
    "gb": 10**9,
}

_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?")
_ORIGIN = re.compile(r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|[^:/@\[\]]+)(?::(?P<port>[0-9]{1,5}))?")
_USUAL_PORTS = {"http": "80", "https": "443"}
_ENDPOINT = re.compile(r"[A-Za-z][A-Za-z0-9_-]*:.*", re.DOTALL)


class Unfit(Exception):
    """A value is not of its kind; ``value`` replaces it in the message where it must not be shown whole."""

    def __init__(self, expected: str, value: object = None) -> None:
        super().__init__(expected)
        self.expected = expected
        self.value = value


def near(word: str, known: Iterable[str]) -> str:
    """Give `` (did you mean 'x'?)`` for a known word much like this one, else an empty string."""
    word = word.lower()
    found = get_close_matches(word, sorted(known), n=3, cutoff=0.6)
    # Who writes `user` means `username` rather than `cluster`, though that has more of its letters.
    found.sort(key=lambda each: not each.startswith(word))
    return f" (did you mean {found[0]!r}?)" if found else ""


def duration(value: object) -> float:
    """A duration as text, or the number 0; gives seconds, which know how they were written."""
    if isinstance(value, str):
        try:
            return Duration.of(value)
        except ValueError:
            raise Unfit(_better_duration(value)) from None
    if is_number(value) and value == 0:
        return 0.0
    if is_number(value) and 0.001 <= value < 10**9:
        raise Unfit(f'a duration with its unit, such as "{value}s"')
    raise Unfit(_DURATION)


def _better_duration(text: str) -> str:
    better = better_duration(text)
    if better:
        return f'a duration with its unit, such as "{better}"'
    if text.startswith("-"):
        return f"{_DURATION}, not negative"
    return f"{_DURATION} (units: w d h m s ms us ns)"


def duration_between(low: float, high: float, described: str) -> Kind[float]:
    """A duration within bounds, both in seconds and both allowed; ``described`` says them to a reader."""

    def check(value: object) -> float:
        seconds = duration(value)
        if not low <= seconds <= high:
            raise Unfit(described)
        return seconds

    return check


def positive_duration(described: str) -> Kind[float]:
    """A duration of at least a nanosecond, the shortest there is."""
    return duration_between(1e-9, float(LONGEST), described)


def is_number(value: object) -> TypeGuard[int | float]:
    """Tell numbers from truth values, which Python counts among them."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def boolean(value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise Unfit("true or false, without quotes")
    return value


def text(value: object) -> str:
    """A text."""
    if not isinstance(value, str):
        raise Unfit("a string (in quotes)" if is_number(value) else "a string")
    return value


def optional_text(value: object) -> str | None:
    """A string; an empty one is as good as none."""
    return text(value) or None


def plain_text(value: object) -> str:
    """A string that a C library can take."""
    found = text(value)
    if "\0" in found:
        raise Unfit("a string without a NUL character")
    return found


def flags(expected: str) -> Kind[list[str]]:
    """A list of flags such as ``a=1``, or several in one string with ``&`` between them."""

    def check(value: object) -> list[str]:
        parts = value if isinstance(value, list) else [value]
        found = []
        for part in parts:
            if not isinstance(part, str):
                raise Unfit(expected, part)
            found += [flag for flag in part.split("&") if flag.strip()]
        return found

    return check


def file_path(value: object) -> str:
    """A path, of which nothing is known but that the system could take it."""
    if not isinstance(value, str) or not value or "\0" in value:
        raise Unfit("the path of a file")
    return value


def integer(low: int, high: int) -> Kind[int]:
    """A whole number within bounds, both allowed."""

    def check(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise Unfit(f"a whole number from {low} to {high}")
        return value

    return check


def size(low: int, high: int) -> Kind[int]:
    """A number of bytes within bounds, as a number or as text like ``64k``, ``16MiB`` or ``1GB``."""

    def check(value: object) -> int:
        count = value
        if isinstance(value, str):
            found = _SIZE.fullmatch(value)
            count = int(found[1]) * _FACTORS[found[2].lower()] if found else None
        if not isinstance(count, int) or isinstance(count, bool) or not low <= count <= high:
            raise Unfit(f'a size such as 65536, "64k" or "16MiB", from {low} to {high} bytes')
        return count

    return check


def port(value: object) -> int:
    """A port as a number or as text; 0 is any free one."""
    number = int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,5}", value) else value
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= 65535:
        raise Unfit("a port from 0 to 65535")
    return number


def address(value: object) -> str:
    """The name or the IP address of an interface, empty for all of them."""
    if isinstance(value, str) and (value == "" or _is_ip(value) or _is_host(value)):
        return value
    raise Unfit('a host name or an IP address, without port and brackets, or "" for all interfaces')


def ip_address(value: object) -> str:
    """The IP address of an interface, empty for all of them; ``localhost`` is taken for 127.0.0.1."""
    if value == "localhost":
        return "127.0.0.1"
    if isinstance(value, str) and (value == "" or _is_ip(value)):
        return value
    raise Unfit('an IP address, or "" for all interfaces (UDP takes no other host name than localhost)')


def _is_ip(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def _is_host(value: str) -> bool:
    # Only digits and dots: a mistyped address, not a name.
    return _HOST.fullmatch(value) is not None and re.fullmatch(r"[0-9.]+", value) is None


def host_names(value: object) -> frozenset[str]:
    """A list of names of hosts, in any case and without ports; ``*`` is any."""
    names = []
    for name in value if isinstance(value, list) else [value]:
        bare = name.strip("[]").removesuffix(".").lower() if isinstance(name, str) else ""
        if not (bare == "*" or _is_ip(bare) or _is_host(bare)):
            raise Unfit(
                'a list of host names without ports, such as [events.example.org], or "*" for any', name
            )
        names.append(bare)
    return frozenset(names)


def origins(value: object) -> frozenset[str]:
    """A list of origins of web pages, as browsers write them, in lower case; ``*`` is any."""
    found = []
    for origin in value if isinstance(value, list) else [value]:
        bare = origin.lower().removesuffix("/") if isinstance(origin, str) else ""
        parts = _ORIGIN.fullmatch(bare)
        if bare != "*" and not (parts and (_is_ip(parts["host"].strip("[]")) or _is_host(parts["host"]))):
            raise Unfit(
                'a list of origins of web pages, such as [https://grafana.example.org], or "*" for any',
                origin,
            )
        # A browser does not name the port that goes without saying.
        is_usual = parts is not None and parts["port"] == _USUAL_PORTS[parts["scheme"]]
        found.append(bare.rpartition(":")[0] if is_usual else bare)
    return frozenset(found)


def url_path(value: object) -> str:
    """The path of a URL, empty for every path; a missing first slash is added."""
    if not isinstance(value, str) or re.search(r"[?#\s\0]|://", value):
        raise Unfit('the path of a URL, such as "/write", or "" for every path')
    # "/" matches every path in the Go daemon, too.
    return "" if value in ("", "/") else "/" + value.removeprefix("/")


def endpoint(value: object) -> str:
    """Something that looks like a Twisted server endpoint; `endpoints` knows more of them."""
    if not isinstance(value, str) or _ENDPOINT.fullmatch(value) is None:
        raise Unfit('a Twisted server endpoint, such as "tcp:8094:interface=127.0.0.1"')
    return value


def choice(*words: str) -> Kind[str]:
    """One of some words."""

    def check(value: object) -> str:
        if isinstance(value, str) and value in words:
            return value
        hint = near(value, words) if isinstance(value, str) else ""
        raise Unfit(f"one of {', '.join(words)}{hint}")

    return check


def public_key(value: str) -> bytes:
    """Standard base64 of the 32 bytes of an Ed25519 public key."""
    expected = "the standard base64 of an Ed25519 public key of 32 bytes"
    # Never whole: what is pasted here by mistake may be the private key.
    start = Words(show(value if len(value) <= 16 else value[:15] + "..."))
    try:
        key = base64.b64decode(value.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise Unfit(expected, start) from None
    if len(key) != 32:
        raise Unfit(expected, Words(f"{start} ({len(key)} bytes)"))
    return key
