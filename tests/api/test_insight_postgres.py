"""The same stories with PostgreSQL."""

from __future__ import annotations

from typing import Any

from tests.api import test_cause_answers, test_job_answers, test_node_answers
from tests.support.postgres_case import Databases


class _OnPostgres(Databases, test_job_answers.JobsTestCase):
    """The daemon of a test stores in PostgreSQL."""

    def start_with(self, **parts: Any) -> None:
        super().start_with(backend=self.backend_at(retention=400 * 86400.0), **parts)


class JobTests(_OnPostgres, test_job_answers.StoryTests):
    """Jobs."""


class NodeTests(_OnPostgres, test_node_answers.NodeTests):
    """Nodes."""


class CauseTests(_OnPostgres, test_cause_answers.CauseTests):
    """Causes, and what comes before."""
