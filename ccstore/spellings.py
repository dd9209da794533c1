"""Other ways to write a name: people leave out what they know, such as zeros and domains."""

from __future__ import annotations

import re


def other_names(name: str) -> list[str]:
    """Other ways to write a name: without blanks, in other letters, with other hyphens."""
    bare = name.strip()
    ways = [bare, bare.lower(), bare.upper(), bare.capitalize()]
    ways += [bare.replace("-", "_"), bare.replace("_", "-")]
    return [way for way in dict.fromkeys(ways) if way and way != name]


def other_hosts(name: str) -> list[str]:
    """Other ways to write a host: without its domain, or with its number in more or fewer digits."""
    bare = name.partition(".")[0]
    ways = [*other_names(name), bare, *other_names(bare)]
    for way in [bare, *other_names(bare)]:
        found = re.fullmatch(r"(.*?)0*([0-9]+)", way)
        if found is not None:
            ways += [f"{found[1]}{found[2]:0>{width}}" for width in range(1, 7)]
    return [way for way in dict.fromkeys(ways) if way and way != name]
