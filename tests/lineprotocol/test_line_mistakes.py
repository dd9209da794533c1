"""What is said of lines that are wrong fits what stands there."""

from __future__ import annotations

import re
from ast import literal_eval
from collections.abc import Iterator

from ccstore.lineprotocol import decode

RIGHT = b'job,cluster=alex,type-id=0 event="a b",n=3i,ok=true 1700000000'
OTHERS = (*(bytes([byte]) for byte in b" \t,=\"'\\#\0\xff\xc3x5"), "\u00e9".encode(), "\u201c".encode())
NAMES = {"a space": " ", "a tab": "\t", "a NUL byte": "\0"}


def slips() -> Iterator[bytes]:
    """A line with each slip at each place: cut off, a byte lost, two exchanged, one too many, another one."""
    for place in range(len(RIGHT) + 1):
        before, behind = RIGHT[:place], RIGHT[place:]
        yield before
        yield before + behind[1:]
        yield before + behind[1:2] + behind[:1] + behind[2:]
        for other in OTHERS:
            yield before + other + behind
            yield before + other + behind[1:]


def stands_there(found: str, at: bytes) -> bool:
    """Whether this is what stands at a place of a line."""
    if found == "the end of the line":
        return not at
    if found.startswith("the byte 0x"):
        return at[:1] == bytes.fromhex(found[11:13])
    if found in NAMES:
        return at.startswith(NAMES[found].encode())
    quoted = re.match(r"""(['"]).*?(?<!\\)(?:\\\\)*\1""", found)
    assert quoted is not None, found
    text: str = literal_eval(quoted[0])
    return at.decode(errors="replace").startswith(text.rstrip("\u2026"))


def test_what_is_said_to_be_found_stands_there() -> None:
    kinds = set()
    for line in slips():
        for error in decode(line, default_time=0).errors:
            at = line[error.column - 1 :]
            expected, _, found = error.reason.partition(", found ")
            kinds.add(re.sub(r"'.*?'", "", expected))
            if found:
                assert expected.startswith("expected ")
                assert stands_there(found, at), (line, error)
            elif error.reason == "no field":
                assert not at, (line, error)
            elif error.reason.startswith(("the value ", "timestamp out of range ")):
                value = re.sub("^the value |^timestamp out of range ", "", error.reason)
                assert stands_there(value, at), (line, error)
                assert " is not " in error.reason or "expected a time" in error.reason
            else:
                assert error.reason == "the string opened here is never closed"
                assert at.startswith(b'"'), (line, error)
    # Most of what can be said was said.
    assert len(kinds) >= 15, kinds


def test_a_space_is_not_the_end_of_the_line() -> None:
    (error,) = decode(b'm,cluster=x,rack=b, log="1"', default_time=0).errors
    assert (error.column, error.reason) == (20, "expected a tag key after ',', found a space")
