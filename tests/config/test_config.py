"""The configuration: its files, what is refused, and with which words."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ccstore.config import (
    ConfigError,
    HttpReceiverConfig,
    NatsReceiverConfig,
    TcpReceiverConfig,
    UdpReceiverConfig,
    known_keys,
    load_config,
    missing_folder,
)
from tests.support.config_case import (
    CONF,
    SECRET,
    STORAGE,
    Load,
    complete,
    problem,
    problems,
    receiver,
    warning,
)

# --- the built-in configuration, and the files in conf/ -------------------------------------------------


def test_built_in(cwd: Path) -> None:
    config = load_config(None, cwd=cwd, environ={})
    tcp, udp, http = config.receivers
    assert isinstance(tcp, TcpReceiverConfig)
    assert isinstance(udp, UdpReceiverConfig)
    assert isinstance(http, HttpReceiverConfig)
    assert [(each.name, each.address, each.port) for each in (tcp, udp, http)] == [
        ("tcp", "127.0.0.1", 8094),
        ("udp", "127.0.0.1", 8094),
        ("http", "127.0.0.1", 8080),
    ]
    assert (config.api.address, config.api.port, config.api.enable_swagger_ui) == ("127.0.0.1", 8088, True)
    assert config.storage.backend.database_path == cwd / "ccstore.db"
    assert (config.storage.retention_time, config.storage.flush_time) == (86400.0, 1.0)
    assert config.warnings == ()


def test_example_is_the_built_in_configuration(cwd: Path) -> None:
    assert load_config(CONF / "ccstore.yaml", cwd=cwd, environ={}) == load_config(None, cwd=cwd, environ={})


def test_example_shows_the_defaults(load: Load, cwd: Path) -> None:
    """Without the keys whose values are defaults, the example means the same."""
    said_otherwise = {"type", "address", "database_path", "enable_swagger_ui"}

    def reduced(data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {
            key: reduced(value)
            for key, value in data.items()
            if isinstance(value, dict) or key in said_otherwise
        }

    example = yaml.safe_load((CONF / "ccstore.yaml").read_text("utf-8"))
    assert load(reduced(example)) == load_config(None, cwd=cwd, environ={})


def test_example_has_every_key() -> None:
    text = (CONF / "ccstore.yaml").read_text("utf-8")
    text = text.replace("#backend:", "#postgres:")  # one of the two
    shown = yaml.safe_load(re.sub(r"^( *)#(?! |$)", r"\1", text, flags=re.M))
    sections = {
        "": shown,
        **shown["receivers"],
        "postgres": shown["storage"].pop("postgres"),
        "spool": shown["storage"]["spool"],
        "storage": shown["storage"],
        "sqlite": shown["storage"]["backend"],
        "api": shown["api"],
        "process_messages": shown["receivers"]["tcp"]["process_messages"],
    }
    known = known_keys()
    assert {name: set(section) for name, section in sections.items()} == known
    assert min(len(keys) for keys in known.values()) > 1


def test_the_rules_of_the_examples_are_good(load: Load) -> None:
    text = (CONF / "ccstore.yaml").read_text("utf-8")
    shown = yaml.safe_load(re.sub(r"^( *)#(?! |$)", r"\1", text, flags=re.M))
    page = (CONF.parent / "docs" / "rules.md").read_text("utf-8")
    (block,) = re.findall(r"```yaml\n(process_messages:.*?)```", page, re.DOTALL)
    for process_messages in (
        {**shown["receivers"]["tcp"]["process_messages"], "stage_order": []},
        yaml.safe_load(block)["process_messages"],
    ):
        config = load(receiver(type="tcp", process_messages=process_messages))
        assert config.receivers[0].rules
        assert config.warnings == ()


def test_example_of_four_files(cwd: Path) -> None:
    config = load_config(CONF / "cc-event-store" / "config.json", cwd=cwd, environ={})
    assert [type(each) for each in config.receivers] == [
        TcpReceiverConfig,
        UdpReceiverConfig,
        HttpReceiverConfig,
        NatsReceiverConfig,
    ]
    assert dict(config.storage.backend.pragmas) == {"journal_mode": "WAL", "busy_timeout": "5000"}
    assert config.api.address == "localhost"
    assert config.warnings == ()


# --- the central file and its parts ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "key", ["receivers", "receiver", "receivers-file", "receiver-file", "RECEIVERS-File"]
)
def test_receivers_inline_or_by_path(load: Load, cwd: Path, key: str) -> None:
    inline = {"nodes": {"type": "tcp"}}
    (cwd.parent / "etc" / "some.json").write_text(json.dumps(inline))
    configs = [load({key: given, "storage": STORAGE}) for given in (inline, "./some.json")]
    assert configs[0] == configs[1]
    assert configs[0].receivers[0].name == "nodes"


@pytest.mark.parametrize("part", ["storage", "storage-file", "api", "api-file"])
def test_parts_by_path(load: Load, cwd: Path, part: str) -> None:
    (cwd.parent / "etc" / "api.yaml").write_text("port: 9\n")
    (cwd.parent / "etc" / "storage.yaml").write_text(
        "retention_time: 48h\nbackend: {type: sqlite, database_path: x}"
    )
    central = {"receivers": {}, part: part.partition("-")[0] + ".yaml"}
    config = load({"storage": STORAGE, **central} if part.startswith("api") else central)
    assert (config.api.port, config.storage.retention_time) in [(9, 86400.0), (8088, 172800.0)]


def test_working_directory_comes_before_the_folder_of_the_central_file(load: Load, cwd: Path) -> None:
    (cwd.parent / "etc" / "api.json").write_text('{"port": 1}')
    central = complete(api="api.json")
    assert load(central).api.port == 1
    (cwd / "api.json").write_text('{"port": 2}')
    assert load(central).api.port == 2
    assert load(complete(api=str(cwd.parent / "etc" / "api.json"))).api.port == 1


def test_relative_central_file(cwd: Path) -> None:
    (cwd.parent / "etc" / "c.yaml").write_text(
        "receivers: r.yaml\nstorage: {backend: {type: sqlite, database_path: d}}"
    )
    (cwd.parent / "etc" / "r.yaml").write_text("a: {type: tcp}")
    config = load_config(Path("../etc/c.yaml"), cwd=cwd, environ={})
    assert config.receivers[0].name == "a"


def test_main_is_ignored_and_api_may_be_missing(load: Load) -> None:
    config = load({"main": {"what": "ever"}, "receivers": {"a": {"type": "tcp"}}, "storage": STORAGE})
    assert config.warnings == ()
    assert (config.api.address, config.api.port, config.api.idle_timeout) == ("localhost", 8088, 120.0)
    assert (config.api.enable_swagger_ui, config.api.keep_alives_enabled) == (False, True)
    assert (config.api.jwt_public_key, config.api.max_body) == (None, 16 * 2**20)
    assert (config.api.max_queries, config.api.max_rows, config.api.query_timeout) == (1000, 100000, 10.0)


def test_missing_parts(load: Load) -> None:
    first, second = problems(load, {"storage": None})
    assert (first.key, second.key) == ("receivers", "storage")
    assert "got nothing, expected the receivers, or {} for none" in str(first)
    assert problem(load, complete(storage={})) == (
        'storage.backend: got nothing, expected an object with "type" and "database_path"'
    )


def test_no_receivers_is_a_warning(load: Load) -> None:
    assert (
        warning(load, complete())
        == "receivers: no receivers are configured: messages come in by the API only"
    )


def test_one_part_given_twice(load: Load) -> None:
    expected = "receiver-file: got 'x', expected only one of receivers and receiver-file"
    assert problem(load, complete(**{"receiver-file": "x"})) == expected


@pytest.mark.parametrize("value", [3, [], True, ""])
def test_part_is_neither_object_nor_path(load: Load, value: object) -> None:
    assert "expected an object, or the path of a file" in problem(load, complete(api=value))


LENIENT = "; --lenient ignores such keys"


@pytest.mark.parametrize(
    ("content", "key", "meant"),
    [
        ({"recievers": {}}, "recievers", "receivers"),
        ({"api": {"jwt_publickey": SECRET}}, "api.jwt_publickey", "jwt_public_key"),
        ({"api": {"addr": "x"}}, "api.addr", "address"),
        ({"receivers": {"r": {"type": "tcp", "Prot": 1}}}, "receivers.r.Prot", "port"),
        ({"receivers": {"r": {"type": "http", "user": "u"}}}, "receivers.r.user", "username"),
        ({"receivers": {"r": {"type": "tcp", "tls_cert": "f"}}}, "receivers.r.tls_cert", "tls_certificate"),
        ({"storage": {**STORAGE, "retention-time": "1h"}}, "storage.retention-time", "retention_time"),
        ({"storage": {"backend": {**STORAGE["backend"], "flag": 1}}}, "storage.backend.flag", "flags"),
    ],
)
def test_keys_much_like_known_ones_are_mistakes(
    load: Load, content: dict[str, Any], key: str, meant: str
) -> None:
    assert problem(load, complete(**content)) == (
        f"{key}: got an unknown key, expected a known one (did you mean {meant!r}?){LENIENT}"
    )


@pytest.mark.parametrize(
    ("content", "key"),
    [
        ({"api": {"quite_other": 1}}, "api.quite_other"),
        ({"api": {"zzz": None}}, "api.zzz"),
        ({"receivers": {"r": {"type": "tcp", "ssl": True}}}, "receivers.r.ssl"),
        ({"receivers": {"r": {"type": "http", "bearer_token": SECRET}}}, "receivers.r.bearer_token"),
        ({"receivers": {"r": {"type": "nats", "subject": "a", "creds": "f"}}}, "receivers.r.creds"),
        (
            {"storage": {"backend": {"type": "postgres", "dsn": "x", "SSLMode": "x"}}},
            "storage.backend.SSLMode",
        ),
    ],
)
def test_unknown_keys_that_may_be_about_security_are_problems(
    load: Load, content: dict[str, Any], key: str
) -> None:
    found = problem(load, complete(**content))
    assert found.startswith(f"{key}: got an unknown key, expected ")
    assert found.endswith(LENIENT)
    assert SECRET not in found


def test_other_unknown_keys_are_warned_of(load: Load) -> None:
    content = complete(other={}, receivers={"r": {"type": "tcp", "Zzz": 1}}, storage={**STORAGE, "zzz": {}})
    warnings = [line.partition("central.json: ")[2] for line in load(content).warnings]
    assert warnings == [
        "receivers.r.Zzz: unknown key, ignored",
        "storage.zzz: unknown key, ignored",
        "other: unknown key, ignored",
    ]


def test_who_is_lenient_is_only_warned_of_unknown_keys(load: Load, cwd: Path) -> None:
    content = complete(api={"jwt_publickey": "abc", "quite_other": 1}, recievers={})
    path = cwd.parent / "etc" / "central.json"
    assert len(problems(load, content)) == 3
    warnings = load_config(path, cwd=cwd, environ={}, lenient=True).warnings
    assert [line.partition("central.json: ")[2] for line in warnings] == [
        "receivers: no receivers are configured: messages come in by the API only",
        "api.jwt_publickey: unknown key, ignored (did you mean 'jwt_public_key'?)",
        "api.quite_other: unknown key, ignored",
        "recievers: unknown key, ignored (did you mean 'receivers'?)",
    ]


@pytest.mark.parametrize("in_files", [("storage", "api"), ("receivers",), ("api",)])
def test_some_parts_in_files_are_not_the_four_files(load: Load, cwd: Path, in_files: tuple[str, ...]) -> None:
    parts = complete(api={"quite_other": 1})
    for part in in_files:
        (cwd / f"{part}.json").write_text(json.dumps(parts[part]))
        parts[part] = f"{part}.json"
    (found,) = problems(load, parts)
    assert "quite_other: got an unknown key" in str(found)


def test_keys_without_regard_to_case(load: Load) -> None:
    config = load({"Receivers": {"R": {"TYPE": "tcp", "Port": 7}}, "STORAGE": STORAGE})
    assert (config.receivers[0].name, getattr(config.receivers[0], "port", None)) == ("R", 7)
    assert "expected each key once" in problem(load, receiver(type="tcp", Port=1, port=2))


def test_names_of_receivers_differ_by_case(load: Load) -> None:
    config = load(complete(receivers={"a": {"type": "tcp", "port": 1}, "A": {"type": "tcp", "port": 2}}))
    assert [each.name for each in config.receivers] == ["a", "A"]


@pytest.mark.parametrize("name", ["api", "storage"])
def test_receivers_are_not_called_as_parts_of_the_daemon_are(load: Load, name: str) -> None:
    said = problem(load, complete(receivers={name: {"type": "tcp", "port": 1}}))
    assert f"another name for the receiver: the daemon has a part called {name}" in said


def test_null_is_left_out(load: Load) -> None:
    config = load(
        f"receivers: {{r: {{type: http, username: , port: }}}}\nstorage: {json.dumps(STORAGE)}",
        "c.yaml",
    )
    assert getattr(config.receivers[0], "port", None) == 8080


def test_all_problems_at_once_in_the_order_of_the_file(load: Load, cwd: Path) -> None:
    (cwd / "receivers.json").write_text(
        '{"b": {"type": "tcp", "precision": "h", "port": -1}, "a": {"type": "htp"}}'
    )
    content = (
        '{"api": {"port": "x", "max_rows": 0, "address": "a b"},'
        ' "receivers": "receivers.json",'
        ' "storage": {"retention_time": "7y", "backend": {"type": "sqlite"}, "flush_time": "2m"}}'
    )
    assert [found.key for found in problems(load, content)] == [
        "api.port",
        "api.max_rows",
        "api.address",
        "receivers.b.precision",
        "receivers.b.port",
        "receivers.a.type",
        "storage.retention_time",
        "storage.backend.database_path",
        "storage.flush_time",
    ]
    assert {Path(found.file).name for found in problems(load, content)} == {"central.json", "receivers.json"}


def test_repeated_key_does_not_hide_other_problems(load: Load) -> None:
    content = '{"receivers": {}, "receivers": {"x": {"type": "y"}}}'
    assert [found.key for found in problems(load, content)] == ["storage", "receivers", "receivers.x.type"]


# --- files that cannot be read --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("c.json", b"", "got an empty file, expected an object of JSON or YAML"),
        ("c.yaml", b"# nothing\n", "got a file without content, expected an object of JSON or YAML"),
        ("c.json", b"[1]", "got a list, expected an object of JSON or YAML"),
        ("c.yaml", b"just words", "got 'just words', expected an object of JSON or YAML"),
        (
            "c.json",
            b'{"a": 1,\n  "b" 2}',
            "got an error at line 2, column 7: expecting ':' delimiter, expected valid JSON",
        ),
        ("c.json", b'{"a": NaN}', "got an error: the number NaN, expected valid JSON"),
        ("c.json", b"[" * 100000, "expected valid JSON"),
        (
            "c.json",
            b'{"a": ' + b"1" * 5000 + b"}",
            "got a number with too many digits, expected valid JSON",
        ),
        ("c.yaml", b"a: " + b"1" * 5000, "got a number with too many digits, expected valid YAML"),
        ("c.yaml", b"a: 1\nb: [1,\n", "got an error at line 3, column 1: "),
        ("c.yaml", b"a: 1\n\tb: 2\n", "got an error at line 2, column 1: "),
        ("c.yaml", b"a: b\n--- \nc: d\n", "got an error at line 2, column 1: "),
        ("c.yaml", b"a: 1\nb: \x07\n", "got the character '\\x07' at line 2, column 4, expected valid YAML"),
        ("c.yaml", b"a: 2024-99-99\n", "expected valid YAML"),
        ("c.yaml", b"a: !!python/object/apply:os.getpid []\n", "got an error at line 1, column 4: "),
        (
            "c.yaml",
            b"x:\n  1: {type: tcp}\n",
            "line 2, column 3: found a key that is not a string, put it in quotes",
        ),
        ("c.yaml", b"? [a]\n: b\n", "line 1, column 3: found a key that is not a string, put it in quotes"),
        ("c.json", b'{"a": "\xff"}', "got the byte 0xff at line 1, column 8, expected a file in UTF-8"),
        ("c.conf", b'{"a": 1,\n  "b" 2}', "line 2, column 7: expecting ':' delimiter, expected valid JSON"),
        ("c.conf", b"a: [\n", "expected valid YAML"),
    ],
)
def test_broken_files(cwd: Path, name: str, content: bytes, said: str) -> None:
    (cwd / name).write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_config(Path(name), cwd=cwd, environ={})
    (found,) = caught.value.problems
    assert str(found).startswith(f"{name}: got ")
    assert said in str(found)


def test_missing_central_file(cwd: Path) -> None:
    for path, said in ((Path("no.json"), "no such file or directory"), (cwd, "is a directory")):
        with pytest.raises(ConfigError) as caught:
            load_config(path, cwd=cwd, environ={})
        assert str(caught.value) == f"{path}: got {said}, expected a readable file"


def test_missing_folder(cwd: Path) -> None:
    (cwd / "file").touch()
    (cwd / "loop").symlink_to("loop")
    for path, said in (
        ("no", f"the folder {cwd}/no does not exist"),
        ("file", f"{cwd}/file is not a folder"),
        ("file/folder", f"the folder {cwd}/file/folder does not exist"),
        ("loop/folder", f"the folder {cwd}/loop/folder cannot be reached: too many levels of symbolic links"),
    ):
        assert str(missing_folder(cwd / path / "ccstore.db")).startswith(said)
    assert missing_folder(cwd / "ccstore.db") is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_central_file(cwd: Path) -> None:
    (cwd / "c.json").touch(0)
    with pytest.raises(ConfigError, match="got permission denied"):
        load_config(Path("c.json"), cwd=cwd, environ={})


def test_missing_and_broken_parts(load: Load, cwd: Path) -> None:
    (cwd / "storage.json").write_text("{")
    first, second = problems(load, {"receivers-file": "no.json", "storage-file": "storage.json"})
    etc = cwd.parent / "etc"
    assert str(first) == (
        f"{etc}/central.json: receivers-file: got 'no.json', "
        f"expected an existing file (there is no {cwd}/no.json and no {etc}/no.json)"
    )
    assert str(second).startswith(f"{cwd}/storage.json: storage: got an error at line 1, column 2: ")


@pytest.mark.parametrize("name", ["central.yaml", "central.json", "central.conf", "central"])
def test_json_is_read_by_every_name(load: Load, name: str) -> None:
    assert load(receiver(type="tcp"), name).receivers[0].name == "r"


def test_yaml_without_a_suffix(load: Load) -> None:
    text = "receivers:\n  r:\n    type: udp\nstorage: {backend: {type: sqlite, database_path: d}}\n"
    assert load(text, "central").receivers[0].name == "r"


def test_byte_order_mark(load: Load) -> None:
    assert load("\ufeff" + json.dumps(receiver(type="tcp"))).receivers


def test_repeated_key_in_json(load: Load) -> None:
    text = json.dumps(receiver(type="tcp", port=1)).replace('"port"', '"port": 2, "port"')
    assert problem(load, text) == "receivers.r.port: got the key a second time, expected each key only once"


def test_repeated_key_in_yaml_says_where(load: Load) -> None:
    text = f"storage: {json.dumps(STORAGE)}\nreceivers:\n  r: {{type: tcp}}\n  r: {{type: udp}}\n"
    assert problem(load, text, "central.yaml") == (
        "receivers.r: got the key a second time at line 4, column 3, expected each key only once"
    )


def test_repeated_key_where_nobody_looks(load: Load) -> None:
    text = json.dumps(complete(main={"a": [{"b": 1}]})).replace('"b"', '"b": 0, "b"')
    assert problem(load, text).startswith("main.a.0.b: got the key a second time")


def test_yaml_anchors_and_merges(load: Load) -> None:
    text = f"""
        main: {{common: &common {{type: tcp, port: 1}}, loop: &loop [*loop]}}
        receivers: {{a: *common, b: {{<<: *common, port: 2}}}}
        storage: {json.dumps(STORAGE)}
    """
    config = load(text, "central.yaml")
    assert [getattr(each, "port", None) for each in config.receivers] == [1, 2]
    assert config.warnings == ()
