"""Secrets of the configuration, which come in three ways and are never shown."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from ccstore.config import (
    Config,
    HttpReceiverConfig,
)
from tests.support.config_case import (
    KEY,
    SECRET,
    Load,
    complete,
    problem,
    problems,
    receiver,
    sqlite,
    warning,
)


def credentials(config: Config) -> tuple[str | None, str | None]:
    (http,) = config.receivers
    assert isinstance(http, HttpReceiverConfig)
    return http.username, http.password


def test_secrets_from_variables_before_files_before_the_key(load: Load, cwd: Path) -> None:
    (cwd / "pw").write_text("from file \r\n")
    keys: dict[str, Any] = {"type": "http", "username": "u", "password": "inline"}
    assert credentials(load(receiver(**keys))) == ("u", "inline")
    keys["password_file"] = "pw"
    assert credentials(load(receiver(**keys))) == ("u", "from file ")
    keys["password_env"] = "PW"
    assert credentials(load(receiver(**keys), "central.json", {"PW": "from env"})) == ("u", "from env")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (
            {"password_env": "NO_SUCH"},
            "password_env: got 'NO_SUCH', expected the name of an environment variable",
        ),
        (
            {"password_env": "EMPTY"},
            "password_env: got 'EMPTY', expected the name of an environment variable",
        ),
        ({"password_env": 5}, "password_env: got 5, expected a string"),
        ({"password_file": "no.txt"}, "password_file: got 'no.txt', expected an existing file (there is no "),
        ({"password_file": "empty.txt"}, "password_file: got 'empty.txt', expected a file that is not empty"),
        ({"password_file": "."}, "password_file: got '.', expected a readable file (is a directory)"),
        ({"password_file": "latin1.txt"}, "expected a file in UTF-8 (the byte 0xe4 at line 1, column 2)"),
        ({"password": 123456}, "password: got a value not shown here, expected a string"),
        ({"password": ["x"]}, "password: got a value not shown here, expected a string"),
    ],
)
def test_wrong_secrets(load: Load, cwd: Path, keys: dict[str, Any], said: str) -> None:
    (cwd / "empty.txt").write_text("\n")
    (cwd / "latin1.txt").write_bytes(b"l\xe4tin")
    content = receiver(type="http", username="u", **keys)
    assert said in problem(load, content, "central.json", {"EMPTY": ""})


def test_username_and_password_both_or_none(load: Load) -> None:
    assert problem(load, receiver(type="http", username="u")) == (
        "receivers.r.password: got nothing, expected a password, since there is a username (both or none)"
    )
    assert "since there is a password" in problem(
        load, receiver(type="http", username="", password_env="P"), "central.json", {"P": "x"}
    )
    assert credentials(load(receiver(type="http", username="", password=""))) == (None, None)


def test_user_name_with_a_colon(load: Load) -> None:
    assert "got a value not shown here, expected a user name without a colon" in problem(
        load, receiver(type="http", username="a:b", password="p")
    )
    assert "got 'U', expected a variable with a user name without a colon" in problem(
        load, receiver(type="http", username_env="U", password="p"), "central.json", {"U": "a:b"}
    )


def test_passwords_are_never_shown(load: Load) -> None:
    good = load(receiver(type="http", username="u", password=SECRET))
    assert SECRET not in repr(good)
    wrong: list[dict[str, Any]] = [
        receiver(type="http", password=SECRET),
        receiver(type="http", username=[SECRET], password={"a": SECRET}),
        receiver(type="http", username="u", pasword=SECRET, port=-1),
        complete(receivers=[{"password": SECRET}]),
        complete(receivers={"r": [{"password": SECRET}]}),
        sqlite(username="u", password=SECRET, flags=["_auth_pass=" + SECRET, "_sync=7"]),
    ]
    for content in wrong:
        assert SECRET not in "\n".join(map(str, problems(load, content)))
    assert SECRET not in warning(
        load, sqlite(flags="_auth_pass=" + SECRET) | {"receivers": {"r": {"type": "tcp"}}}
    )


@pytest.mark.parametrize("sign", ["*", "!", "&x *", "!x!"])
def test_unquoted_passwords_are_not_shown(load: Load, sign: str) -> None:
    found = problem(load, f"receivers:\n  r:\n    password: {sign}{SECRET}\n", "c.yaml")
    assert "line 3, column " in found
    assert SECRET not in found


def test_jwt_public_key(load: Load, cwd: Path) -> None:
    (cwd / "jwt.pub").write_text(KEY + "\n")
    for api in ({"jwt_public_key": KEY}, {"jwt_public_key_file": "jwt.pub"}, {"jwt_public_key_env": "K"}):
        config = load(complete(api=api), "central.json", {"K": KEY})
        assert config.api.jwt_public_key == bytes(range(32))
        assert not config.api.require_roles
        assert load(
            complete(api={**api, "require_roles": True}), "central.json", {"K": KEY}
        ).api.require_roles
    for without in ({}, {"jwt_public_key": ""}):
        said = problem(load, complete(api={"require_roles": True, **without}))
        assert said.startswith("api.require_roles: got true, expected jwt_public_key beside it")
    assert load(complete(api={"jwt_public_key": ""})).api.jwt_public_key is None


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("not base64!", "'not base64!'"),
        ("short\u00e9", "'short\u00e9'"),
        ("AAAA", "'AAAA' (3 bytes)"),
        (KEY.replace("/", "_")[:-1], "'AAECAwQFBgcICQo...'"),
        (base64.b64encode(bytes(64)).decode(), "'AAAAAAAAAAAAAAA...' (64 bytes)"),
    ],
)
def test_wrong_jwt_public_key(load: Load, value: str, shown: str) -> None:
    found = problem(load, complete(api={"jwt_public_key": value}))
    expected = "expected the standard base64 of an Ed25519 public key of 32 bytes"
    assert found == f"api.jwt_public_key: got {shown}, {expected}"
    in_variable = problem(load, complete(api={"jwt_public_key_env": "K"}), "central.json", {"K": value})
    assert (
        in_variable
        == f"api.jwt_public_key_env: got 'K', {expected.replace('expected', 'expected a variable with')}"
    )
