"""
Phases of applications: whether what the processes of a job measure has changed its pace.

Each process reports a number that grows, such as the energy used so far. What is kept of a process has a mean
step, up to the last but one value, and a last step; over the processes of a job, the chi-square statistic
compares the last steps with the mean ones. It is the test of the Go daemon's receiver ``eecpt``.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Final

#: Processes of all jobs that are kept in mind.
MAX_TASKS: Final = 100_000
#: Seconds after which a job of which nothing is heard is forgotten, at least, and the same in analyses.
_IDLE: Final = 3600.0
_IDLE_ANALYSES: Final = 12
#: A mean step that is no more than this counts as no step at all.
_NO_STEP: Final = 1e-12
#: The most processes, and the value that chi-square exceeds with a probability of 5 % for one degree of
#: freedom less than that.
_LIMITS: Final = (
    (2, 3.8415),
    (4, 7.8147),
    (8, 14.067),
    (16, 24.996),
    (32, 44.985),
    (64, 82.529),
    (72, 91.670),
    (128, 154.30),
    (256, 293.25),
    (512, 564.70),
)
_LARGEST_LIMIT: Final = 1098.5


def limit_of(tasks: int) -> float:
    """The statistic of a job with so many processes above which its phase has changed."""
    return next((limit for most, limit in _LIMITS if tasks <= most), _LARGEST_LIMIT)


class Job:
    """What is known of one job.

    :ivar tasks: the last values of each process.
    :ivar heard_at: when a value came last, in seconds.
    """

    __slots__ = ("heard_at", "tasks")

    def __init__(self) -> None:
        self.tasks: dict[str, list[float]] = {}
        self.heard_at = 0.0

    def statistic(self) -> float:
        """How far the last steps are from the mean ones."""
        found = 0.0
        for values in self.tasks.values():
            if len(values) >= 3:
                mean = (values[-2] - values[0]) / (len(values) - 2)
                if mean > _NO_STEP:
                    more = values[-1] - values[-2] - mean
                    found += more * more / mean  # not a power: that of a huge number is an error
        return found

    def has_changed(self) -> bool:
        """Whether a new phase has begun; if so, what is kept begins anew as well."""
        if not self.statistic() > limit_of(len(self.tasks)):
            return False
        for values in self.tasks.values():
            del values[:-1]
        return True


class Jobs:
    """The jobs of which something is heard, within bounds.

    :param size: values that are kept of each process.
    :param interval: seconds between two analyses.
    """

    def __init__(self, size: int, interval: float, *, max_tasks: int = MAX_TASKS) -> None:
        self.reconfigure(size, interval)
        self._max_tasks = max_tasks
        self._jobs: dict[Hashable, Job] = {}  # the one of which nothing was heard for the longest time first
        self.tasks = 0
        #: Jobs forgotten for want of room.
        self.crowded_out = 0

    def reconfigure(self, size: int, interval: float) -> None:
        """Go on with other settings; a process that has more values loses the oldest with its next one."""
        self._size = size
        self._idle = max(_IDLE, _IDLE_ANALYSES * interval)

    def __len__(self) -> int:
        return len(self._jobs)

    def add(self, key: Hashable, task: str, value: float, now: float) -> bool:
        """Take a value of a process of a job; False if there is no room for it."""
        job = self._jobs.pop(key, None) or Job()
        self._jobs[key] = job
        job.heard_at = now
        values = job.tasks.get(task)
        if values is None:
            while self.tasks >= self._max_tasks and len(self._jobs) > 1:
                self._forget(next(iter(self._jobs)))
                self.crowded_out += 1
            if self.tasks >= self._max_tasks:
                return False
            self.tasks += 1
            values = job.tasks[task] = []
        elif len(values) >= self._size:
            del values[: len(values) - self._size + 1]
        values.append(value)
        return True

    def forget_idle(self, now: float) -> None:
        """Forget jobs of which nothing has been heard for long."""
        for key in [key for key, job in self._jobs.items() if now - job.heard_at > self._idle]:
            self._forget(key)

    def items(self) -> Iterator[tuple[Hashable, Job]]:
        """All jobs there are at this moment."""
        return iter(list(self._jobs.items()))

    def _forget(self, key: Hashable) -> None:
        self.tasks -= len(self._jobs.pop(key).tasks)
