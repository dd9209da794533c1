"""The same answers with PostgreSQL."""

from __future__ import annotations

import time
from typing import Any

from ccstore.interfaces import IBackend
from tests.loki import test_logcli_paging, test_loki_lines, test_metric_queries
from tests.support.loki_case import LokiTestCase
from tests.support.postgres_case import Databases


class _OnPostgres(Databases, LokiTestCase):
    """The daemon of a test stores in PostgreSQL."""

    def start(self, *, backend: IBackend | None = None, **api: Any) -> None:
        self.now = time.time_ns()
        super().start(backend=self.backend_at(retention=30 * 86400.0), **api)


class LineTests(_OnPostgres, test_loki_lines.LineTests):
    """Lines."""


class LabelTests(_OnPostgres, test_loki_lines.LabelTests):
    """Labels, values and streams."""


class MetricTests(_OnPostgres, test_metric_queries.MetricTests):
    """Numbers."""


class PagingTests(_OnPostgres, test_logcli_paging.PagingTests):
    """Pages."""
