"""The eecpt receiver: phases of applications, within bounds."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ccstore.interfaces import IMessageSink, IReceiver, StoreUnavailable
from ccstore.message import Message
from ccstore.receivers.eecpt import EecptReceiver, PhaseSink
from ccstore.receivers.phases import Job, Jobs, limit_of
from ccstore.web import Room
from tests.support.configuration import receiver_config, write_config
from tests.support.http_case import head, read_answer
from tests.support.loopback import NOW, Loopback
from tests.support.running_daemon import Daemon, database
from tests.support.scratch import scratch
from tests.support.sinks import FakeSink, intake_for


def job_of(*tasks: list[float]) -> Job:
    job = Job()
    job.tasks = {str(number): values for number, values in enumerate(tasks)}
    return job


# --- the test of a job ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tasks", "statistic"),
    [
        ([], 0),
        ([[1, 2]], 0),
        ([[1, 2, 3]], 0),
        # Steps of 1 before, and then one of 4: (4 - 1) ** 2 / 1.
        ([[0, 1, 2, 6]], 9),
        ([[0, 1, 2, 6], [0, 2, 4, 4]], 9 + 2),
        ([[0, 1, 3, 6]], (3 - 1.5) ** 2 / 1.5),
        # Without a step before, there is nothing to compare with.
        ([[1, 1, 1, 9]], 0),
        ([[3, 2, 1, 9]], 0),
        ([[0, 1e-13, 2e-13, 9]], 0),
    ],
)
def test_statistic(tasks: list[list[float]], statistic: float) -> None:
    assert job_of(*tasks).statistic() == pytest.approx(statistic)


@pytest.mark.parametrize(
    ("tasks", "limit"),
    [
        (1, 3.8415),
        (2, 3.8415),
        (3, 7.8147),
        (5, 14.067),
        (16, 24.996),
        (17, 44.985),
        (64, 82.529),
        (65, 91.670),
        (73, 154.30),
        (129, 293.25),
        (512, 564.70),
        (513, 1098.5),
        (10**6, 1098.5),
    ],
)
def test_limits(tasks: int, limit: float) -> None:
    assert limit_of(tasks) == limit


def test_a_change_begins_anew() -> None:
    job = job_of([0, 1, 2, 3], [0, 1, 2, 6])
    assert job.has_changed()
    assert job.tasks == {"0": [3], "1": [6]}
    assert not job.has_changed()
    # With the same steps and more processes, it is none.
    assert not job_of(*[[0.0, 1, 2, 3]] * 10, [0, 1, 2, 6]).has_changed()


@given(st.lists(st.lists(st.floats(), min_size=1, max_size=5), min_size=1, max_size=4))
def test_no_numbers_are_too_much(tasks: list[list[float]]) -> None:
    job = job_of(*tasks)
    statistic = job.statistic()
    assert math.isnan(statistic) or statistic >= 0
    assert job.has_changed() is (statistic > limit_of(len(tasks)))


# --- bounds ---------------------------------------------------------------------------------------------


def test_only_the_last_values_are_kept() -> None:
    jobs = Jobs(4, 300)
    for value in range(10):
        assert jobs.add("j", "0", value, 0)
    ((_, job),) = jobs.items()
    assert job.tasks == {"0": [6, 7, 8, 9]}


def test_jobs_of_which_nothing_is_heard_are_forgotten() -> None:
    jobs = Jobs(4, 600)
    jobs.add("old", "0", 1, 0)
    jobs.add("young", "0", 1, 100)
    jobs.forget_idle(7200)
    assert len(jobs) == 2
    jobs.forget_idle(7201)
    assert [key for key, _ in jobs.items()] == ["young"]
    assert jobs.tasks == 1
    short = Jobs(4, 1)
    short.add("j", "0", 1, 0)
    short.forget_idle(3600)
    assert len(short) == 1


def test_the_job_that_is_quiet_for_longest_makes_room() -> None:
    jobs = Jobs(4, 300, max_tasks=4)
    for job in ("a", "b"):
        for task in ("0", "1"):
            jobs.add(job, task, 1, 0)
    jobs.add("a", "0", 2, 1)
    assert jobs.add("c", "0", 1, 2)
    assert [key for key, _ in jobs.items()] == ["a", "c"]
    assert (jobs.tasks, jobs.crowded_out) == (3, 1)


def test_a_single_job_cannot_have_any_number_of_processes() -> None:
    jobs = Jobs(4, 300, max_tasks=4)
    jobs.add("other", "0", 1, 0)
    taken = [jobs.add("a", str(task), 1, 0) for task in range(6)]
    assert taken == [True] * 4 + [False] * 2
    assert jobs.add("a", "3", 1, 0)
    assert (len(jobs), jobs.tasks) == (1, 4)


# --- the receiver ---------------------------------------------------------------------------------------


class EecptTests(SynchronousTestCase):
    """A receiver without a network."""

    def setUp(self) -> None:
        self.start()

    def start(self, **keys: Any) -> None:
        config = receiver_config(scratch(self), "eecpt", analysis_interval="10s", **keys)
        self.clock = Loopback()
        self.sink = FakeSink()
        phases = PhaseSink(config, self.sink, self.clock)
        self.intake = intake_for(config, "eecpt", phases, self.clock)  # type: ignore[arg-type]
        self.receiver = EecptReceiver(config, self.intake, phases, self.clock, Room())
        self.receiver.listen()
        self.receiver.startService()
        self.account = self.intake.account

    def send(self, *lines: str, path: str = "/") -> int:
        body = "\n".join(lines).encode()
        connection, wire = self.clock.connect()
        connection.dataReceived(head(path=path, length=len(body)) + body)
        self.assertTrue(self.account.is_balanced)
        return read_answer(wire.value())[0].status

    def phase_change(self, tags: str = "jobid=77,rank=0", path: str = "/") -> list[Message]:
        """Send a change of pace, and wait for the analysis: what that brings."""
        before = len(self.sink.messages)
        for value in (0, 1, 2, 9):
            self.assertEqual(self.send(f"region_metric,{tags} value={value}", path=path), 200)
        self.clock.advance(10)
        return self.sink.messages[before:]

    def test_interfaces(self) -> None:
        self.assertTrue(verifyObject(IReceiver, self.receiver))
        self.assertTrue(verifyObject(IMessageSink, self.intake._sink))
        self.intake.flush()
        self.assertEqual(self.sink.flushes, 1)

    def test_a_change_of_phase_is_an_event(self) -> None:
        (event,) = self.phase_change()
        self.assertEqual((event.name, event.kind, event.text), ("region", "event", "region changed"))
        self.assertEqual(event.tags, {"type": "node", "stype": "application", "stype-id": "77"})
        self.assertEqual(event.time, (NOW + 10) * 10**9)
        self.assertEqual((self.account.received, self.account.stored), (5, 1))
        self.assertEqual(dict(self.account.dropped), {"analysed": 4})
        self.assertTrue(self.account.is_balanced)
        self.assertEqual(self.receiver.figures()["phase_changes"], 1)
        # The next analysis has nothing new to say, and the one after it has.
        self.clock.advance(10)
        self.assertEqual(len(self.sink.messages), 1)
        self.assertEqual(len(self.phase_change()), 1)

    def test_no_change(self) -> None:
        for value in range(10):
            self.send(f"region_metric,jobid=77,rank=0 value={value}")
            self.clock.advance(10)
        self.assertEqual(self.sink.messages, [])
        self.assertEqual(self.receiver.figures()["jobs"], 1)

    def test_whose_a_metric_is(self) -> None:
        for tags in ("application=77,pid=4", "jobid=77,application=78,rank=0,pid=9"):
            with self.subTest(tags):
                (event,) = self.phase_change(tags)
                self.assertEqual(event.tags["stype-id"], "77")
        self.send("region_metric,jobid=77 value=3i,rank=5i")
        self.assertEqual(self.receiver.figures()["processes"], 3)

    def test_the_cluster(self) -> None:
        self.assertEqual(self.phase_change("cluster=fritz,jobid=1,rank=0")[0].tags["cluster"], "fritz")
        self.assertEqual(self.phase_change("jobid=2,rank=0", "/?cluster=woody")[0].tags["cluster"], "woody")
        self.assertNotIn("cluster", self.phase_change("jobid=3,rank=0")[0].tags)
        self.start(cluster="alex")
        (event,) = self.phase_change("jobid=4,rank=0", "/?cluster=woody")
        self.assertEqual(event.tags["cluster"], "alex")

    def test_jobs_of_different_clusters_are_different(self) -> None:
        for value in (0, 1, 2, 9):
            self.send(
                f"region_metric,cluster=a,jobid=1,rank=0 value={value}",
                f"region_metric,cluster=b,jobid=1,rank=0 value={min(value, 3)}",
            )
        self.clock.advance(10)
        self.assertEqual([event.tags["cluster"] for event in self.sink.messages], ["a"])

    def test_everything_else_goes_on(self) -> None:
        self.sink.refuses = lambda message: "bad" if message.text == "refuse" else None
        with capturedLogs() as logs:
            status = self.send(
                "region_metric,jobid=77,rank=0 value=1",
                'a event="x"',
                "other,jobid=77,rank=0 value=1",
                "region_metric,jobid=77 value=1",
                "region_metric,rank=0 value=1",
                "region_metric,jobid=77,rank=0 value=t",
                'region_metric,jobid=77,rank=0 event="x"',
                'region_metric,jobid=77,rank=0 value="3"',
            )
        self.assertEqual(status, 200)
        self.assertEqual(len(self.sink.messages), 7)
        self.assertEqual(dict(self.account.dropped), {"analysed": 1})
        (said,) = [formatEvent(event) for event in logs]
        self.assertIn("the metric 'region_metric' is not analysed without a rank", said)

    def test_refusals_have_the_places_that_were_offered(self) -> None:
        self.sink.refuses = lambda message: "bad" if message.text == "refuse" else None
        metric = "region_metric,jobid=77,rank=0 value=1"
        body = "\n".join([metric, 'a event="x"', metric, 'a event="refuse"']).encode()
        connection, wire = self.clock.connect()
        connection.dataReceived(head(length=len(body)) + body)
        self.assertIn(b'"line":4', read_answer(wire.value())[0].body.replace(b" ", b""))

    def test_another_metric(self) -> None:
        self.start(analysis_metric="energy", analysis_buffer_size=5)
        self.send("region_metric,jobid=77,rank=0 value=1")
        self.assertEqual(self.receiver.figures()["jobs"], 0)
        for value in (0, 1, 2, 3, 3, 9):
            self.send(f"energy,jobid=77,rank=0 value={value}")
        self.clock.advance(10)
        self.assertEqual(len(self.sink.messages), 2)

    def test_the_analysis_outlives_a_failure(self) -> None:
        class Broken(Job):
            def has_changed(self) -> bool:
                raise ZeroDivisionError

        self.receiver._jobs._jobs["broken"] = broken = Broken()
        broken.heard_at = self.clock.seconds()
        self.clock.advance(10)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        del self.receiver._jobs._jobs["broken"]
        self.assertEqual(len(self.phase_change()), 1)

    def test_many_jobs_share_the_time_of_the_reactor(self) -> None:
        now = self.clock.seconds()
        for job in range(3):
            for task in range(2000):
                self.receiver._jobs.add(("alex", str(job)), str(task), 1, now)
        turns: list[Deferred[None]] = []

        class Slow:
            def turn(self) -> Deferred[None]:
                turns.append(Deferred())
                return turns[-1]

        self.intake.scheduler = Slow()  # type: ignore[assignment]
        self.clock.advance(10)
        for number in range(3):
            self.assertEqual(len(turns), number + 1)
            turns[number].callback(None)
        self.clock.advance(10)
        self.assertEqual(len(turns), 4)

    def test_what_is_lost_is_said(self) -> None:
        with capturedLogs() as logs:
            self.sink.refuses = lambda message: "no cluster" if message.kind == "event" else None
            self.phase_change()
            self.sink.failure = StoreUnavailable("the disk is full")
            self.phase_change("jobid=78,rank=0")
        self.assertEqual(
            [formatEvent(event) for event in logs],
            [
                "eecpt: job '77': its change of phase is lost: no cluster",
                "eecpt: job '78': its change of phase is lost: the disk is full",
            ],
        )
        self.assertTrue(self.account.is_balanced)

    def test_at_the_stop_no_more_is_analysed(self) -> None:
        self.successResultOf(Deferred.fromCoroutine(self.receiver.stop_listening()))
        self.successResultOf(Deferred.fromCoroutine(self.receiver.drain()))
        self.assertEqual([call.func for call in self.clock.getDelayedCalls()], [])

    def test_basic_authentication_as_of_http(self) -> None:
        self.start(username="u", password="p")
        self.assertEqual(self.send("region_metric,jobid=77,rank=0 value=1"), 401)


def test_with_the_real_daemon(tmp_path: Path) -> None:
    """The event goes through the rules of the receiver, as everything else does."""
    receiver = {
        "type": "eecpt",
        "address": "127.0.0.1",
        "port": 0,
        "analysis_interval": "1s",
        "process_messages": {
            "rename_messages": {"energy": "region_metric"},
            "add_tags_if": [{"if": "meta.source == 'EECPTReceiver(app)'", "key": "cluster", "value": "alex"}],
        },
    }
    path = write_config(tmp_path, receivers={"app": receiver})
    with Daemon(tmp_path, "--config", path) as daemon:
        for value in (0, 1, 2, 90):
            lines = b"".join(b"energy,jobid=5,rank=%d value=%d\n" % (rank, value) for rank in range(4))
            assert daemon.ask("POST", "/", lines, line="HTTP") == (200, b"")
        daemon.arrived("app", 17)
        daemon.stop()
    with database(tmp_path / "ccstore.db") as connection:
        rows = connection.execute("SELECT name, type, stype, stypeid, field FROM alex_events").fetchall()
    assert rows == [("region", "node", "application", "5", "region changed")]
