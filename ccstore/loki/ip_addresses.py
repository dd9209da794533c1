"""Addresses in lines and in labels: one of them, a range, or a network."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

#: What in a line could be an address.
_CANDIDATE: Final = re.compile(r"(?<![\w.:])(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9a-fA-F:]*:[0-9a-fA-F:.]+)")


def addresses(text: str) -> Callable[[Address], bool]:
    """Whether an address is meant by this text; raises :class:`ValueError` for what means none."""
    try:
        if "/" in text:
            network = ipaddress.ip_network(text, strict=False)
            return lambda address: address.version == network.version and address in network
        first, is_range, last = text.partition("-")
        begin = ipaddress.ip_address(first.strip())
        end = ipaddress.ip_address(last.strip()) if is_range else begin
        if begin.version != end.version or int(begin) > int(end):
            raise ValueError(text)
    except ValueError:
        raise ValueError(
            f"expected an address, a range or a network such as 10.0.0.1-10.0.0.9, got {text[:60]!r}"
        ) from None
    low, high, version = int(begin), int(end), begin.version
    return lambda address: address.version == version and low <= int(address) <= high


def address_test(text: str) -> Callable[[str], bool]:
    """Whether a text is an address that is meant; raises as :func:`addresses`."""
    is_meant = addresses(text)

    def test(value: str) -> bool:
        try:
            return is_meant(ipaddress.ip_address(value.strip()))
        except ValueError:
            return False

    return test


def line_test(text: str) -> Callable[[str], bool]:
    """Whether an address that is meant stands in a line; raises as :func:`addresses`."""
    test = address_test(text)
    return lambda line: any(test(found[0].rstrip(".:")) for found in _CANDIDATE.finditer(line))
