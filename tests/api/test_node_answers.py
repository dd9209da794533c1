"""What there is to know of a node, below /api/v1/nodes: small stories of which the answer is known."""

from __future__ import annotations

from typing import Any

from tests.api.test_job_answers import JobsTestCase, everyday
from tests.support.job_lines import BEGIN, HOUR, MINUTE, SECOND, event, log, start_job, stop_job


class NodeTests(JobsTestCase):
    async def node(self, host: str, cluster: str = "alex", **given: Any) -> Any:
        answer = await self.get(f"nodes/{cluster}/{host}", **given)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json

    async def test_jobs_that_ran_there(self) -> None:
        await self.fill(
            [
                start_job(1, ["a0101", "a0102"], BEGIN),
                stop_job(1, BEGIN + HOUR),
                start_job(2, ["a0102"], BEGIN + 2 * HOUR),
                start_job(3, ["a0101"], BEGIN + 2 * HOUR),
                event("adm1", "JobId=4 UserId=ada(1000) JobState=COMPLETED Partition=main TimeLimit=01:00:00 "
                      "StartTime=2026-01-01T00:00:00 NodeList=a[0100-0105] NodeCnt=6", BEGIN + 3 * HOUR),
            ]
        )  # fmt: skip
        found = await self.node("a0101")
        self.assertEqual([job["id"] for job in found["jobs"]], ["3", "1", "4"])
        self.assertEqual(found["jobs"][1]["ending"], "stopped")
        ran = await self.node("a0101", at=(BEGIN + 30 * MINUTE) // SECOND)
        self.assertEqual([job["id"] for job in ran["jobs"]], ["1", "4"])
        listed = await self.node("a0103", **{"from": "2026-01-01"})
        self.assertEqual([job["id"] for job in listed["jobs"]], ["4"])

    async def test_it_is_drained_and_comes_back_and_is_lost_with_a_job(self) -> None:
        at = BEGIN
        await self.fill(
            [
                log("adm1", "update_node: node a0101 reason set to: bad disk", at, name="slurmctld"),
                log("adm1", "update_node: node a0101 state set to DRAINED", at + SECOND, name="slurmctld"),
                log("adm1", "update_node: node a0101 state set to IDLE", at + HOUR, name="slurmctld"),
                start_job(7, ["a0101", "a0102"], at + 2 * HOUR),
                log(
                    "adm1",
                    "error: Nodes a[0101,0103] not responding, setting DOWN",
                    at + 3 * HOUR,
                    name="slurmctld",
                ),
                stop_job(7, at + 3 * HOUR + MINUTE, state="node_fail"),
                event(
                    "adm1",
                    '{"cluster": "alex", "nodes": [{"hostname": "a0101", "states": ["idle"]}, '
                    '{"hostname": "a0102", "states": ["drained"], "reason": "fan", "reasonUser": "eve"}]}',
                    at + 5 * HOUR,
                    name="nodestate",
                ),
            ]
        )
        found = await self.node("a0101")
        self.assertEqual([each["state"] for each in found["states"]], ["idle", "down", "idle", "drained"])
        drained, down = found["states"][3], found["states"][1]
        self.assertEqual((drained["reason"], drained["seconds"]), ("bad disk", 3599))
        self.assertEqual((down["seconds"], down["lost"]), (7200, ["7"]))
        self.assertEqual(found["state"]["until"], None)
        other = (await self.node("a0102"))["state"]
        self.assertEqual((other["state"], other["reason"], other["by"]), ("drained", "fan", "eve"))

    async def test_a_job_that_was_requeued_elsewhere(self) -> None:
        """Its first run ended with the node, whatever became of the second one."""
        lost = BEGIN + HOUR
        await self.fill(
            [
                start_job(1, ["q1", "q2"], BEGIN),
                log("adm1", "error: Nodes q2 not responding, setting DOWN", lost + SECOND // 3),
                stop_job(1, lost, state="node_fail"),
                start_job(1, ["q3", "q4"], lost + 6 * MINUTE),
                stop_job(1, lost + HOUR),
            ]
        )
        found = await self.node("q2")
        (run,) = found["jobs"]
        self.assertEqual((run["state"], run["seconds"], run["ending"]), ("node_fail", 3600, "stopped"))
        self.assertEqual(found["state"]["lost"], ["1"])
        (run,) = (await self.node("q3"))["jobs"]
        self.assertEqual((run["state"], run["seconds"]), ("completed", 54 * 60))

    async def test_it_is_silent_alone_and_in_a_maintenance(self) -> None:
        lines = []
        for host in range(1, 9):
            for number in range(24 * 6):
                at = BEGIN + number * 10 * MINUTE
                hour = number / 6
                is_maintenance = 4 < hour < 8
                is_alone = host == 3 and 12 < hour < 16
                if not (is_maintenance or is_alone):
                    lines.append(log(f"a010{host}", f"health check {number} ok", at + host))
        lines.append(log("a0103", "Kernel panic - not syncing", BEGIN + 12 * HOUR + MINUTE, name="kernel"))
        lines.append(log("a0103", "Linux version 5.14.0", BEGIN + 16 * HOUR - MINUTE, name="kernel"))
        await self.fill(lines)
        to = (BEGIN + 24 * HOUR) // SECOND
        found = await self.node("a0103", to=to)
        alone, shared = found["silences"]
        self.assertEqual((alone["shared"]["silent"], alone["shared"]["is_maintenance"]), (1, False))
        self.assertEqual(alone["before"][-1]["text"], "Kernel panic - not syncing")
        self.assertEqual((shared["shared"]["silent"], shared["shared"]["hosts"]), (8, 8))
        self.assertTrue(shared["shared"]["is_maintenance"])
        (reboot,) = found["reboots"]
        self.assertEqual(reboot["before"][-1]["text"], "Kernel panic - not syncing")
        self.assertEqual(found["habit"]["median"], 600)
        self.assertEqual(
            [row["example"]["text"] for row in found["alone"]["templates"]],
            ["Kernel panic - not syncing", "Linux version 5.14.0"],
        )
        self.assertEqual(found["alone"]["hosts"], {"list": "a[0101-0102,0104-0108]", "count": 7})

    async def test_names_of_a_blue_gene(self) -> None:
        """It is compared with its rack, and not with the one other node of its card."""
        hosts = [f"R02-M{plane}-N{card}-C:J{node}-U11" for plane in "01" for card in "01" for node in "12"]
        lines = [log(host, "instruction cache parity error corrected", BEGIN) for host in hosts]
        lines.append(log(hosts[3], "machine check interrupt (bit=0x10)", BEGIN + MINUTE, level="FATAL"))
        await self.fill(lines)
        found = await self.node(hosts[3], cluster="*", to=(BEGIN + HOUR) // SECOND)
        alone = found["alone"]
        self.assertEqual((alone["group"], alone["hosts"]["count"]), ({"kind": "rack", "name": "R02"}, 7))
        self.assertEqual(len(alone["templates"]), 1)
        self.assertIn("machine check", alone["templates"][0]["example"]["text"])

    async def test_a_node_of_which_only_others_tell(self) -> None:
        await self.fill([start_job(1, ["a0101"], BEGIN)])
        found = await self.node("a0101", cluster="*")
        self.assertEqual([job["id"] for job in found["jobs"]], ["1"])
        self.assertEqual((found["count"], found["habit"], found["last"]), (0, None, None))

    async def test_a_node_that_is_not_there(self) -> None:
        await self.fill(everyday(3, 1))
        answer = await self.get("nodes/alex/a0004")
        self.assertEqual(answer.status, 404)
        self.assertEqual(answer.error, "there is no host 'a0004', the nearest is 'a0003'")
        answer = await self.get("nodes/fritz/a0001")
        self.assertEqual(answer.error, "there is no cluster 'fritz'")
        # It is only written in another way.
        answer = await self.get("nodes/alex/A2")
        self.assertEqual(answer.error, "there is no host 'A2', the nearest is 'a0002'")
        answer = await self.get("nodes/alex/a0001", text="x")
        self.assertEqual(answer.status, 400)

    async def test_a_time_that_ends_before_it_begins(self) -> None:
        await self.fill(everyday(3, 1))
        new = {"new": "store"}
        for path, name, more in (
            ("nodes/alex/a0001", "from", {}),
            ("fold", "from", {}),
            ("fold", "since", new),
        ):
            answer = await self.get(path, **{name: "now", "to": "-1h"}, **more)
            expected = f"{name}: expected a time before that of to, got 'now'"
            self.assertEqual((answer.status, answer.error), (400, expected))
