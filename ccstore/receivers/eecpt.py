"""Metrics of the EECPT library over HTTP: watched for phases of applications, and not stored.

When the phase of a job changes, there is an event ``region``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from zope.interface import implementer

from ccstore.accounting.account import Origin
from ccstore.accounting.figures import Figures, counter, gauge
from ccstore.batch import Batch
from ccstore.config import EecptReceiverConfig, HttpReceiverConfig
from ccstore.interfaces import IMessageSink, IReceiver, Limits, Refusal, StoreUnavailable
from ccstore.logs import RateLimit, more_like_it
from ccstore.message import CLUSTER_TAG, Message, Series
from ccstore.network.open_files import OpenFiles
from ccstore.pipeline.intake import Intake
from ccstore.pipeline.subset import pass_on
from ccstore.receivers.http import HttpReceiver
from ccstore.receivers.phases import Job, Jobs
from ccstore.web import Room

_WARN_EVERY: Final = 60.0
#: Processes that are analysed before others have their turn.
_PIECE: Final = 2000
#: Where a metric says which job and which process of it it belongs to.
_JOB: Final = ("jobid", "application")
_TASK: Final = ("rank", "pid")


class JobKey(NamedTuple):
    """Jobs of different clusters may have the same number."""

    cluster: str | None
    job: str


@implementer(IMessageSink)
class PhaseSink:
    """Keeps the values of the metric that is analysed, and passes on everything else."""

    log = Logger()

    def __init__(self, config: EecptReceiverConfig, sink: IMessageSink, clock: IReactorTime) -> None:
        self.jobs = Jobs(config.analysis_buffer_size, config.analysis_interval)
        self._metric = config.analysis_metric
        self._sink = sink
        self._clock = clock
        self._warnings = RateLimit(clock, _WARN_EVERY)

    def reconfigure(self, config: EecptReceiverConfig) -> None:
        """Go on with other settings, and with the values that there are."""
        self.jobs.reconfigure(config.analysis_buffer_size, config.analysis_interval)
        self._metric = config.analysis_metric

    def accept(self, messages: Batch, origin: Origin, *, urgent: bool) -> Deferred[Sequence[Refusal]]:
        """See :meth:`IMessageSink.accept`."""
        wanted = [
            place
            for place, series in enumerate(messages.series)
            if series.kind == "metric" and series.name == self._metric
        ]
        taken = {place for place in wanted if self._take(messages[place], place, origin)}
        if not taken:
            return self._sink.accept(messages, origin, urgent=urgent)
        origin.account.drop("analysed", len(taken))
        origin.dropped.lines += len(taken)
        places = [place for place in range(len(messages)) if place not in taken]
        kept = Batch.of([messages[place] for place in places])
        return pass_on(self._sink, kept, places, origin, urgent=urgent)

    def announce(self, parts: Sequence[Batch], origin: Origin) -> None:
        """See :meth:`IMessageSink.announce`; some of them may be analysed, and not kept."""

    def flush(self) -> None:
        """See :meth:`IMessageSink.flush`."""
        self._sink.flush()

    def _take(self, metric: Message, place: int, origin: Origin) -> bool:
        """Keep a value; False if the metric has none, or does not say whose it is."""
        tags, value = metric.tags, metric.fields["value"]
        job = next((tags[key] for key in _JOB if tags.get(key)), None)
        task: object = next((tags[key] for key in _TASK if tags.get(key)), None)
        if task is None:
            task = next((metric.fields[key] for key in _TASK if key in metric.fields), None)
        if job is None or task is None or isinstance(value, (bool, str)):
            missing = "a jobid" if job is None else "a rank" if task is None else "a number as its value"
            self._warn(
                "wrong", place, origin, f"the metric {self._metric!r} is not analysed without {missing}"
            )
            return False
        cluster = tags.get(CLUSTER_TAG, origin.cluster)
        if not self.jobs.add(JobKey(cluster, job), str(task), float(value), self._clock.seconds()):
            self._warn("full", place, origin, f"too many processes, of job {job[:40]!r} no more are analysed")
            return False
        return True

    def _warn(self, thing: str, place: int, origin: Origin, text: str) -> None:
        suppressed = self._warnings.check(thing)
        if suppressed is not None:
            self.log.warn(
                "{receiver}: {sender}: {text}{more}",
                receiver=origin.account.name,
                sender=origin.sender_of(place),
                text=text,
                more=more_like_it(suppressed),
            )


@implementer(IReceiver)
class EecptReceiver(HttpReceiver):
    """See the module.

    :param phases: where the messages of the intake get to after the rules.
    """

    log = Logger()
    what = "metrics to analyse, and line protocol"

    def __init__(
        self,
        config: EecptReceiverConfig,
        intake: Intake,
        phases: PhaseSink,
        reactor: Any,
        room: Room,
        files: OpenFiles | None = None,
    ) -> None:
        super().__init__(config, intake, reactor, room, files)
        self.phases = phases
        self._jobs = phases.jobs
        self._interval = config.analysis_interval
        self._changes = 0
        self._loop = LoopingCall(self._analyse_or_log)
        self._loop.clock = reactor

    def startService(self) -> None:
        """Begin to analyse, an interval from now."""
        super().startService()
        self._start_loop()

    def _start_loop(self) -> None:
        self._loop.start(self._interval, now=False).addErrback(
            lambda failure: self.log.failure("the analysis of phases has ended", failure)
        )

    def reconfigure(self, config: HttpReceiverConfig, limits: Limits) -> bool:
        """See :meth:`IReceiver.reconfigure`."""
        assert isinstance(config, EecptReceiverConfig)
        self.phases.reconfigure(config)
        if config.analysis_interval != self._interval:
            self._interval = config.analysis_interval
            if self._loop.running:
                self._loop.stop()
                self._start_loop()
        return super().reconfigure(config, limits)

    async def drain(self) -> None:
        """See :meth:`IReceiver.drain`."""
        if self._loop.running:
            self._loop.stop()
        await super().drain()

    def figures(self) -> Figures:
        """See :meth:`IReceiver.figures`."""
        return super().figures() | Figures(
            jobs=gauge(
                len(self._jobs),
                "Jobs whose metrics are analysed at the moment.",
                former="receiver_jobs_total",
            ),
            processes=gauge(self._jobs.tasks, "Processes of these jobs.", former="receiver_processes_total"),
            jobs_crowded_out=counter(
                self._jobs.crowded_out, "Jobs that were forgotten, since there were too many processes."
            ),
            phase_changes=counter(self._changes, "Phase changes that were found."),
        )

    def _analyse_or_log(self) -> Deferred[None]:
        # A loop whose body fails ends for ever.
        return Deferred.fromCoroutine(self._analyse()).addErrback(
            lambda failure: self.log.failure("an analysis of phases failed", failure)
        )

    async def _analyse(self) -> None:
        """Look at all jobs, a few at a time."""
        self._jobs.forget_idle(self.intake.clock.seconds())
        seen = 0
        for key, job in self._jobs.items():
            seen += len(job.tasks)
            if seen >= _PIECE:
                seen = 0
                await self.intake.scheduler.turn()
            self._look_at(key, job)

    def _look_at(self, key: Any, job: Job) -> None:
        if not job.has_changed():
            return
        self._changes += 1
        tags = {"type": "node", "stype": "application", "stype-id": key.job}
        if key.cluster is not None:
            tags[CLUSTER_TAG] = key.cluster
        event = Message(Series("region", tags, "event"), "region changed", self.intake.now())
        origin = self.intake.origin("the analysis of phases")
        stored = self.intake.accept(Batch.of([event]), origin, urgent=False)
        stored.addCallback(self._refused, key.job)
        stored.addErrback(self._not_stored, key.job)
        stored.addErrback(lambda failure: self.log.failure("an event of a change of phase failed", failure))

    def _refused(self, refusals: Sequence[Refusal], job: str) -> None:
        for refusal in refusals:
            self.intake.warn("refused", f"job {job[:40]!r}", f"its change of phase is lost: {refusal.reason}")

    def _not_stored(self, failure: Any, job: str) -> None:
        failure.trap(StoreUnavailable)
        self.intake.warn(
            "lost", f"job {job[:40]!r}", f"its change of phase is lost: {failure.getErrorMessage()}"
        )
