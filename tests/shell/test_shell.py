"""How the commands describe themselves, and what is made of it: help texts, the man page, completion."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ccstore.cli import COMMANDS, Command, main
from ccstore.commands.description import FILE, Description, choice
from ccstore.commands.options import GoOptions
from ccstore.shell.commands import descriptions
from ccstore.shell.completion import MADE, SCRIPTS
from ccstore.shell.manual import manual
from ccstore.shell.scripts import script
from tests.support.running_daemon import environment

DESCRIBED = [pair for pair in descriptions() if pair[0].options is not None]

each = pytest.mark.parametrize(
    ("command", "description"), DESCRIBED, ids=[command.name for command, _ in DESCRIBED]
)


class Base(GoOptions):
    optFlags = [["json", "j", "Print JSON."]]
    optParameters = [["ca", None, None, "Who signs."]]
    option_values = {"ca": FILE}


class Options(Base):
    synopsis = "[options] < LINES\n--old"
    longdesc = "Does it."
    statuses = (("0", "It is done."),)
    hidden = ("old",)
    optFlags = [["old", None, "Not shown."]]
    optParameters = [["unit", "u", "ms", "The unit."]]
    option_values = {"unit": choice("ms", "s")}


def test_the_options_of_a_class_come_before_those_of_its_base() -> None:
    description = Options().describe()
    assert [option.names for option in description.options] == [
        ("-u", "--unit"),
        ("--ca",),
        ("-j", "--json"),
        ("--version",),
        ("-h", "--help"),
    ]
    unit, ca, json = description.options[:3]
    assert unit.value == choice("ms", "s")
    assert unit.default == "ms"
    assert ca.value == FILE
    assert json.value is None


def test_a_help_text() -> None:
    options = Options()
    assert options.getSynopsis() == (
        "Usage: twistd [twistd options] ccstore [options] < LINES\n"
        "       twistd [twistd options] ccstore --old"
    )
    assert options.getUsage(40) == (
        "\n"
        "Does it.\n"
        "\n"
        "Options:\n"
        "  -u, --unit ms|s  The unit. [default:\n"
        "                   ms]\n"
        "      --ca FILE    Who signs.\n"
        "  -j, --json       Print JSON.\n"
        "      --version    Print the version,\n"
        "                   and exit.\n"
        "  -h, --help       Display this help and\n"
        "                   exit.\n"
        "\n"
        "Exit status:\n"
        "  0  It is done.\n"
    )


class Mixed(Base):
    is_mixed = True

    def parseArgs(self, *words: str) -> None:
        self["words"] = words


def test_options_behind_other_words() -> None:
    options = Mixed()
    options.parseOptions(["a", "-ca", "x", "-", "-j", "--", "--ca"])
    assert (options["words"], options["ca"], options["json"]) == (("a", "-", "--ca"), "x", 1)
    options = Mixed()
    options.parseOptions(["a", "--ca", ""])
    assert (options["words"], options["ca"], options["json"]) == (("a",), "", 0)


@each
def test_every_command_is_described_in_whole_sentences(command: Command, description: Description) -> None:
    assert description.name == f"ccstore {command.name}"
    texts = [description.text] if command.name != "completion" else []
    texts += [option.help for option in description.options]
    texts += [text for _, text in description.statuses]
    for text in texts:
        assert text.endswith("."), text
        assert text[0].isupper(), text
    for option in description.options:
        assert option.value is None or option.value.name != "VALUE", f"{option.names}: what is its value?"
        if option.value is not None and option.value.choices and option.default is not None:
            assert option.default in option.value.choices
    assert dict(description.statuses)["0"]


@each
def test_a_help_text_fits_the_terminal(
    command: Command,
    description: Description,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "72")
    for word in ("-h", "--help"):
        with pytest.raises(SystemExit):
            main([command.name, word])
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].startswith(f"Usage: {description.name} ")
        assert max(map(len, lines)) <= 72


def test_what_is_made_is_as_the_commands_are() -> None:
    hint = "a command or an option has changed: python -m ccstore.shell"
    for shell, path in SCRIPTS.items():
        assert path.read_text("utf-8") == script(shell), hint
    assert (MADE / "ccstore.1").read_text("utf-8") == manual(), hint


def complete(tmp_path: Path, *words: str, **more: str) -> list[str]:
    """What bash offers for the last word, with these variables in the environment."""
    program = (
        f'eval "$("{sys.executable}" -m ccstore completion bash)"\n'
        '[[ $(complete -p ccstore) =~ -F\\ ([^ ]+) ]] || { echo "nothing completes ccstore" >&2; exit 1; }\n'
        'COMP_WORDS=(ccstore "$@"); COMP_CWORD=$#\n'
        '"${BASH_REMATCH[1]}" ccstore "${@: -1}" "${COMP_WORDS[COMP_CWORD-1]}"\n'
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", program, "bash", *words],
        cwd=tmp_path,
        env={**environment(), **more},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return sorted(done.stdout.split())


def test_bash_completes_commands(tmp_path: Path) -> None:
    assert complete(tmp_path, "") == sorted(command.name for command in COMMANDS)
    assert complete(tmp_path, "co") == ["completion", "copy"]


def test_bash_completes_options(tmp_path: Path) -> None:
    assert complete(tmp_path, "query", "--k") == ["--key", "--kind"]
    assert complete(tmp_path, "query", "--kind", "log", "--sub") == ["--subtype", "--subtype-ids"]
    assert complete(tmp_path, "run", "--lo") == ["--logdate", "--loglevel"]
    assert complete(tmp_path, "check", "--lo") == []
    assert complete(tmp_path, "import", "old.db", "--pre") == ["--precision"]
    assert "--nkeyfile" not in complete(tmp_path, "send", "-")


def test_bash_completes_the_values_of_options(tmp_path: Path) -> None:
    (tmp_path / "ccstore.yaml").touch()
    assert complete(tmp_path, "run", "--loglevel", "") == sorted(
        ["debug", "info", "warn", "err", "fatal", "crit"]
    )
    assert complete(tmp_path, "send", "--precision", "m") == ["m", "ms"]
    assert complete(tmp_path, "query", "-k", "") == ["event", "log"]
    assert complete(tmp_path, "import", "--missing-time", "") == ["file", "now", "row"]
    assert complete(tmp_path, "run", "--config", "cc") == ["ccstore.yaml"]
    assert complete(tmp_path, "query", "--cluster", "cc") == []


def test_bash_completes_contexts(tmp_path: Path) -> None:
    """Those of the user's file, whatever command has the option; where there is none, there are none."""
    more = {
        "XDG_CONFIG_HOME": str(tmp_path),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    assert complete(tmp_path, "query", "--context", "", **more) == []
    (tmp_path / "ccstore").mkdir()
    path = tmp_path / "ccstore" / "client.yaml"
    path.write_text("contexts: {alex: {url: 'http://a'}, alma: {url: 'http://b'}, fritz: {url: 'http://c'}}")
    assert complete(tmp_path, "query", "--context", "", **more) == ["alex", "alma", "fritz"]
    assert complete(tmp_path, "stats", "--context", "al", **more) == ["alex", "alma"]
    path.write_text("contexts: 7")
    assert complete(tmp_path, "query", "--context", "", **more) == []


def test_the_names_of_contexts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert (main(["completion", "--contexts"]), capsys.readouterr().out) == (0, "")
    (tmp_path / "ccstore").mkdir()
    path = tmp_path / "ccstore" / "client.yaml"
    path.write_text("contexts: {b: {url: 'http://b'}, a: {url: 'http://a'}}")
    assert (main(["completion", "--contexts"]), capsys.readouterr().out) == (0, "b\na\n")
    path.write_text("contexts: 7")
    assert main(["completion", "--contexts"]) == 2
    assert str(path) in capsys.readouterr().err


def test_bash_completes_arguments(tmp_path: Path) -> None:
    for name in ("one.db", "only.db"):
        (tmp_path / name).touch()
    assert complete(tmp_path, "completion", "") == ["bash", "zsh"]
    assert complete(tmp_path, "import", "one.db", "on") == ["one.db", "only.db"]
    assert complete(tmp_path, "copy", "one.db", "onl") == ["only.db"]


def test_zsh_can_read_its_script() -> None:
    if shutil.which("zsh") is None:
        pytest.skip("there is no zsh")
    subprocess.run(["zsh", "-n", SCRIPTS["zsh"]], check=True)


def test_there_is_a_script_for_two_shells_only(capsys: pytest.CaptureFixture[str]) -> None:
    for words, got in (([], "nothing"), (["tcsh"], "tcsh"), (["bash", "zsh"], "bash zsh")):
        assert main(["completion", *words]) == 2
        out, err = capsys.readouterr()
        assert (out, err) == (
            "",
            f"ccstore completion: expected one of bash, zsh, got {got}; "
            "`ccstore completion --help` lists the options\n",
        )


def test_the_man_page() -> None:
    if shutil.which("groff") is None:
        pytest.skip("there is no groff")
    # Nothing is bold or underlined.
    command = ["groff", "-man", "-ww", "-Tascii", "-P-cbou", MADE / "ccstore.1"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    page = done.stdout
    titles = (line for line in page.splitlines() if line[:1].isalpha())
    sections = [line for line in titles if "CCSTORE(1)" not in line]
    assert sections == [
        "NAME",
        "SYNOPSIS",
        "DESCRIPTION",
        "COMMANDS",
        "FILES",
        "ENVIRONMENT",
        "EXIT STATUS",
        "SIGNALS",
        "EXAMPLES",
        "SEE ALSO",
    ]
    words = page.split()
    for one, description in DESCRIBED:
        assert one.name in words
        assert {option.names[-1] for option in description.options} <= {word.rstrip(",") for word in words}
    for word in ("$CCSTORE_URL,", '\'{"jobId":', "SIGHUP", "`ccstore"):
        assert word in words
