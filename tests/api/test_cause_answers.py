"""What came before, and what hosts have in common: small stories of which the answer is known."""

from __future__ import annotations

from tests.api.test_job_answers import STORAGE, JobsTestCase, everyday
from tests.support.job_lines import BEGIN, HOUR, MINUTE, SECOND, log, start_job, stop_job
from tests.support.scratch import scratch

DOWN = "ib0: link is down"
FIVE = {"from": "-5d"}


class CauseTests(JobsTestCase):
    async def test_a_switch_fails_and_takes_64_nodes(self) -> None:
        """Its hosts are in two racks by their names; the switch is known by a file."""
        nodes = "\n".join(
            f"SwitchName=s{switch} Nodes=a[{64 * switch + 1:04}-{64 * switch + 64:04}]" for switch in range(4)
        )
        path = scratch(self) / "topology.conf"
        path.write_text(f"{nodes}\nSwitchName=core Switches=s[0-3]\n")
        self.start_with(storage=STORAGE, api={"topology": str(path)})
        at = BEGIN + 2 * HOUR
        hosts = [f"a{number:04}" for number in range(65, 129)]
        lines = [
            *everyday(256, 3),
            start_job(1, [f"a{number:04}" for number in range(60, 80)], BEGIN),
            *[log(host, DOWN, at + number * SECOND, name="kernel") for number, host in enumerate(hosts)],
            log("a0001", DOWN, BEGIN, name="kernel"),
        ]
        self.assertEqual((await self.write(*lines, path="/api/write/?precision=ns")).status, 200)
        answer = (await self.get("cause", text="link is down", **{"from": "-5d"})).json
        self.assertEqual(answer["burst"]["hosts"], {"list": "a[0065-0128]", "count": 64})
        self.assertEqual((answer["population"], answer["everybody"]), (257, False))
        first = answer["causes"][0]
        self.assertEqual((first["kind"], first["name"]), ("switch", "s1"))
        self.assertEqual((first["hosts"], first["touched"], first["outside"]), (64, 64, 0))
        self.assertLess(first["p_corrected"], 1e-40)
        job = next(each for each in answer["causes"] if each["kind"] == "job")
        self.assertEqual((job["name"], job["touched"], job["untouched"]["list"]), ("1", 15, "a[0060-0064]"))

    async def test_a_job_does_it(self) -> None:
        """Its nodes are spread over all racks."""
        hosts = [f"a{number:04}" for number in range(7, 256, 25)]
        await self.fill(
            [
                *everyday(256, 3),
                start_job(1, hosts, BEGIN, user="eve"),
                start_job(2, ["a0001", "a0007"], BEGIN),
                *[log(host, "Out of memory: Killed process 42 (a.out)", BEGIN + HOUR) for host in hosts],
            ]
        )
        # A message will do for its template.
        template = "Out of memory: Killed process 4711 (a.out)"
        answer = (await self.get("cause", template=template, **FIVE)).json
        kinds = {each["kind"]: each["name"] for each in answer["causes"][:2]}
        self.assertEqual(kinds["job"], "1")
        self.assertNotIn("rack", kinds)

    async def test_the_ends_of_a_job_that_was_requeued_elsewhere(self) -> None:
        """Each has the hosts of the start before it."""
        await self.fill(
            [
                *everyday(60, 4),
                start_job(1, ["a0001", "a0002"], BEGIN),
                stop_job(1, BEGIN + HOUR, state="node_fail"),
                start_job(1, ["a0003"], BEGIN + HOUR + MINUTE),
                stop_job(1, BEGIN + 2 * HOUR, state="node_fail"),
            ]
        )
        answer = (await self.get("cause", text="node_fail", burst="whole", **FIVE)).json
        self.assertEqual(answer["burst"]["hosts"]["list"], "a[0001-0003]")

    async def test_everybody_is_touched(self) -> None:
        lines = [log(f"a{host:04}", "Lustre: scratch is lost", BEGIN + HOUR) for host in range(1, 61)]
        await self.fill([*everyday(60, 2), *lines])
        answer = (await self.get("cause", text="lustre", **FIVE)).json
        self.assertTrue(answer["everybody"])
        self.assertFalse(any(each["is_significant"] for each in answer["causes"]))

    async def test_names_without_numbers_do_not_follow_each_other(self) -> None:
        names = ["atlas", "boreas", "castor", "dione", "eos", "flora", "gaia", "helios", "iris", "juno"]
        lines = [log(name, f"check {place} ok", BEGIN + HOUR) for place, name in enumerate(names)]
        lines += [log(name, "fan failed", BEGIN + HOUR + MINUTE) for name in names[3:9]]
        await self.fill(lines)
        answer = (await self.get("cause", text="fan failed", **FIVE)).json
        self.assertEqual(answer["burst"]["hosts"]["count"], 6)
        self.assertNotIn("range", [each["kind"] for each in answer["causes"]])

    async def test_what_comes_before_a_node_goes_down(self) -> None:
        lines = everyday(60, 24)
        for number in range(12):
            host, at = f"a{5 * number + 1:04}", BEGIN + (number + 6) * HOUR
            lines.append(log(host, f"mce: [Hardware Error]: CPU {number}", at - 4 * MINUTE, name="kernel"))
            lines.append(log(host, "node is going down", at, name="slurmd"))
        # What comes everywhere comes before it, too.
        lines += [
            log(f"a{host:04}", "chronyd: selected source", BEGIN + number * 20 * MINUTE + 1)
            for host in range(1, 61)
            for number in range(72)
        ]
        await self.fill(lines)
        answer = (await self.get("before", text="going down", window="10m", **FIVE)).json
        self.assertEqual((answer["count"], answer["cases"]), (12, 12))
        first = answer["before"][0]
        self.assertEqual((first["cases"], first["controls"], first["support"]), (12, 0, 1.0))
        self.assertIn("Hardware Error", first["template"])
        self.assertGreater(first["lift"], 20)
        self.assertEqual(first["lead"], 240)
        self.assertFalse(any(row["is_significant"] for row in answer["before"][1:]))

    async def test_the_controller_tells_of_many_nodes_at_once(self) -> None:
        """Nobody knows of the switch, but its nodes follow each other."""
        text = "error: Nodes a[0065-0128] not responding, setting DOWN"
        await self.fill([*everyday(256, 3), log("adm1", text, BEGIN + HOUR, name="slurmctld")])
        answer = (await self.get("cause", text="not responding", **FIVE)).json
        self.assertEqual(answer["burst"]["hosts"], {"list": "a[0065-0128]", "count": 64})
        first = answer["causes"][0]
        self.assertEqual((first["kind"], first["name"], first["outside"]), ("range", "a[0065-0128]", 0))
        self.assertTrue(first["is_significant"])

    async def test_what_comes_before_the_controller_tells_that_a_node_is_down(self) -> None:
        lines = everyday(60, 24)
        for number in range(8):
            host, at = f"a{5 * number + 1:04}", BEGIN + (number + 6) * HOUR
            lines.append(log(host, f"EXT4-fs error: inode #{number}", at - 4 * MINUTE, name="kernel"))
            down = f"error: Nodes {host} not responding, setting DOWN"
            lines.append(log("adm1", down, at, name="slurmctld"))
        await self.fill(lines)
        answer = (await self.get("before", text="setting DOWN", **FIVE)).json
        first = answer["before"][0]
        self.assertEqual((first["cases"], first["controls"]), (8, 0))
        self.assertIn("EXT4-fs error", first["example"]["text"])

    async def test_what_comes_before_jobs_fail(self) -> None:
        """On any of their nodes, which the event of the end does not tell."""
        lines = everyday(60, 24)
        for number in range(8):
            hosts = [f"a{5 * number + place:04}" for place in range(1, 5)]
            begin, end = BEGIN + (number + 6) * HOUR, BEGIN + (number + 8) * HOUR
            lines.append(start_job(number + 1, hosts, begin))
            lines.append(stop_job(number + 1, end, state="failed"))
            lines.append(log(hosts[number % 4], "slurmd: lost /scratch", end - MINUTE))
        await self.fill(lines)
        answer = (await self.get("before", regex='jobState": "failed', **FIVE)).json
        self.assertEqual((answer["count"], answer["hosts"]["count"], answer["cases"]), (8, 32, 8))
        first = answer["before"][0]
        self.assertEqual((first["example"]["text"], first["cases"]), ("slurmd: lost /scratch", 8))
        self.assertEqual(first["hosts"]["count"], 8)

    async def test_a_message_stands_for_all_of_its_template(self) -> None:
        """Its own host is masked, which the text alone does not tell."""
        hosts = ["login-a", "login-b", "login-c"]
        lines = everyday(20, 3)
        for number, host in enumerate(hosts):
            lines.append(log(host, f"fan {number} is slow", BEGIN + HOUR + number * SECOND))
            lines.append(log(host, f"{host}: halted {number}", BEGIN + HOUR + (60 + number) * SECOND))
        await self.fill(lines)
        (message,) = (await self.get("messages", text="halted", limit="1")).json["messages"]
        for call in ("before", "cause"):
            answer = (await self.get(call, message=message["id"], **FIVE)).json
            about = answer["burst"] if call == "cause" else answer
            self.assertEqual((about["template"], about["count"]), ("<host>: halted <num>", 3))
            gone = await self.get(call, message="x")
            self.assertEqual((gone.status, gone.error), (404, "'x' is no id of a message"))

    async def test_the_burst_of_a_time_with_an_end_is_looked_for_on_request(self) -> None:
        times = [0, 5, 9, *[4] * 6]
        lines = [log(f"a{host:04}", DOWN, BEGIN + at * HOUR) for host, at in enumerate(times, 1)]
        await self.fill([*everyday(20, 12), *lines])
        whole = {**FIVE, "to": "now"}
        for more, count in (({}, 9), ({"burst": "peak"}, 6), ({"burst": "whole"}, 9)):
            answer = (await self.get("cause", text="link is down", **whole, **more)).json
            self.assertEqual(answer["burst"]["count"], count)
        answer = (await self.get("cause", text="link is down", burst="whole", **FIVE)).json
        self.assertEqual(answer["burst"]["count"], 9)

    async def test_a_mistake_is_named(self) -> None:
        await self.fill(everyday(2, 1))
        for call, given, expected in (
            ("before", {}, "template: expected a template, or text= or regex= instead"),
            ("cause", {"text": "x", "window": "2d"}, "window: expected a duration of at least 1s"),
            ("cause", {"text": "x", "burst": "all"}, "burst: expected whole or peak, got"),
            ("cause", {"text": "x", "limit": "3"}, "'limit': there is no such parameter"),
        ):
            answer = await self.get(call, **given)
            self.assertEqual(answer.status, 400)
            self.assertIn(expected, answer.error)
        answer = (await self.get("cause", text="x", cluster="alx")).json
        self.assertIsNone(answer["burst"])
        self.assertEqual(answer["notice"], "there is no cluster 'alx', the nearest is 'alex'")
        answer = (await self.get("before", text="nothing", **FIVE)).json
        self.assertEqual((answer["count"], answer["before"]), (0, []))
        self.assertRegex(
            answer["notice"],
            "^there is no such message since 20.*Z: an earlier from .--since. looks further back$",
        )
