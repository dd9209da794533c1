"""Errors of the driver as errors of the store."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final, TypeVar

import psycopg2
from twisted.internet.error import ConnectionDone, ConnectionLost
from txpostgres.txpostgres import AlreadyPolling, UnexpectedPollResult

from ccstore.interfaces import StoreError
from ccstore.storage.postgres.connections import Cancelled, unavailable

_Result = TypeVar("_Result")
#: Classes of SQLSTATE that say that the data is at fault: wrong values, constraints, limits of the program.
#: Anything else may pass, such as a lost connection, a full disk, a deadlock or a right that was taken away.
_REFUSED: Final = ("22", "23", "54")


_LOST_IT: Final = "the connection was lost"
#: How a connection says that it is gone, or was closed by us, while something was asked of it.
_LOST: Final = (ConnectionDone, ConnectionLost, OSError, AlreadyPolling, UnexpectedPollResult)


def translate(error: Exception, where: object) -> Exception:
    """The error as the rest of the program knows it, in one line; a mistake of ours stays what it is.

    :param where: which database it is, for people: whoever reads that it is gone has to know where to look.
    """
    if isinstance(error, StoreError):
        return error
    if isinstance(error, psycopg2.Error):
        code = error.pgcode
        text = one_line(error)
        if code is not None and code[:2] in _REFUSED:
            return StoreError(text)
        if code is None and isinstance(error, psycopg2.DataError):
            return StoreError(text)
        return unavailable(text or _LOST_IT, where)
    if isinstance(error, (ValueError, OverflowError)):
        # Before anything was sent: a NUL, half a surrogate pair.
        return StoreError(one_line(error))
    if isinstance(error, Cancelled):
        return unavailable(str(error), where)
    if isinstance(error, _LOST):
        return unavailable(_LOST_IT, where)
    return error


async def translated(work: Awaitable[_Result], where: object) -> _Result:
    """The result of some work, whose errors are those of the store, see :func:`translate`."""
    try:
        return await work
    except Exception as error:
        known = translate(error, where)
        if known is error:
            raise
        raise known from error


def one_line(error: BaseException) -> str:
    """What the server or libpq says, without hints and without where in the statement."""
    if isinstance(error, psycopg2.Error) and error.diag.message_primary:
        return str(error.diag.message_primary)
    lines = [line.strip() for line in str(error).splitlines()]
    # libpq has a line for each address that it tried, and indents what it adds by way of explanation.
    told = [line for line, raw in zip(lines, str(error).splitlines(), strict=True) if line and raw[0] != "\t"]
    return "; ".join(told[:3]) or type(error).__name__
