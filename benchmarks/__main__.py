"""``python -m benchmarks COMMAND``: figures, each taken in one run."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks import (
    cost,
    crash,
    decoding,
    fuzz,
    ingest,
    insight,
    large_store,
    latency,
    limits,
    many_nodes,
    packed_questions,
    packing_costs,
    read_month,
    rule_costs,
    tag_layout,
)
from benchmarks.report import show


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    def add(name: str, about: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=about, description=about)
        command.add_argument("--json", action="store_true", help="for machines")
        return command

    for name, about in (
        ("ingest", "lines a second by each way in, with the limits of the same run"),
        (
            "limits",
            "what the decoder and the database reach alone, and what each kind of line costs to decode",
        ),
    ):
        command = add(name, about)
        command.add_argument("--lines", type=int, default=3_000_000, help="lines for each figure")
        command.add_argument("--retention", type=float, default=4.0, help="seconds after which events expire")
        if name == "ingest":
            command.add_argument(
                "--influx",
                metavar="URL",
                nargs="?",
                const="start",
                help="an InfluxDB that gets the same bodies; without a URL, one is started for it",
            )
            command.add_argument(
                "--repeat", type=int, default=3, help="times each is measured, in turn; the medians are shown"
            )

    command = add("crash", "kill -9 at random moments under HTTP load, and what is in the file after it")
    command.add_argument("--rounds", type=int, default=100, help="times it is killed")
    command.add_argument("--term", action="store_true", help="SIGTERM under TCP, UDP and HTTP load instead")
    command.add_argument(
        "--retention", type=float, help="seconds after which events expire, so that segments are dropped"
    )

    command = add("fuzz", "senders that mean no good, and how long an honest one waits meanwhile")
    command.add_argument("--seconds", type=float, default=600.0, help="of random bytes on every port")

    command = add("nodes", "many connections with a line a second each, and one with as many lines")
    command.add_argument("--nodes", type=int, default=10_000, help="connections")
    command.add_argument("--seconds", type=float, default=20.0, help="how long each is measured")

    command = add("query", "how long answers take")
    command.add_argument("--rows", type=int, default=2_000_000, help="rows held in the large database")
    command.add_argument("--samples", type=int, default=1000, help="requests for each figure")

    command = add("read", "how fast the reading side answers, over a month of messages")
    command.add_argument("--rows", type=int, help="rows held: 10 million, or 1 million with PostgreSQL")
    command.add_argument("--keep", type=Path, metavar="DIR", help="keep the database there, for other runs")
    command.add_argument("--use", type=Path, metavar="DIR", help="a database that was kept, of as many rows")
    command.add_argument("--postgres", action="store_true", help="with PostgreSQL instead of SQLite")
    command.add_argument("--text-index", action="store_true", help="with PostgreSQL, which has text_index")
    command.add_argument("--packed", action="store_true", help="with all packed before it is read")
    command.add_argument("--table", action="store_true", help="ask what others are asked, and nothing else")
    command.add_argument("--victorialogs", metavar="URL", help="ask this one the same, and nothing else")
    command.add_argument(
        "--victorialogs-by-name",
        metavar="URL",
        help="one that has a stream for each cluster and name, and not for each host",
    )
    command.add_argument("--loki", metavar="URL", help="ask this one the same, and nothing else")

    command = add("insight", "how many of twenty faults in a month are found, and how long it takes")
    command.add_argument("--rows", type=int, default=10_000_000, help="rows held")

    command = add("page", "how fast the page is, in a Chromium")
    command.add_argument("--rows", type=int, default=10_000_000, help="rows held")
    command.add_argument("--use", type=Path, metavar="DIR", help="a database that read --keep left")

    add("pictures", "take the pictures of docs/page.md")

    command = add("rules", "what ten rules of process_messages cost")
    command.add_argument("--lines", type=int, default=1_000_000, help="lines for each figure")

    command = add("postgres", "lines a second into PostgreSQL, beside psql, and how long answers take")
    command.add_argument("--lines", type=int, default=1_000_000, help="lines for each figure")
    command.add_argument("--rows", type=int, default=1_000_000, help="rows held that are queried")
    command.add_argument("--samples", type=int, default=1000, help="requests")
    command.add_argument("--version", type=int, help="major version of the server, if there are several")

    command = add("several", "several daemons on one PostgreSQL and behind a NATS server, one of them killed")
    command.add_argument("--daemons", type=int, default=3, help="how many")
    command.add_argument("--seconds", type=float, default=10.0, help="of load before the kill, and after it")
    command.add_argument("--version", type=int, help="major version of PostgreSQL, if there are several")

    command = add("cost", "what a line costs as rows and series become more")
    command.add_argument("--rows", type=int, default=2_000_000, help="rows to which the database grows")
    command.add_argument("--lines", type=int, default=300_000, help="lines for each number of series")

    command = add("tags", "other tags as JSON in each row, and as numbers of sets: size, CPU, questions")
    command.add_argument("--rows", type=int, default=600_000, help="messages, a fourth of them job events")
    command.add_argument("--repeat", type=int, default=5, help="turns; the medians are shown")

    command = add("pack", "what packing takes and saves: bytes a row, CPU, memory, how long commits wait")
    command.add_argument("--rows", type=int, default=1_500_000, help="messages, three fourths of them logs")
    command.add_argument("--no-index", action="store_true", help="without the index of words")
    command.add_argument("--postgres", action="store_true", help="with what the same takes in PostgreSQL")

    command = add("packed", "what questions over packed logs cost: CPU of the reader, without a daemon")
    command.add_argument("--rows", type=int, default=4_000_000, help="messages, three fourths of them logs")
    command.add_argument(
        "--keep", type=Path, metavar="DIR", help="make the packed file there, for other runs"
    )
    command.add_argument("--use", type=Path, metavar="DIR", help="a file that was kept, of as many rows")
    command.add_argument(
        "--repeat", type=int, default=20, help="times a question is asked; the medians are shown"
    )

    command = add("large", "a file of very many packed messages: its size, and how fast it is searched")
    command.add_argument("--rows", type=int, default=100_000_000, help="messages, in months of five million")
    command.add_argument(
        "--keep", type=Path, metavar="DIR", help="has the file of an earlier run, or gets it"
    )
    return parser


def main() -> None:
    """Run the command that is named; the exit status is 1 if it found problems."""
    given = _parser().parse_args()
    problems: list[str] = []
    if given.command == "ingest":
        rows = ingest.run(given.lines, given.retention, given.influx, given.repeat)
    elif given.command == "limits":
        rows = limits.run(given.lines, given.retention) + decoding.run()
    elif given.command == "crash":
        rows, problems = crash.run(given.rounds, term=given.term, retention=given.retention)
    elif given.command == "fuzz":
        rows, problems = fuzz.run(given.seconds)
    elif given.command == "nodes":
        rows, problems = many_nodes.run(given.nodes, given.seconds)
    elif given.command == "query":
        rows, problems = latency.run(given.rows, given.samples)
    elif given.command == "read":
        rows, problems = read_month.run(
            given.rows,
            keep=given.keep,
            use=given.use,
            is_postgres=given.postgres or given.text_index,
            text_index=given.text_index,
            is_packed=given.packed,
            is_table=given.table,
            victorialogs=given.victorialogs,
            victorialogs_by_name=given.victorialogs_by_name,
            loki=given.loki,
        )
    elif given.command == "insight":
        rows, problems = insight.run(given.rows)
    elif given.command == "page":
        # It takes packages that the others can do without.
        from benchmarks import page_speed

        rows, problems = page_speed.run(given.rows, given.use)
    elif given.command == "pictures":
        from benchmarks import pictures

        rows = [
            {"what": path.name, "figure": path.stat().st_size, "unit": "bytes"} for path in pictures.take()
        ]
    elif given.command == "rules":
        rows = rule_costs.run(given.lines)
    elif given.command == "tags":
        rows = tag_layout.run(given.rows, given.repeat)
    elif given.command == "large":
        rows, problems = large_store.run(given.rows, given.keep)
    elif given.command == "pack":
        rows = packing_costs.run(given.rows, has_words=not given.no_index, has_postgres=given.postgres)
    elif given.command == "packed":
        rows = packed_questions.run(given.rows, keep=given.keep, use=given.use, repeat=given.repeat)
    elif given.command == "postgres":
        # It takes packages that the others can do without.
        from benchmarks import into_postgres

        rows, problems = into_postgres.run(given.lines, given.rows, given.samples, given.version)
    elif given.command == "several":
        from benchmarks import several

        rows, problems = several.run(given.daemons, given.seconds, given.version)
    else:
        rows, problems = cost.run(given.rows, given.lines)
    show(given.command, rows, as_json=given.json, problems=problems)
    if problems:
        sys.exit(1)


if __name__ == "__main__":
    main()
