"""The console script: its commands, and what it says to whoever gives none."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from ccstore import __version__
from ccstore.cli import COMMANDS, Command, main
from tests.support.running_daemon import environment


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_is_there_and_in_the_help_text(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    name, function, arguments, text, *_ = command
    module, _, attribute = function.partition(":")
    assert callable(getattr(import_module(module), attribute))
    assert main(["help"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert f"{name} {arguments} {text}".split() in lines


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["version"], ["--version"], ["-version"]):
        assert main(words) == 0
        assert capsys.readouterr().out == f"ccstore {__version__}\n"


@pytest.mark.parametrize(
    "command", [command.name for command in COMMANDS if command.arguments], ids=lambda name: name
)
def test_one_dash_is_as_good_as_two(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = {}
    for words in (["--help"], ["-help"], ["--version"], ["-version"]):
        with pytest.raises(SystemExit) as ended:
            main([command, *words])
        assert not ended.value.code
        said[words[0]] = capsys.readouterr().out
    assert said["--help"] == said["-help"]
    assert said["--version"] == said["-version"] == f"ccstore {__version__}\n"


def test_what_is_no_command_is_answered_with_the_help_text(capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in (
        (["nope"], "ccstore: unknown command 'nope'\n"),
        (["version", "3"], "ccstore: version takes no arguments\n"),
        (["--help", "run"], "ccstore: --help takes no arguments\n"),
    ):
        assert main(words) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith(f"{said}Usage: ccstore COMMAND")


def test_a_command_imports_only_what_it_needs(tmp_path: Path) -> None:
    program = "import sys; from ccstore.cli import main; main(['version']); print('twisted' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment(), capture_output=True, text=True
    )
    assert done.stdout == f"ccstore {__version__}\nFalse\n", done.stderr
