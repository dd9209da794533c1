"""
The configuration: frozen values, and `load_config`, which reads and checks them.

Where what is: `values` has what comes out, `load` the central file and its parts, `receivers`, `storage`
(and `postgres`) and `api` the keys of each part, `nats` those of the NATS receiver, `rules` those of
`process_messages`, `listening` those that servers share, `kinds` what a value may look like, `endpoints`,
`pem` and `nkeys` what those name, `section` how problems are collected, `document` JSON and YAML.
"""

from __future__ import annotations

from .load import known_keys, load_config
from .storage import missing_folder
from .values import (
    TCP_CONNECTIONS,
    ApiConfig,
    BackendConfig,
    ClientTlsConfig,
    Config,
    ConfigError,
    EecptReceiverConfig,
    HttpLimits,
    HttpReceiverConfig,
    NatsReceiverConfig,
    PostgresConfig,
    Problem,
    ReceiverConfig,
    SpoolConfig,
    SqliteConfig,
    StorageConfig,
    TcpReceiverConfig,
    TlsConfig,
    UdpReceiverConfig,
)

__all__ = [
    "TCP_CONNECTIONS",
    "ApiConfig",
    "BackendConfig",
    "ClientTlsConfig",
    "Config",
    "ConfigError",
    "EecptReceiverConfig",
    "HttpLimits",
    "HttpReceiverConfig",
    "NatsReceiverConfig",
    "PostgresConfig",
    "Problem",
    "ReceiverConfig",
    "SpoolConfig",
    "SqliteConfig",
    "StorageConfig",
    "TcpReceiverConfig",
    "TlsConfig",
    "UdpReceiverConfig",
    "known_keys",
    "load_config",
    "missing_folder",
]
