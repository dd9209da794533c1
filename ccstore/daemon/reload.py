"""The configuration is read again while the daemon runs: what is different, and how that is taken over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from attrs import define, evolve, fields, frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ccstore.accounting.account import Account
from ccstore.config import Config, ConfigError, NatsReceiverConfig, ReceiverConfig, StorageConfig
from ccstore.interfaces import IReceiver
from ccstore.network.listening import ListenError

#: Where a server listens.
_PLACE: Final = ("endpoint", "address", "port", "tls")
#: Keys of the storage that say what is packed.
_AT_START: Final = ("pack_after", "pack_index", "announce_new")
#: What a NATS receiver can change without another connection.
_WITHOUT_CONNECTION: Final = ("cluster", "precision", "rules")
#: Attributes whose keys in the configuration have other names.
_KEYS: Final = {"rules": "process_messages", "cluster_from_database": "cluster_from"}
_STORAGE_KEYS: Final = {"rules": "retention"}


@frozen
class Plan:
    """What becomes of a new configuration.

    :ivar config: the new one, with what cannot change while the daemon runs as it was.
    :ivar changes: the keys that are different and can.
    :ivar restart: the keys that are different and cannot.
    :ivar new: names of receivers that there were not; ``gone`` of those that there are no longer,
        ``replaced`` of those of which another one is made, and ``kept`` of all others.
    """

    config: Config
    changes: Sequence[str]
    restart: Sequence[str]
    new: Sequence[str]
    gone: Sequence[str]
    replaced: Sequence[str]
    kept: Sequence[str]

    @classmethod
    def of(cls, old: Config, new: Config) -> Plan:
        """The way from one configuration to another."""
        storage, restart = _storable(old.storage, new.storage)
        before = {receiver.name: receiver for receiver in old.receivers}
        after = {receiver.name: receiver for receiver in new.receivers}
        both = [name for name in after if name in before]
        kept = [name for name in both if _can_follow(before[name], after[name])]
        changes = [*_differences("log_level", old.log_level, new.log_level)]
        for name in kept:
            changes += _differences(f"receivers.{name}", before[name], after[name])
        changes += _differences("storage", old.storage, storage)
        changes += _differences("api", old.api, new.api)
        return cls(
            config=evolve(new, storage=storage),
            changes=changes,
            restart=restart,
            new=[name for name in after if name not in before],
            gone=[name for name in before if name not in after],
            replaced=[name for name in both if name not in kept],
            kept=kept,
        )


def _storable(old: StorageConfig, new: StorageConfig) -> tuple[StorageConfig, list[str]]:
    """The new one, but on the same files and servers; and which of those were to be others."""
    restart = []
    if new.backend != old.backend:
        restart.append("storage.backend")
    spool = new.spool
    if old.spool is None or spool is None or old.spool.path != spool.path:
        if spool != old.spool:
            restart.append("storage.spool")
        spool = old.spool
    restart += [f"storage.{key}" for key in _AT_START if getattr(new, key) != getattr(old, key)]
    same: dict[str, Any] = {key: getattr(old, key) for key in ("backend", *_AT_START)}
    return evolve(new, spool=spool, **same), restart


def _can_follow(old: ReceiverConfig, new: ReceiverConfig) -> bool:
    """Whether a receiver can go on by another configuration, or another receiver has to."""
    if type(old) is not type(new):
        return False
    if isinstance(new, NatsReceiverConfig):
        return evolve(old, **{key: getattr(new, key) for key in _WITHOUT_CONNECTION}) == new
    return True


def _differences(place: str, old: Any, new: Any) -> Iterator[str]:
    """The keys of a section that have another value. The values may be secret."""
    if not hasattr(type(new), "__attrs_attrs__"):
        if old != new:
            yield place
        return
    for attribute in fields(type(new)):
        key = attribute.name
        if getattr(old, key) != getattr(new, key):
            names = _STORAGE_KEYS if place == "storage" else _KEYS
            yield f"{place}.{names.get(key, key)}"


class Parts(Protocol):
    """What makes the parts of the daemon, and has those that are there only once."""

    def receiver(self, config: ReceiverConfig, account: Account | None) -> IReceiver:
        """A receiver, which goes on with the books of one that had its name."""

    def reconfigure_receiver(self, receiver: IReceiver, before: ReceiverConfig, config: Any) -> bool:
        """See :meth:`IReceiver.reconfigure`."""

    async def reconfigure(self, config: Config) -> None:
        """All but the receivers and the REST interface."""


class Daemon(Protocol):
    """The daemon, as far as its receivers go."""

    @property
    def api(self) -> Any:
        """The REST interface."""

    def receiver(self, name: str) -> IReceiver:
        """The one of that name."""

    def account(self, name: str) -> Account | None:
        """The books of whoever has or had that name."""

    def add_receiver(self, receiver: IReceiver) -> None:
        """Start one that listens."""

    def take_out(self, receiver: IReceiver) -> None:
        """It is one of us no longer."""

    async def see_off(self, receiver: IReceiver) -> None:
        """Take in what has arrived at one that was taken out, and let its connections go."""

    def arrange(self, names: Sequence[str]) -> None:
        """The order in which they are shown."""


@define(eq=False)
class _Move:
    """A port that is to be opened.

    :ivar part: whose, as the configuration has it.
    :ivar listener: who opens it.
    :ivar rival: the receiver that is to be replaced, if another one is made.
    :ivar rival_listens: it has a port.
    :ivar stay: lets the listener have the settings of its former port again; None if it had none.
    """

    part: str
    listener: Any
    rival: Any = None
    rival_listens: bool = False
    stay: Callable[[], object] | None = None
    place: str = ""
    error: ListenError | None = None
    _has_made_way: bool = False

    def listen(self) -> None:
        try:
            self.place, self.error = self.listener.listen(), None
        except ListenError as error:
            self.error = error

    async def leave(self) -> None:
        """The new port is open, the former one is not needed."""
        await (self.listener.leave() if self.rival is None else self.rival.stop_listening())

    async def make_way(self) -> None:
        """Close whatever is open, so that it can be opened anew."""
        self._has_made_way = True
        await self.listener.stop_listening()
        if self.rival_listens:
            await self.rival.stop_listening()

    def go_back(self) -> str | None:
        """Listen on the former port again, and say where if it was closed; raises :class:`ListenError`."""
        if self.stay is not None:
            self.stay()
        who = self.listener if self.stay is not None else self.rival
        has_port = self.stay is not None or self.rival_listens
        return who.listen() if self._has_made_way and has_port else None


class Reloader:
    """Reads the configuration again, and takes over what it can.

    A configuration with mistakes changes nothing, and a port that cannot be opened leaves its receiver where
    it is.

    :param config: the one by which the daemon was started.
    :param path: where it is; None if there is none.
    :param read: reads it.
    """

    log = Logger()

    def __init__(
        self,
        config: Config,
        path: Path | None,
        read: Callable[[], Awaitable[Config]],
        parts: Parts,
        daemon: Daemon,
    ) -> None:
        self._config = config
        self._path = path
        self._read = read
        self._parts = parts
        self._daemon = daemon
        self._is_wanted = False
        self._is_running = False
        self._is_taking_over = False
        self._is_stopping = False
        self._over: Deferred[None] | None = None

    def reload(self) -> None:
        """Do it now, or once more if it is being done."""
        if self._is_stopping:
            self.log.info("the configuration is not read again: the daemon is stopping")
            return
        self._is_wanted = True
        if not self._is_running:
            self._is_running = True
            running = Deferred.fromCoroutine(self._run())
            running.addErrback(
                lambda failure: self.log.failure("reading the configuration again failed", failure)
            )

    async def stop(self) -> None:
        """Begin with nothing more, and end with what is being taken over."""
        self._is_stopping = True
        if self._is_taking_over:
            self._over = Deferred()
            await self._over

    async def _run(self) -> None:
        try:
            while self._is_wanted and not self._is_stopping:
                self._is_wanted = False
                config = await self._read_again()
                if config is not None and not self._is_stopping:
                    self._is_taking_over = True
                    await self._take_over(Plan.of(self._config, config))
                    self._is_taking_over = False
        finally:
            self._is_running = self._is_taking_over = False
            if self._over is not None:
                self._over.callback(None)

    async def _read_again(self) -> Config | None:
        if self._path is None:
            self.log.info("there is no configuration file to read again")
            return None
        self.log.info("reading {path} again", path=self._path)
        try:
            config = await self._read()
        except ConfigError as error:
            for problem in error.problems:
                self.log.error("{problem}", problem=problem)
            self.log.error("the configuration has mistakes: nothing has changed")
            return None
        for warning in config.warnings:
            self.log.warn("{warning}", warning=warning)
        return config

    async def _take_over(self, plan: Plan) -> None:
        new = {receiver.name: receiver for receiver in plan.config.receivers}
        old = {receiver.name: receiver for receiver in self._config.receivers}
        await self._parts.reconfigure(plan.config)
        moves = []
        for name in plan.kept:
            receiver = self._daemon.receiver(name)
            if not self._parts.reconfigure_receiver(receiver, old[name], new[name]):
                moves.append(self._move_of(receiver, old, new, name))
        for name in (*plan.new, *plan.replaced):
            made = self._parts.receiver(new[name], self._daemon.account(name))
            move = _Move(f"receivers.{name}", made)
            if name in plan.replaced:
                move.rival = self._daemon.receiver(name)
                move.rival_listens = not isinstance(old[name], NatsReceiverConfig)
            moves.append(move)
        api = plan.config.api
        if not self._daemon.api.reconfigure(api):
            stay = partial(self._daemon.api.reconfigure, _at(api, self._config.api))
            moves.append(_Move("api", self._daemon.api, stay=stay))

        leaving = [self._daemon.receiver(name) for name in plan.gone]
        await self._open(moves, leaving)
        done = [move for move in moves if move.error is None]
        leaving += [move.rival for move in done if move.rival is not None]
        for receiver in leaving:
            self._daemon.take_out(receiver)
        for move in done:
            self.log.info("{place}", place=move.place)
            if move.stay is None:
                self._daemon.add_receiver(move.listener)
        before = self._config
        self._config = _as_it_is(plan, before, {move.part for move in moves if move.error is not None})
        self._daemon.arrange([receiver.name for receiver in self._config.receivers])
        for receiver in leaving:
            await self._daemon.see_off(receiver)
        self._tell(Plan.of(before, self._config), moves, plan.restart)

    def _move_of(
        self,
        receiver: IReceiver,
        old: Mapping[str, ReceiverConfig],
        new: Mapping[str, ReceiverConfig],
        name: str,
    ) -> _Move:
        staying = _at(new[name], old[name])
        stay = partial(self._parts.reconfigure_receiver, receiver, new[name], staying)
        return _Move(f"receivers.{name}", receiver, stay=stay)

    async def _open(self, moves: Sequence[_Move], leaving: Sequence[IReceiver]) -> None:
        """Open the new ports, beside the former ones where that is possible, and close those."""
        for move in moves:
            move.listen()
        for receiver in leaving:
            await receiver.stop_listening()
        for move in moves:
            if move.error is None:
                await move.leave()
        # The others may want what is only now free, or what they or others of them have themselves.
        late = [move for move in moves if move.error is not None and move.error.is_taken]
        for move in late:
            await move.make_way()
        for move in late:
            move.listen()
        try:
            for move in moves:
                if move.error is not None:
                    self._go_back(move)
        except ListenError as error:
            # Another one has its former port by now: then they all go back.
            for move in late:
                await move.make_way()
                move.error = move.error or error
            for move in late:
                try:
                    self._go_back(move)
                except ListenError as failed:
                    self.log.critical("nobody listens any more: {problem}", problem=failed.at(move.part))

    def _go_back(self, move: _Move) -> None:
        place = move.go_back()
        if place is not None:
            self.log.info("{place}", place=place)

    def _tell(self, done: Plan, moves: Sequence[_Move], restart: Sequence[str]) -> None:
        """Say in a few lines what came of it."""
        for move in moves:
            if move.error is not None:
                is_new = move.stay is None and move.rival is None
                self.log.error(
                    "{problem}; {instead}",
                    problem=move.error.at(move.part),
                    instead="it is not started" if is_new else "it stays as it was",
                )
        changes = [*done.changes]
        for what, names in (("new", done.new), ("gone", done.gone), ("another", done.replaced)):
            changes += [f"receivers.{name} ({what})" for name in names]
        self.log.info(
            "the configuration has been read again: {changes}",
            changes=f"changed {', '.join(changes)}" if changes else "nothing has changed",
        )
        if restart:
            self.log.warn("only a restart changes {restart}", restart=" and ".join(restart))


def _at(config: Any, other: Any) -> Any:
    """A configuration, but where another one listens."""
    return evolve(config, **{key: getattr(other, key) for key in _PLACE if hasattr(config, key)})


def _as_it_is(plan: Plan, before: Config, failed: Collection[str]) -> Config:
    """The configuration by which the daemon runs now, so that the next one is compared with that."""
    old = {receiver.name: receiver for receiver in before.receivers}
    receivers = []
    for receiver in plan.config.receivers:
        if f"receivers.{receiver.name}" not in failed:
            receivers.append(receiver)
        elif receiver.name in plan.kept:
            receivers.append(_at(receiver, old[receiver.name]))
        elif receiver.name in old:
            receivers.append(old[receiver.name])
    api = _at(plan.config.api, before.api) if "api" in failed else plan.config.api
    return evolve(plan.config, receivers=tuple(receivers), api=api)
