"""Figures as a table for people, or as JSON."""

from __future__ import annotations

import json
import math
import os
import platform
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from ccstore import __version__


def machine() -> dict[str, object]:
    """What the figures were taken on and with."""
    memory = int(Path("/proc/meminfo").read_text().split()[1]) // 1024
    model = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "cores": os.cpu_count(),
        "cpu": model[0].partition(": ")[2] if model else platform.machine(),
        "memory_mb": memory,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "twisted": version("Twisted"),
        "ccstore": __version__,
    }


def figure(
    what: str,
    value: float,
    unit: str,
    *,
    at_most: float | None = None,
    at_least: float | None = None,
    more: Mapping[str, object] | None = None,
) -> dict[str, object]:
    """A row with one figure, and its goal if there is one."""
    row: dict[str, object] = {"what": what, "figure": value, "unit": unit}
    if at_most is not None:
        row |= {"goal": f"≤ {at_most:,g}", "reached": "yes" if value <= at_most else "no"}
    elif at_least is not None:
        row |= {"goal": f"≥ {at_least:,g}", "reached": "yes" if value >= at_least else "no"}
    return {**row, **(more or {})}


def percentile(values: Sequence[float], part: float) -> float:
    """The value that this part of the values does not exceed."""
    return sorted(values)[max(0, math.ceil(part * len(values)) - 1)]


def show(
    title: str, rows: Sequence[Mapping[str, object]], *, as_json: bool, problems: Sequence[str] = ()
) -> None:
    """Print rows that share their keys, and what went wrong."""
    if as_json:
        found = {"benchmark": title, "machine": machine(), "rows": list(rows), "problems": list(problems)}
        print(json.dumps(found, indent=1, ensure_ascii=False))
        return
    keys = list(dict.fromkeys(key for row in rows for key in row))
    cells = [keys, *([_text(row.get(key)) for key in keys] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(keys))]
    print(f"\n{title}: " + ", ".join(f"{key} {value}" for key, value in machine().items()))
    for row in cells:
        first, *rest = (
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join([first, *rest]).rstrip())
    for problem in problems:
        print(f"WRONG: {problem}")


def progress(text: str) -> None:
    """Say how far it is, on standard error."""
    end = "\r" if sys.stderr.isatty() else "\n"
    print(f"{text:<78}", end=end, file=sys.stderr, flush=True)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
