"""What the parts may know of each other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from attrs import frozen
from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from ccstore.accounting.account import Origin
from ccstore.accounting.figures import Figures
from ccstore.batch import Batch
from ccstore.errors import CommitUnknown as CommitUnknown
from ccstore.errors import QueryTimeout as QueryTimeout
from ccstore.errors import StoreError as StoreError
from ccstore.errors import StoreUnavailable as StoreUnavailable
from ccstore.holdings import Holdings
from ccstore.insight.study import Inquiry, Studied
from ccstore.keeping import Hold, KeepRule, Kept
from ccstore.query import Arrival, Counting, Counts, Form, Page, Selection, TextPage

if TYPE_CHECKING:
    from ccstore.storage.reading.dialect import Question


@frozen
class Refusal:
    """A message that was not taken: its place in the sequence that was offered, and why."""

    index: int
    reason: str


class IMessageSink(Interface):
    """Takes messages in. The router is one."""

    def accept(messages: Batch, origin: Origin, *, urgent: bool) -> Deferred[Sequence[Refusal]]:
        """Take messages from a receiver.

        The Deferred fires when they are committed, with those that were refused for themselves; it fails with
        :class:`StoreUnavailable` if none of them could be taken. It never fires early, and that is the whole
        flow control: whoever has too much waiting stops reading.

        :param urgent: somebody waits for the answer, so commit at once.
        """

    def announce(parts: Sequence[Batch], origin: Origin) -> None:
        """Tell of messages that will be given to :meth:`accept` with urgency, these parts first.

        It is called again when there are more parts, with all there are. Nobody has to make anything of it.
        """

    def flush() -> None:
        """Commit at once what was taken without urgency."""


class IAnswers(Interface):
    """Answers questions, each from one consistent view that has all that is acknowledged.

    All but :meth:`size` take the seconds after which the Deferred fails with :class:`QueryTimeout`.
    """

    def pages(
        selections: Sequence[Selection], *, max_rows: int, timeout: float, with_tags: bool = True
    ) -> Deferred[Sequence[Page]]:
        """The first page of each selection, from one consistent view that has all that is acknowledged.

        :param max_rows: rows of all pages together; what exceeds them is cut and marked.
        :param timeout: seconds, after which the Deferred fails with :class:`QueryTimeout`.
        :param with_tags: the rows have their streams and other tags, and not only time and text.
        """

    def text_page(selection: Selection, form: Form, *, max_rows: int, timeout: float) -> Deferred[TextPage]:
        """The first page of one selection as text; else as :meth:`pages`.

        :param form: puts it into text, here or in another process.
        """

    def counts(counting: Counting, *, timeout: float) -> Deferred[Counts]:
        """How many messages there are, from a view as that of :meth:`pages`."""

    def insight(inquiry: Inquiry[Any], *, timeout: float) -> Deferred[Studied[Any]]:
        """What a study answers, from a view as that of :meth:`pages`."""

    def last_arrival(*, timeout: float) -> Deferred[Arrival]:
        """How far messages have come in."""

    def arrivals(
        selection: Selection, after: Arrival, upto: Arrival, *, max_rows: int, timeout: float
    ) -> Deferred[Page]:
        """The messages of a selection that came in after one moment and not after another, in that order.

        Events come before logs.
        """

    def known(label: str, *, most: int, timeout: float) -> Deferred[Sequence[str]]:
        """Values of a label of streams, of which there may be more than ``most``."""

    def holdings(*, timeout: float) -> Deferred[Holdings]:
        """What the database holds, as far as that is known without a look at its messages.

        What was accepted just now may not be in it.
        """

    def keeping(*, with_rules: bool, timeout: float) -> Deferred[Kept]:
        """What is held, and if that is asked, by rule what is deleted next."""

    def size() -> int:
        """Bytes of the database as it was when that was last looked at."""


class IMessageStore(Interface):
    """Keeps messages, and answers queries. The storage service is one."""

    def accept(messages: Batch, *, urgent: bool) -> Deferred[Sequence[Refusal]]:
        """As :meth:`IMessageSink.accept`, for messages that are to be kept."""

    def announce(parts: Sequence[Batch]) -> None:
        """As :meth:`IMessageSink.announce`, for messages that are to be kept."""

    def flush() -> None:
        """As :meth:`IMessageSink.flush`."""

    answers = Attribute("What is stored, for those who ask: an :class:`IAnswers`.")

    holding = Attribute("Holds messages, and releases them: an :class:`IHolding`.")

    def unreadiness() -> str | None:
        """Why writes fail at the moment, or None."""

    def stats() -> Mapping[str, object]:
        """``manager``, ``backend``, ``storage`` and ``info`` as the REST interface shows them.

        In each of the first two, ``status`` is :class:`Figures`, and so is the third.
        """


class IHolding(Protocol):
    """Holds messages, so that they are not deleted."""

    def hold(self, hold: Hold) -> Deferred[int]:
        """Keep messages until they are released, of those that have not expired; the id of the hold."""

    def release(self, number: int, who: str) -> Deferred[bool]:
        """End a hold, by its id; False if there is none with this one.

        :param who: wants that, for the log.
        """


class IBackend(Interface):
    """A database with the messages of all clusters."""

    name = Attribute("The type, as the configuration names it.")
    writers = Attribute(
        "How many batches may be written at a time. They are committed in the order in which they were "
        "begun: when one fails, those begun after it fail as well."
    )
    is_busy_elsewhere = Attribute(
        "A question is worked on in other threads or processes, not in the reactor."
    )

    def open() -> None:
        """Open or create the database, and bring its schema up to date; blocks, before the reactor runs.

        Raises :class:`StoreError` in one clear line.
        """

    def prepare(messages: Batch) -> None:
        """Do what can be done in advance for messages that will be written, alone or with others.

        They have just been decoded, so that it takes a fraction of the time that it will take later.
        """

    def announce(parts: Sequence[Batch]) -> None:
        """Begin with messages that will most probably be written next, as the first parts of a batch.

        It is called while nothing is being written, and again when there are more parts. If something else
        is written or nothing at all, it must be as if it had not been called.
        """

    def write(messages: Batch, batch_id: int | None = None) -> Deferred[Mapping[str, int]]:
        """Commit all of these messages or none. To write none tells whether it would be possible.

        Fires with the id of the last of them, by kind; the others of that kind have the ids before it. A kind
        whose ids are not known is left out.

        Fails with :class:`StoreUnavailable` if it may succeed later, or :class:`StoreError` if never; with
        :class:`CommitUnknown` if the same batch has to be offered again to know.

        :param batch_id: of 63 bits; written in the same transaction. What has an id that is there already is
            taken for written. Whoever calls draws it below zero, at random, or has it from a
            :class:`CommitUnknown`. A backend whose commits are never in doubt may ignore it.
        """

    def read(question: Question[Any], *, timeout: float) -> Deferred[Any]:
        """Run the statements of a question, from one consistent view that has all that is acknowledged.

        :param timeout: seconds, after which the Deferred fails with :class:`QueryTimeout`.
        """

    def expire(cutoff: int) -> Deferred[int]:
        """Give back the space of what has expired; the number of messages that are gone.

        :param cutoff: events at or before this time (ns) have, if no rule is about them.
        """

    def tend(now: int) -> Deferred[None]:
        """Housekeeping, called about once a second with the time in ns."""

    def retain(retention: float, rules: Sequence[KeepRule] = ()) -> Deferred[None]:
        """From now on, events expire after so many seconds, or as the rules say."""

    def limit(max_size: int | None) -> None:
        """From now on, the database may have so many bytes, or any number of them.

        When it has them, the oldest events are deleted, and behind them logs that a rule is about; never what
        is held.
        """

    def hold(hold: Hold) -> Deferred[int]:
        """Keep messages until they are released, of those that have not expired; the id of the hold."""

    def release(number: int) -> Deferred[bool]:
        """End a hold, by its id; False if there is none with this one."""

    def close() -> Deferred[None]:
        """Close the database, after what was begun has ended."""

    def status() -> Figures:
        """Figures about the database for ``backend.status``."""

    def describe() -> str:
        """Where messages are stored, for people."""


#: Is told of what is committed, with what :meth:`IBackend.write` gave for it.
Published = Callable[[Batch, Mapping[str, int]], None]


class Followers(Protocol):
    """Those who are told what is stored."""

    @property
    def followers(self) -> int:
        """How many there are."""

    def publish(self, messages: Batch, lasts: Mapping[str, int]) -> None:
        """These messages are stored; with, by kind, the id of the last: the others have those before it."""

    def publish_read(self, kind: str, messages: Batch, numbers: Sequence[int]) -> None:
        """These messages of one kind are stored, with these ids."""


class IShared(Interface):
    """A backend that others write into as well, so that not all that comes in comes from here."""

    def tell(followers: Followers) -> Published:
        """Tell followers of all that comes in, each message once, from when it is open until it is closed.

        Messages of a kind are told in the order of their ids, and none of them before
        :class:`ccstore.storage.reading.arrived.LastArrival` is past it. Gives what wants to know of what is
        committed here.
        """


class ICopyTarget(Interface):
    """A backend into which another store can be copied."""

    def copied(source: str) -> Deferred[Mapping[str, int]]:
        """How far a store has been copied: by kind, the id of the last of its messages that is here."""

    def copy_in(messages: Batch, source: str, last: int) -> Deferred[None]:
        """As :meth:`IBackend.write`, for messages of one kind; how far that is is written with them.

        :param last: the id that the last of them has in the store from which they come.
        """

    def prepare_copy(log_times: tuple[int, int] | None) -> Deferred[None]:
        """Make ready for logs from between these times (ns), or for none."""

    def count() -> Deferred[Mapping[tuple[str, str], int]]:
        """How many messages there are, by cluster and kind."""


@frozen
class Limits:
    """How much of one receiver may wait to be stored: messages, and bytes."""

    messages: int
    size: int


class IReceiver(Interface):
    """Lets line protocol in. A service; its order of life is kept by whoever owns it."""

    account = Attribute("The books, an :class:`ccstore.accounting.account.Account`.")
    intake = Attribute("The way of its lines, an :class:`ccstore.pipeline.intake.Intake`.")

    def listen() -> str:
        """Open the port, at once, and say where for people; raises :class:`ListenError`.

        A port that is open already stays so beside it, until :meth:`leave`.
        """

    def reconfigure(config: Any, limits: Limits) -> bool:
        """Go on with another configuration of the same type; connections stay, and have its limits.

        Files for TLS are read again, whatever has changed. False if the port that is open will not do: then
        the next :meth:`listen` opens the other one.
        """

    def leave() -> Awaitable[None]:
        """Close the port that was open before the last :meth:`listen`; connections stay."""

    def stop_listening() -> Awaitable[None]:
        """Let nobody new in."""

    def drain() -> Awaitable[None]:
        """Take in what has arrived already, within a second or so, and close the connections."""

    def figures() -> Figures:
        """Figures besides the books."""
