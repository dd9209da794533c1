"""What there is: segments and versions, without a look at the messages."""

from __future__ import annotations

from attrs import frozen

from ccstore.holdings import Holdings, holdings_of
from ccstore.storage.reading.dialect import Dialect, Question
from ccstore.storage.reading.statement import Reading


@frozen
class Inventory(Question[Holdings]):
    """A question: what the database holds.

    :ivar leaving: so many of the segments that are deleted next are named.
    """

    leaving: int = 5

    @property
    def count(self) -> int:
        """It is no query of a client's."""
        return 0

    def reading(self, dialect: Dialect) -> Reading[Holdings]:
        """See :class:`ccstore.storage.reading.dialect.Question`."""
        version, schema = yield from dialect.versions()
        segments = yield from dialect.segments()
        return holdings_of(version, schema, segments, leaving=self.leaving)
