"""Lines as a cluster sends them: job events and logs of about 170 bytes."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

#: Stands for the seconds of the timestamp, and is as long.
STAMP = b"TTTTTTTTTT"


def block(count: int, *, hosts: int = 1000, seed: int = 1, logs: bool = True) -> bytes:
    """So many different lines, with :data:`STAMP` for the seconds of their time; one in three is a log.

    The nanoseconds are the number of the line, so that no two of a host have the same time.

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
    stamp = STAMP.decode()
    return "".join(f"{line}{stamp}{number:09d}\n" for number, line in enumerate(lines)).encode()


def stamped(lines: bytes) -> bytes:
    """The lines with the time of now."""
    return lines.replace(STAMP, b"%010d" % int(time.time()))


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
