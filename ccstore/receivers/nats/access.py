"""What lets us into a NATS server: user, keys and TLS, as the files have them now."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from ccstore.accounting.figures import Figures
from ccstore.config import NatsReceiverConfig
from ccstore.config.kinds import Unfit
from ccstore.config.nkeys import Credentials, read_credentials
from ccstore.network.listening import ListenError, expiry, why
from ccstore.network.renewal import UNUSABLE, Renewal
from ccstore.receivers.nats.handshake import Introduction
from ccstore.receivers.nats.tls import client_material


class Access:
    """See the module. Files that cannot be used later on change nothing.

    :param complain: says something to people.
    """

    def __init__(
        self, config: NatsReceiverConfig, clock: IReactorTime, complain: Callable[[str], None]
    ) -> None:
        self._config = config
        self._clock = clock
        self._complain = complain
        self._what = f"receiver {config.name!r}"
        self._credentials: Credentials | None = None
        self._renewal: Renewal | None = None  # of what TLS needs, if it is to be used in any case

    def read(self) -> Introduction:
        """Read the files, and tell what a server is to be told; raises :class:`ListenError`."""
        config = self._config
        if config.nkey_file is not None:
            try:
                self._credentials = read_credentials(config.nkey_file)
            except (OSError, Unfit) as error:
                raise ListenError(f"{self._what}: {_said(error)}", "nkey_file") from None
        try:
            if config.tls.is_required:
                self._renewal = Renewal(
                    lambda: client_material(config.tls, config.address), self._clock, self._what, why
                )
        except UNUSABLE as error:
            key = "tls_ca" if config.tls.certificate is None else "tls_certificate"
            raise ListenError(f"{self._what}: {why(error)}", key) from None
        return Introduction(
            name=f"ccstore {config.name}",
            user=config.user,
            password=config.password,
            credentials=self._current_credentials,
            tls=None if self._renewal is None else self._renewal.current,
            default_tls=lambda: client_material(config.tls, config.address).options,
            is_tls_first=config.tls.is_first,
            max_payload=config.max_payload,
        )

    def start(self) -> None:
        """Look at certificates from now on, so that one that runs out is warned of."""
        if self._renewal is not None:
            self._renewal.start()

    def look(self) -> None:
        """Look at certificates now."""
        if self._renewal is not None:
            self._renewal.look()

    def stop(self) -> None:
        """Look at nothing any more."""
        if self._renewal is not None:
            self._renewal.stop()

    def figures(self) -> Figures:
        """Figures for the statistics."""
        return Figures() if self._renewal is None else expiry(self._renewal)

    def _current_credentials(self) -> Credentials | None:
        """Those in the file, which may have been renewed; the last ones that were good if it is not."""
        if self._config.nkey_file is not None:
            try:
                self._credentials = read_credentials(self._config.nkey_file)
            except (OSError, Unfit) as error:
                self._complain(f"nkey_file: {_said(error)}; going on with what it had before")
        return self._credentials


def _said(error: OSError | Unfit) -> str:
    if isinstance(error, Unfit):
        return f"expected {error.expected}"
    return why(error)
