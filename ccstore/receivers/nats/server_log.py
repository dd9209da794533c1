"""What the log says of a NATS server, and not again and again."""

from __future__ import annotations

from typing import Final

from twisted.logger import Logger

from ccstore.logs import RateLimit, more_like_it
from ccstore.pipeline.intake import Intake

_WARN_EVERY: Final = 60.0


class ServerLog:
    """See the module.

    :param server: its address and port, for people.
    """

    log = Logger()

    def __init__(self, intake: Intake, server: str) -> None:
        self._intake = intake
        self._server = server
        self._said = RateLimit(intake.clock, _WARN_EVERY)

    def connected(self, program: str, subject: str) -> None:
        """There is a connection, by which messages of the subject come."""
        suppressed = self._said.check("connected")
        if suppressed is not None:
            self.log.info(
                "{receiver}: connected to {server}, {what}, and subscribed to {subject}{more}",
                receiver=self._intake.account.name,
                server=self._server,
                what=program,
                subject=subject,
                more=more_like_it(suppressed),
            )

    def away(self, thing: str, reason: str) -> None:
        """There is no connection, which is tried again.

        :param thing: ``no connection``, or ``connection lost``.
        """
        suppressed = self._said.check(thing)
        if suppressed is not None:
            self.log.warn(
                "{receiver}: NATS at {server}: {thing}: {reason}; trying again until it works{more}",
                receiver=self._intake.account.name,
                server=self._server,
                thing=thing,
                reason=reason,
                more=more_like_it(suppressed),
            )

    def complain(self, text: str) -> None:
        """Something else is wrong."""
        self._intake.warn(text, f"NATS at {self._server}", text)
