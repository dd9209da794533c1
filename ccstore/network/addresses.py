"""Addresses, as people read them and as the log has them."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.interfaces import IListeningPort


def where(port: IListeningPort) -> str:
    """The address of an open port, for people."""
    host: Any = port.getHost()
    if hasattr(host, "port"):
        address = f"[{host.host}]" if ":" in host.host else host.host
        return f"{address}:{host.port}"
    name = getattr(host, "name", host)
    return os.fsdecode(name) if isinstance(name, bytes) else str(name)


def address_of(peer: Any) -> str:
    """The address of a sender, for people and for the log."""
    if hasattr(peer, "port"):
        return f"{peer.host}:{peer.port}"
    name = getattr(peer, "name", None)
    # Whoever connects to a socket in the file system has no name, as a rule.
    return os.fsdecode(name) if name else "a local socket"
