"""The documents hold: the commands in them do what they say."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from ccstore.cli import COMMANDS
from ccstore.config import load_config
from tests.support.doc_pages import PAGES, blocks, code_spans, commands, sections
from tests.support.running_daemon import ROOT, Daemon

#: Blocks of commands that are run below, by page and heading.
RUN: Final = {
    ("README.md", "Start"),
    ("README.md", "Tests"),
    ("README.md", "A tour of two minutes"),
    ("docs/api.md", "An example"),
    ("docs/reading.md", "Examples"),
    ("docs/senders.md", "Senders"),
    *(("docs/client.md", heading) for heading in ("Client", "Messages", "What there is")),
    ("docs/configuration.md", "Configuration"),
    ("docs/insight.md", "An example"),
    ("docs/install.md", "Install"),
    ("docs/operations.md", "Backup"),
    ("docs/operations.md", "Copying a store"),
    ("docs/operations.md", "Import"),
    *(("docs/retention.md", heading) for heading in ("Rules", "Holds")),
    ("docs/security.md", "Tokens"),
    *(("docs/tour.md", heading) for heading in ("Tour", "A configuration", "Send, and ask")),
    *(("docs/tour.md", heading) for heading in ("What is not stored", "The file", "Tokens", "The end")),
}
#: Those that cannot be, and why.
NOT_RUN: Final = {
    ("docs/install.md", "systemd"): "it makes a user and a service",
    ("CONTRIBUTING.md", "Set up"): "it would run these tests",
}


def run(command: str, directory: Path) -> str:
    done = subprocess.run(
        ["bash", "-c", command], cwd=directory, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def missing(*programs: str) -> str | None:
    return next((program for program in programs if shutil.which(program) is None), None)


@pytest.fixture
def ccstore(tmp_path: Path) -> str:
    """The beginning of a command in which ``ccstore`` is the one of the checkout."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "ccstore"
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m ccstore "$@"\n')
    program.chmod(0o755)
    return f'export PATH="{program.parent}:$PATH"; '


def test_every_block_of_commands_is_run_or_cannot_be() -> None:
    found = {(page, name) for page in PAGES for name, _ in sections(page) if blocks_in(page, name)}
    assert found == RUN | set(NOT_RUN)


def blocks_in(page: str, heading: str) -> bool:
    return any("```sh\n" in text for name, text in sections(page) if name == heading)


def test_every_command_and_option_that_is_named_is_there() -> None:
    helped = {
        command.name: subprocess.run(
            [sys.executable, "-m", "ccstore", command.name, "--help"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for command in COMMANDS
        if command.arguments
    }
    seen = set()
    for page, span in code_spans():
        for words in re.findall(r"(?:^|[/|&] ?)ccstore ([a-z]+(?: [^|;&>]*)?)", span):
            name, *options = words.split()
            assert name in [command.name for command in COMMANDS], f"{page}: {span}"
            seen.add(name)
            for option in re.findall(r"(?<!\S)--[a-z][a-z-]*", " ".join(options)):
                assert f"{option}=" in helped[name] or f"{option} " in helped[name], f"{page}: {span}"
    assert seen == {command.name for command in COMMANDS}


def test_every_benchmark_that_is_named_is_there() -> None:
    named: dict[str, set[str]] = {}
    for _, span in code_spans():
        found = re.search(r"python -m benchmarks ([a-z]+)(.*)", span)
        if found is not None:
            named.setdefault(found[1], set()).update(re.findall(r"--[a-z]+", found[2]))
    assert len(named) > 8
    for name, options in named.items():
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks", name, "--help"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        for option in options:
            assert option in done.stdout, f"benchmarks {name}: {option}"


def test_ci_runs_exactly_the_test_command() -> None:
    (command,) = commands("README.md", "Tests")
    script = [
        line
        for line in (ROOT / ".ci" / "run").read_text().splitlines()
        if line and not line.startswith(("#", "set ", "cd "))
    ]
    *before, last = script
    assert last == f"exec {command}"
    assert "python" not in "".join(before), "it installs a browser, and nothing else"
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "tests.yml").read_text())
    (job,) = workflow["jobs"].values()
    assert job["steps"][-1]["run"] == ".ci/run"
    setup = (ROOT / "setup.py").read_text()
    assert job["strategy"]["matrix"]["python"] == re.findall(r"Python :: (3\.\d+)", setup)


def test_the_start_command_installs_and_starts(tmp_path: Path) -> None:
    (command,) = commands("README.md", "Start")
    assert commands("docs/install.md", "Install") == [command]
    install, start = command.rsplit(" && ", 1)
    assert install.startswith("python3 -m venv")
    assert start == ".venv/bin/ccstore run"
    # What the two install is held by test_packaging.py; here, that the words are accepted.
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").symlink_to(sys.executable)
    venv = install.split(" && ")[0].replace("python3", str(tmp_path / "bin" / "python3"))
    run(venv, tmp_path)
    assert (tmp_path / ".venv" / "bin" / "python").exists()
    if missing("pip"):
        pytest.skip("no pip on this machine")
    # Also for whoever has it first on PATH already, and the second time.
    again = install.replace("install .", "--version")
    assert " from " in run(f'export PATH="{tmp_path}/.venv/bin:$PATH"; {again}', tmp_path)


def to(daemon: Daemon, command: str) -> str:
    """The same command to the ports of a daemon, and by Bash where there is no nc."""
    stream = daemon.ports["UDP" if " nc -u" in command else "TCP"]
    for port, place in (("8094", stream), ("8080", daemon.ports["HTTP"]), ("8088", daemon.ports["REST"])):
        command = command.replace(port, str(place))
    if missing("nc") is not None:
        kind = "udp" if " nc -u" in command else "tcp"
        command = re.sub(r"\| nc .* (\d+)$", rf"> /dev/{kind}/127.0.0.1/\1", command)
    return command


def test_the_tour_of_two_minutes(tmp_path: Path) -> None:
    program = missing("curl", "sqlite3")
    if program is not None:
        pytest.skip(f"no {program} on this machine")
    tour = commands("README.md", "A tour of two minutes")
    with Daemon(tmp_path, "--config", free_ports(tmp_path)) as daemon:
        said = [run(to(daemon, command), tmp_path) for command in tour]
    (by_host, all_hosts) = (json.loads(text) for text in said if text.startswith('{"results"'))
    assert events(by_host) == ['{"jobId": 69}', '{"jobId": 70}', '{"jobId": 71}']
    assert events(all_hosts) == [*events(by_host), '{"jobId": 72}']
    bad = next(json.loads(text) for text in said if '"rejected":2' in text)
    assert (bad["stored"], [line["line"] for line in bad["lines"]]) == (1, [1, 3])
    assert len(said[-1].splitlines()) == 4


def test_the_longer_tour(tmp_path: Path, ccstore: str) -> None:
    program = missing("sqlite3")
    if program is not None:
        pytest.skip(f"no {program} on this machine")
    (configuration,) = blocks("docs/tour.md", "A configuration", "yaml")
    path = tmp_path / "tour.yaml"
    path.write_text(re.sub(r"port: \d+", "port: 0", configuration))

    def step(heading: str, which: slice = slice(None)) -> list[str]:
        with_url = f"{ccstore}export CCSTORE_URL=http://127.0.0.1:{daemon.ports['REST']}; "
        lines = commands("docs/tour.md", heading)[which]
        return [run(with_url + to(daemon, line), tmp_path) for line in lines]

    with Daemon(tmp_path, "--config", path) as daemon:
        step("Tour")
        assert "is good" in step("A configuration")[0]
        assert len(daemon.log) < 16
        _, _, logs, everything = step("Send, and ask")
        assert [name in logs for name in ("a0101", "a0102", "a0103")] == [False, True, True]
        rows = json.loads(everything)["rows"]
        assert [row["event"] for row in rows if row["kind"] == "event"] == ["drained for a new disk"]
        assert [row["log"] for row in rows if row["kind"] == "log"] == ["started", "started"]
        step("What is not stored", slice(1))
        daemon.arrived("nodes", 3)
        found, stats, doctor = step("What is not stored", slice(1, None))
        assert found.endswith("  fine\n")
        assert ["nodes", "tcp", "3", "1", "1", "1", "0"] in [line.split() for line in stats.splitlines()]
        assert "are no line protocol" in doctor
        path.write_text(path.read_text().replace("7d", "30d"))
        daemon.send_signal(signal.SIGHUP)
        daemon.wait_for(r"has been read again: changed storage.retention_time")
        path.write_text(path.read_text().replace("30d", "forever"))
        daemon.send_signal(signal.SIGHUP)
        daemon.wait_for("nothing has changed")
        rows_of_logs, _ = step("The file")
        assert len(rows_of_logs.splitlines()) == 3
        assert step("Tokens")[0].startswith("jwt_public_key: ")
        assert (tmp_path / "reader.token").read_text().count(".") == 2
    run(commands("docs/tour.md", "The end")[0], tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["bin"]


@pytest.mark.parametrize("netcat", ["nc.openbsd", "nc.traditional", "ncat"])
def test_lines_are_sent_by_every_netcat(tmp_path: Path, netcat: str) -> None:
    if missing(netcat):
        pytest.skip(f"no {netcat} on this machine")
    sending = [command for command in commands("README.md", "A tour of two minutes") if "| nc " in command]
    with Daemon(tmp_path, "--config", free_ports(tmp_path)) as daemon:
        for command, stream in zip(sending, ("TCP", "UDP"), strict=True):
            run(command.replace("8094", str(daemon.ports[stream])).replace("| nc ", f"| {netcat} "), tmp_path)
            daemon.arrived(stream.lower(), 1)


def events(answer: Any) -> list[str]:
    return [row["Event"] for row in answer["results"][0][0]["data"]]


def test_the_client(tmp_path: Path, ccstore: str) -> None:
    with Daemon(tmp_path, "--config", free_ports(tmp_path)) as daemon:
        url = f"export CCSTORE_URL=http://127.0.0.1:{daemon.ports['REST']}; "
        said = [
            run(ccstore + url + command, tmp_path)
            for command in [*commands("docs/client.md", "Client"), *commands("docs/security.md", "Tokens")]
        ]
        assert "a0101  maintenance  drained" in said[2]
        assert [row["log"] for row in json.loads(said[3])["rows"]] == ["started"]
        assert ["api", "api", "2", "2", "0", "0", "0"] in [line.split() for line in said[4].splitlines()]
        assert said[5].endswith("healthy\n")
        assert said[6].startswith("jwt_public_key: ")
        errors, newest, short, _, again, quiet = (
            run(ccstore + url + command, tmp_path) for command in commands("docs/client.md", "Messages")
        )
        assert [len(text.splitlines()) for text in (errors, newest, short)] == [2, 2, 1]
        assert re.fullmatch(r"[0-9T:.-]{23}Z a0102 slurmd: started\n", short)
        head, row = (tmp_path / "slurmd.csv").read_text().splitlines()
        assert (head, row.split(",", 1)[1]) == ("time,host,level,text", "a0102,err,started")
        assert (again, quiet) == ("", "it was there\n")
        clusters, hosts, names, levels, bars, by_level = (
            run(ccstore + url + command, tmp_path) for command in commands("docs/client.md", "What there is")
        )
        assert clusters.splitlines()[1].split()[:3] == ["alex", "1", "2"]
        assert [line.split()[0] for line in hosts.splitlines()] == ["HOST", "a0101", "a0102"]
        assert [line.split()[:2] for line in names.splitlines()[1:]] == [
            ["slurmd", "2"],
            ["maintenance", "1"],
        ]
        assert json.loads(levels)["values"][0]["value"] == "err"
        assert bars.endswith("3 messages, 1h a step\n")
        assert "err" in by_level
        senders, nobody, _, told = (
            run(ccstore + url + command, tmp_path) for command in commands("docs/senders.md", "Senders")
        )
        assert [line.split()[:3] for line in senders.splitlines()[1:]] == [
            ["a0101", "api", "1"],
            ["a0102", "api", "2"],
        ]
        assert (nobody, json.loads(told)["total"]) == ("", 2)
        assert (tmp_path / "a0101.token").read_text().count(".") == 2
        if missing("curl"):
            pytest.skip("no curl on this machine")
        written, asked, ready = (
            run(to(daemon, command), tmp_path) for command in commands("docs/api.md", "An example")
        )
        assert (written, events(json.loads(asked))) == ("", ['{"jobId": 73}'])
        assert json.loads(ready)
        written, page, table, posted, histogram, levels, values, store = (
            run(to(daemon, command), tmp_path) for command in commands("docs/reading.md", "Examples")
        )
        text = "Out of memory: killed process 42"
        assert [[each["text"] for each in json.loads(found)["messages"]] for found in (page, posted)] == [
            [text]
        ] * 2
        assert text in table.splitlines()[1]
        assert json.loads(histogram)["total"] == 5
        assert "err" in [each["by"]["level"] for each in json.loads(levels)["series"]]
        assert "err" in [each["value"] for each in json.loads(values)["values"]]
        assert json.loads(store)["receivers"]


def test_jobs_and_causes(tmp_path: Path, ccstore: str) -> None:
    with Daemon(tmp_path, "--config", free_ports(tmp_path)) as daemon:
        url = f"export CCSTORE_URL=http://127.0.0.1:{daemon.ports['REST']}; "
        _, _, job, node, fold, new, before, cause, answer, on_host = (
            run(ccstore + url + to(daemon, command), tmp_path)
            for command in commands("docs/insight.md", "An example")
        )
    assert job.startswith("job 4711 of alex: user ada\n")
    assert "NVRM: Xid" in job
    assert ["4711", "ada"] in [line.split()[:2] for line in node.splitlines()]
    assert "GPU has fallen off the bus" in fold
    assert "GPU has fallen off the bus" in new
    assert json.loads(on_host)["new"] == "host"
    assert before.startswith("1 message on 1 host; 1 window of 10 minutes before them")
    assert "on 1 of 2 hosts of alex: a0102" in cause
    assert json.loads(answer)["hosts"] == {"list": "a[0101-0102]", "count": 2}


def test_retention(tmp_path: Path, ccstore: str) -> None:
    with Daemon(tmp_path, "--config", free_ports(tmp_path)) as daemon:
        url = f"export CCSTORE_URL=http://127.0.0.1:{daemon.ports['REST']}; "
        for command in commands("docs/retention.md", "Rules"):
            command = command.replace("/etc/ccstore/ccstore.yaml", "ccstore.json")
            assert "retention_time  event" in run(ccstore + url + command, tmp_path)
        added, listed, released = (
            run(ccstore + url + command, tmp_path) for command in commands("docs/retention.md", "Holds")
        )
    assert added == "hold 1\n"
    assert "cluster=alex host=a[0101-0164]" in listed
    assert "ticket 4711" in listed
    assert released == "hold 1 is released\n"


def test_operations(tmp_path: Path, ccstore: str) -> None:
    """A backup, an import into another store, and a copy of that."""
    program = missing("sqlite3")
    if program is not None:
        pytest.skip(f"no {program} on this machine")
    (tmp_path / "lines").write_text('slurmd,cluster=alex log="one"\nslurmd,cluster=alex log="two"\n')
    for name in ("old", "new"):
        storage = {"backend": {"type": "sqlite", "database_path": f"{name}.db"}}
        (tmp_path / f"{name}.yaml").write_text(json.dumps({"receivers": {}, "storage": storage}))
    (command,) = commands("docs/operations.md", "Import")
    command = command.replace("/etc/ccstore/ccstore.yaml", "old.yaml").replace("OLD.db", "lines")
    assert "2" in run(ccstore + command, tmp_path)
    (command,) = commands("docs/operations.md", "Backup")
    run(command.replace("ccstore.db", "old.db"), tmp_path)
    assert run("sqlite3 backup.db 'SELECT count(*) FROM alex_logs'", tmp_path) == "2\n"
    databases, configurations = commands("docs/operations.md", "Copying a store")
    databases = databases.replace("/var/lib/ccstore/ccstore.db", "old.db")
    # There is a PostgreSQL server in test_postgres.py; here, it is the words that matter.
    databases = re.sub(r"postgresql://\S+", "sqlite:third.db", databases)
    for command in (databases, configurations.replace("/etc/ccstore/", "")):
        assert "2" in run(ccstore + command, tmp_path)


def test_the_examples_of_the_configuration_are_good(tmp_path: Path, ccstore: str) -> None:
    for command in commands("docs/configuration.md", "Configuration"):
        assert "is good" in run(ccstore + command, ROOT)
    checked = 0
    for page, text in PAGES.items():
        for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL):
            content = yaml.safe_load(block)
            if "storage" in content:
                password = tmp_path / "password"
                password.write_text("secret")
                block = block.replace("/etc/ccstore/pg-password", str(password))
                path = tmp_path / "example.yaml"
                path.write_text(block if "receivers" in content else f"receivers: {{}}\n{block}")
                load_config(path, cwd=tmp_path, environ={})
                checked += 1
            else:
                assert content, page
    assert checked > 2


def free_ports(directory: Path) -> Path:
    """A configuration that is the default but for the ports, which are any that are free."""
    here = {"address": "127.0.0.1", "port": 0}
    configuration = {
        "receivers": {kind: {"type": kind, **here} for kind in ("tcp", "udp", "http")},
        "storage": {"backend": {"type": "sqlite", "database_path": "ccstore.db"}},
        "api": {**here, "enable_swagger_ui": True},
    }
    path = directory / "ccstore.json"
    path.write_text(json.dumps(configuration))
    return path


def test_the_systemd_unit(tmp_path: Path) -> None:
    if missing("systemd-analyze"):
        pytest.skip("no systemd-analyze on this machine")
    unit = (ROOT / "conf" / "ccstore.service").read_text()
    # The program need not be installed where the unit expects it, but systemd-analyze looks for it.
    path = tmp_path / "ccstore.service"
    path.write_text(unit.replace("/opt/ccstore/.venv/bin/ccstore", sys.executable))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
