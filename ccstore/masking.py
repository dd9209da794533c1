"""The template of a text: what it has in common with others, without numbers, names and addresses."""

from __future__ import annotations

import re
from typing import Final

_MASK: Final = re.compile(
    r"(?P<time>\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?\b"
    r"|\b\d\d:\d\d:\d\d(?:\.\d+)?\b)"
    r"|(?P<uuid>\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b)"
    r"|(?P<ip>\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b)"
    r"|(?P<mac>\b[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5,7}\b)"
    r"|(?P<pci>\b(?:[0-9a-fA-F]{4,8}:)[0-9a-fA-F]{2}:[0-9a-fA-F]{2}(?:\.[0-7])?\b)"
    r"|(?P<hex>\b0x[0-9a-fA-F]+\b|\b(?=[0-9a-fA-F]*\d)(?=[0-9a-fA-F]*[a-fA-F])[0-9a-fA-F]{8,}\b)"
    r"|(?P<path>(?<![\w<>])/(?:[\w.@%+~-]+/)*[\w.@%+~-]+)"
    r"|(?P<host>\b[A-Za-z]+(?:-[a-z]+)?\d{3,}\b)"
    r"|(?P<num>(?<![A-Za-z_<])-?\d+(?:\.\d+)?)"
)


def template_of(text: str, host: str) -> str:
    """The text with placeholders for what differs from message to message."""
    if host:
        text = text.replace(host, "<host>")
    return _MASK.sub(lambda found: f"<{found.lastgroup}>", text)
