"""Which server the client talks to, and which token it shows to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccstore.client.contexts import DEFAULT_URL, Target, read_contexts, target
from ccstore.client.session import ClientError

GOOD = """\
current: alex
contexts:
  alex:
    url: https://store.alex.example
    token_file: alex.token
    ca: ca.pem
  test: {url: "http://127.0.0.1:9", token: secret}
  bare: {url: "http://127.0.0.1:7"}
"""


def written(directory: Path, content: str = GOOD, mode: int = 0o600) -> dict[str, str]:
    """The environment of a user with that file."""
    folder = directory / "ccstore"
    folder.mkdir()
    (folder / "alex.token").write_text("of.alex\n")
    path = folder / "client.yaml"
    path.write_text(content)
    path.chmod(mode)
    return {"XDG_CONFIG_HOME": str(directory), "HOME": "/nowhere"}


def test_without_a_file(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path)}
    assert target(environ) == Target(DEFAULT_URL, None, None)
    with pytest.raises(ClientError, match=r"no context 'x' in .*/\.config/ccstore/client\.yaml: it has none"):
        target(environ, context="x")


def test_the_file_is_below_the_home_if_nothing_else_is_said(tmp_path: Path) -> None:
    (tmp_path / ".config").mkdir()
    written(tmp_path / ".config")
    for more in ({}, {"XDG_CONFIG_HOME": ""}, {"XDG_CONFIG_HOME": "relative"}):
        assert read_contexts({"HOME": str(tmp_path), **more}).current == "alex"


def test_the_option_goes_before_the_environment_and_that_before_the_file(tmp_path: Path) -> None:
    environ = written(tmp_path)
    ca = str(tmp_path / "ccstore" / "ca.pem")
    with_url = {**environ, "CCSTORE_URL": "http://env"}
    with_token = {**environ, "CCSTORE_TOKEN": "of.env"}
    assert target(environ) == Target("https://store.alex.example", "of.alex", ca)
    assert target(environ, ca="other.pem").ca == "other.pem"
    assert target(with_token) == Target("https://store.alex.example", "of.env", ca)
    assert target(environ, context="test") == Target("http://127.0.0.1:9", "secret", None)
    # One that is named is an option, too.
    assert target({**with_url, **with_token}, context="test") == Target("http://127.0.0.1:9", "secret", None)
    assert target(with_token, context="bare") == Target("http://127.0.0.1:7", "of.env", None)
    assert target(with_url, url="http://opt").url == "http://opt"
    assert target(environ, context="test", url="http://opt") == Target("http://opt", "secret", None)


def test_a_token_goes_to_no_other_server(tmp_path: Path) -> None:
    environ = written(tmp_path)
    assert target(environ, url="http://other") == Target("http://other", None, None)
    assert target({**environ, "CCSTORE_URL": "http://other"}) == Target("http://other", None, None)


def test_others_who_may_read_a_token_are_warned_of(tmp_path: Path) -> None:
    environ = written(tmp_path, mode=0o640)
    path = tmp_path / "ccstore" / "client.yaml"
    assert target(environ).warnings == (f"others may read {path}, and it has a token: chmod 600 {path}",)
    path.write_text(GOOD.replace(", token: secret", ""))
    assert target(environ).warnings == ()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "expected an object of JSON or YAML, got an empty file"),
        ("contexts: {a: [}", "expected valid YAML, got an error at line 1, column 16"),
        ("contexts: [a]", "contexts: got a list, expected an object, with the name of each context"),
        ("contexts: {a: x}", "contexts.a: got 'x', expected an object with url"),
        ("contexts: {a: {}}", "contexts.a.url: got nothing, expected a URL such as http://127.0.0.1:8088"),
        ("contexts: {a: {url: ftp://x}}", "contexts.a.url: got 'ftp://x', expected a URL such as"),
        (
            "contexts: {a: {url: http://x, tokn: y}}",
            "contexts.a.tokn: got an unknown key, expected a known one",
        ),
        (
            "contexts: {a: {url: http://x, token: y, token_file: z}}",
            "contexts.a.token: got token and token_file",
        ),
        ("contexts: {a: {url: http://x, token: 12345}}", "contexts.a.token: got"),
        ("current: b\ncontexts: {a: {url: http://x}}", "current: got 'b', expected one of a"),
        ("current: b", "current: got 'b', expected the name of a context, of which there is none"),
        ("context: {}", "context: got an unknown key, expected a known one (did you mean 'contexts'?)"),
        ("contexts:\n  a: {url: http://x}\n  a: {url: http://y}", "a second time at line 3, column 3"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, content: str, says: str) -> None:
    environ = written(tmp_path, content)
    with pytest.raises(ClientError) as caught:
        target(environ)
    said = str(caught.value)
    assert str(tmp_path / "ccstore" / "client.yaml") in said
    assert says in said
    assert "12345" not in said
    # A server that is named needs no file.
    assert target(environ, url="http://x").url == "http://x"


def test_a_token_that_cannot_be_read(tmp_path: Path) -> None:
    environ = written(tmp_path)
    (tmp_path / "ccstore" / "alex.token").unlink()
    with pytest.raises(ClientError, match=r"the token_file of the context 'alex': cannot read .*alex\.token"):
        target(environ)
