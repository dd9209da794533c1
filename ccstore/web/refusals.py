"""What an HTTP port refuses: counted, said in the log now and then, and shown to the doctor."""

from __future__ import annotations

from twisted.internet.interfaces import IAddress
from twisted.web.iweb import IRequest

from ccstore.accounting.figures import Figures, counter
from ccstore.network.addresses import address_of
from ccstore.pipeline.intake import Intake

from .answers import WebError


class Refusals:
    """See the module.

    :param intake: of the lines that come in here: it keeps samples of who is refused, and says so in the log.
    """

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._connections = 0
        self._cut_connections = 0
        self._bodies = 0
        self._bad_requests = 0
        self._foreign_requests = 0

    def connection(self, address: IAddress | None, why: str) -> None:
        """There is no place for one more connection."""
        self._connections += 1
        self._tell("refused_connections", address_of(address), f"refused a connection, {why}", why)

    def body(self) -> None:
        """A body is not taken; the client is told why."""
        self._bodies += 1

    def bad_request(self, sender: str, text: str) -> None:
        """What a connection brought is no request."""
        self._bad_requests += 1
        self._tell("bad_requests", sender, f"refused what it sent: {text}", text)

    def request(self, error: WebError, request: IRequest) -> None:
        """The head of a request says that it is not to be answered."""
        sender = address_of(request.getClientAddress())
        if error.status in (403, 421):
            self._foreign_requests += 1
            self._tell("foreign_requests", sender, f"refused a request: {error.text}", error.text)
        else:
            self.bad_request(sender, error.text)

    def cut(self, sender: str, text: str) -> None:
        """A client takes too long, and its connection is closed."""
        self._cut_connections += 1
        self._tell("cut_connections", sender, f"closed the connection: {text}", text)

    def _tell(self, reason: str, sender: str, text: str, detail: str) -> None:
        """Say so in the log now and then, and to the doctor.

        :param detail: one of a few, as far as it is not in quotes.
        """
        # But for what is quoted, which others choose.
        self._intake.warn(f"{reason}: {detail.partition(chr(39))[0]}", sender, text)
        samples, now = self._intake.account.samples, self._intake.now()
        if samples.wants(reason, now):
            samples.add("refused", reason, sender.rpartition(":")[0] or sender, now, detail=detail)

    def figures(self) -> Figures:
        """Figures for the statistics."""
        return Figures(
            refused_connections=counter(
                self._connections, "Connections that were refused, since there were too many already."
            ),
            cut_connections=counter(
                self._cut_connections, "Connections that were closed, since the client took too long."
            ),
            refused_bodies=counter(
                self._bodies, "Requests whose body was refused before all of it had come."
            ),
            bad_requests=counter(self._bad_requests, "What came and was no request that can be read."),
            foreign_requests=counter(
                self._foreign_requests, "Requests of pages of other origins, or for another host."
            ),
        )
