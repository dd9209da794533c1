"""Lines as a cluster sends them: job events and logs of about 170 bytes."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

#: Stands for the milliseconds of the timestamp, and is as long.
STAMP = b"TTTTTTTTTTTTT"


def stamp() -> bytes:
    """The time of now in place of :data:`STAMP`."""
    return b"%013d" % (time.time_ns() // 1_000_000)


def block(count: int, *, hosts: int = 1000, seed: int = 1, logs: bool = True) -> bytes:
    """So many different lines, with :data:`STAMP` for the milliseconds of their time; one in three is a log.

    The nanoseconds below are the number of the line. So no two of a host have the same time, nor has the same
    line when it is sent again: a store that keeps one point for each time would have less to do otherwise.

    :param count: at most a million.

    :param hosts: distinct hosts, and so about half as many distinct series.
    """
    chance = random.Random(seed)
    lines = []
    for number in range(count):
        host = f"a{chance.randrange(hosts):05d}"
        if logs and number % 3 == 0:
            lines.append(
                f"slurmd,cluster=alex,hostname={host},type=node "
                f'log="error: node {host} not responding, state changed to DOWN for step {number}" '
            )
        else:
            lines.append(
                f"job,cluster=alex,function=start_job,hostname={host},type=node,type-id=0 "
                f'event="{{\\"jobId\\": {number}, \\"cluster\\": \\"alex\\", '
                f'\\"user\\": \\"u{number % 97}\\", \\"state\\": \\"running\\"}}" '
            )
    milliseconds = STAMP.decode()
    return "".join(f"{line}{milliseconds}{number:06d}\n" for number, line in enumerate(lines)).encode()


def stamped(lines: bytes) -> bytes:
    """The lines with the time of now."""
    return lines.replace(STAMP, stamp())


def bodies(lines: bytes, size: int) -> Iterator[bytes]:
    """The lines in pieces of so many."""
    start = 0
    while start < len(lines):
        end = start
        for _ in range(size):
            end = lines.find(b"\n", end) + 1
            if not end:
                end = len(lines)
                break
        yield lines[start:end]
        start = end
