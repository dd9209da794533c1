"""Configurations in one line, and the ports that a daemon then names."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ccstore.config import Config, load_config

#: A receiver of each kind that lines come to by themselves, on a free port.
RECEIVERS = {kind: {"type": kind, "address": "127.0.0.1", "port": 0} for kind in ("tcp", "udp", "http")}


def load(directory: Path, **parts: Mapping[str, Any]) -> Config:
    """A checked configuration; the database lies in the directory, and the REST interface has any port."""
    return load_config(write_config(directory, **parts), cwd=directory, environ={})


def write_config(directory: Path, **parts: Mapping[str, Any]) -> Path:
    """The file for :func:`load`."""
    backend = {"type": "sqlite", "database_path": str(directory / "ccstore.db")}
    content = {
        "receivers": parts.get("receivers", {}),
        "storage": {"backend": backend, **parts.get("storage", {})},
        "api": {"address": "127.0.0.1", "port": 0, **parts.get("api", {})},
    }
    path = directory / "ccstore.json"
    path.write_text(json.dumps(content))
    return path


def receiver_config(directory: Path, kind: str, **keys: Any) -> Any:
    """The configuration of one receiver on any port of the loopback."""
    if "endpoint" not in keys:
        keys = {"address": "127.0.0.1", "port": 0, **keys}
    return load(directory, receivers={kind: {"type": kind, **keys}}).receivers[0]


_PLACE = re.compile(r"(?:line protocol over (TCP|UDP|HTTP)|(REST)) on \S+:([0-9]+)(?![0-9])")


def ports_in(text: str) -> dict[str, int]:
    """The ports that the log names, by TCP, UDP, HTTP and REST."""
    return {line or rest: int(port) for line, rest, port in _PLACE.findall(text)}


def port_in(place: str) -> int:
    """The port in what a receiver says about where it listens."""
    (port,) = ports_in(place).values()
    return port
