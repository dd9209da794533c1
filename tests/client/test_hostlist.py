"""Host lists, moments and tables: what people write and read."""

from __future__ import annotations

import time
from datetime import timezone

import pytest
from ClusterShell.NodeSet import NodeSet, NodeSetException
from ClusterShell.NodeSet import expand as nodeset
from hypothesis import given
from hypothesis import strategies as st

from ccstore.client.table import table
from ccstore.hostlist import MOST, expand, fold
from ccstore.instants import parse_moment
from ccstore.times import show_span

NOW = 1_700_000_000 * 10**9


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("a0101", "a0101"),
        ("a1,b2", "a1 b2"),
        ("a[0101-0103,0200]", "a0101 a0102 a0103 a0200"),
        ("a[08-11]", "a08 a09 a10 a11"),
        ("a[8-11]", "a8 a9 a10 a11"),
        ("r[1-2]n[01-02]x", "r1n01x r1n02x r2n01x r2n02x"),
        ("a[1-2],login1,b[3]", "a1 a2 login1 b3"),
        ("a1,a[1-2],a2", "a1 a2"),
        ("[0-3]", "0 1 2 3"),
        ("0,1,2", "0 1 2"),
    ],
)
def test_hosts(text: str, hosts: str) -> None:
    assert expand(text) == hosts.split()


@pytest.mark.parametrize(
    "text",
    ["", ",", "a,", "a,,b", "a[", "a[1", "a]1", "a[]", "a[1-]", "a[x]", "a[3-1]", "a[[1]]", "a[1]]", "a[-1]"],
)
def test_what_is_no_host_list(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        expand(text)


@pytest.mark.parametrize(
    "text",
    [
        "a[0-999999999999999999]",
        "[0-999][0-999]",
        "a[1-6000],b[1-6000]",
        # Each of them has few, and all of them the same: they count as often as they are given.
        ",".join(["a[1-9999]"] * 10**4),
        f"a[{','.join(['0-9999'] * 10**4)}]",
        ",".join(map(str, range(MOST + 1))),
        f"a[{','.join(map(str, range(MOST + 1)))}]",
    ],
)
def test_a_list_that_never_ends_is_refused_at_once(text: str) -> None:
    with pytest.raises(ValueError, match=f"at most {MOST} hosts, got more by"):
        expand(text)


def test_lists_that_belong_together_are_counted_together() -> None:
    assert len(expand("a[1-9]", before=MOST - 9)) == 9
    for text in ("a[1-10]", "a1,a2,a3,a4,a5,a6,a7,a8,a9,b"):
        with pytest.raises(ValueError, match=f"at most {MOST} hosts"):
            expand(text, before=MOST - 9)


# -- as ClusterShell's nodeset has it


def padded(numbers: list[int], width: int) -> list[str]:
    return [f"{number:0{width}}" for number in numbers]


#: Numbers with some padding, and names around one or two of them.
NUMBERS = st.builds(padded, st.lists(st.integers(0, 150), min_size=1, max_size=30), st.integers(1, 5))
HOSTS = st.one_of(
    st.builds(lambda numbers: [f"a{each}" for each in numbers], NUMBERS),
    st.builds(lambda numbers: [f"login{each}x" for each in numbers], NUMBERS),
    st.builds(
        lambda racks, nodes: [f"r{rack}n{node}" for rack in racks[:5] for node in nodes], NUMBERS, NUMBERS
    ),
    st.just(["login"]),
)


@given(st.lists(HOSTS, min_size=1, max_size=3))
def test_what_nodeset_folds_is_expanded_to_the_same_hosts(parts: list[list[str]]) -> None:
    hosts = {host for part in parts for host in part}
    folded = str(NodeSet.fromlist(hosts))
    found = expand(folded)
    assert len(found) == len(hosts)
    assert {*found} == hosts


RANGE = st.builds(
    lambda first, more, width: f"{first:0{width}}" + (f"-{first + more:0{width}}" if more else ""),
    st.integers(0, 200),
    st.integers(0, 40),
    # The last number must have as many digits as the first one if that is padded, see below.
    st.sampled_from([1, 3, 5]),
)
LIST = st.lists(
    st.one_of(
        st.builds(lambda ranges: f"a[{','.join(ranges)}]", st.lists(RANGE, min_size=1, max_size=4)),
        st.builds(lambda one, two: f"r[{one}]n[{two}]-ib", RANGE, RANGE),
        st.builds("b{}".format, st.integers(0, 99)),
    ),
    min_size=1,
    max_size=4,
).map(",".join)


@given(LIST)
def test_a_list_has_the_hosts_that_nodeset_expands_it_to(text: str) -> None:
    found = expand(text)
    assert {*found} == {*nodeset(text)}
    assert len(found) == len({*found})


@pytest.mark.parametrize(
    "text",
    [
        "a[01-10]",
        "a[0101-0110,0200],login1",
        "a[8-11,08-11,008]",
        "r[1-2]n[01-02]x,r2n01x",
        "a[1-2]-[3-4]",
        "a5[1-2]",
        "[0-3]",
        "a[ 1 , 3-4 ]",
    ],
)
def test_the_same_as_nodeset(text: str) -> None:
    assert sorted(expand(text)) == sorted(nodeset(text))


@pytest.mark.parametrize(
    ("text", "ours", "theirs"),
    [
        # The last number may need more digits than the first one has, as Slurm takes it.
        ("a[08-100]", 93, None),
        # Two ranges side by side.
        ("a[0-1][2-3]", 4, None),
        # Every character but "," and brackets may be in a name: there are no operators and no groups.
        ("a[1-5]!a3", 5, 4),
        ("@login", 1, 0),
        # Spaces belong to the name outside of brackets, as they may to the value of a tag.
        ("a1, a1", 2, 1),
    ],
)
def test_where_nodeset_differs_on_purpose(text: str, ours: int, theirs: int | None) -> None:
    assert len(expand(text)) == ours
    if theirs is None:
        with pytest.raises(NodeSetException):
            nodeset(text)
    else:
        assert len(nodeset(text)) == theirs


def test_steps_are_not_taken() -> None:
    """Slurm has none; they are refused, and not taken for something else."""
    assert nodeset("a[1-5/2]") == ["a1", "a3", "a5"]
    with pytest.raises(ValueError, match="expected numbers"):
        expand("a[1-5/2]")


@given(st.lists(st.integers(0, 9999), min_size=1, max_size=20, unique=True))
def test_a_list_of_numbers_is_what_it_says(numbers: list[int]) -> None:
    names = [f"{number:04}" for number in numbers]
    assert expand(f"n[{','.join(names)}]") == [f"n{name}" for name in names]


@given(st.text("a[]-,019 ", max_size=12))
def test_anything_is_a_list_or_an_error(text: str) -> None:
    try:
        hosts = expand(text)
    except ValueError:
        return
    assert hosts
    assert not any(set("[],") & set(host) for host in hosts)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("now", 1_700_000_000),
        ("-1h", 1_699_996_400),
        ("-1h30m", 1_699_994_600),
        ("-2d", 1_699_827_200),
        ("-1d12h", 1_699_870_400),
        ("-1w", 1_699_395_200),
        ("-12h1d", 1_699_870_400),
        ("1700000001", 1_700_000_001),
        ("0", 0),
        ("2023-11-14T22:13:20Z", 1_700_000_000),
        ("2023-11-14T23:13:20+01:00", 1_700_000_000),
        ("2023-11-14t22:13:20.75z", 1_700_000_000.75),
        ("2023-11-14 22:13 +0000", 1_699_999_980),
        ("2023-11-14Z", 1_699_920_000),
        ("1700000001123", 1_700_000_001.123),
        ("today", 1_699_920_000),
        ("yesterday", 1_699_833_600),
        ("09:30", 1_699_954_200),
    ],
)
def test_moments(text: str, moment: float) -> None:
    assert parse_moment(text, NOW, timezone.utc) == int(moment * 1000) * 10**6


def test_a_moment_without_an_offset_is_local() -> None:
    local = time.mktime((2023, 11, 14, 22, 13, 20, 0, 0, -1))
    assert parse_moment("2023-11-14T22:13:20", NOW) == local * 10**9


@pytest.mark.parametrize(
    "text",
    ["", "the day before", "1h", "-1", "-", "2023-13-01T00:00:00Z", "2023-11-14T22", "1e9", "-1x", "9" * 21],
)
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(ValueError, match="expected a time"):
        parse_moment(text, NOW)


def test_spans() -> None:
    spans = (1, 119, 121, 7201, 2 * 86400, 3 * 365 * 86400)
    assert [show_span(seconds) for seconds in spans] == [
        "1 seconds",
        "119 seconds",
        "2 minutes",
        "2 hours",
        "2 days",
        "3 years",
    ]


def test_tables() -> None:
    assert table(["NAME", "N"], [["a", 1], ["long name", 1000]]) == (
        "NAME          N\na             1\nlong name  1000\n"
    )
    assert table(["A"], []) == "A\n"


def test_nothing_in_a_table_reaches_the_terminal_as_a_command() -> None:
    assert table(["TEXT"], [["\x1b[2J a\nb"]]) == "TEXT\n\\x1b[2J a\\nb\n"


@pytest.mark.parametrize(
    ("hosts", "text"),
    [
        ("", ""),
        ("a0101", "a0101"),
        ("a0103 a0101 a0102 a0200 login1", "a[0101-0103,0200],login1"),
        ("a9 a10 a11", "a9,a[10-11]"),
        ("r1n01 r1n02 r2n01", "r1n[01-02],r2n01"),
        ("n1-ib n2-ib x", "n[1-2]-ib,x"),
        ("a1 a1", "a1"),
    ],
)
def test_folded(hosts: str, text: str) -> None:
    assert fold(hosts.split()) == text


@given(st.lists(st.from_regex(r"[a-c]{1,2}[0-9]{1,4}(-ib)?|login", fullmatch=True), max_size=40))
def test_folded_hosts_expand_to_themselves(hosts: list[str]) -> None:
    assert sorted(expand(fold(hosts)) if hosts else []) == sorted(set(hosts))
