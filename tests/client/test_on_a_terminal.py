"""The client with a real daemon, on a terminal and in pipes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from tests.support.client_commands import Site, start
from tests.support.configuration import write_config
from tests.support.postgres_server import server
from tests.support.pty_commands import COLUMNS, Terminal
from tests.support.running_daemon import PATIENCE, Daemon, environment
from tests.support.sinks import event

COUNT = 30_000


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("site")
    with Daemon(directory, "--config", write_config(directory)) as daemon:
        yield filled(daemon)


@pytest.fixture(scope="module")
def postgres_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("postgres")
    with (
        postgres_storage() as storage,
        Daemon(directory, "--config", write_config(directory, storage=storage)) as daemon,
    ):
        yield filled(daemon)


def filled(daemon: Daemon) -> Site:
    now = time.time_ns()
    lines = b"\n".join(
        b'n,cluster=alex,hostname=a%d,loglevel=%s log="text %d" %d'
        % (number % 3, (b"info", b"err")[number % 2], number, now - (COUNT - number) * 10**6)
        for number in range(COUNT)
    )
    assert daemon.ask("POST", "/api/write", lines)[0] == 200
    evil = b'evil,cluster=fritz,hostname=b1 log="\x1b[2J\xc2\x9b2J" %d' % now
    assert daemon.ask("POST", "/api/write", evil)[0] == 200
    return Site(daemon)


@contextmanager
def postgres_storage() -> Iterator[dict[str, Any]]:
    """What a configuration has of a database that is there for the block."""
    name = server().new_database()
    try:
        yield {"backend": server().backend(name)}
    finally:
        server().drop_database(name)


@pytest.fixture(params=["site", "postgres_site"])
def each_site(request: pytest.FixtureRequest) -> Site:
    """On SQLite, and on PostgreSQL."""
    found: Site = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=["sqlite", "postgres"])
def storage(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """What a configuration has of each of them."""
    with postgres_storage() if request.param == "postgres" else nullcontext({}) as found:
        yield found


def terminal(site: Site, *words: str, **environ: str) -> Terminal:
    return Terminal(site.directory, *words, CCSTORE_URL=site.url, **environ)


def test_colors_without_a_pager_if_all_fits(site: Site) -> None:
    with terminal(site, "query", "-c", "alex", "-n", "2") as shown:
        assert shown.end() == 0
    assert "\x1b[31m" in shown.shown
    assert "text 29999" in shown.shown
    with terminal(site, "query", "-c", "alex", "-n", "2", NO_COLOR="1", PAGER="cat") as shown:
        assert shown.end() == 0
    assert "\x1b[" not in shown.shown


def test_a_pager_is_left_in_the_middle(site: Site) -> None:
    with terminal(site, "query", "-c", "alex") as shown:
        shown.wait_for("text 10")
        shown.press("\x03")  # is for the pager
        shown.wait_for("text 10")
        shown.press("q")
        assert shown.end() == 0
    assert "ccstore query:" not in shown.shown
    with terminal(site, "query", "-c", "alex", PAGER="head -n 3") as shown:
        assert shown.end() == 0
    assert len(shown.shown.splitlines()) == 3
    with terminal(site, "query", "-n", "3", "-c", "alex", PAGER="no-such-pager") as shown:
        assert shown.end() == 0
    assert len(shown.shown.splitlines()) == 4


def test_people_are_told_that_there_is_nothing(site: Site) -> None:
    words = ["query", "-c", "alex", "-g", "no such text"]
    with terminal(site, *words) as shown:
        assert shown.end() == 0
    says = (
        "ccstore query: nothing matched in the last 24 hours; the newest message of the cluster 'alex' is of "
    )
    assert shown.shown.startswith(says)
    done = site.run(*words)
    assert (done.status, done.out) == (0, "")
    assert done.err.startswith(says)


@pytest.mark.parametrize("format", ["text", "short-iso", "json", "ndjson", "csv", "lp"])
def test_nothing_reaches_a_terminal_as_a_command(site: Site, format: str) -> None:
    with terminal(site, "query", "-c", "fritz", "-o", format, "--no-pager", "--color=never") as shown:
        assert shown.end() == 0
    assert "2J" in shown.shown
    assert not re.search("[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f]", shown.shown)


def test_bars_are_as_wide_as_the_terminal(site: Site) -> None:
    with terminal(site, "histogram", "--step", "1s", "-S", "-1h", "--by", "tag.loglevel") as shown:
        assert shown.end() == 0
    bare = re.sub(r"\x1b\[[0-9;]*m", "", shown.shown)
    assert max(map(len, bare.splitlines())) == COLUMNS
    assert "\x1b[34m█" in shown.shown


def test_following_ends_by_its_signal_without_a_word_of_the_connection(site: Site) -> None:
    with terminal(site, "query", "-f", "-n", "2", "-c", "alex") as shown:
        shown.wait_for("text 29999")
        shown.press("\x03")
        assert shown.end() == -signal.SIGINT
    assert shown.shown.splitlines()[-1].endswith("ccstore query: interrupted")
    assert "broke off" not in shown.shown


def test_everything_comes_page_by_page(each_site: Site) -> None:
    done = each_site.run("query", "-c", "alex", "-o", "ndjson")
    assert [json.loads(line)["text"] for line in done.out.splitlines()] == [f"text {n}" for n in range(COUNT)]
    done = each_site.run("query", "-c", "alex", "-n", "4321", "-o", "ndjson")
    texts = [json.loads(line)["text"] for line in done.out.splitlines()]
    assert texts == [f"text {number}" for number in range(COUNT - 4321, COUNT)]
    done = each_site.run(
        "query", "-c", "alex", "-r", "-n", "3", "--fields", "text", "--no-header", "-H", "a0"
    )
    assert done.out == "text 29997\ntext 29994\ntext 29991\n"
    assert "\x1b" not in each_site.run("query", "-n", "5").out


def test_formats_can_be_sent_in_again(each_site: Site) -> None:
    lines = each_site.run("query", "-c", "fritz", "-o", "lp").out
    done = each_site.run("send", "--json", stdin=lines.replace("fritz", "copied").encode())
    assert done.json["accepted"] == 1
    (row,) = each_site.run("query", "-c", "copied", "--json").json["rows"]
    assert (row["log"], row["host"]) == ("\x1b[2J\x9b2J", "b1")


def test_what_there_is(each_site: Site) -> None:
    shown = [line.split() for line in each_site.run("clusters").out.splitlines()]
    assert ["alex", "0", f"{COUNT}"] in [line[:3] for line in shown]
    hosts = each_site.run("hosts", "-c", "alex", "--json").json["hosts"]
    assert [(one["host"], one["count"]) for one in hosts] == [(f"a{n}", COUNT // 3) for n in range(3)]
    assert "ago" in each_site.run("hosts").out
    found = each_site.run("values", "tag.loglevel", "-c", "alex", "-H", "a0", "--json").json
    assert {one["value"]: one["count"] for one in found["values"]} == {"err": 5000, "info": 5000}
    assert each_site.run("values", "loglevel", "-c", "alex", "-H", "a0", "--json").json == found
    done = each_site.run("values", "loglevl")
    assert (done.status, done.out) == (1, "")
    assert done.err == (
        "ccstore values: none of these messages has the tag 'loglevl', the nearest is 'tag.loglevel'\n"
    )
    assert each_site.run("histogram", "-c", "alex", "--json").json["total"] == COUNT
    done = each_site.run("histogram", "-c", "axel")
    assert (done.status, done.out) == (1, "")
    assert "there is no cluster 'axel', the nearest is 'alex'" in done.err
    done = each_site.run("values", "host", "-n", "1")
    assert (done.status, len(done.out.splitlines())) == (0, 2)
    assert re.fullmatch("ccstore values: not all: there are [0-9]+ values\n", done.err)


def test_a_reader_who_has_enough_ends_it(site: Site) -> None:
    for words in (["-o", "ndjson"], ["-o", "json"], ["-f", "-n", "3000"]):
        command = f"{sys.executable} -m ccstore query {' '.join(words)} | head -n 1; echo ${{PIPESTATUS[0]}}"
        process = subprocess.Popen(
            ["bash", "-c", command],
            cwd=site.directory,
            env=environment(CCSTORE_URL=site.url),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if words[0] == "-f":
            # Only with the next message it is known that nobody reads.
            time_is_up = time.monotonic() + PATIENCE
            while process.poll() is None and time.monotonic() < time_is_up:
                site.run("send", "--cluster", "fritz", "--log", "more")
        out, err = process.communicate(timeout=PATIENCE)
        assert (out.splitlines()[-1], err) == ("0", "")


def test_following_over_a_restart(tmp_path: Path, storage: dict[str, Any]) -> None:
    port = {"address": "127.0.0.1", "port": 0}
    config = write_config(tmp_path, storage=storage, api=port)
    with Daemon(tmp_path, "--config", config) as daemon:
        config = write_config(tmp_path, storage=storage, api={**port, "port": daemon.ports["REST"]})
        site = Site(daemon)
        assert daemon.ask("POST", "/api/write", b"\n".join(event(f"old {n}") for n in range(20)))[0] == 200
        process = start(tmp_path, "query", "-f", "-n", "3", "--fields", "text", CCSTORE_URL=site.url)
        assert process.stdout is not None
        assert process.stderr is not None
        shown = [process.stdout.readline().decode().strip() for _ in range(4)]
        assert shown == ["TEXT", "old 17", "old 18", "old 19"]
        daemon.ask("POST", "/api/write", event("first"))
        assert process.stdout.readline() == b"first\n"
    said = process.stderr.readline().decode()
    assert "trying again until it is back" in said
    with Daemon(tmp_path, "--config", config) as daemon:
        # Before it is connected again, or behind: once in any case.
        daemon.ask("POST", "/api/write", event("second"))
        assert process.stdout.readline() == b"second\n"
        assert "connected again" in process.stderr.readline().decode()
        daemon.ask("POST", "/api/write", event("third"))
        assert process.stdout.readline() == b"third\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, err) == (-signal.SIGINT, b"", b"ccstore query: interrupted\n")


def test_nothing_is_missed_or_twice_though_the_daemon_is_killed(
    tmp_path: Path, storage: dict[str, Any]
) -> None:
    port = {"address": "127.0.0.1", "port": 0}
    parts, lines = 30, 50

    def write(daemon: Daemon, first: int) -> None:
        for part in range(first, first + parts):
            body = b"\n".join(event(f"{part} {number}") for number in range(lines))
            assert daemon.ask("POST", "/api/write", body)[0] == 200

    with Daemon(tmp_path, "--config", write_config(tmp_path, storage=storage, api=port)) as daemon:
        config = write_config(tmp_path, storage=storage, api={**port, "port": daemon.ports["REST"]})
        daemon.ask("POST", "/api/write", event("before"))
        words = ["query", "-f", "--fields", "text", "--no-header"]
        process = start(tmp_path, *words, CCSTORE_URL=Site(daemon).url)
        assert process.stdout is not None
        assert process.stdout.readline() == b"before\n"
        write(daemon, 0)
        daemon.stop(signal.SIGKILL)
    with Daemon(tmp_path, "--config", config) as daemon:
        write(daemon, parts)
        expected = [f"{part} {number}" for part in range(2 * parts) for number in range(lines)]
        shown = [process.stdout.readline().decode().strip() for _ in expected]
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=PATIENCE)
    assert (sorted(shown), rest) == (sorted(expected), b"")


def test_an_answer_that_breaks_off_is_not_taken_for_all(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--config", write_config(tmp_path)) as daemon:
        site = Site(daemon)
        for part in range(4):
            lines = b"\n".join(event(f"{part} {number} {'x' * 400}") for number in range(20_000))
            assert daemon.ask("POST", "/api/write", lines)[0] == 200
        process = start(tmp_path, "query", "--json", CCSTORE_URL=site.url)
        assert process.stdout is not None
        begin = b""
        while b"xxx" not in begin:
            begin += os.read(process.stdout.fileno(), 1000)
        daemon.stop(signal.SIGKILL)
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    *tries, last = err.decode().splitlines()
    assert len(tries) == 5
    assert all(re.fullmatch(r"ccstore query: .* after [0-9,]+ messages; going on .*", each) for each in tries)
    assert re.fullmatch(r"ccstore query: not all: .* after [0-9,]+ messages", last)
    shown = json.loads(begin + out)
    assert shown["is_complete"] is False
    assert 0 < len(shown["rows"]) < 80_000


def test_memory_does_not_grow_with_what_is_shown(site: Site) -> None:
    process = start(site.directory, "query", "-c", "alex", "-o", "ndjson", CCSTORE_URL=site.url)
    assert process.stdout is not None
    size, peaks = 0, []
    for number, line in enumerate(process.stdout):
        size += len(line)
        if number in (COUNT // 4, COUNT - 1000):
            found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
            assert found is not None
            peaks.append(int(found[1]) * 1024)
    process.communicate(timeout=PATIENCE)
    before, behind = peaks
    assert behind - before < size / 4


def test_contexts_are_for_all_commands(site: Site, tmp_path: Path) -> None:
    (tmp_path / "ccstore").mkdir()
    path = tmp_path / "ccstore" / "client.yaml"
    path.write_text(f'current: here\ncontexts: {{here: {{url: "{site.url}", token: a.b}}}}\n')
    path.chmod(0o644)
    for command in ("stats", "clusters", "query"):
        done = site.run(command, "--json", CCSTORE_URL="", XDG_CONFIG_HOME=str(tmp_path))
        assert (done.status, done.json is not None) == (0, True)
        assert done.err == (
            f"ccstore {command}: warning: others may read {path}, and it has a token: chmod 600 {path}\n"
        )
    done = site.run("stats", "--context", "there", XDG_CONFIG_HOME=str(tmp_path))
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert f"there is no context 'there' in {path}: it has here" in done.err
