"""Who may read what is written, however the daemon is started."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from stat import S_IMODE

import pytest

from tests.support.client_commands import copy
from tests.support.configuration import write_config
from tests.support.running_daemon import PATIENCE, RUN, TWISTD, Daemon, environment

FILES = {"ccstore.db", "ccstore.db-wal", "ccstore.db-shm", "ccstore.db.lock", "ccstore.db.reserve"}


def modes(directory: Path) -> dict[str, int]:
    return {
        path.name: S_IMODE(path.stat().st_mode)
        for path in directory.iterdir()
        if path.name not in ("ccstore.json", "twistd.pid")
    }


@pytest.fixture(params=[0o000, 0o022, 0o077], ids="umask {:03o}".format)
def umask(request: pytest.FixtureRequest) -> object:
    """Of whoever starts it."""
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.parametrize(("option", "mode"), [({}, 0o600), ({"file_mode": "0640"}, 0o640)])
@pytest.mark.usefixtures("umask")
def test_in_the_foreground(tmp_path: Path, option: dict[str, str], mode: int) -> None:
    with Daemon(tmp_path, "--config", write_config(tmp_path, storage=option)) as daemon:
        assert daemon.ask("POST", "/api/write", b'job,cluster=alex event="x"')[0] == 200
        assert daemon.query()
        assert modes(tmp_path) == dict.fromkeys(FILES, mode)
        daemon.stop()


@pytest.mark.usefixtures("umask")
def test_in_the_background(tmp_path: Path) -> None:
    """With a log file, which twistd opens."""
    config = write_config(tmp_path, storage={"file_mode": "0640"})
    words = [sys.executable, *TWISTD, "ccstore", "--config", str(config)]
    subprocess.run(words, cwd=tmp_path, env=environment(), timeout=PATIENCE, check=True)
    try:
        found = modes(tmp_path)
    finally:
        os.kill(int((tmp_path / "twistd.pid").read_text()), signal.SIGKILL)
    assert found.pop("twistd.log") == 0o640
    assert set(found.values()) == {0o640}


def test_a_file_of_an_earlier_version(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    with Daemon(tmp_path, "--config", config) as daemon:
        daemon.stop()
    for each in tmp_path.glob("ccstore.db*"):
        each.chmod(0o644)
    with Daemon(tmp_path, "--config", config) as daemon:
        assert set(modes(tmp_path).values()) == {0o600}
        daemon.stop()


def test_what_is_not_ours_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "ccstore.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    path.chmod(0o644)
    status = subprocess.run(
        [sys.executable, *RUN, "--config", str(write_config(tmp_path))],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    ).returncode
    assert (status, S_IMODE(path.stat().st_mode)) == (1, 0o644)


@pytest.mark.usefixtures("umask")
def test_a_copy(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    with Daemon(tmp_path, "--config", config) as daemon:
        daemon.stop()
    target = tmp_path / "copies"
    target.mkdir()
    assert copy(config, f"sqlite:{target / 'x.db'}")[0] == 0
    assert set(modes(target).values()) == {0o600}


@pytest.mark.usefixtures("umask")
def test_an_import(tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    lines.write_text('job,cluster=alex event="x"\n')
    store = tmp_path / "store"
    store.mkdir()
    config = write_config(store, storage={"file_mode": "0640"})
    words = [sys.executable, "-m", "ccstore", "import", "--config", str(config), str(lines)]
    subprocess.run(words, cwd=store, env=environment(), timeout=PATIENCE, check=True, capture_output=True)
    assert set(modes(store).values()) == {0o640}
