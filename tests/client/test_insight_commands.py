"""The commands about jobs, nodes and causes, as processes, with a real daemon."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ccstore.instants import show_moment
from tests.support.client_commands import Site
from tests.support.faulty_daemon import daemon_in
from tests.support.job_lines import BEGIN, HOUR, MINUTE, log, start_job, stop_job
from tests.support.pty_commands import COLUMNS, Terminal


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One with a job of two nodes, of which one goes down."""
    lines = [
        start_job(4711, ["a0101", "a0102"], BEGIN, partition="gpu"),
        *[
            log(f"a01{host:02}", f"check {host} ok", BEGIN + number * MINUTE)
            for host in range(1, 9)
            for number in range(60)
        ],
        log(
            "a0102",
            f"EDAC MC0: 1 UE \x1b[31mmemory error{' of this channel' * 9}",
            BEGIN + 30 * MINUTE,
            name="kernel",
        ),
        log(
            "adm1", f"node a0102 reason set to: {'all is broken ' * 9}", BEGIN + 32 * MINUTE, name="slurmctld"
        ),
        log("adm1", "error: Nodes a0102 not responding, setting DOWN", BEGIN + 33 * MINUTE, name="slurmctld"),
        stop_job(4711, BEGIN + HOUR, state="node_fail"),
    ]
    with daemon_in(tmp_path_factory.mktemp("site"), retention_time="100h") as daemon:
        assert daemon.ask("POST", "/api/write?precision=ns", b"\n".join(lines))[0] == 200
        yield Site(daemon)


def test_a_job(site: Site) -> None:
    done = site.run("job", "4711", "--utc")
    assert (done.status, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == "job 4711 of alex: user ada, project hpc, partition gpu, name simulation"
    assert lines[1].endswith("(60 minutes), node_fail (stopped)")
    assert lines[2] == "  2 hosts: a[0101-0102]"
    unusual = lines[lines.index("Unusual") + 2]
    assert "a0102" in unusual
    assert "EDAC MC" in unusual
    assert "\x1b" not in done.out
    assert "that other nodes said as often, see --all" in lines[-1]
    everything = site.run("job", "4711", "--all", "--cluster", "alex")
    assert "check <num> ok" in everything.out
    assert site.run("job", "4711", "--json").json["hosts"]["count"] == 2


def test_a_node(site: Site) -> None:
    done = site.run("node", "a0102", "--utc")
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("a0102 of alex: rack a01\n")
    (down,) = [line.split() for line in done.out.splitlines() if line.startswith("down ")]
    assert down[-1] == "4711"
    assert "Alone in its rack (7 others), last day" in done.out
    assert ["4711", "ada", "node_fail"] in [line.split()[:3] for line in done.out.splitlines()]


def test_a_job_is_held(site: Site) -> None:
    added = site.run("hold", "add", "--job", "4711", "--reason", "why it failed", "--who", "eve")
    assert added.out == "hold 1\n"
    (held,) = site.run("hold", "list").out.splitlines()[1:]
    begins, ends = show_moment(BEGIN), show_moment(BEGIN + HOUR + MINUTE)
    # With the host of the events that tell of it.
    assert f" host=a[0101-0102] host=adm1 from={begins} cluster=alex to={ends} " in held
    assert "eve" in held
    assert "why it failed" in held
    assert site.run("hold", "release", "1").out == "hold 1 is released\n"
    unknown = site.run("hold", "add", "--job", "4712", "--reason", "none")
    assert unknown.status > 0
    assert "no event tells of job 4712" in unknown.err


def test_what_comes_before_and_what_hosts_have_in_common(site: Site) -> None:
    done = site.run("before", "--grep", "setting DOWN")
    assert done.status == 0
    assert "EDAC MC" in done.out.splitlines()[2]
    done = site.run("cause", "--grep", "not responding", "--since", "-3d")
    assert "on 1 of 9 hosts of alex: a0102" in done.out


@pytest.mark.parametrize(
    ("words", "heading"),
    [
        (["job", "4711", "--all"], "Unusual"),
        (["node", "a0102"], "States"),
        (["before", "--grep", "setting DOWN"], "BEFORE"),
        (["cause", "--grep", "memory error", "--since", "-3d"], "1 message from"),
    ],
)
def test_it_fits_on_a_terminal(site: Site, words: list[str], heading: str) -> None:
    with Terminal(site.directory, *words, CCSTORE_URL=site.url) as shown:
        assert shown.end() == 0
    lines = shown.shown.splitlines()
    assert any(line.startswith(heading) for line in lines), lines
    assert max(map(len, lines)) == COLUMNS
    assert any(line.endswith("…") or "…  " in line for line in lines)
    # What is read by programs is not cut.
    assert max(map(len, site.run(*words).out.splitlines())) > COLUMNS


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["job"], "expected the number of a job, such as 1234567, 12_3 or 12+1, got nothing"),
        (["job", "4712"], "says 404: no event tells of job 4712; the nearest is 4711"),
        (["job", "4711", "--at", "soon"], "--at: expected a time"),
        (["node", "a0999"], "says 404: there is no host 'a0999'"),
        (["before"], "expected --grep, --regex or --template, to say which messages, got none"),
        (["cause", "--grep", "x", "--window", "1y"], "says 400: window: "),
    ],
)
def test_a_mistake(site: Site, words: list[str], said: str) -> None:
    done = site.run(*words)
    assert (done.status, done.out) == (2, "")
    assert said in done.err


def test_nothing_is_found(site: Site) -> None:
    done = site.run("cause", "--grep", "no such thing")
    assert (done.status, done.out) == (1, "")
    assert "there is no such message since" in done.err


def test_nothing_is_folded(site: Site) -> None:
    done = site.run("fold", "--utc")
    assert (done.status, done.out) == (0, "")
    assert "ccstore fold: nothing matched in the last 24 hours; the newest that matches is of 20" in done.err
    assert "see --since" in done.err
    assert site.run("fold", "--new", "store").err == ""
    assert site.run("fold", "--since", "-3000d").err == ""
