"""What is answered alike to everybody: what this is, what it allows, and that it has no rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ccstore import __version__
from ccstore.config import ApiConfig
from ccstore.durations import in_seconds
from ccstore.loki.loki_limits import LokiLimits
from ccstore.query import LEVEL_TAGS

#: The version of Loki whose interface this is.
LOKI_VERSION: Final = "3.5.0"

BUILD: Final[Mapping[str, str]] = {
    "version": LOKI_VERSION,
    "revision": f"ccstore-{__version__}",
    "branch": "",
    "buildUser": "",
    "buildDate": "",
    "goVersion": "",
}
#: Rules as Loki has them, by their namespaces; and as Prometheus has them.
NO_NAMESPACES: Final[Mapping[str, object]] = {}
NO_RULES: Final[Mapping[str, object]] = {"status": "success", "data": {"groups": []}}
NO_ALERTS: Final[Mapping[str, object]] = {"status": "success", "data": {"alerts": []}}


def drilldown_limits(config: ApiConfig, limits: LokiLimits) -> Mapping[str, object]:
    """What Grafana's Logs Drilldown asks before it begins."""
    return {
        "limits": {
            "discover_log_levels": True,
            "discover_service_name": ["name"],
            "log_level_fields": [*LEVEL_TAGS],
            "max_entries_limit_per_query": config.max_rows,
            "max_line_size_truncate": False,
            "max_query_bytes_read": "0B",
            "max_query_length": "0s",
            "max_query_lookback": "0s",
            "max_query_range": "0s",
            "max_query_series": limits.series,
            "metric_aggregation_enabled": False,
            "pattern_persistence_enabled": True,
            "query_timeout": in_seconds(round(config.query_timeout * 10**9)),
            "retention_period": "0s",
            "volume_enabled": True,
            "volume_max_series": 10_000,
        },
        "pattern_ingester_enabled": True,
        "version": LOKI_VERSION,
    }
