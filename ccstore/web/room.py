"""Memory for the bodies of requests, shared by all HTTP ports."""

from __future__ import annotations

from typing import Protocol

from ccstore.pipeline.scheduler import LEAST_PIECE


class Holder(Protocol):
    """A request, as far as its body needs memory."""

    held: int  # bytes of the body in memory
    is_arriving: bool

    def refuse_for_now(self) -> None:
        """Refuse a body that is still arriving."""


class Room:
    """Memory for the bodies of requests.

    :param most: bytes of all of them. A single one may be larger, and there is room for a quarter more of
        small ones, which are soon done with.
    :param small: bytes of a small body.
    """

    def __init__(self, most: int = 32 << 20, *, small: int = LEAST_PIECE) -> None:
        self._most = most
        self._small = small
        self._held = 0
        self._arriving: set[Holder] = set()

    def take(self, request: Holder, size: int) -> bool:
        """Make room for so many more bytes of a request; False if there is none.

        Of those that are still arriving the largest is refused, which may be this one.
        """
        most = self._most + (self._most // 4 if request.held + size <= self._small else 0)
        if self._held > request.held and self._held + size > most:
            # Of equals, others before this one.
            arriving = sorted(self._arriving, key=lambda each: (each.held, each is not request))
            while self._held > request.held and self._held + size > most:
                largest = arriving.pop() if arriving else request
                if largest.is_arriving:
                    largest.refuse_for_now()
                if largest is request:
                    return False
        self._held += size
        request.held += size
        if request.is_arriving:
            self._arriving.add(request)
        return True

    def has_arrived(self, request: Holder) -> None:
        """The whole of a request is there: it is no longer refused in favour of others."""
        self._arriving.discard(request)

    def free(self, request: Holder) -> None:
        """Nothing of a request is held any longer."""
        self._arriving.discard(request)
        self._held -= request.held
        request.held = 0
