"""``python -m benchmarks ingest|limits``: figures, each taken in one run."""

from __future__ import annotations

import argparse

from benchmarks import ingest, limits
from benchmarks.report import show


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, about in (
        ("ingest", "lines a second by each way in, with the limits of the same run"),
        ("limits", "what the decoder and the database reach alone"),
    ):
        command = commands.add_parser(name, help=about)
        command.add_argument("--json", action="store_true", help="for machines")
        command.add_argument("--lines", type=int, default=1_000_000, help="lines for each figure")
        command.add_argument("--retention", type=float, default=4.0, help="seconds after which events expire")
        if name == "ingest":
            command.add_argument("--influx", metavar="URL", help="an InfluxDB that gets the same bodies")
    given = parser.parse_args()
    if given.command == "ingest":
        rows = ingest.run(given.lines, given.retention, given.influx)
    else:
        rows = limits.run(given.lines, given.retention)
    show(given.command, rows, as_json=given.json)


if __name__ == "__main__":
    main()
