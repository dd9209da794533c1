"""The configuration: what is read, what is refused, and with which words."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import yaml
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from ccstore.config import (
    ClientTlsConfig,
    Config,
    ConfigError,
    EecptReceiverConfig,
    HttpLimits,
    HttpReceiverConfig,
    NatsReceiverConfig,
    PostgresConfig,
    Problem,
    TcpReceiverConfig,
    TlsConfig,
    UdpReceiverConfig,
    known_keys,
    load_config,
    missing_folder,
)
from tests.support.certificates import certificates
from tests.support.nats_server import Key, creds
from tests.support.running_daemon import ROOT

CONF = ROOT / "conf"
STORAGE = {"backend": {"type": "sqlite", "database_path": "events.db"}}
KEY = base64.b64encode(bytes(range(32))).decode()
SECRET = "hunter2-do-not-show"


@pytest.fixture
def cwd(tmp_path: Path) -> Path:
    """A working directory of its own, beside which `etc` has the central file."""
    (tmp_path / "etc").mkdir()
    directory = tmp_path / "work"
    directory.mkdir()
    return directory


Load = Callable[..., Config]


@pytest.fixture
def load(cwd: Path) -> Load:
    """Load a central file given as text or as an object."""

    def load_it(content: object, name: str = "central.json", environ: dict[str, str] | None = None) -> Config:
        path = cwd.parent / "etc" / name
        path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
        return load_config(path, cwd=cwd, environ=environ or {})

    return load_it


def complete(**parts: Any) -> dict[str, Any]:
    return {"receivers": {}, "storage": STORAGE, **parts}


def receiver(**keys: Any) -> dict[str, Any]:
    return complete(receivers={"r": keys})


def storage(**keys: Any) -> dict[str, Any]:
    return complete(storage={**STORAGE, **keys})


def sqlite(**keys: Any) -> dict[str, Any]:
    return complete(storage={"backend": {**STORAGE["backend"], **keys}})


def problems(load: Load, content: object, *more: Any) -> tuple[Problem, ...]:
    """Load what must be refused; each problem must be one line."""
    with pytest.raises(ConfigError) as caught:
        load(content, *more)
    found = caught.value.problems
    assert str(caught.value).split("\n") == [str(problem) for problem in found]
    return found


def problem(load: Load, content: object, *more: Any) -> str:
    """Load what must be refused for one reason, and give that without the name of the central file."""
    (found,) = problems(load, content, *more)
    return re.sub(r"^\S*/central\.\w+: ", "", str(found))


def warning(load: Load, content: object, *more: Any) -> str:
    (line,) = load(content, *more).warnings
    return re.sub(r"^\S*/central\.\w+: ", "", line)


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


# --- values ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("7 days", "got '7 days', expected a duration with its unit, such as \"7d\""),
        ("2W", "got '2W', expected a duration with its unit, such as \"2w\""),
        ("1y", "(units: w d h m s ms us ns)"),
        (10, 'got 10, expected a duration with its unit, such as "10s"'),
        ("10", "got '10', expected a duration with its unit, such as \"10s\""),
        (0.5, 'got 0.5, expected a duration with its unit, such as "0.5s"'),
        ("-1s", 'got \'-1s\', expected a duration such as "10s", "1h30m" or "30d", not negative'),
        ("soon", "(units: w d h m s ms us ns)"),
        (True, "got true, expected a duration such as"),
        (-1, "got -1, expected a duration such as"),
        ([], "got a list, expected a duration such as"),
    ],
)
def test_wrong_durations_show_what_would_be_right(load: Load, value: object, said: str) -> None:
    assert said in problem(load, receiver(type="tcp", idle_timeout=value))


@pytest.mark.parametrize("zero", [0, 0.0, "0", "0s"])
def test_zero_durations(load: Load, zero: object) -> None:
    assert getattr(load(receiver(type="http", idle_timeout=zero)).receivers[0], "idle_timeout", None) == 0.0


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (4096, 4096),
        ("4096", 4096),
        ("64k", 65536),
        ("64KiB", 65536),
        ("64 kB", 64000),
        ("1m", 2**20),
        ("1GiB", 2**30),
    ],
)
def test_sizes(load: Load, value: object, size: int) -> None:
    assert load(complete(api={"max_body": value})).api.max_body == size


@pytest.mark.parametrize(
    "value", [0, -1, 1.5, True, "", "x", "1.5k", "-1k", "1t", "2GiB", 2**31, "9" * 30, []]
)
def test_wrong_sizes(load: Load, value: object) -> None:
    assert 'expected a size such as 65536, "64k" or "16MiB", from 1024 to 1073741824 bytes' in problem(
        load, complete(api={"max_body": value})
    )


@pytest.mark.parametrize(("value", "port"), [(0, 0), ("0", 0), (65535, 65535), ("08088", 8088)])
def test_ports(load: Load, value: object, port: int) -> None:
    assert load(complete(api={"port": value})).api.port == port


@pytest.mark.parametrize("value", [-1, 65536, "65536", "", "http", True, 80.0, "\u0661", {}])
def test_wrong_ports(load: Load, value: object) -> None:
    assert problem(load, complete(api={"port": value})).endswith("expected a port from 0 to 65535")


@pytest.mark.parametrize("value", ["", "0.0.0.0", "::", "::1", "localhost", "node-1.example.org"])
def test_addresses(load: Load, value: str) -> None:
    assert load(complete(api={"address": value})).api.address == value


@pytest.mark.parametrize("value", ["127.0.0.1:80", "[::1]", "300.1.1.1", "a b", "http://x", 5, None, "-x"])
def test_wrong_addresses(load: Load, value: object) -> None:
    content = complete(api={"address": value})
    if value is None:
        assert load(content).api.address == "localhost"
    else:
        assert "without port and brackets" in problem(load, content)


@pytest.mark.parametrize("value", ["true", 1, 0, "yes"])
def test_booleans_are_booleans(load: Load, value: object) -> None:
    assert "expected true or false, without quotes" in problem(load, storage(store_logs=value))


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"retention_time": "0"}, "would be deleted on arrival"),
        ({"flush_time": "61s"}, 'a duration of at most "60s"'),
        ({"batch_size": 0}, "a whole number from 1 to 1000000"),
        ({"batch_size": "10"}, "got '10', expected a whole number"),
        ({"batch_size": 1e3}, "got 1000.0, expected a whole number"),
        ({"max_waiting": True}, "got true, expected a whole number"),
    ],
)
def test_ranges_of_the_storage(load: Load, keys: dict[str, object], said: str) -> None:
    assert said in problem(load, storage(**keys))


def test_storage_values(load: Load) -> None:
    keys = {"retention_time": "48h", "flush_time": 0, "batch_size": 5, "max_waiting": 9, "store_logs": False}
    keys |= {"store_heartbeats": True}
    config = load(storage(**keys)).storage
    assert (config.retention_time, config.flush_time, config.batch_size) == (172800.0, 0.0, 5)
    assert (config.max_waiting, config.store_logs, config.store_heartbeats) == (9, False, True)


@pytest.mark.parametrize(
    ("written", "mode"),
    [("", 0o600), ("0600", 0o600), ("0640", 0o640), ("640", 0o640), ('"0640"', 0o640), ("0o640", 0o640)],
)
def test_the_mode_of_files(load: Load, written: str, mode: int) -> None:
    """As YAML and people write it."""
    line = f"  file_mode: {written}\n" if written else ""
    text = f"receivers: {{}}\nstorage:\n{line}  backend: {{type: sqlite, database_path: x.db}}\n"
    config: Any = load(text, "central.yaml").storage
    assert (config.file_mode, config.backend.file_mode) == (mode, mode)


@pytest.mark.parametrize("value", ["0644", 0o666, "0o777", True, "rw-------"])
def test_modes_that_everybody_could_read_are_refused(load: Load, value: object) -> None:
    said = problem(load, storage(file_mode=value))
    assert said.startswith("storage.file_mode: got ")
    assert said.endswith('expected "0600", or "0640" for files that the group may read')


def test_max_process_is_ignored_with_a_warning(load: Load) -> None:
    found = load(complete(storage={**STORAGE, "max_process": 4}, receivers={"r": {"type": "tcp"}})).warnings
    assert len(found) == 1
    assert "storage.max_process: ignored" in found[0]


def test_values_are_shown_short_and_in_one_line(load: Load) -> None:
    found = problem(load, receiver(type="x" * 1000 + "\n"))
    assert len(found) < 200
    assert "got 'xxx" in found
    assert "a very large number" in problem(
        load, f'{{"receivers": {{}}, "storage": {json.dumps(STORAGE)}, "api": {{"port": {"9" * 500}}}}}'
    )
    assert "a\\nb: got 'x'" in problem(load, complete(receivers={"a\nb": "x"}))


# --- receivers ------------------------------------------------------------------------------------------


def test_defaults_of_receivers(load: Load) -> None:
    config = load(complete(receivers={"t": {"type": "tcp"}, "u": {"type": "udp"}, "h": {"type": "http"}}))
    assert config.receivers == (
        TcpReceiverConfig("t", None, "", 8094, None, None, "auto", 0.0, 2**20, 20000),
        UdpReceiverConfig("u", "", 8094, None, "auto", 4 * 2**20, 2**20),
        HttpReceiverConfig(
            "h",
            None,
            "",
            8080,
            None,
            "",
            120.0,
            True,
            None,
            None,
            None,
            "auto",
            2**24,
            2**25,
            False,
            "auto",
            False,
            {},
        ),
    )
    assert config.warnings == ()
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        config.receivers = ()  # type: ignore[misc]


def test_options_of_receivers(load: Load) -> None:
    tcp: dict[str, Any] = {
        "type": "TCP",
        "port": "1",
        "cluster": "alex",
        "precision": "ms",
        "idle_timeout": "5m",
    }
    tcp |= {"max_line_length": "2k", "max_connections": 0, "process_messages": {}}
    udp = {"type": "udp", "address": "localhost", "port": 1, "receive_buffer": "8MiB", "cluster": ""}
    http = {"type": "http", "path": "write", "keep_alives_enabled": False, "access_log": True}
    http |= {"max_body": "1k", "max_unpacked": 2048, "username": "u", "password": "p", "process_messages": []}
    http |= {"influx": False, "cluster_from": "bucket", "databases": {"x": "alex"}}
    config = load(complete(receivers={"t": tcp, "u": udp, "h": http}))
    assert config.receivers == (
        TcpReceiverConfig("t", None, "", 1, None, "alex", "ms", 300.0, 2048, 0),
        UdpReceiverConfig("u", "127.0.0.1", 1, None, "auto", 8 * 2**20, 2**20),
        HttpReceiverConfig(
            "h",
            None,
            "",
            8080,
            None,
            "/write",
            120.0,
            False,
            "u",
            "p",
            None,
            "auto",
            1024,
            2048,
            True,
            "never",
            True,
            {"x": "alex"},
        ),
    )


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("influx", "yes", "true, false or auto"),
        ("cluster_from", "org", '"database" (or "bucket"'),
        ("databases", "alex", "such as {telegraf: alex}"),
        ("databases", {"x": 1}, "what 'x' has is not the name of a cluster"),
        ("databases", {"x": ""}, "what 'x' has is not the name of a cluster"),
        ("databases", {"x": "a\nb"}, "what 'x' has is not the name of a cluster"),
    ],
)
def test_what_is_said_of_wrong_influx_keys(load: Load, key: str, value: object, expected: str) -> None:
    said = problem(load, receiver(type="http", **{key: value}))
    assert f".{key}: " in said
    assert expected in said


def test_limits_of_ports_over_http(load: Load) -> None:
    limits = {"max_connections": 5, "max_connections_per_address": 2}
    limits |= {"allowed_hosts": ["Events.example.org.", "[::1]", "*"]}
    wanted = HttpLimits(5, 2, frozenset({"events.example.org", "::1", "*"}))
    for kind in ("http", "eecpt"):
        config = load(complete(receivers={"r": {"type": kind, **limits}}, api=limits))
        assert getattr(config.receivers[0], "limits", None) == config.api.limits == wanted
    assert load(complete(api={"allowed_hosts": "h"})).api.limits == HttpLimits(10_000, 0, frozenset({"h"}))


@pytest.mark.parametrize("given", [["http://h"], ["h:80"], [1], "", ["*.example.org"], {"h": 1}])
def test_wrong_allowed_hosts(load: Load, given: object) -> None:
    assert "such as [events.example.org]" in problem(load, complete(api={"allowed_hosts": given}))


@pytest.mark.parametrize(("given", "path"), [("", ""), ("/", ""), ("write", "/write"), ("/api/", "/api/")])
def test_url_paths(load: Load, given: str, path: str) -> None:
    assert getattr(load(receiver(type="http", path=given)).receivers[0], "path", None) == path


@pytest.mark.parametrize("given", ["/a b", "/a?b", "http://h/a", 3])
def test_wrong_url_paths(load: Load, given: object) -> None:
    assert 'such as "/write"' in problem(load, receiver(type="http", path=given))


@pytest.mark.parametrize("kind", ["prometheus", "ipmi", "redfish"])
def test_receivers_of_metrics_only(load: Load, kind: str) -> None:
    content = receiver(type=kind, anything=1)
    assert load(content).receivers == ()
    assert warning(load, content) == (
        f"receivers.r.type: a receiver of type {kind} delivers only metrics, it is not started"
    )


def test_unknown_types_of_receivers(load: Load) -> None:
    assert problem(load, receiver(type="htttp")) == (
        "receivers.r.type: got 'htttp', expected one of tcp, udp, http, eecpt, nats (did you mean 'http'?)"
    )
    expected = "expected one of tcp, udp, http, eecpt, nats"
    assert problem(load, receiver(port=1)) == f"receivers.r.type: got nothing, {expected}"
    assert "got 5, expected a string" in problem(load, receiver(type=5))
    assert "expected an object with the receiver's keys" in problem(load, complete(receivers={"r": "tcp"}))
    assert "expected a name" in problem(load, complete(receivers={"": {"type": "tcp"}}))


NO_TLS = ClientTlsConfig(False, False, None, None, None)


def nats(**keys: object) -> dict[str, Any]:
    return receiver(type="nats", **{"subject": "alex.>", **keys})


def test_defaults_of_nats(load: Load) -> None:
    (config,) = load(nats()).receivers
    assert config == NatsReceiverConfig(
        name="r",
        address="localhost",
        port=4222,
        tls=NO_TLS,
        subject="alex.>",
        queue_group=None,
        stream=None,
        durable=None,
        user=None,
        password=None,
        nkey_file=None,
        cluster=None,
        precision="auto",
        max_payload=2**24,
    )


def test_options_of_nats(load: Load, cwd: Path) -> None:
    certificates(cwd)
    (cwd / "user").write_text("somebody\n")
    keys = {"address": "nats.example.org", "port": "1", "stream": "JOBS", "durable": "cc", "cluster": "alex"}
    keys |= {"user_file": "user", "password_env": "PASSWORD", "password": "not this", "precision": "s"}
    keys |= {"tls_ca": "ca.pem", "tls_certificate": "client.pem", "tls_key": "client.key"}
    content = nats(**keys, max_payload="1MiB", process_messages=[])
    (config,) = load(content, environ={"PASSWORD": SECRET}).receivers
    assert config == NatsReceiverConfig(
        name="r",
        address="nats.example.org",
        port=1,
        tls=ClientTlsConfig(True, False, cwd / "ca.pem", cwd / "client.pem", cwd / "client.key"),
        subject="alex.>",
        queue_group=None,
        stream="JOBS",
        durable="cc",
        user="somebody",
        password=SECRET,
        nkey_file=None,
        cluster="alex",
        precision="s",
        max_payload=2**20,
    )
    assert SECRET not in repr(config)


@pytest.mark.parametrize(
    ("given", "address", "is_tls"),
    [("nats://a.b", "a.b", False), ("TLS://10.0.0.1", "10.0.0.1", True), ("::1", "::1", False)],
)
def test_addresses_of_nats(load: Load, given: str, address: str, is_tls: bool) -> None:
    (config,) = load(nats(address=given)).receivers
    assert isinstance(config, NatsReceiverConfig)
    assert (config.address, config.tls.is_required) == (address, is_tls)


@pytest.mark.parametrize("given", ["", "http://a", "a:4222", "nats://", "a b", 1])
def test_wrong_addresses_of_nats(load: Load, given: object) -> None:
    assert "expected a server's host name or IP address" in problem(load, nats(address=given))


@pytest.mark.parametrize("given", ["a", "*", ">", "a.*.b", "*.events.*", "a.>", "ä.b", "$SYS.x", "a-b_c"])
def test_subjects(load: Load, given: str) -> None:
    assert getattr(load(nats(subject=given)).receivers[0], "subject", None) == given


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, 'the subject to subscribe to, such as "*.events.>"'),
        ("", "a NATS subject such as"),
        (3, "a NATS subject such as"),
        ("a..b", "something between the dots"),
        (".a", "something between the dots"),
        ("a b", "without spaces"),
        ("a\r\nPUB", "without spaces"),
        ("a.>.b", "'>' stands at the end"),
        ("a.b*", "a wildcard stands alone between the dots"),
        (">a", "a wildcard stands alone between the dots"),
        ("a" * 1025, "at most 1024 bytes"),
    ],
)
def test_wrong_subjects(load: Load, given: object, expected: str) -> None:
    text = problem(load, nats(subject=given))
    assert text.startswith("receivers.r.subject: got ")
    assert expected in text


@pytest.mark.parametrize(
    ("keys", "key", "expected"),
    [
        ({"port": 0}, "port", "a port from 1 to 65535"),
        ({"port": "x"}, "port", "a port"),
        ({"endpoint": "tcp:1"}, "endpoint", "address and port"),
        ({"queue_group": "a b"}, "queue_group", "the name of a queue group, without spaces"),
        ({"stream": "A"}, "durable", "a durable, since there is a stream (both or none)"),
        ({"durable": "A"}, "stream", "a stream, since there is a durable (both or none)"),
        ({"stream": "A.B", "durable": "c"}, "stream", "a JetStream name, without spaces, dots"),
        ({"stream": "A", "durable": "c", "queue_group": "q"}, "queue_group", "nothing: a durable is shared"),
        ({"user": "u"}, "password", "a password, since there is a user (both or none)"),
        ({"password": SECRET}, "user", "a user, since there is a password (both or none)"),
        ({"nkey_file": "none"}, "nkey_file", "an existing file"),
        ({"nkey_file": "work"}, "nkey_file", "a readable file (is a directory)"),
        ({"nkey_file": "other"}, "nkey_file", "a .creds file, or a file with nothing but an nkey seed"),
        ({"tls": "yes"}, "tls", "true or false"),
        ({"tls_ca": "seed"}, "tls_ca", "a PEM file with a certificate"),
        ({"tls_key": "client.key"}, "tls_key", "tls_certificate beside it"),
        ({"tls_certificate": "client.pem"}, "tls_certificate", "a PEM file with a private key"),
        ({"tls_certificate": "client.pem", "tls_key": "server.key"}, "tls_key", "that in"),
        ({"max_payload": "65MiB"}, "max_payload", "a size"),
    ],
)
def test_what_is_wrong_with_nats(
    load: Load, cwd: Path, keys: dict[str, object], key: str, expected: str
) -> None:
    certificates(cwd)
    (cwd / "seed").write_text(Key().seed)
    (cwd / "other").write_text("no seed\n")
    (cwd / "work").mkdir()
    found = problems(load, nats(**keys))
    assert found[0].key == f"receivers.r.{key}"
    assert expected in str(found[0])
    assert SECRET not in "".join(map(str, found))


def test_files_of_nkeys(load: Load, cwd: Path) -> None:
    (cwd / "seed").write_text(Key().seed + "\n")
    (cwd / "user.creds").write_text(creds("a.b.c", Key().seed))
    for name in ("seed", "user.creds"):
        assert getattr(load(nats(nkey_file=name)).receivers[0], "nkey_file", None) == cwd / name


def test_eecpt(load: Load) -> None:
    (config,) = load(receiver(type="eecpt")).receivers
    assert isinstance(config, EecptReceiverConfig)
    assert (config.port, config.path, config.idle_timeout) == (8080, "", 120.0)
    found = config.analysis_buffer_size, config.analysis_interval, config.analysis_metric
    assert found == (4, 300.0, "region_metric")
    keys = {"analysis_buffer_size": 10, "analysis_interval": "10s", "analysis_metric": "m", "path": "write"}
    (config,) = load(receiver(type="EECPT", cluster="alex", port="9", **keys)).receivers
    assert isinstance(config, EecptReceiverConfig)
    assert (config.port, config.path, config.cluster) == (9, "/write", "alex")
    found = config.analysis_buffer_size, config.analysis_interval, config.analysis_metric
    assert found == (10, 10.0, "m")
    wrong = receiver(type="eecpt", analysis_buffer_size=3, analysis_interval="0", analysis_metric="")
    assert [str(each).partition("receivers.r.")[2] for each in problems(load, wrong)] == [
        "analysis_buffer_size: got 3, expected a whole number from 4 to 1000",
        'analysis_interval: got \'0\', expected a duration from "1s" to "24h"',
        "analysis_metric: got '', expected the name of a metric",
    ]


# --- rules ----------------------------------------------------------------------------------------------


def rules(**process_messages: Any) -> dict[str, Any]:
    return receiver(type="tcp", process_messages=process_messages)


@pytest.mark.parametrize("kind", ["tcp", "udp", "http", "eecpt", "nats"])
def test_every_receiver_has_rules(load: Load, kind: str) -> None:
    more = {"subject": "a"} if kind == "nats" else {}
    for value in ([], {}, None):
        content = receiver(type=kind, **more, process_messages=value)
        assert load(content).receivers[0].rules == ()
        assert load(content).warnings == ()
    (config,) = load(receiver(type=kind, **more, process_messages={"drop_messages": ["a"]})).receivers
    assert [rule.key for rule in config.rules] == ["process_messages.drop_messages"]


def test_rules_in_yaml(load: Load) -> None:
    (config,) = load(
        """
receivers:
  r:
    type: tcp
    process_messages:
      - drop_messages_if: [ "!(name in [`load_one`])", true ]
        add_tags_if: [ {if: true, key: cluster, value: alex} ]
      - rename_messages_if: { "name == 'x'": y }
storage: {backend: {type: sqlite, database_path: x.db}}
""",
        "central.yaml",
    ).receivers
    assert [rule.key for rule in config.rules] == [
        "process_messages.0.drop_messages_if.0",
        "process_messages.0.drop_messages_if.1",
        "process_messages.0.add_tags_if.0",
        "process_messages.1.rename_messages_if",
    ]


@pytest.mark.parametrize("value", ["x", 1, False])
def test_rules_are_an_object_or_a_list(load: Load, value: object) -> None:
    assert "expected an object with rules, or a list of such objects" in problem(
        load, receiver(type="tcp", process_messages=value)
    )
    expected = "process_messages.0: got"
    assert expected in problem(load, receiver(type="tcp", process_messages=[value]))


@pytest.mark.parametrize(
    ("process_messages", "expected"),
    [
        (
            {"drop_messages_if": ["true", "name == "]},
            "drop_messages_if.1: got 'name == ', expected a condition; at column 9: expected a value, found "
            "the end",
        ),
        (
            {"drop_messages_if": ["name == 'x' //\n && tag.a <> 3"]},
            "drop_messages_if.0: got \"name == 'x' //\\n && tag.a <> 3\", expected a condition; at line 2, "
            "column 12: expected a value, found '>'",
        ),
        (
            {"drop_messages_if": [5]},
            "drop_messages_if.0: got 5, expected a condition such as \"name == 'job'\", or true for all",
        ),
        (
            {"rename_messages_if": {"name = 'x'": "y"}},
            "rename_messages_if.name = 'x': got \"name = 'x'\", expected a condition; at column 6: '=' is "
            "not known here (== compares)",
        ),
        (
            {"add_tags_if": [{"if": "nme == 'x'", "key": "a", "value": "b"}]},
            "add_tags_if.0.if: got \"nme == 'x'\", expected a condition; at column 1: the name 'nme' is not",
        ),
        (
            {"add_tags_if": [{"key": "a", "value": "b"}]},
            "add_tags_if.0.if: got nothing, expected a condition such as",
        ),
        ({"add_tags_if": [{"if": "true", "value": "b"}]}, "add_tags_if.0.key: got nothing, expected a name"),
        (
            {"add_tags_if": [{"if": "true", "key": "b"}]},
            "add_tags_if.0.value: got nothing, expected a string",
        ),
        (
            {"add_tags_if": [{"if": "true", "key": "b", "value": ""}]},
            "add_tags_if.0.value: got '', expected a name that is not empty",
        ),
        (
            {"add_meta_if": [{"if": "true", "key": "b", "value": 5}]},
            "add_meta_if.0.value: got 5, expected a string (in quotes)",
        ),
        ({"add_tags_if": ["true"]}, 'add_tags_if.0: got \'true\', expected an object with "if" and "key"'),
        ({"add_tags_if": {"if": "true"}}, "add_tags_if: got an object, expected a list of objects"),
        ({"drop_messages": "a"}, "drop_messages: got 'a', expected a list of names of messages"),
        ({"drop_messages": [5]}, "drop_messages.0: got 5, expected a string"),
        (
            {"drop_by_message_type": ["metrics"]},
            "drop_by_message_type.0: got 'metrics', expected one of metric, event, log, control, query (did",
        ),
        ({"rename_messages": ["a"]}, "rename_messages: got a list, expected an object"),
        ({"rename_messages": {"a": ""}}, "rename_messages.a: got '', expected a name that is not empty"),
        ({"stage_order": ["drop_iff"]}, "stage_order.0: got 'drop_iff', expected one of drop_by_name, "),
        ({"stage_order": "drop_if"}, "stage_order: got 'drop_if', expected a list of stages"),
        ({"add_base_env": {"x": None}}, "add_base_env.x: got null, expected a string, a number, "),
        (
            {"drop_mesages": []},
            "drop_mesages: got an unknown key, expected a known one (did you mean 'drop_m",
        ),
        (
            {"add_tags_if": [{"if": "true", "key": "a", "value": "b", "vlaue": "c"}]},
            "add_tags_if.0.vlaue: got an unknown key, expected a known one (did you mean 'value'?)",
        ),
        (
            {"drop_messages_if": ["name matches '(a'"]},
            "drop_messages_if.0: got \"name matches '(a'\", expected a condition; at column 14: '(a' is no "
            "regular expression: missing ): (a",
        ),
    ],
)
def test_wrong_rules(load: Load, process_messages: dict[str, Any], expected: str) -> None:
    found = problem(load, rules(**process_messages))
    assert found.startswith(f"receivers.r.process_messages.{expected}"), found


@pytest.mark.parametrize("name", ["value", "event", "log", "control"])
@pytest.mark.parametrize("key", ["delete_field_if", "move_field_to_tag_if", "move_field_to_meta_if"])
def test_protected_fields(load: Load, name: str, key: str) -> None:
    found = problem(load, rules(**{key: [{"if": "true", "key": name, "value": "x"}]}))
    assert found.startswith(
        f"receivers.r.process_messages.{key}.0.key: got '{name}', expected another field than"
    )
    assert load(rules(move_tag_to_meta_if=[{"if": "true", "key": name, "value": "x"}])).receivers


def test_all_that_is_wrong_with_rules_is_told_at_once(load: Load) -> None:
    found = problems(
        load,
        rules(drop_messages_if=["(", "true", ")"], add_tags_if=[{"if": "[", "key": 1}], stage_order=["x"]),
    )
    assert [each.key.partition("process_messages.")[2] for each in found] == [
        "drop_messages_if.0",
        "drop_messages_if.2",
        "add_tags_if.0.value",
        "add_tags_if.0.if",
        "add_tags_if.0.key",
        "stage_order.0",
    ]


@pytest.mark.parametrize(
    ("process_messages", "expected"),
    [
        ({"zzz": ["a"]}, "zzz: unknown key, ignored"),
        (
            {"add_tags_if": [{"if": "true", "key": "a", "value": "b", "zzz": "c"}]},
            "add_tags_if.0.zzz: unknown key, ignored",
        ),
        (
            {"drop_messages": ["a"], "stage_order": ["drop_if"]},
            "drop_messages: these rules have no effect: stage_order does not name them",
        ),
        ({"add_base_env": {"name": "x"}}, "add_base_env.name: ignored: this name has a meaning already"),
    ],
)
def test_doubtful_rules(load: Load, process_messages: dict[str, Any], expected: str) -> None:
    assert warning(load, rules(**process_messages)) == f"receivers.r.process_messages.{expected}"


def test_units_are_accepted(load: Load) -> None:
    config = load(rules(change_unit_prefix={"true": "G"}, normalize_units=True))
    assert (config.receivers[0].rules, config.warnings) == ((), ())


def test_precision(load: Load) -> None:
    assert problem(load, receiver(type="udp", precision="nss")) == (
        "receivers.r.precision: got 'nss', expected one of auto, s, ms, us, ns (did you mean 'ns'?)"
    )


def test_endpoint(load: Load) -> None:
    config = load(
        complete(receivers={"t": {"type": "tcp", "endpoint": "tcp:0"}}, api={"endpoint": "unix:/x"})
    )
    assert getattr(config.receivers[0], "endpoint", None) == "tcp:0"
    assert config.api.endpoint == "unix:/x"
    for wrong in ("8094", ":8094", "", 8094, "127.0.0.1:80"):
        assert "expected a Twisted server endpoint" in problem(load, receiver(type="tcp", endpoint=wrong))


def test_endpoint_excludes_the_keys_that_it_replaces(load: Load) -> None:
    found = problems(load, receiver(type="tcp", endpoint="tcp:1", address="", port=1, tls_key="x"))
    assert [each.key for each in found] == ["receivers.r.address", "receivers.r.port", "receivers.r.tls_key"]
    assert str(found[1]).endswith("got 1, expected nothing, since endpoint says all of this")


def test_udp_has_neither_endpoint_nor_tls_nor_connections(load: Load) -> None:
    found = problems(load, receiver(type="udp", endpoint="udp:1", tls_certificate="x"))
    assert [each.key for each in found] == ["receivers.r.endpoint", "receivers.r.tls_certificate"]
    assert "UDP has no connections" in warning(load, receiver(type="udp", max_connections=1))
    assert "expected an IP address" in problem(load, receiver(type="udp", address="node1"))


def test_endpoints_are_understood_before_anything_starts(load: Load, cwd: Path) -> None:
    certificates(cwd)
    (cwd / "both.pem").write_bytes((cwd / "server.pem").read_bytes() + (cwd / "client.key").read_bytes())
    expected = "expected a Twisted server endpoint "
    wrong = {
        "tcp:18094:foo=bar": "(it has no parameter 'foo')",
        "tcp:http": "('http' is not a number)",
        "nothing:1": "(Unknown endpoint type: 'nothing')",
        "stdio:": "(stdio is no place to listen on)",
        f"ssl:1:privateKey={cwd}/ca.pem": "(there is no certificate or no private key in the file it names)",
        f"ssl:1:privateKey={cwd}/both.pem": "(the certificate and the private key do not belong together)",
    }
    for endpoint, said in wrong.items():
        found = problem(load, receiver(type="tcp", endpoint=endpoint))
        assert found.startswith("receivers.r.endpoint: got ")
        assert found.endswith(expected + said)
        assert problem(load, complete(api={"endpoint": endpoint})).endswith(expected + said)


def test_endpoints_that_may_work_when_it_starts(load: Load) -> None:
    for endpoint in ("systemd:domain=INET:index=0", "ssl:1:privateKey=not-yet-there.pem", "unix:/not/there"):
        assert load(complete(api={"endpoint": endpoint})).api.endpoint == endpoint


def test_tls(load: Load, cwd: Path) -> None:
    etc = cwd.parent / "etc"
    certificates(etc)
    (etc / "both.pem").write_bytes((etc / "server.pem").read_bytes() + (etc / "server.key").read_bytes())
    keys = {"tls_certificate": "both.pem"}
    assert load(complete(api=keys)).api.tls == TlsConfig(etc / "both.pem", etc / "both.pem", None)
    keys |= {"tls_key": str(etc / "server.key"), "tls_client_ca": "../etc/ca.pem"}
    assert load(complete(api=keys)).api.tls == TlsConfig(
        etc / "both.pem", etc / "server.key", cwd / "../etc/ca.pem"
    )


def test_tls_files_must_be_there(load: Load, cwd: Path) -> None:
    (cwd / "folder").mkdir()
    first, second = problems(load, complete(api={"tls_certificate": "no.pem", "tls_key": "folder"}))
    assert "got 'no.pem', expected an existing file" in str(first)
    assert "got 'folder', expected a readable file (is a directory)" in str(second)


def test_tls_needs_a_certificate(load: Load, cwd: Path) -> None:
    (cwd / "ca.pem").touch()
    assert problem(load, receiver(type="tcp", tls_client_ca="ca.pem")) == (
        "receivers.r.tls_client_ca: got 'ca.pem', expected tls_certificate beside it"
    )


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (
            {"tls_certificate": "junk"},
            "tls_certificate: got 'junk', expected a PEM file with a certificate (there is no ",
        ),
        (
            {"tls_certificate": "broken"},
            "tls_certificate: got 'broken', expected a PEM file with a certificate (",
        ),
        (
            {"tls_certificate": "server.pem"},
            "tls_certificate: got 'server.pem', expected a PEM file with a private key (",
        ),
        (
            {"tls_certificate": "server.pem", "tls_key": "junk"},
            "tls_key: got 'junk', expected a PEM file with a private key (",
        ),
        (
            {"tls_certificate": "server.pem", "tls_key": "locked"},
            "tls_key: got 'locked', expected a private key without a passphrase (",
        ),
        (
            {"tls_certificate": "server.pem", "tls_key": "client.key"},
            "tls_key: got 'client.key', expected the private key of the certificate (that in ",
        ),
        (
            {"tls_certificate": "server.pem", "tls_key": "server.key", "tls_client_ca": "server.key"},
            "tls_client_ca: got 'server.key', expected a PEM file with a certificate (",
        ),
    ],
)
def test_tls_files_that_are_of_no_use(load: Load, cwd: Path, keys: dict[str, str], said: str) -> None:
    certificates(cwd)
    (cwd / "junk").write_text("junk")
    (cwd / "broken").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    locked = load_pem_private_key((cwd / "server.key").read_bytes(), None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
    )
    (cwd / "locked").write_bytes(locked)
    for kind in ("tcp", "http"):
        assert problem(load, receiver(type=kind, **keys)).startswith(f"receivers.r.{said}")
    assert problem(load, complete(api=keys)).startswith(f"api.{said}")


@pytest.mark.parametrize(
    ("one", "other", "clash"),
    [
        ({"type": "tcp", "port": 5}, {"type": "http", "port": "5"}, True),
        (
            {"type": "tcp", "port": 5, "address": "localhost"},
            {"type": "tcp", "port": 5, "address": "127.0.0.1"},
            True,
        ),
        ({"type": "tcp", "port": 5, "address": ""}, {"type": "tcp", "port": 5, "address": "127.0.0.1"}, True),
        ({"type": "udp"}, {"type": "udp"}, True),
        (
            {"type": "tcp", "port": 5, "address": "127.0.0.2"},
            {"type": "tcp", "port": 5, "address": "127.0.0.1"},
            False,
        ),
        ({"type": "tcp", "port": 5, "address": "::1"}, {"type": "tcp", "port": 5}, False),
        ({"type": "tcp", "port": 5}, {"type": "udp", "port": 5}, False),
        ({"type": "tcp", "port": 5}, {"type": "tcp", "port": 6}, False),
        ({"type": "tcp", "port": 0}, {"type": "tcp", "port": 0}, False),
        ({"type": "tcp"}, {"type": "tcp", "endpoint": "tcp:8094"}, False),
    ],
)
def test_one_port_wanted_twice(load: Load, one: dict[str, Any], other: dict[str, Any], clash: bool) -> None:
    content = complete(receivers={"a": one, "b": other})
    if clash:
        found = problem(load, content)
        assert found.startswith("receivers.b")
        assert "expected another port: receivers.a listens on " in found
    else:
        assert len(load(content).receivers) == 2


def test_api_wants_the_port_of_a_receiver(load: Load) -> None:
    assert problem(load, complete(receivers={"a": {"type": "http", "port": 8088}}, api={})) == (
        "api.port: got 8088, expected another port: receivers.a listens on *:8088 too"
    )


# --- secrets --------------------------------------------------------------------------------------------


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


# --- the backend ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "path"),
    [("x.db", "work/x.db"), ("./a/../x.db", "work/x.db"), ("../etc/x.db", "etc/x.db")],
)
def test_database_path_is_from_the_working_directory(load: Load, cwd: Path, given: str, path: str) -> None:
    (cwd.parent / "etc" / "x.db").touch()
    assert load(sqlite(database_path=given)).storage.backend.database_path == cwd.parent / path


def test_absolute_database_path(load: Load, cwd: Path) -> None:
    assert load(sqlite(database_path="/var/x.db", type="sqlite3")).storage.backend.database_path == Path(
        "/var/x.db"
    )


@pytest.mark.parametrize(
    "value", ["", ":memory:", "file:x.db?mode=ro", "..", 5, "a\0b", "x" * 300, "x" * 250, "x/" * 3000]
)
def test_wrong_database_path(load: Load, value: object) -> None:
    found = problem(load, sqlite(database_path=value))
    assert found.startswith("storage.backend.database_path: got ")
    assert "expected the path of " in found


def test_types_of_backends(load: Load) -> None:
    assert problem(load, sqlite(type="sqlte")).endswith(
        "got 'sqlte', expected sqlite or postgres (did you mean 'sqlite'?)"
    )
    backend = {"database_path": "x"}
    assert problem(load, complete(storage={"backend": backend})) == (
        "storage.backend.type: got nothing, expected sqlite or postgres"
    )
    assert problem(load, complete(storage={"backend": "sqlite"})).endswith("got 'sqlite', expected an object")


def test_credentials_of_sqlite_are_ignored(load: Load) -> None:
    content = sqlite(username="u", password="p") | {"receivers": {"r": {"type": "tcp"}}}
    assert load(content).warnings == ()


def test_keys_of_the_storage_in_its_backend(load: Load) -> None:
    content = sqlite(retention_time="48h") | {"receivers": {"r": {"type": "tcp"}}}
    assert warning(load, content) == (
        "storage.backend.retention_time: ignored: it belongs to storage, one level up"
    )


@pytest.mark.parametrize(
    ("flags", "pragmas"),
    [
        ([], {}),
        ("", {}),
        (["_journal=WAL"], {"journal_mode": "WAL"}),
        ("_journal_mode=wal&_timeout=5000", {"journal_mode": "WAL", "busy_timeout": "5000"}),
        (["_busy_timeout=1", "_sync=normal"], {"busy_timeout": "1", "synchronous": "NORMAL"}),
        (["_synchronous=2&_fk=1"], {"synchronous": "2", "foreign_keys": "1"}),
        (["_foreign_keys=off", "_cache_size=-64000"], {"foreign_keys": "OFF", "cache_size": "-64000"}),
        (["_secure_delete=fast"], {"secure_delete": "FAST"}),
        (["_sync=OFF", "_sync=FULL"], {"synchronous": "FULL"}),
    ],
)
def test_flags(load: Load, flags: object, pragmas: dict[str, str]) -> None:
    config = load(sqlite(flags=flags) | {"receivers": {"r": {"type": "tcp"}}})
    assert dict(config.storage.backend.pragmas) == pragmas
    assert config.warnings == ()


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("_journal=DELETE", "'_journal=DELETE': WAL is used instead, the store needs it"),
        ("_txlock=immediate", "'_txlock': ignored, the store decides this itself"),
        ("_auto_vacuum=full", "'_auto_vacuum': ignored"),
        ("_locking_mode=EXCLUSIVE", "'_locking_mode': ignored"),
        ("_timout=1", "'_timout': unknown flag, ignored (did you mean '_timeout'?)"),
        ("cache=shared", "'cache': unknown flag, ignored"),
    ],
)
def test_flags_without_effect(load: Load, flag: str, said: str) -> None:
    content = sqlite(flags=[flag]) | {"receivers": {"r": {"type": "tcp"}}}
    assert warning(load, content).startswith(f"storage.backend.flags: {said}")
    assert not load(content).storage.backend.pragmas


@pytest.mark.parametrize(
    "flag",
    [
        "_sync=ON",
        "_sync=",
        "_sync",
        "_timeout=5s",
        "_timeout=-1",
        "_fk=2",
        "_cache_size=1;drop",
        "_fk=1\n2",
        7,
        None,
    ],
)
def test_wrong_flags(load: Load, flag: object) -> None:
    assert problem(load, sqlite(flags=[flag])).startswith("storage.backend.flags: got ")


# --- PostgreSQL ------------------------------------------------------------------------------------------


def postgres(**keys: Any) -> dict[str, Any]:
    content = receiver(type="tcp")
    content["storage"] = {"backend": {"type": "postgres", **keys}}
    return content


def test_postgres_with_the_keys_of_cc_event_store(load: Load) -> None:
    content = postgres(
        server="db1,db2",
        port="5433",
        database_path="events",
        username="u",
        password=SECRET,
        flags=["sslmode=verify-full", "sslrootcert=/etc/ca.pem&application_name=x"],
        connection_timeout="3s",
    )
    config = load(content)
    backend = config.storage.backend
    assert isinstance(backend, PostgresConfig)
    assert dict(backend.parameters) == {
        "host": "db1,db2",
        "port": "5433",
        "dbname": "events",
        "user": "u",
        "password": SECRET,
        "sslmode": "verify-full",
        "sslrootcert": "/etc/ca.pem",
        "application_name": "x",
    }
    assert (backend.dsn, backend.connection_timeout) == ("", 3.0)
    assert config.warnings == ()
    assert SECRET not in repr(config)


def test_postgres_leaves_to_libpq_what_is_not_given(load: Load) -> None:
    backend = load(postgres(database_path="events", type="PostgreSQL")).storage.backend
    assert isinstance(backend, PostgresConfig)
    assert (dict(backend.parameters), backend.connection_timeout) == ({"dbname": "events"}, 10.0)


def test_postgres_secrets_from_files_and_variables(load: Load, cwd: Path) -> None:
    (cwd / "password").write_text(SECRET + "\n")
    (cwd / "dsn").write_text(f"host=h password={SECRET} dbname=d\n")
    backend = load(postgres(database_path="d", password_file="password")).storage.backend
    assert isinstance(backend, PostgresConfig)
    assert backend.parameters["password"] == SECRET
    config = load(postgres(dsn_file="dsn", flags="sslmode=require"))
    backend = config.storage.backend
    assert isinstance(backend, PostgresConfig)
    assert backend.dsn == f"host=h password={SECRET} dbname=d"
    assert dict(backend.parameters) == {"sslmode": "require"}
    assert SECRET not in repr(config)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({}, "database_path: got nothing, expected the name of the database, or a dsn"),
        ({"database_path": f"host=x password={SECRET}"}, "a connection string goes to dsn"),
        ({"database_path": "d", "server": 5}, "server: got 5, expected a string"),
        ({"database_path": "d", "port": 70000}, "port: got 70000, expected a port"),
        ({"database_path": "d", "connection_timeout": "0"}, "a duration longer than 0"),
        ({"database_path": "d", "connection_timeout": 0}, "or a whole number of seconds"),
        ({"database_path": "d", "connection_timeout": -1}, "got -1, expected a duration"),
        ({"database_path": "d", "connection_timeout": 1.5}, 'such as "1.5s"'),
        ({"database_path": "d", "connection_timeout": True}, "got true"),
        ({"database_path": "d", "flags": [f"password={SECRET}"]}, "this one has the key password"),
        ({"database_path": "d", "flags": [SECRET]}, 'options of libpq such as "sslmode=verify-full"'),
        ({"database_path": "d", "flags": ["host=x"]}, "this one has the key server"),
        ({"dsn": f"password={SECRET}", "database_path": "d"}, "since there is a dsn to have it"),
        ({"dsn_env": "NOT_THERE"}, "an environment variable that is set"),
        ({"database_path": "d", "password": 5}, "password: got a value not shown here"),
    ],
)
def test_wrong_postgres(load: Load, keys: dict[str, Any], said: str) -> None:
    found = problem(load, postgres(**keys))
    assert said in found
    assert SECRET not in found


def test_postgres_warnings(load: Load) -> None:
    content = postgres(database_path="d", flags="client_encoding=latin1", retention_time="1h", zzz="x")
    warnings = [line.partition("storage.backend.")[2] for line in load(content).warnings]
    assert warnings == [
        "flags: 'client_encoding': ignored, the store decides this itself",
        "retention_time: ignored: it belongs to storage, one level up",
        "zzz: unknown key, ignored",
    ]
