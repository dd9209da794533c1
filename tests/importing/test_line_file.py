"""Bringing in files of lines."""

from __future__ import annotations

import gzip
import io
import os
import random
import sys
import tracemalloc
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ccstore.importing.command import DONE, FAILED, REJECTED
from ccstore.importing.line_file import Lines
from ccstore.importing.source import Sizes
from ccstore.lineprotocol import StreamDecoder
from ccstore.message import Message
from tests.support import strategies
from tests.support.importing import (
    NOW,
    SMALL,
    Run,
    rows,
    stopped,
    table,
    texts,
)


def lp(*more: str) -> bytes:
    return "\n".join(more).encode()


@pytest.mark.parametrize("is_packed", [False, True])
def test_lines(run: Run, tmp_path: Path, capsys: Any, is_packed: bool) -> None:
    body = lp(
        f'job,cluster=alex,hostname=a0101,x=y event="a" {NOW}',
        "# a comment",
        "bad",
        f'job,cluster=alex event="b\nb",more=1 {NOW}000000000',
        f'job event="no cluster" {NOW}',
        f'job event="{{\\"cluster\\": \\"fritz\\"}}" {NOW}',
        'job,cluster=alex event="old" 1000',
        'slurmd,cluster=alex log="old" 1000',
        "load,cluster=alex value=1",
        'job,cluster=alex event="now"',
    )
    path = tmp_path / ("x.lp.gz" if is_packed else "x.lp")
    path.write_bytes(gzip.compress(body) if is_packed else body)
    assert run(path) == REJECTED
    said = capsys.readouterr()
    assert table(said.out) == {str(path): (9, 5, 1, 1, 2)}
    assert f"{path}: line 3: no field: 'bad'\n" in said.err
    assert f"{path}: line 6: no cluster: neither a tag, nor" in said.err
    assert f"{path}: 1 not kept, metric" in said.out
    assert f"{path}: 1 fields besides the event or the log were not kept" in said.out
    assert texts(tmp_path, "alex_events") == ["a", "b\nb", "now"]
    assert texts(tmp_path, "fritz_events") == ['{"cluster": "fritz"}']
    assert rows(tmp_path, "alex_logs", "timestamp") == [(1000,)]


def test_what_lines_do_not_say_may_be_said_with_the_command(run: Run, tmp_path: Path) -> None:
    (tmp_path / "x.lp").write_bytes(lp('slurmd log="a" 30', 'slurmd,cluster=alex log="b"'))
    assert run("--cluster", "fritz", "--precision", "m", "x.lp") == DONE
    assert rows(tmp_path, "fritz_logs", "timestamp, field") == [(1800, "a")]
    assert texts(tmp_path, "alex_logs") == ["b"]


def test_lines_from_stdin(run: Run, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'a,cluster=alex log="a"\nbad')))
        assert run("-") == REJECTED
        said = capsys.readouterr()
        assert table(said.out) == {"stdin": (2, 1, 0, 0, 1)}
        assert "stdin: line 2: " in said.err
    assert texts(tmp_path, "alex_logs") == ["a", "a"]


@pytest.mark.parametrize("is_packed", [False, True])
def test_lines_go_on_where_they_were(run: Run, tmp_path: Path, capsys: Any, is_packed: bool) -> None:
    wanted = [f"line {number}" for number in range(60)]
    body = lp(*(f'job,cluster=alex log="{text}"\nbad' for text in wanted), 'job log="no cluster"', "")
    pack = gzip.compress if is_packed else bytes
    path = tmp_path / "x.lp"
    path.write_bytes(pack(body))
    for pieces in (0, 2, 9):
        stopped(run, path, pieces)
    capsys.readouterr()
    assert run(path, sizes=SMALL) == REJECTED
    said = capsys.readouterr()
    assert list(table(said.out).values()) == [(121, 60, 0, 0, 61)]
    assert f"{path}: line 120: no field" in said.err
    assert f"{path}: line 121: no cluster" in said.err
    assert f"{path}: line 2: " not in said.err  # told the first time
    # And what is appended later, to a copy as well.
    path.rename(tmp_path / "y.lp").write_bytes(pack(body + b'job,cluster=alex log="appended"\nbad'))
    assert run("y.lp", sizes=SMALL) == REJECTED
    said = capsys.readouterr()
    assert list(table(said.out).values()) == [(123, 61, 0, 0, 62)]
    assert "y.lp: line 123: no field" in said.err
    assert texts(tmp_path, "alex_logs") == [*wanted, "appended"]


def test_a_line_that_is_too_long_costs_only_itself(run: Run, tmp_path: Path, capsys: Any) -> None:
    long = 'job,cluster=alex log="' + "x" * 1000 + '"'
    body = lp('job,cluster=alex log="a"', long, 'job log="b"', 'job,cluster=alex log="c"', long, long[:900])
    (tmp_path / "x.lp").write_bytes(body)
    assert run("x.lp", sizes=Sizes(block=100, longest=300)) == REJECTED
    said = capsys.readouterr()
    assert table(said.out) == {"x.lp": (6, 2, 0, 0, 4)}
    numbers = [line.split(": ")[1] for line in said.err.splitlines()]
    assert numbers == ["line 2", "line 3", "line 5", "line 6"]
    assert texts(tmp_path, "alex_logs") == ["a", "c"]


def test_a_line_that_is_too_long_is_not_held(tmp_path: Path) -> None:
    path = tmp_path / "x.lp"
    path.write_bytes(b"x" * 20_000_000 + b"\n" + b"bad\n")
    source = Lines(path, "auto", now=lambda: 7, sizes=Sizes(block=1000, longest=3000))
    tracemalloc.start()
    try:
        bad = [each.number for piece in source.pieces(None) for each in piece.bad]
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()
    assert bad == [1, 2]


def test_a_packed_file_that_ends_too_early(run: Run, tmp_path: Path, capsys: Any) -> None:
    body = b"".join(
        b'job,cluster=alex log="%d %s"\n' % (i, os.urandom(40).hex().encode()) for i in range(30000)
    )
    (tmp_path / "x.lp.gz").write_bytes(gzip.compress(body)[:-100])
    assert run("x.lp.gz") == FAILED
    assert "x.lp.gz: cannot be read: compressed file ended before" in capsys.readouterr().err
    there = len(texts(tmp_path, "alex_logs"))
    assert 0 < there < 30000
    (tmp_path / "x.lp.gz").write_bytes(gzip.compress(body))
    assert run("x.lp.gz") == DONE
    assert len(set(texts(tmp_path, "alex_logs"))) == len(texts(tmp_path, "alex_logs")) == 30000


@given(
    st.lists(strategies.hostile | strategies.plain_lines, max_size=5),
    st.integers(1, 40),
    st.integers(1, 100) | st.just(10**6),
    st.randoms(),
)
@example([b"a f=1\n", b"x" * 50, b" f=1\n", b"a f=2\n"], 10, 20, random.Random(1))
def test_pieces_are_what_the_whole_is(
    parts: list[bytes], block: int, longest: int, chance: random.Random
) -> None:
    """Whatever the pieces, and wherever it was begun again, messages, mistakes and numbers are the same."""
    data = b"".join(parts)
    decoder = StreamDecoder(max_line_length=longest)
    whole = decoder.feed(data, 7)
    rest = decoder.finish(7)
    whole.messages.extend(rest.messages)
    whole.errors.extend(rest.errors)
    with NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        source = Lines(Path(file.name), "auto", now=lambda: 7, sizes=Sizes(block=block, longest=longest))
        messages: list[Message] = []
        bad: list[tuple[int, str]] = []
        after = None
        while True:
            went_on = False
            for piece in source.pieces(after):
                messages += piece.messages
                bad += [(each.number, each.reason) for each in piece.bad]
                places = [*range(len(piece.messages))]
                numbers = piece.numbers(places)
                for number, message in zip(numbers, piece.messages, strict=True):
                    line = data.split(b"\n")[number - 1].decode(errors="replace")
                    assert message.name[:1] in line
                if chance.random() < 0.3:
                    after = source.find([piece.mark])
                    assert after == piece.mark
                    went_on = True
                    break
            if not went_on:
                break
    assert [plain(message) for message in messages] == [plain(message) for message in whole.messages]
    assert bad == [(error.line, error.reason) for error in whole.errors]


def plain(message: Message) -> tuple[object, ...]:
    return (message.name, dict(message.tags), message.kind, message.text, message.time, message.others)
