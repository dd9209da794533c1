"""The README's commands do what it says, and the files in conf/ are good."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import ROOT, Daemon

README = (ROOT / "README.md").read_text("utf-8")


def commands(heading: str) -> list[str]:
    """The shell commands of a section, one for each line of its code blocks."""
    section = README.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return [
        line for block in re.findall(r"```sh\n(.*?)```", section, re.DOTALL) for line in block.splitlines()
    ]


def run(command: str, directory: Path) -> str:
    done = subprocess.run(
        ["bash", "-c", command], cwd=directory, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def missing(*programs: str) -> str | None:
    return next((program for program in programs if shutil.which(program) is None), None)


def test_ci_runs_exactly_the_test_command() -> None:
    (command,) = commands("Tests")
    script = [
        line
        for line in (ROOT / ".ci" / "run").read_text().splitlines()
        if line and not line.startswith(("#", "set ", "cd "))
    ]
    assert script == [f"exec {command}"]


def test_the_start_command_installs_and_starts(tmp_path: Path) -> None:
    (command,) = commands("Start")
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


def test_the_tour(tmp_path: Path) -> None:
    program = missing("curl", "sqlite3")
    if program is not None:
        pytest.skip(f"no {program} on this machine")
    tour = commands("A tour of two minutes")
    netcat = missing("nc") is not None
    said: list[str] = []
    with Daemon(tmp_path, "--config", free_ports(tmp_path)) as daemon:
        for command in tour:
            stream = daemon.ports["UDP" if " nc -u" in command else "TCP"]
            for port, place in (
                ("8094", stream),
                ("8080", daemon.ports["HTTP"]),
                ("8088", daemon.ports["REST"]),
            ):
                command = command.replace(port, str(place))
            if netcat:
                # Bash can do what nc does here.
                kind = "udp" if " nc -u" in command else "tcp"
                command = re.sub(r"\| nc .* (\d+)$", rf"> /dev/{kind}/127.0.0.1/\1", command)
            said.append(run(command, tmp_path))
    (by_host, all_hosts) = (json.loads(text) for text in said if text.startswith('{"results"'))
    assert events(by_host) == ['{"jobId": 69}', '{"jobId": 70}', '{"jobId": 71}']
    assert events(all_hosts) == [*events(by_host), '{"jobId": 72}']
    bad = next(json.loads(text) for text in said if '"rejected":2' in text)
    assert (bad["stored"], [line["line"] for line in bad["lines"]]) == (1, [1, 3])
    assert len(said[-1].splitlines()) == 4


@pytest.mark.parametrize("netcat", ["nc.openbsd", "nc.traditional", "ncat"])
def test_lines_are_sent_by_every_netcat(tmp_path: Path, netcat: str) -> None:
    if missing(netcat):
        pytest.skip(f"no {netcat} on this machine")
    sending = [command for command in commands("A tour of two minutes") if "| nc " in command]
    with Daemon(tmp_path, "--config", free_ports(tmp_path)) as daemon:
        for command, stream in zip(sending, ("TCP", "UDP"), strict=True):
            run(command.replace("8094", str(daemon.ports[stream])).replace("| nc ", f"| {netcat} "), tmp_path)
            daemon.arrived(stream.lower(), 1)


def events(answer: Any) -> list[str]:
    return [row["Event"] for row in answer["results"][0][0]["data"]]


def test_the_client(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "ccstore"
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m ccstore "$@"\n')
    program.chmod(0o755)
    said: dict[str, str] = {}
    with Daemon(tmp_path, "--config", free_ports(tmp_path)) as daemon:
        url = f"http://127.0.0.1:{daemon.ports['REST']}"
        for command in commands("Client"):
            said[command] = run(
                f'export PATH="{program.parent}:$PATH" CCSTORE_URL={url}; {command}', tmp_path
            )
        answers = list(said.values())
        assert "a0101  drained" in answers[2]
        assert [row["log"] for row in json.loads(answers[3])["rows"]] == ["started"]
        assert ["api", "api", "2", "2", "0", "0", "0"] in [line.split() for line in answers[4].splitlines()]
        assert answers[5].endswith("healthy\n")
        assert answers[6].startswith("jwt_public_key: ")
        assert (tmp_path / "a0101.token").read_text().count(".") == 2
        # Each figure that the section names is there.
        section = README.split("## Client\n", 1)[1].split("\n## ", 1)[0]
        metrics = daemon.ask("GET", "/metrics")[1].decode()
        for name in re.findall(r"`(ccstore_\w+)`", section):
            if name not in ("ccstore_lines_rejected_total", "ccstore_lines_dropped_total"):
                assert f"\n{name}{{" in metrics


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


def test_every_dependency_is_in_the_table() -> None:
    table = README.split("## Dependencies\n", 1)[1].split("\n## ", 1)[0].lower()
    setup = (ROOT / "setup.py").read_text()
    listed = re.findall(
        r'^    "([A-Za-z][\w.-]*)', setup.split("INSTALL = [")[1].split("TEST = [")[0], re.MULTILINE
    )
    assert len(listed) > 10
    for name in listed:
        assert f"[{name.lower()}]" in table, name


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
