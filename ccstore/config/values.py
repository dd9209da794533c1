"""What a checked configuration is: frozen values, and the error that lists everything wrong with one."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from attrs import field, frozen

from ccstore.insight.topology import ByName, Topology
from ccstore.keeping import KeepRule
from ccstore.permissions import PRIVATE
from ccstore.processing.rules import Rule

# Each section is one value with an attribute for each of its keys, however many: so it is in the file, and
# reloading compares key by key.


@frozen
class TlsConfig:
    """
    Paths of PEM files, absolute and found readable when the configuration was loaded.

    With ``client_ca``, only clients with a certificate signed by it are let in.
    """

    certificate: Path
    key: Path
    client_ca: Path | None


#: Connections of a TCP receiver if nobody says how many.
TCP_CONNECTIONS: Final = 20_000


@frozen
class TcpReceiverConfig:
    """
    Line protocol over TCP.

    With ``endpoint``, a Twisted server endpoint string, ``address``, ``port`` and ``tls`` mean nothing.
    ``idle_timeout`` is in seconds and 0 means never, ``max_line_length`` is in bytes, and with
    ``max_connections`` 0 there is no limit. ``rules``, here and in the others, are in the order in which they
    are applied.
    """

    name: str
    endpoint: str | None
    address: str
    port: int
    tls: TlsConfig | None
    cluster: str | None
    precision: str
    idle_timeout: float
    max_line_length: int
    max_connections: int
    rules: tuple[Rule, ...] = ()


@frozen
class UdpReceiverConfig:
    """Line protocol over UDP; ``receive_buffer`` (the socket's) and ``max_line_length`` are in bytes."""

    name: str
    address: str
    port: int
    cluster: str | None
    precision: str
    receive_buffer: int
    max_line_length: int
    rules: tuple[Rule, ...] = ()


@frozen
class HttpLimits:
    """
    Who may use a port over HTTP, and how many at a time.

    0 is no limit. ``allowed_hosts`` are names, in lower case and without ports, by which the port is reached,
    besides those of this machine; ``*`` is any.
    """

    max_connections: int = 10000
    max_connections_per_address: int = 0
    allowed_hosts: frozenset[str] = frozenset()
    cors_origins: frozenset[str] = frozenset()


@frozen
class HttpReceiverConfig:
    """
    Line protocol as the body of HTTP POST requests.

    ``path`` is empty for every path, else it starts with a slash. ``idle_timeout`` is in seconds and 0 means
    never. ``max_body`` (as sent) and ``max_unpacked`` (after gzip) are in bytes. ``username`` and
    ``password`` are both given or both None.

    ``influx`` says whether requests that look like those of InfluxDB clients are answered as InfluxDB does:
    ``always``, ``auto`` (where they can be nothing else) or ``never``. Their database or bucket names the
    cluster if ``cluster_from_database`` is set, and is looked up in ``databases`` before.
    """

    name: str
    endpoint: str | None
    address: str
    port: int
    tls: TlsConfig | None
    path: str
    idle_timeout: float
    keep_alives_enabled: bool
    username: str | None
    password: str | None = field(repr=False)
    cluster: str | None
    precision: str
    max_body: int
    max_unpacked: int
    access_log: bool
    influx: str
    cluster_from_database: bool
    databases: Mapping[str, str]
    rules: tuple[Rule, ...] = ()
    limits: HttpLimits = HttpLimits()


@frozen(kw_only=True)
class EecptReceiverConfig(HttpReceiverConfig):
    """
    The same, with metrics that are watched for phases of applications.

    ``analysis_buffer_size`` is how many values of each process are kept, ``analysis_interval`` is in seconds.
    """

    analysis_buffer_size: int
    analysis_interval: float
    analysis_metric: str


@frozen
class ClientTlsConfig:
    """
    TLS towards a server. Paths are absolute, and were found readable.

    Without ``is_required`` it is used only if the server wants it. Without ``ca``, whoever the system trusts
    may vouch for the server. ``certificate`` and ``key`` are our own, both given or both None. With
    ``is_first``, TLS begins before the server has said anything.
    """

    is_required: bool
    is_first: bool
    ca: Path | None
    certificate: Path | None
    key: Path | None


@frozen
class NatsReceiverConfig:
    """
    Line protocol from a NATS server.

    ``user`` and ``password`` are both given or both None, and so are ``stream`` and ``durable``, the names
    for JetStream; ``queue_group`` excludes these. ``nkey_file`` was found readable and good. ``max_payload``
    is in bytes.
    """

    name: str
    address: str
    port: int
    tls: ClientTlsConfig
    subject: str
    queue_group: str | None
    stream: str | None
    durable: str | None
    user: str | None
    password: str | None = field(repr=False)
    nkey_file: Path | None
    cluster: str | None
    precision: str
    max_payload: int
    rules: tuple[Rule, ...] = ()


ReceiverConfig = (
    TcpReceiverConfig | UdpReceiverConfig | HttpReceiverConfig | EecptReceiverConfig | NatsReceiverConfig
)


@frozen
class SqliteConfig:
    """
    An SQLite file.

    ``database_path`` is absolute. ``pragmas`` maps the names of pragmas to checked values, which are plain
    words and numbers: both may be put into a statement as they are.
    """

    database_path: Path
    pragmas: Mapping[str, str]
    file_mode: int = PRIVATE


@frozen
class PostgresConfig:
    """
    A PostgreSQL database.

    ``dsn`` is a connection string of libpq, or empty; ``parameters`` maps names of its options to values that
    count before those of the string. ``connection_timeout`` is in seconds. With ``text_index``,
    there is to be an index of the texts.
    """

    dsn: str = field(repr=False)
    parameters: Mapping[str, str] = field(repr=False)
    connection_timeout: float
    text_index: bool = False


BackendConfig = SqliteConfig | PostgresConfig


@frozen
class SpoolConfig:
    """Where messages go while the database is away: an absolute path, and bytes that it may have at most."""

    path: Path
    max_size: int
    file_mode: int = PRIVATE


#: By what the texts of packed logs are found: by an index of words, or by a look at all of them.
PACK_INDEXES: Final = ("words", "none")


@frozen
class StorageConfig:
    """
    Where messages are kept, and how.

    ``retention_time`` (of events) and ``flush_time`` are in seconds. ``batch_size`` is the most messages in
    one transaction, ``max_waiting`` how many are held in memory before receivers are slowed down.
    ``store_heartbeats`` is about those of a fleet, which carry a credential. Without a spool, ``spool`` is
    None. ``file_mode`` is that of all files that are made: those of the backend, of the spool, and the log.
    ``rules`` are those of retention besides ``retention_time``; ``max_size`` is in bytes, None for no limit.
    ``pack_after`` are seconds after which messages are packed, 0 for never; ``pack_index`` is one of
    :data:`PACK_INDEXES`.
    """

    backend: BackendConfig
    retention_time: float
    flush_time: float
    batch_size: int
    max_waiting: int
    store_logs: bool
    store_heartbeats: bool
    spool: SpoolConfig | None = None
    file_mode: int = PRIVATE
    rules: tuple[KeepRule, ...] = ()
    max_size: int | None = None
    pack_after: float = 0.0
    pack_index: str = PACK_INDEXES[0]
    announce_new: bool = False


@frozen
class ApiConfig:
    """
    The REST interface.

    ``jwt_public_key`` is a raw Ed25519 key of 32 bytes; None leaves the interface open. With
    ``require_roles``, what a token may do is up to its roles. ``idle_timeout`` (0 means never) and
    ``query_timeout`` are in seconds, ``max_body`` is in bytes; ``max_queries`` and ``max_rows`` are for one
    request, ``max_exports`` and ``max_tails`` are requests that go on. ``topology`` knows which hosts share a
    rack or a switch.
    """

    endpoint: str | None
    address: str
    port: int
    tls: TlsConfig | None
    idle_timeout: float
    keep_alives_enabled: bool
    jwt_public_key: bytes | None
    require_roles: bool
    enable_swagger_ui: bool
    max_body: int
    max_queries: int
    max_rows: int
    query_timeout: float
    max_exports: int
    max_tails: int
    access_log: bool
    limits: HttpLimits = HttpLimits()
    topology: Topology = field(factory=ByName)


@frozen
class Config:
    """
    All there is to configure; ``warnings`` are complete lines for the log.

    ``log_level`` is the name of a level, or None if the file leaves that to the command.
    """

    receivers: tuple[ReceiverConfig, ...]
    storage: StorageConfig
    api: ApiConfig
    warnings: tuple[str, ...]
    log_level: str | None = None


@frozen
class Words:
    """Stands for a value that is described instead of shown: a secret, a missing file, a whole object."""

    text: str

    def __str__(self) -> str:
        return self.text


NOTHING = Words("nothing")
HIDDEN = Words("a value not shown here")

_SHOWN = 80


def show(value: object) -> str:
    """Write a value as a configuration file would, in one line of at most 80 characters."""
    if isinstance(value, Words):
        # Names and paths within the words come from the file too: they must not break the line.
        return "".join(char if char.isprintable() else repr(char)[1:-1] for char in value.text)
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    # Objects and lists are not spelled out: a password may be in them.
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    # Python refuses to write out a number of thousands of digits.
    if isinstance(value, int) and abs(value) >= 10**_SHOWN:
        return "a very large number"
    brief = reprlib.Repr()
    brief.maxstring = brief.maxlong = brief.maxother = _SHOWN
    return brief.repr(value)


@frozen
class Problem:
    """One thing wrong: in which file, at which key (empty: all of it), what is there, what should be."""

    file: str
    key: str
    value: object
    expected: str

    def __str__(self) -> str:
        where = [show(Words(self.file))] + ([show(Words(self.key))] if self.key else [])
        return f"{': '.join(where)}: got {show(self.value)}, expected {show(Words(self.expected))}"


class ConfigError(Exception):
    """The configuration cannot be used; ``problems`` says all that is wrong, in the order of the file."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)
