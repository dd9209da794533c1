"""Threads end with the reactor, whatever becomes of those who made them."""

from __future__ import annotations

import subprocess
import sys

import pytest

_MADE = """
from twisted.internet import reactor
from ccstore.storage.sqlite.threads import ReactorThreads
threads = ReactorThreads(reactor, 2, "threads")
done = threads.run(print, "done")
"""


@pytest.mark.parametrize(
    ("then", "said"),
    [
        ("done.addCallback(lambda _: reactor.stop()); reactor.run()", "done\n"),
        ("done.addCallback(lambda _: (threads.stop(), reactor.stop())); reactor.run()", "done\n"),
        ("threads.stop(); reactor.callWhenRunning(reactor.stop); reactor.run()", ""),
        ("", ""),
    ],
    ids=["with the reactor", "before it ends", "before it begins", "without it"],
)
def test_the_program_ends(then: str, said: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _MADE + then], capture_output=True, text=True, timeout=60, check=True
    )
    assert (ended.stdout, ended.stderr) == (said, "")
