"""The client's commands, as processes, with a real daemon."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ccstore.pipeline.router import NO_CLUSTER
from ccstore.receivers.http import BY_POST
from tests.support.certificates import certificates
from tests.support.client_commands import Site, nothing_listens, start
from tests.support.configuration import write_config
from tests.support.faulty_daemon import daemon_in
from tests.support.running_daemon import PATIENCE, Daemon, environment
from tests.support.sinks import event

#: What is said of a time that has nothing, where there is something before.
OLD = "nothing matched TIME; the newest that matches is of MOMENT: see --since"
NONE = "nothing matched TIME; the newest message of the cluster 'alex' is of MOMENT"
HERE = {"address": "127.0.0.1", "port": 0}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Daemon(tmp_path, "--config", write_config(tmp_path)) as daemon:
        yield Site(daemon)


@pytest.fixture(scope="module")
def old_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One with all receivers, and an event of two days ago."""
    directory = tmp_path_factory.mktemp("site")
    with daemon_in(directory, retention_time="100h") as daemon:
        site = Site(daemon)
        line = event("old", time=int(time.time()) - 2 * 86400)
        assert daemon.ask("POST", "/api/write", line)[0] == 200
        yield site


# -- send and query


def test_an_event_by_the_words_of_the_event_client(site: Site) -> None:
    words = ["-cluster", "alex", "-hostname=a0101", "-name", "maintenance", "-event", "This is my event"]
    assert site.run("send", *words) == (0, "", "")
    done = site.run("send", *words, "-server", "nats", "-port", "4222", "-subject", "x")
    assert done[:2] == (0, "")
    assert done.err == (
        "ccstore send: -subject, -server, -port: ignored, messages go to ccstore itself, see --url\n"
    )
    assert site.run("send", "--cluster", "alex", "--log", "a log", "--hostname", "a0102").status == 0
    done = site.run(
        "query", "--cluster", "alex", "--event", "maintenance", "--host", "a[0101-0103]", "--json"
    )
    assert (done.status, done.err) == (0, "")
    assert [(row["host"], row["event"]) for row in done.json["rows"]] == 2 * [("a0101", "This is my event")]
    done = site.run("query", "-c", "alex", "-k", "log", "-H", "a[0101-0103]")
    head, row = done.out.splitlines()
    assert head.split() == ["TIME", "HOST", "NAME", "TEXT"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d  a0102  myevent  a log", row)


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        ("--cluster nope", 1, "there is no cluster 'nope'"),
        ("--cluster Alex", 1, "there is no cluster 'Alex', but 'alex'"),
        ("--cluster alxe", 1, "there is no cluster 'alxe', the nearest is 'alex'"),
        ("--cluster alex --host a000*", 0, "the cluster 'alex' has no message of the host 'a000*'"),
        (
            "--cluster alex --host A101",
            1,
            "the cluster 'alex' has no message of the host 'A101', but 'a0101'",
        ),
        ("--host A101", 1, "the store has no message of the host 'A101', but 'a0101'"),
        (
            "--cluster alex --host a0101.hpc.example,b2",
            1,
            "the cluster 'alex' has no message of the host 'a0101.hpc.example' or any other of these, but"
            " 'a0101'",
        ),
        ("--cluster alex --host b2", 0, "there is no host 'b2'"),
        (
            "--cluster alex --kind event --event Job",
            1,
            "the cluster 'alex' has no event of the name 'Job', but 'job'",
        ),
        ("--cluster alex --kind log", 0, "the cluster 'alex' has no logs, only events: see --kind"),
        ("--cluster alex --host a[0100-0102] --event job --to -1h", 0, OLD),
        ("--cluster alex --host a01* --tag no=thing", 0, NONE),
        ("--cluster alex -g nothing", 0, NONE),
        ("--cluster alex -g old", 0, OLD),
        ("--cluster alex --tag hostname=a0101 --regex ^old", 0, OLD),
        ("--cluster alex --since 2001-01-01 --to 2001-01-02 -g old", 0, OLD.replace("since", "until")),
        ("--cluster alex --json --host b2", 0, "there is no host 'b2'"),
        ("--cluster alex --quiet", 1, None),
        ("--cluster alex --quiet --since -3d", 0, None),
    ],
)
def test_what_there_is_nothing_of_is_said(old_site: Site, words: str, status: int, says: str | None) -> None:
    done = old_site.run("query", *words.split())
    assert done.status == status
    if says and "MOMENT" in says:
        moment = "[0-9-]{10} [0-9:.]{12}[+0-9:-]{6}"
        span = f"(in the last 24 hours|from {moment} to {moment})"
        pattern = says.replace("TIME", span).replace("MOMENT", moment)
        assert re.fullmatch(f"ccstore query: {pattern}\n", done.err)
    else:
        assert done.err == (f"ccstore query: {says}\n" if says else "")
    assert done.out == "" or done.json["rows"] == []


@pytest.mark.parametrize("line", ["HTTP", "TCP"])
def test_at_the_port_of_a_receiver(old_site: Site, line: str) -> None:
    url = f"http://127.0.0.1:{old_site.daemon.ports[line]}"
    before = old_site.daemon.stats()["receivers"]
    hint = "is it the REST interface, and not a receiver? See --url"
    words = ["--url", url, "--timeout", "500ms"]
    for command in (["query", "--cluster", "alex"], ["stats"], ["doctor"]):
        done = old_site.run(*command, *words)
        says = (
            f"{url} says 405: {BY_POST}; {hint}"
            if line == "HTTP"
            else f"{url} says 400: this is HTTP, and this port takes lines as they are: POST them to a"
            " receiver of type http"
        )
        assert done == (2, "", f"ccstore {command[0]}: {says}\n")
    done = old_site.run("send", *words, "--cluster", "alex", "--event", "x", "--json")
    after = old_site.daemon.stats()["receivers"]
    if line == "HTTP":
        assert (done.status, done.json["accepted"]) == (0, 1)
        assert (after["http"]["stored"], after["http"]["rejected"]) == (before["http"]["stored"] + 1, {})
    else:
        # A body would be taken for lines, and stored by somebody who cannot say so.
        assert (done.status, done.json["failed"]) == (2, 0)
        assert done.err == f"ccstore send: {says}\n"
        assert after["tcp"]["stored"] == before["tcp"]["stored"]


def test_at_the_port_of_something_else(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        process = start(tmp_path, "stats", "--url", url)
        with closing(listening.accept()[0]) as connection:
            connection.sendall(b'INFO {"server_id":"N"}\r\n')
            _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert err.decode().startswith(
        f"ccstore stats: what listens at {url} does not speak HTTP: is it the REST"
    )


def test_only_printing_needs_no_daemon(tmp_path: Path) -> None:
    process = start(tmp_path, "send", "-print", "-cluster", "c", "-hostname", "h", "-event", "x")
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (0, b"")
    assert re.fullmatch(rb'myevent,cluster=c,hostname=h event="x" \d{19}\n', out)


def test_lines_from_standard_input(site: Site) -> None:
    now = int(time.time())
    lines = [
        b"# a comment",
        event("a", time=now - 2),
        b"bad",
        event("b\nc", time=now - 1),
        event("d", cluster=None),
    ]
    done = site.run("send", stdin=b"\n".join(lines))
    assert done.status == 1
    assert done.err.splitlines() == [
        "ccstore send: line 3, column 4: no field",
        f"ccstore send: line 6, column 1: {NO_CLUSTER}",
        "ccstore send: 2 lines accepted, 2 rejected",
    ]
    done = site.run(
        "send", "--cluster", "alex", "--precision", "ms", "--json", stdin=event("e", cluster=None)
    )
    assert (done.status, done.json["accepted"], done.err) == (0, 1, "")
    rows = site.run("query", "-c", "alex", "-n", "2", "-j").json["rows"]
    assert [row["event"] for row in rows] == ["b\nc", "e"]


def test_nothing_from_standard_input(site: Site) -> None:
    assert site.run("send") == (0, "", "ccstore send: 0 lines accepted\n")


def test_much_is_sent_with_little_memory(site: Site) -> None:
    text = "x" * 1000
    process = start(site.directory, "send", CCSTORE_URL=site.url)
    assert process.stdin is not None
    assert process.stderr is not None
    count = 80_000
    with process.stdin:
        for number in range(count):
            process.stdin.write(f'm,cluster=alex,hostname=a{number % 100} event="{number} {text}"\n'.encode())
        # Not what the system says at its end: that counts this process, of which it is a copy, too.
        status = Path(f"/proc/{process.pid}/status").read_text()
    err = process.stderr.read()
    process.stderr.close()
    assert process.stdout is not None
    process.stdout.close()
    assert (process.wait(), err) == (0, b"ccstore send: 80,000 lines accepted\n")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    assert int(found[1]) < 130 * 1024
    stats = site.run("stats", "--json").json
    assert stats["receivers"]["api"]["stored"] == count


def test_what_is_typed_is_sent_though_the_end_is_not_there(site: Site) -> None:
    process = start(site.directory, "send", CCSTORE_URL=site.url)
    assert process.stdin is not None
    for number in (1, 2):
        process.stdin.write(event("a") + b"\n" + event("half a line")[:5] * (number - 1))
        process.stdin.flush()
        # The second is only sent when the first is answered.
        site.daemon.arrived("api", number)
    process.send_signal(signal.SIGINT)
    process.wait(PATIENCE)  # before its input ends, which would complete the last line
    _, err = process.communicate()
    # By the signal: a shell shows 130.
    assert process.returncode == -signal.SIGINT
    said = err.decode().replace("ccstore send: ", "").splitlines()
    assert said in (
        ["2 lines accepted", "interrupted"],
        # The answer may still be on its way.
        [
            "lines 2 to 2: interrupted before the answer; they may be stored or not",
            "1 lines accepted, 1 failed",
            "interrupted",
        ],
    )


def test_a_daemon_that_ends_in_the_middle(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    with Daemon(tmp_path, "--config", config) as daemon:
        site = Site(daemon)
        process = start(tmp_path, "send", "--retries", "0", CCSTORE_URL=site.url)
        assert process.stdin is not None
        process.stdin.write(event("a") + b"\n")
        process.stdin.flush()
        daemon.arrived("api", 1)
        daemon.stop()
        _, err = process.communicate(event("b") + b"\n" + event("c") + b"\n", timeout=PATIENCE)
    assert process.returncode == 2
    assert err.decode().splitlines() == [
        "ccstore send: 1 lines accepted",
        f"ccstore send: nothing listens at {site.url}: connection refused; nothing from line 2 on was stored",
    ]


def test_a_progress_bar_on_a_terminal(site: Site) -> None:
    path = site.directory / "lines"
    path.write_bytes(b"".join(event(f"{number}") + b"\n" for number in range(20_000)))
    ours, theirs = os.openpty()
    with path.open("rb") as lines:
        process = subprocess.Popen(
            [sys.executable, "-m", "ccstore", "send"],
            cwd=site.directory,
            env=environment(CCSTORE_URL=site.url),
            stdin=lines,
            stdout=subprocess.DEVNULL,
            stderr=theirs,
        )
        os.close(theirs)
        said = b""
        try:
            while piece := os.read(ours, 65536):
                said += piece
        except OSError:
            pass  # what Linux says at the end of a terminal
        os.close(ours)
        assert process.wait(PATIENCE) == 0
    assert b"\r\x1b[K" in said
    assert said.rstrip().endswith(b"ccstore send: 20,000 lines accepted")


# -- what goes wrong


def test_nobody_answers(tmp_path: Path) -> None:
    url = nothing_listens()
    for words in (
        ["stats"],
        ["query", "-c", "x"],
        ["query", "-f"],
        ["query", "-q"],
        ["hosts"],
        ["send", "-cluster", "c", "-event", "x"],
        ["doctor"],
    ):
        process = start(tmp_path, *words, "--url", url)
        out, err = process.communicate(timeout=PATIENCE)
        assert (process.returncode, out) == (2, b"")
        said = f"ccstore {words[0]}: nothing listens at {url}: connection refused\n"
        assert err.decode().endswith(said)
        assert err.count(b"\n") <= 2


def test_wrong_options_are_one_line(tmp_path: Path) -> None:
    for words in (
        ["stats", "--nope"],
        ["query", "-c", ""],
        ["query", "x"],
        ["values"],
        ["send", "-event", "x"],
        ["token"],
        ["doctor", "x"],
    ):
        process = start(tmp_path, *words)
        out, err = process.communicate(timeout=PATIENCE)
        assert (process.returncode, out, err.count(b"\n")) == (2, b"", 1), err
        assert err.startswith(f"ccstore {words[0]}: ".encode())
        assert f"`ccstore {words[0]} --help` lists the options".encode() in err


def test_the_help_text_has_the_exit_statuses(tmp_path: Path) -> None:
    for command in ("send", "query", "clusters", "hosts", "values", "histogram", "stats", "doctor", "token"):
        process = start(tmp_path, command, "--help")
        out, _ = process.communicate(timeout=PATIENCE)
        words = " ".join(out.decode().split())
        assert process.returncode == 0
        assert words.startswith(f"Usage: ccstore {command} ")
        statuses = "2 The options are wrong, or" if command == "token" else "1 The daemon answered, but"
        assert f"Exit status: 0 All is well. {statuses}" in words


def test_a_reader_who_has_enough(site: Site) -> None:
    site.run("send", stdin=b"\n".join(event(f"{number} {'x' * 500}") for number in range(2000)))
    command = f"{sys.executable} -m ccstore query -c alex | head -n 2"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=site.directory,
        env=environment(CCSTORE_URL=site.url),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert (len(done.stdout.splitlines()), done.stderr) == (2, "")


# -- tokens and TLS


def test_keys_and_tokens(tmp_path: Path) -> None:
    done = start(tmp_path, "token", "--new-key", "key").communicate(timeout=PATIENCE)[0].decode()
    found = re.fullmatch(r'jwt_public_key: "([A-Za-z0-9+/=]{44})"\n', done)
    assert found is not None, done
    for name, mode in (("key", 0o600), ("key.pub", 0o644)):
        assert (tmp_path / name).stat().st_mode & 0o777 == mode
    assert (tmp_path / "key.pub").read_text() == found[1] + "\n"
    before = (tmp_path / "key").read_bytes()
    process = start(tmp_path, "token", "--new-key", "key")
    assert b"cannot make key: it is there already" in process.communicate(timeout=PATIENCE)[1]
    assert (process.returncode, (tmp_path / "key").read_bytes()) == (2, before)

    def token(*words: str) -> dict[str, Any]:
        out = start(tmp_path, "token", "--key", "key", *words).communicate(timeout=PATIENCE)[0].decode()
        (tmp_path / "token").write_text(out)
        public = Ed25519PublicKey.from_public_bytes(b64decode(found[1]))
        claims: dict[str, Any] = jwt.decode(out.strip(), public, algorithms=["EdDSA"])
        return claims

    now = time.time()
    claims = token("--subject", "node", "--roles", "read,write", "--expires", "2d")
    assert (claims["sub"], claims["roles"]) == ("node", ["read", "write"])
    assert abs(claims["exp"] - now - 2 * 86400) < PATIENCE
    assert "exp" not in token("--expires", "0")

    # The daemon takes what was made for it.
    config = write_config(tmp_path, api={"jwt_public_key_file": "key.pub"})
    with Daemon(tmp_path, "--config", config) as daemon:
        site = Site(daemon)
        done = site.run("stats", "--token-file", "token")
        assert (done.status, done.err) == (0, "")
        assert site.run("stats", CCSTORE_TOKEN=(tmp_path / "token").read_text()).status == 0
        done = site.run("send", stdin=event("a"))
        assert (done.status, done.err.splitlines()[-1]) == (
            2,
            f"ccstore send: {site.url} says 401: a token is required, as 'Authorization: Bearer TOKEN' or"
            " 'X-Auth-Token: TOKEN'; give one by --token-file or $CCSTORE_TOKEN",
        )
        done = site.run("query", "-c", "alex", CCSTORE_TOKEN="a.b.c")
        assert done.status == 2
        assert f"{site.url} says 401: the token is not valid" in done.err


@pytest.mark.parametrize("length", [32, 64])
def test_a_key_as_go_programs_have_it(tmp_path: Path, length: int) -> None:
    key = Ed25519PrivateKey.generate()
    raw = key.private_bytes_raw() + key.public_key().public_bytes_raw()
    (tmp_path / "key").write_bytes(b64encode(raw[:length]) + b"\n")
    out, _ = start(tmp_path, "token", "--key", "key").communicate(timeout=PATIENCE)
    assert "iat" in jwt.decode(out.decode().strip(), key.public_key(), algorithms=["EdDSA"])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "of 32 or 64 bytes, got 0 bytes"),
        (b"not base64!", "--key: expected a private Ed25519 key in key, PEM or base64"),
        (b"AAAA" * 21 + b"AA==", "got 64 bytes whose halves do not belong together"),
        (b"-----BEGIN PRIVATE KEY-----\nAA\n-----END PRIVATE KEY-----\n", "got one that cannot be read"),
    ],
)
def test_what_is_no_key(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "key").write_bytes(content)
    process = start(tmp_path, "token", "--key", "key")
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, err.count(b"\n")) == (2, b"", 1)
    assert said in err.decode()


def test_tls_with_a_ca_and_a_certificate_of_our_own(tmp_path: Path) -> None:
    certificates(tmp_path)
    keys = {"tls_certificate": "server.pem", "tls_key": "server.key", "tls_client_ca": "ca.pem"}
    with Daemon(tmp_path, "--config", write_config(tmp_path, api=keys)) as daemon:
        site = Site(daemon, "https")
        ours = ["--ca", "ca.pem", "--cert", "client.pem", "--key", "client.key"]
        assert site.run("stats", *ours).status == 0
        assert site.run("send", *ours, stdin=event("a")) == (0, "", "ccstore send: 1 lines accepted\n")
        for words, said in (
            ([], "its certificate is not signed by anybody who is trusted here; see --ca"),
            (
                ["--ca", "stranger.pem"],
                "its certificate is not signed by anybody who is trusted here; see --ca",
            ),
            (["--ca", "ca.pem"], "certificate"),
            (["--ca", "ca.pem", "--cert", "stranger.pem", "--key", "stranger.key"], "certificate"),
            (
                ["--ca", "ca.pem", "--cert", "client.pem", "--key", "server.key"],
                "--key: expected the private key",
            ),
        ):
            done = site.run("stats", *words)
            assert (done.status, done.out, done.err.count("\n")) == (2, "", 1), done.err
            assert said in done.err
        # A name that is not in the certificate, which has only the address.
        port = daemon.ports["REST"]
        done = site.run("stats", *ours, "--url", f"https://localhost:{port}")
        assert done.status == 2
        assert "is another's, not that of its host name" in done.err
        done = site.run("stats", "--url", f"http://127.0.0.1:{port}", "--timeout", "5s")
        assert (done.status, done.err.count("\n")) == (2, 1)


def test_statistics(site: Site) -> None:
    site.run("send", stdin=event("a") + b"\nbad")
    done = site.run("stats")
    assert done.status == 0
    rows = [line.split() for line in done.out.splitlines()]
    assert ["api", "api", "2", "1", "1", "0", "0"] in rows
    assert ["api", "rejected", "malformed", "1"] in rows
    assert site.run("stats", "--json").json["receivers"]["api"]["rejected"] == {"malformed": 1}
