"""One process a file."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ccstore.storage.dbfile.lock import FileLock, InUse

_HOLDER = """
import subprocess, sys
from pathlib import Path
from ccstore.storage.dbfile.lock import FileLock
lock = FileLock(Path(sys.argv[1]), "database")
lock.take()
subprocess.Popen(["cat"], stdin=int(sys.argv[2]), stdout=subprocess.DEVNULL, pass_fds=[lock.descriptor])
"""


def test_who_comes_after_a_killed_daemon_waits_for_what_it_has_begun(tmp_path: Path) -> None:
    path = tmp_path / "ccstore.db"
    reading, writing = os.pipe()
    subprocess.run([sys.executable, "-c", _HOLDER, path, str(reading)], pass_fds=[reading], check=True)
    os.close(reading)
    with pytest.raises(InUse):
        FileLock(path, "database", patience=0.0).take()
    mine = FileLock(path, "database")
    waiting = threading.Thread(target=mine.take)
    waiting.start()
    os.close(writing)
    waiting.join(10)
    assert not waiting.is_alive()
    assert path.with_name("ccstore.db.lock").read_text() == f"{os.getpid()}\n"
    mine.release()
