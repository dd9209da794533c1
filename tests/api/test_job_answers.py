"""What happened in a job, below /api/v1/jobs: small stories of which the answer is known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tests.api.test_message_answers import MessagesTestCase
from tests.support.job_lines import BEGIN, HOUR, MINUTE, SECOND, event, log, start_job, stop_job

GPU = "NVRM: Xid (PCI:0000:3b:00): 79, pid=4711, GPU has fallen off the bus."


class JobsTestCase(MessagesTestCase):
    """Asks for jobs."""

    async def fill(self, lines: Sequence[bytes]) -> None:
        self.start_with(storage=STORAGE)
        self.assertEqual((await self.write(*lines, path="/api/write/?precision=ns")).status, 200)

    async def job(self, job: str, cluster: str = "alex", **given: Any) -> Any:
        answer = await self.get(f"jobs/{cluster}/{job}", **given)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json


STORAGE = {"retention_time": "400d"}


def everyday(hosts: int, hours: int) -> list[bytes]:
    """What nodes say all the time: each of them a line every ten minutes."""
    return [
        log(f"a{host:04}", f"health check {number} ok", BEGIN + number * 10 * MINUTE + host)
        for host in range(1, hosts + 1)
        for number in range(6 * hours)
    ]


class StoryTests(JobsTestCase):
    async def test_a_gpu_falls_off_the_bus_in_one_job(self) -> None:
        begin, end = BEGIN + 5 * HOUR, BEGIN + 7 * HOUR
        hosts = [f"a{number:04}" for number in range(11, 15)]
        await self.fill(
            [
                *everyday(60, 8),
                start_job(4711, hosts, begin, user="ada", project="hpc", partition="gpu"),
                start_job(4712, ["a0021"], begin),
                log("a0012", GPU, begin + HOUR, name="kernel"),
                stop_job(4711, end, state="failed"),
            ]
        )
        found = await self.job("4711")
        job = found["job"]
        self.assertEqual((job["user"], job["project"], job["partition"]), ("ada", "hpc", "gpu"))
        self.assertEqual((job["state"], job["ending"], job["seconds"]), ("failed", "stopped", 7200))
        self.assertEqual(found["hosts"], {"list": "a[0011-0014]", "count": 4})
        first = found["unusual"][0]
        self.assertEqual(
            (first["example"]["text"], first["hosts"]["list"], first["count"]), (GPU, "a0012", 1)
        )
        self.assertEqual((first["before"]["count"], first["others"]["count"]), (0, 0))
        self.assertEqual([row["example"]["text"] for row in found["timeline"]], [GPU])
        self.assertEqual(found["hidden"], {"templates": 1, "messages": 52})
        everything = await self.job("4711", all="true")
        self.assertEqual([row["background"] for row in everything["timeline"]], [True, False])
        (other,) = [await self.job("4712")]
        self.assertEqual(other["unusual"], [])

    async def test_a_hiccup_of_the_file_system_is_not_blamed_on_a_job(self) -> None:
        begin = BEGIN + 5 * HOUR
        hiccup = [
            log(f"a{host:04}", f"LustreError: 11-0: scratch-OST{number:04}: not responding", begin + HOUR)
            for host in range(1, 61)
            for number in range(3)
        ]
        hosts = [f"a{number:04}" for number in range(1, 9)]
        jobs = [start_job(1, hosts, begin), stop_job(1, begin + 2 * HOUR)]
        await self.fill([*everyday(60, 8), *hiccup, *jobs])
        found = await self.job("1")
        self.assertEqual(found["unusual"], [])
        self.assertEqual(found["timeline"], [])
        self.assertEqual(found["hidden"]["templates"], 2)

    async def test_the_same_number_again_after_years(self) -> None:
        year = 365 * 24 * HOUR
        await self.fill(
            [
                start_job(7, ["a1"], BEGIN - year),
                stop_job(7, BEGIN - year + HOUR),
                start_job(7, ["b1", "b2"], BEGIN),
                stop_job(7, BEGIN + HOUR),
            ]
        )
        found = await self.job("7")
        self.assertEqual(found["hosts"]["list"], "b[1-2]")
        self.assertEqual([run["nodes"] for run in found["runs"]], [1])
        old = found["runs"][0]["start"]
        self.assertEqual((await self.job("7", start=old))["hosts"]["list"], "a1")
        self.assertEqual((await self.job("7", at=BEGIN - year + 60))["hosts"]["list"], "a1")
        answer = await self.get("jobs/alex/7", at=BEGIN - HOUR)
        self.assertEqual(answer.status, 404)
        self.assertIn("job 7 of alex did not run then: its runs began at", answer.error)

    async def test_a_job_that_is_not_there(self) -> None:
        await self.fill([start_job(4711, ["a1"], BEGIN)])
        for path, expected in (
            ("jobs/alex/4712", "no event tells of job 4712 of alex; the nearest is 4711"),
            ("jobs/alx/4711", "there is no cluster 'alx', the nearest is 'alex'"),
            ("jobs/alex/x", "'x' is no id of a job: expected a number, or one such as 12_3 or 12+1"),
        ):
            answer = await self.get(path)
            self.assertEqual((answer.status, answer.error), (404, expected))
        answer = await self.get("jobs/alex/4711", host="a1", at="soon")
        self.assertEqual(answer.status, 400)
        self.assertIn("'host': there is no such parameter: expected one of start, at, all", answer.error)
        self.assertIn("at: expected a time", answer.error)

    async def test_arrays_and_heterogeneous_jobs(self) -> None:
        tasks = [
            start_job(100 + task, [f"a{task}"], BEGIN, arrayJobId=100, arrayTaskId=task)
            for task in range(1, 4)
        ]
        components = [
            start_job(200 + offset, [f"b{offset}"], BEGIN, hetJobId=200, hetJobOffset=offset)
            for offset in range(3)
        ]
        await self.fill([*tasks, *components, stop_job(102, BEGIN + HOUR)])
        array = await self.job("100")
        self.assertEqual(array["hosts"]["list"], "a[1-3]")
        self.assertEqual(array["job"]["parts"], ["100_1", "100_2", "100_3"])
        task = (await self.job("100_2"))["job"]
        self.assertEqual((task["id"], task["number"]), ("100_2", "102"))
        self.assertEqual((await self.job("102"))["hosts"]["list"], "a2")
        het = await self.job("200")
        self.assertEqual((het["hosts"]["list"], het["job"]["parts"]), ("b[0-2]", ["200+0", "200+1", "200+2"]))
        component = await self.job("200+1")
        self.assertEqual((component["hosts"]["list"], component["job"]["id"]), ("b1", "200+1"))
        self.assertEqual(component["job"]["number"], "201")

    async def test_tasks_and_components_as_sacct_names_them(self) -> None:
        lines = []
        for part, hosts in (("910+0", "h1"), ("910+1", "h[2-3]"), ("12_1", "h1"), ("12_2", "h2")):
            for state, at in (("RUNNING", BEGIN), ("COMPLETED", BEGIN + HOUR)):
                job = {"JobID": part, "State": state, "Start": BEGIN // SECOND, "NodeList": hosts}
                ended = {"End": at // SECOND} if state == "COMPLETED" else {}
                lines.append(event("adm1", json.dumps({**job, **ended}), at, name="sacct"))
        await self.fill(lines)
        for job, hosts, parts in (
            ("910", "h[1-3]", ["910+0", "910+1"]),
            ("910+1", "h[2-3]", None),
            ("12", "h[1-2]", ["12_1", "12_2"]),
            ("12_2", "h2", None),
        ):
            found = await self.job(job)
            one = found["job"]
            self.assertEqual((one["id"], one.get("parts"), one.get("number")), (job, parts, None))
            self.assertEqual((found["hosts"]["list"], found["runs"]), (hosts, []))
            self.assertEqual((one["ending"], one["seconds"]), ("stopped", 3600))
        node = (await self.get("nodes/alex/h1")).json
        self.assertEqual([job["id"] for job in node["jobs"]], ["12_1", "910+0"])

    async def test_the_same_number_in_two_clusters(self) -> None:
        lines = []
        for cluster, host in (("fritz", "f1"), ("alex", "a1")):
            lines.append(start_job(777, [host], BEGIN, cluster=cluster))
            lines.append(stop_job(777, BEGIN + HOUR, cluster=cluster))
        await self.fill(lines)
        found = await self.job("777", cluster="*")
        self.assertEqual((found["job"]["cluster"], found["hosts"]["list"]), ("alex", "a1"))
        self.assertEqual([(run["cluster"], run["ending"]) for run in found["runs"]], [("fritz", "stopped")])

    async def test_ends_of_tasks_that_have_no_more_than_their_id(self) -> None:
        lines = []
        for cluster, more in (("alex", {}), ("fritz", {"startTime": BEGIN // SECOND})):
            for task in range(2):
                array = {"arrayJobId": 600, "arrayTaskId": task, "cluster": cluster}
                lines.append(start_job(600 + task, [f"d{task}"], BEGIN, **array))
                lines.append(stop_job(600 + task, BEGIN + (1 + task) * HOUR, cluster=cluster, **more))
        await self.fill(lines)
        for cluster in ("alex", "fritz"):
            found = await self.job("600", cluster=cluster)
            job = found["job"]
            self.assertEqual((found["hosts"]["list"], job["parts"]), ("d[0-1]", ["600_0", "600_1"]))
            self.assertEqual((job["ending"], job["state"], job["seconds"]), ("stopped", "completed", 7200))
            self.assertEqual((found["runs"], found["cut"]), ([], None))
            for name in ("600_1", "601"):
                task = (await self.job(name, cluster=cluster))["job"]
                self.assertEqual((task["ending"], task["seconds"]), ("stopped", 7200))
            self.assertEqual((await self.job("600_0", cluster=cluster))["job"]["seconds"], 3600)
        both = await self.job("600", cluster="*")
        self.assertEqual((both["job"]["cluster"], both["hosts"]["list"]), ("alex", "d[0-1]"))
        self.assertEqual([run["cluster"] for run in both["runs"]], ["fritz", "fritz"])

    async def test_one_task_of_an_array_has_a_bad_memory(self) -> None:
        lines = everyday(24, 4)
        for task in range(12):
            hosts = [f"a{2 * task + 1:04}", f"a{2 * task + 2:04}"]
            begin = BEGIN + HOUR + task * SECOND
            lines.append(start_job(7000 + task, hosts, begin, arrayJobId=7000, arrayTaskId=task))
            lines.append(stop_job(7000 + task, begin + HOUR, state="failed" if task == 7 else "completed"))
        lines += [log("a0015", "EDAC: 1 CE", BEGIN + HOUR + each * 10 * MINUTE) for each in range(1, 6)]
        await self.fill(lines)
        found = await self.job("7000")
        self.assertEqual((found["hosts"]["count"], len(found["job"]["parts"])), (24, 12))
        self.assertEqual(found["job"]["state"], "completed, failed")
        self.assertEqual([row["hosts"]["list"] for row in found["unusual"]], ["a0015"])
        # By its start as it is shown it is the same.
        self.assertEqual((await self.job("7000", start=found["job"]["start"]))["job"], found["job"])
        node = (await self.get("nodes/alex/a0001")).json
        self.assertEqual([(job["id"], job["ending"]) for job in node["jobs"]], [("7000", "stopped")])

    async def test_an_array_whose_tasks_have_no_numbers(self) -> None:
        starts = [start_job(700 + task, [f"d{task}"], BEGIN, arrayJobId=700) for task in range(2)]
        await self.fill([*starts, stop_job(700, BEGIN + HOUR), stop_job(701, BEGIN + HOUR)])
        found = await self.job("700")
        self.assertEqual((found["hosts"]["list"], found["job"]["parts"]), ("d[0-1]", ["700", "701"]))
        self.assertEqual((found["job"]["ending"], found["runs"]), ("stopped", []))

    async def test_a_job_of_any_cluster(self) -> None:
        await self.fill([start_job(5, ["f1"], BEGIN, cluster="fritz")])
        self.assertEqual((await self.job("5", cluster="*"))["job"]["cluster"], "fritz")

    async def test_names_with_and_without_a_domain(self) -> None:
        await self.fill(
            [
                start_job(1, ["a1", "a2"], BEGIN),
                stop_job(1, BEGIN + HOUR),
                log("a2.hpc.example.org", GPU, BEGIN + MINUTE),
            ]
        )
        found = await self.job("1")
        self.assertEqual([row["example"]["text"] for row in found["timeline"]], [GPU])
        self.assertEqual(found["hosts"]["list"], "a1,a2.hpc.example.org")

    async def test_places_are_told_and_what_is_wrong_goes_first(self) -> None:
        await self.fill(
            [
                *everyday(20, 8),
                start_job(1, ["a0001", "a0002"], BEGIN + 3 * HOUR),
                log("a0001", "something else", BEGIN + 4 * HOUR, loglevel="info"),
                log("a0002", GPU, BEGIN + 5 * HOUR, loglevel="err"),
                log("a0002", GPU, BEGIN + 5 * HOUR + 1, loglevel="err"),
                stop_job(1, BEGIN + 6 * HOUR),
            ]
        )
        found = await self.job("1")
        self.assertEqual([row["example"]["text"] for row in found["unusual"]], [GPU, "something else"])
        places = [row["places"] for row in found["timeline"]]
        second = (BEGIN + 5 * HOUR) // SECOND
        self.assertEqual(places[1], [["a0002", second, 2]])
        self.assertEqual(found["timeline"][1]["more_places"], 0)

    async def test_when_its_pace_changed(self) -> None:
        tags = "region,cluster=alex,type=node,stype=application,stype-id=1"
        region = f'{tags} event="region changed" {BEGIN + HOUR}'.encode()
        await self.fill([start_job(1, ["a1"], BEGIN), region, stop_job(1, BEGIN + 2 * HOUR)])
        self.assertEqual([text[14:16] for text in (await self.job("1"))["phases"]], ["00"])
