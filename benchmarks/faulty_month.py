"""A month of a cluster with twenty faults, always the same ones, and the questions that must find them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from attrs import field, frozen

from benchmarks.month import DAY, DAYS

CLUSTER: Final = "alex"
HOSTS: Final = 1024
_PIECE: Final = 5000
_NS: Final = 10**9
_HOUR: Final = 3600
#: Hosts of a job, and of those that share a switch, a rack, a chassis.
_PER_JOB: Final = 16
_SIZES: Final = {"switch": 64, "rack": 32, "chassis": 4}
_EVERYDAY: Final = (
    ("nhc", "health check {number} of {host}: {late} ms, ok"),
    ("chronyd", "Selected source 10.{late}.0.{number}"),
    ("systemd", "Started Session {number} of User user{late}."),
    ("sshd", "Accepted publickey for user{late} from 10.1.{late}.7 port {number} ssh2"),
    ("slurmd", "task/affinity: step {number}.{late} completed"),
    ("kernel", "perf: interrupt took too long ({number} > {late}), lowering rate"),
    ("lustre", "Lustre: scratch-OST{late:04x}: Connection restored to 10.2.0.{late} (at {number})"),
    ("ipmi", "sensor Inlet Temp on {host} reads {late} degrees"),
    ("crond", "({number}) CMD (run-parts /etc/cron.hourly)"),
    ("kernel", "mce: CPU{late}: Core temperature above threshold, cpu clock throttled ({number})"),
)

Answer = Mapping[str, Any]


@frozen
class Fault:
    """One of the faults.

    :ivar lines: of it, as time in nanoseconds and line.
    :ivar path: of the question that is right, with ``parameters``.
    :ivar is_found: whether an answer has it in its first three rows.
    """

    name: str
    lines: Sequence[tuple[int, str]]
    path: str
    parameters: Mapping[str, object]
    is_found: Callable[[Answer], bool]


@frozen
class Job:
    """A job on some hosts, from and to a time in seconds since the epoch."""

    number: int
    user: str
    hosts: Sequence[int]
    begin: int
    end: int


@frozen
class FaultyMonth:
    """So many messages in the order of their time.

    :ivar begin: the time of the first, in seconds since the epoch.
    """

    rows: int
    begin: int
    jobs: Sequence[Job] = field(init=False)
    faults: Sequence[Fault] = field(init=False)

    @jobs.default
    def _make_jobs(self) -> list[Job]:
        chance = random.Random(20)
        jobs = []
        for first in range(0, HOSTS, _PER_JOB):
            at = self.begin
            while at < self.end:
                end = at + chance.randrange(4 * _HOUR, 12 * _HOUR)
                hosts = range(first, first + _PER_JOB)
                jobs.append(Job(0, f"user{chance.randrange(40):03}", hosts, at, min(end, self.end - 600)))
                at = end + chance.randrange(60, 600)
        jobs.sort(key=lambda job: (job.begin, job.hosts[0]))
        return [
            Job(1_000_000 + number, job.user, job.hosts, job.begin, job.end)
            for number, job in enumerate(jobs)
        ]

    @faults.default
    def _make_faults(self) -> list[Fault]:
        return [*_Faults(self).all()]

    @property
    def end(self) -> int:
        """The time behind the last, in seconds since the epoch."""
        return self.begin + DAYS * DAY

    def groups(self) -> str:
        """Its topology, as ClusterShell's ``groups.yaml``; JSON is YAML, too."""
        return json.dumps(
            {
                kind: {
                    f"{kind}{first // size:03}": f"a[{first:04}-{first + size - 1:04}]"
                    for first in range(0, HOSTS, size)
                }
                for kind, size in _SIZES.items()
            }
        )

    def lines(self) -> Iterator[bytes]:
        """Line protocol, in pieces."""
        extra = sorted([line for fault in self.faults for line in fault.lines] + [*self._of_jobs()])
        everyday = self.rows - len(extra)
        span, place = DAYS * DAY * _NS, 0
        for start in range(0, everyday, _PIECE):
            chance = random.Random(start)
            numbers = range(start, min(start + _PIECE, everyday))
            made = []
            for number in numbers:
                at = self.begin * _NS + number * span // everyday
                name, text = _EVERYDAY[chance.randrange(97) % len(_EVERYDAY)]
                host = chance.randrange(HOSTS)
                if not self._is_silent(host, at):
                    text = text.format(host=host_name(host), number=number, late=number % 97)
                    made.append(line(name, host_name(host), text, at))
                else:
                    made.append(line("dcim", "adm1", f"power of rack {number % 32} is {number % 97} kW", at))
            until = self.begin * _NS + (numbers[-1] + 1) * span // everyday
            while place < len(extra) and (extra[place][0] < until or numbers[-1] == everyday - 1):
                made.append(extra[place][1])
                place += 1
            yield "".join(made).encode()

    def _is_silent(self, host: int, at: int) -> bool:
        """Host 777 has crashed, and all of them are off for a maintenance."""
        second = at // _NS - self.begin
        return (host == 777 and 20 * DAY <= second < 20 * DAY + 6 * _HOUR) or (
            24 * DAY <= second < 24 * DAY + 4 * _HOUR
        )

    def _of_jobs(self) -> Iterator[tuple[int, str]]:
        for job in self.jobs:
            start = {
                "jobId": job.number,
                "cluster": CLUSTER,
                "user": job.user,
                "project": f"p{job.user[-2:]}",
                "partition": "main",
                "numNodes": len(job.hosts),
                "startTime": job.begin,
                "walltime": DAY,
                "resources": [{"hostname": host_name(host)} for host in job.hosts],
            }
            stop = {"jobId": job.number, "cluster": CLUSTER, "jobState": "completed", "stopTime": job.end}
            for function, payload, at in (("start_job", start, job.begin), ("stop_job", stop, job.end)):
                text = json.dumps(payload).replace('"', '\\"')
                told = f"job,cluster={CLUSTER},function={function},hostname=adm1,type=node"
                yield at * _NS, f'{told} event="{text}" {at * _NS}\n'


class _Faults:
    """Plants faults, and says how they are found."""

    def __init__(self, month: FaultyMonth) -> None:
        self._month = month
        self._chance = random.Random(20)

    def all(self) -> Iterator[Fault]:
        """All twenty."""
        yield from self._of_jobs()
        yield from self._of_groups()
        yield from self._of_precursors()
        yield from self._of_nodes()

    def _job(self, day: int) -> Job:
        return next(job for job in self._month.jobs if job.begin >= self._month.begin + day * DAY)

    # -- what is unusual in a job

    def _of_jobs(self) -> Iterator[Fault]:
        for day, name, text, hosts, times in (
            (5, "kernel", "NVRM: Xid (PCI:0000:3b:00): 79, pid=4711, GPU has fallen off the bus.", 1, 1),
            (6, "kernel", "Out of memory: Killed process 4711 (solver) total-vm:94371840kB", 2, 1),
            (7, "kernel", "solver[4711]: segfault at 10 ip 00007f3c sp 00007ffd error 4 in libmkl.so", 16, 1),
            (8, "lustre", "LustreError: 11-0: scratch-MDT0000: evicted by server, rc = -107", 3, 4),
            (9, "kernel", "mlx5_core 0000:81:00.0: port 1 link is down, symbol errors 4711", 1, 5),
            (10, "slurmd", "error: stepd_connect to 4711.0 failed: Connection refused", 8, 2),
            (11, "kernel", "nfs: server home7 not responding, still trying", 2, 6),
        ):
            job = self._job(day)
            middle = (job.begin + job.end) // 2
            lines = [
                self._line(name, job.hosts[host], text, middle + 60 * each + host)
                for host in range(hosts)
                for each in range(times)
            ]
            yield Fault(f"job: {text[:40]}", lines, f"jobs/{CLUSTER}/{job.number}", {}, _has(text, "unusual"))
        job = self._job(12)
        middle = (job.begin + job.end) // 2
        text = "LustreError: 137-5: scratch-OST0007_UUID: not available for connect"
        lines = [self._line("lustre", host, text, middle + host % 60) for host in range(HOSTS)]
        yield Fault(
            "job: a hiccup of everybody is not blamed on it",
            lines,
            f"jobs/{CLUSTER}/{job.number}",
            {},
            lambda answer: not any("LustreError" in row["template"] for row in answer["unusual"]),
        )

    # -- what hosts have in common

    def _of_groups(self) -> Iterator[Fault]:
        for day, kind, number, text in (
            (13, "switch", 5, "ib0: link is down"),
            (14, "rack", 17, "power supply PSU2: lost redundancy"),
            (15, "chassis", 100, "fan tray 3: failed"),
        ):
            size = _SIZES[kind]
            hosts = range(number * size, number * size + size)
            yield self._burst(day, text, hosts, kind, f"{kind}{number:03}")
        job = self._job(16)
        yield self._burst(
            16, "/tmp: No space left on device", job.hosts, "job", str(job.number), job.begin + _HOUR
        )
        at = self._month.begin + 17 * DAY + 12 * _HOUR
        running = [job for job in self._month.jobs if job.begin < at - 600 and job.end > at + 600]
        users = [job.user for job in running]
        user = max(sorted(set(users)), key=users.count)
        hosts_of_user = [host for job in running if job.user == user for host in job.hosts]
        yield self._burst(17, "quota exceeded for /home of user", hosts_of_user, "user", user, at)
        everybody = self._burst(18, "nscd: LDAP server is not reachable", range(HOSTS), "", "")
        yield Fault(
            everybody.name,
            everybody.lines,
            everybody.path,
            everybody.parameters,
            lambda answer: answer["everybody"] and not any(row["is_significant"] for row in answer["causes"]),
        )

    def _burst(
        self, day: int, text: str, hosts: Sequence[int], kind: str, name: str, at: int | None = None
    ) -> Fault:
        at = self._month.begin + day * DAY + 12 * _HOUR if at is None else at
        lines = [self._line("kernel", host, text, at + place % 40) for place, host in enumerate(hosts)]
        # Each says it by itself now and then.
        lines += [
            self._line("kernel", self._chance.randrange(HOSTS), text, at + _HOUR * hour)
            for hour in (-9, -5, 4, 8)
        ]
        parameters = {"text": text, "from": at - DAY // 2, "cluster": CLUSTER}
        return Fault(
            f"cause: {text[:34]} ({kind or 'everybody'})",
            lines,
            "cause",
            parameters,
            lambda answer: (kind, name) in [(row["kind"], row["name"]) for row in answer["causes"][:3]],
        )

    # -- what comes before

    def _of_precursors(self) -> Iterator[Fault]:
        for text, before, minutes, often in (
            ("node is going down: kernel panic", "EDAC MC0: 1 CE memory read error on DIMM_A1", 6, 1.0),
            ("NVRM: Xid (PCI:0000:5e:00): 48, DBE", "pcieport 0000:5d:00.0: AER: Corrected error", 3, 0.7),
            ("slurmstepd: error: *** JOB FAILED ***", "thermal: CPU package power limited", 8, 0.6),
        ):
            lines = []
            for number in range(40):
                host = self._chance.randrange(HOSTS)
                at = self._month.begin + 25 * DAY + self._chance.randrange(4 * DAY)
                lines.append(self._line("kernel", host, text, at))
                if number < 40 * often:
                    lines.append(self._line("kernel", host, before, at - 60 * minutes))
                # What leads to it comes without it as well.
                other = self._chance.randrange(HOSTS)
                lines.append(self._line("kernel", other, before, at + 7200))
            parameters = {"text": text, "from": self._month.begin + 24 * DAY, "window": "10m"}
            yield Fault(f"before: {text[:34]}", lines, "before", parameters, _has(before, "before"))

    # -- nodes

    def _of_nodes(self) -> Iterator[Fault]:
        begin = self._month.begin
        panic = "Kernel panic - not syncing: Fatal hardware error!"
        yield Fault(
            "node: its last words before a silence",
            [self._line("kernel", 777, panic, begin + 20 * DAY - 1)],
            f"nodes/{CLUSTER}/{host_name(777)}",
            {"from": begin + 18 * DAY, "to": begin + 22 * DAY},
            lambda answer: any(
                panic in message["text"] and not silence["shared"]["is_maintenance"]
                for silence in answer["silences"][:3]
                for message in silence["before"]
            ),
        )
        host, at = host_name(321), begin + 22 * DAY
        lines = [
            (moment * _NS, line("slurmctld", "adm1", f"update_node: node {host} {text}", moment * _NS))
            for moment, text in (
                (at, "reason set to: NHC: check_fs_mount: /scratch not mounted"),
                (at + 1, "state set to DRAINED"),
                (at + 5 * _HOUR, "state set to IDLE"),
            )
        ]
        yield Fault(
            "node: why and for how long it was drained",
            lines,
            f"nodes/{CLUSTER}/{host}",
            {"from": at - DAY, "to": at + DAY},
            lambda answer: any(
                "not mounted" in (period["reason"] or "") and abs(period["seconds"] - 5 * _HOUR) < 60
                for period in answer["states"][:3]
            ),
        )
        text = "ipmi: Fan 4 is below the lower critical threshold"
        yield Fault(
            "node: what it alone of its group says",
            [self._line("ipmi", 500, text, begin + 23 * DAY - 600 * each) for each in range(9)],
            f"nodes/{CLUSTER}/{host_name(500)}",
            {"from": begin + 22 * DAY, "to": begin + 23 * DAY + 1},
            lambda answer: _has(text, "templates")(answer["alone"]),
        )

    def _line(self, name: str, host: int, text: str, at: int) -> tuple[int, str]:
        return at * _NS, line(name, host_name(host), text, at * _NS)


def _has(text: str, member: str) -> Callable[[Answer], bool]:
    """Whether one of the first three rows is of this text."""
    return lambda answer: any(row["example"]["text"] == text for row in answer[member][:3])


def host_name(number: int) -> str:
    """The name of a host."""
    return f"a{number:04}"


def line(name: str, host: str, text: str, at: int) -> str:
    """A log at a time in nanoseconds."""
    return f'{name},cluster={CLUSTER},hostname={host} log="{text}" {at}\n'
