"""Counts by time and label, values, labels, streams and clusters, below /api/v1."""

from __future__ import annotations

from typing import Any

from tests.api.test_message_answers import BASE, MessagesTestCase, log
from tests.support.sinks import event

HOUR = 3600 * 10**9
#: The beginning of an hour, some hours ago.
FULL = BASE // HOUR * HOUR - 5 * HOUR


class CountsTestCase(MessagesTestCase):
    async def fill(self) -> None:
        self.start()
        lines = []
        for hour in range(3):
            for place in range(hour + 1):
                host = f"a{place}"
                lines.append(log(f"full {hour}", FULL + hour * HOUR + place, hostname=host, loglevel="err"))
                lines.append(event("job", host=host, time=FULL + hour * HOUR + 10 + place))
        lines.append(log("old", FULL - 30 * HOUR, hostname="b"))
        lines.append(log("without", FULL, hostname="", cluster="fritz"))
        self.assertEqual((await self.write(*lines, path="/api/write/?precision=ns")).status, 200)


class HistogramTests(CountsTestCase):
    async def test_counts_by_time_and_label(self) -> None:
        await self.fill()
        answer = (await self.get("histogram", step="1h", by="kind")).json
        start = FULL // 10**9
        self.assertEqual(answer["step"], "3600s")
        self.assertEqual(answer["total"], 13)
        self.assertEqual(
            answer["series"],
            [
                {
                    "by": {"kind": "log"},
                    "total": 7,
                    "points": [[start, 2], [start + 3600, 2], [start + 7200, 3]],
                },
                {
                    "by": {"kind": "event"},
                    "total": 6,
                    "points": [[start, 1], [start + 3600, 2], [start + 7200, 3]],
                },
            ],
        )

    async def test_totals_are_those_of_the_messages(self) -> None:
        """Whatever is asked, by whatever it is divided, however it is cut."""
        await self.fill()
        for given in (
            {},
            {"host": "a[0-1]"},
            {"text": "FULL"},
            {"regex": "l [12]$"},
            {"tag_loglevel": "err", "host_not": "a1"},
            {"from": FULL + HOUR + 1, "to": FULL + 2 * HOUR + 11},
            {"cluster": "nobody"},
        ):
            for more in (
                {},
                {"by": "host", "top": 1},
                {"by": "tag.loglevel,kind"},
                {"buckets": 3},
                {"step": 60},
            ):
                asked: Any = {"from": FULL - 40 * HOUR, **given}
                answer = (await self.get("histogram", **{**asked, **more})).json
                expected = len(await self.found(limit=1000, **asked))
                self.assertEqual(answer["total"], expected, (asked, more))
                self.assertEqual(sum(each["total"] for each in answer["series"]), expected)
                self.assertEqual(
                    sum(count for each in answer["series"] for _, count in each["points"]), expected
                )

    async def test_what_is_not_among_the_most_frequent_is_taken_together(self) -> None:
        await self.fill()
        answer = (await self.get("histogram", by="host", top=1, step="24h")).json
        first, rest = answer["series"]
        self.assertEqual((first["by"], first["total"]), ({"host": "a0"}, 6))
        self.assertEqual((rest["by"], rest["other"], rest["total"]), (None, 3, 7))

    async def test_steps_are_easy_to_read(self) -> None:
        self.start()
        for given, step in (
            ({"from": "-1h", "buckets": 60}, "60s"),
            ({"from": "-1h"}, "60s"),
            ({"from": "-30d", "buckets": 720}, "3600s"),
            ({"from": "-30d"}, "43200s"),
            ({"from": "-1s", "buckets": 1000}, "0.001s"),
            ({"from": "-7280d", "buckets": 20}, "31449600s"),
        ):
            answer = (await self.get("histogram", **given, to="now")).json
            self.assertEqual(answer["step"], step, given)

    async def test_a_mistake_is_named(self) -> None:
        self.start()
        for given, expected in (
            ({"step": "x"}, "step: not a duration: 'x'"),
            ({"step": "1us"}, "step: expected a duration of at least 1ms"),
            ({"step": "1ms"}, "step: expected at least 9s for so long a time"),
            ({"step": "1h", "buckets": 3}, "step: expected either step or buckets, got both"),
            ({"by": "jobid"}, "by: expected cluster, kind, name"),
            ({"top": "-1"}, "top: expected a whole number"),
        ):
            answer = await self.get("histogram", **given)
            self.assertEqual(answer.status, 400, given)
            self.assertIn(expected, answer.error)


class LabelTests(CountsTestCase):
    async def test_values_have_counts_and_the_most_frequent_go_first(self) -> None:
        await self.fill()
        answer = (await self.get("values/host")).json
        values = [(each["value"], each["count"]) for each in answer["values"]]
        self.assertEqual(values, [("a0", 6), ("a1", 4), ("a2", 2)])
        self.assertEqual((answer["without"], answer["cut"]), (1, None))
        answer = (await self.get("values/hostname", prefix="b", **{"from": "-3d"})).json
        self.assertEqual([each["value"] for each in answer["values"]], ["b"])
        answer = (await self.get("values/tag.loglevel", kind="log", limit=1)).json
        (value,) = answer["values"]
        self.assertEqual((value["value"], value["count"]), ("err", 6))
        self.assertLess(value["first"], value["last"])
        answer = (await self.get("values/host", limit=2)).json
        self.assertEqual((len(answer["values"]), answer["cut"]), (2, "there are 3 values"))

    async def test_there_are_the_labels_that_messages_have(self) -> None:
        await self.fill()
        answer = (await self.get("labels")).json
        labels = {each["label"]: each["count"] for each in answer["labels"]}
        expected = {"cluster": 13, "kind": 13, "name": 13, "host": 12, "level": 6, "tag.loglevel": 6}
        self.assertEqual(labels, expected)

    async def test_the_level_is_what_the_first_of_some_tags_says(self) -> None:
        """It is a label of its own, wherever labels may be, and the tag of this name is another."""
        self.start()
        tags: list[dict[str, str]] = [
            *({"severity": "warn", "level": "err"}, {"loglevel": "err", "level": "debug"}),
            *({"priority": "warn"}, {"level": "error"}, {}),
        ]
        lines = [log(f"{place}", BASE + place, **given) for place, given in enumerate(tags)]
        self.assertEqual((await self.write(*lines, path="/api/write/?precision=ns")).status, 200)
        for given, texts in (
            ({"level": "err"}, "10"),
            ({"level_not": "err"}, "432"),
            ({"level_not": ["err", ""]}, "32"),
            ({"level": "e*"}, "310"),
            ({"level": ""}, "4"),
            ({"tag_level": "err"}, "0"),
            ({"tag_level": "debug", "level": "err"}, "1"),
        ):
            found = (await self.get("messages", **given)).json["messages"]
            self.assertEqual("".join(each["text"] for each in found), texts, given)
        counted = (await self.get("histogram", by="level")).json["series"]
        levels = [(each["by"]["level"], each["total"]) for each in counted]
        self.assertEqual(levels, [("err", 2), ("", 1), ("error", 1), ("warn", 1)])
        answer = (await self.get("values/level", prefix="e")).json
        values = [(each["value"], each["count"]) for each in answer["values"]]
        self.assertEqual(values, [("err", 2), ("error", 1)])
        answer = (await self.get("values/tag.level")).json
        self.assertEqual([each["value"] for each in answer["values"]], ["debug", "err", "error"])

    async def test_no_other_label_has_values(self) -> None:
        self.start()
        answer = await self.get("values/jobid")
        self.assertEqual(answer.status, 404)
        self.assertIn("there is no label 'jobid', there are cluster, kind", answer.error)
        self.assertIn("tag.jobid", answer.error)

    async def test_streams_and_clusters_are_seen_first_and_last(self) -> None:
        await self.fill()
        answer = (await self.get("streams", host="a2")).json
        first, second = answer["streams"]
        self.assertEqual((first["kind"], first["count"], second["kind"]), ("event", 1, "log"))
        self.assertEqual(first["first"], first["last"])
        answer = (await self.get("clusters")).json
        alex, fritz = answer["clusters"]
        self.assertEqual((alex["cluster"], alex["count"], alex["events"], alex["logs"]), ("alex", 13, 6, 7))
        self.assertEqual((fritz["cluster"], fritz["count"]), ("fritz", 1))
        self.assertLess(alex["first"], fritz["first"])
        answer = (await self.get("streams", limit=1)).json
        self.assertEqual((len(answer["streams"]), answer["cut"]), (1, "there are 8 streams"))

    async def test_an_empty_answer_says_what_may_be_wrong(self) -> None:
        await self.fill()
        for call in ("histogram", "values/host", "labels", "streams", "clusters"):
            answer = (await self.get(call, cluster="alx")).json
            self.assertEqual(answer["notice"], "there is no cluster 'alx', the nearest is 'alex'", call)
