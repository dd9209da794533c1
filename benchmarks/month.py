"""A month of messages of two clusters, always the same, of which is known what a reader must find."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

from attrs import frozen

_PIECE: Final = 5000
#: Seconds.
DAY: Final = 86400
DAYS: Final = 30
#: Of four clusters of hosts, three are the first one's.
CLUSTERS: Final = ("alex", "fritz")
NAMES: Final = ("slurmd", "kernel", "sshd", "systemd", "chronyd", "lustre", "ipmi", "nhc")
_LEVELS: Final = ("debug", "info", "info", "info", "notice", "warning", "error")
#: In the texts of so many messages, in each log, and in no text.
RARE: Final = "quetzalcoatl"
RARE_ROWS: Final = 10
COMMON: Final = "node"
#: Matches the text of one log in some thousands.
REGEX: Final = r"(slow|late) reply .* after 999\d ms"
_TEXTS: Final = (
    "node {host} answers: reply {number} of health check came after {late} ms",
    "error: node {host} not responding, retry {number}, state is set to DOWN*",
    "job {job} on node {host} step {number} ended, exit code {code}, signal {code}",
    "slow reply of the file system on node {host}, op {number} after {late} ms",
)


@frozen
class Month:
    """So many messages in the order of their time: a fourth of them job events, the others logs.

    :ivar begin: the time of the first, in seconds since the epoch; the last comes :data:`DAYS` later.
    """

    rows: int
    begin: int
    hosts: int = 2000

    @property
    def end(self) -> int:
        """The time behind the last, in seconds since the epoch."""
        return self.begin + DAYS * DAY

    def cluster_of(self, host: int) -> str:
        """The cluster of a host."""
        return CLUSTERS[host % 4 == 3]

    @property
    def middle(self) -> int:
        """A time half way, in seconds since the epoch."""
        return self.begin + DAYS * DAY // 2

    def lines(self) -> Iterator[bytes]:
        """Line protocol, in pieces."""
        span = DAYS * DAY * 10**9
        rare = {(2 * place + 1) * self.rows // (2 * RARE_ROWS) for place in range(RARE_ROWS)}
        for start in range(0, self.rows, _PIECE):
            chance = random.Random(start)
            numbers = range(start, min(start + _PIECE, self.rows))
            hosts = chance.choices(range(self.hosts), k=len(numbers))
            lates = chance.choices(range(100, 10_000), k=len(numbers))
            lines = []
            for number, host, late in zip(numbers, hosts, lates, strict=True):
                offset = number * span // self.rows
                # A job takes a fourth of a day on eight hosts.
                job = 100_000 + offset // (6 * 3600 * 10**9) * (self.hosts // 8) + host // 8
                line = self._event(host, job, number) if number % 4 == 0 else _log(host, job, number, late)
                if number in rare:
                    line = line.replace(COMMON, RARE) if number % 4 else line.replace("queue", RARE)
                lines.append(f"{line} {self.begin * 10**9 + offset}\n".replace("@", self.cluster_of(host)))
            yield "".join(lines).encode()

    def _event(self, host: int, job: int, number: int) -> str:
        function = "stop_job" if number % 8 else "start_job"
        return (
            f"job,cluster=@,function={function},hostname={host_name(host)},type=node "
            f'event="{{\\"jobId\\": {job}, \\"cluster\\": \\"@\\", \\"user\\": \\"user{host % 97:03d}\\", '
            f'\\"project\\": \\"project{host % 41:03d}\\", \\"partition\\": \\"singlenode\\", \\"queue\\": '
            f'\\"main\\", \\"numNodes\\": 8, \\"numHwthreads\\": 1152, \\"exclusive\\": 1, \\"state\\": '
            f'\\"running\\", \\"startTime\\": {self.begin + number}, \\"walltime\\": 86400, \\"resources\\": '
            f'[{{\\"hostname\\": \\"{host_name(host)}\\", \\"hwthreads\\": [0, 1, 2, 3, 4, 5, 6, 7]}}], '
            f'\\"metaData\\": {{\\"jobName\\": \\"simulation_{number}\\"}}}}"'
        )


def host_name(number: int) -> str:
    """The name of a host."""
    return f"n{number:04d}"


def _log(host: int, job: int, number: int, late: int) -> str:
    text = _TEXTS[number % 7 % 4].format(
        host=host_name(host), job=job, number=number, late=late, code=late % 3
    )
    with_job = f",jobid={job}" if number % 2 else ""
    name, level = NAMES[number % 29 % 8], _LEVELS[number % 31 % 7]
    return f'{name},cluster=@,hostname={host_name(host)},loglevel={level}{with_job},type=node log="{text}"'
