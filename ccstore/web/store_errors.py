"""What went wrong in the store, as those who ask over HTTP are told."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from ccstore.interfaces import QueryTimeout, StoreError

from .answers import WebError, later

_T = TypeVar("_T")


async def answered(question: Awaitable[_T], timeout: float) -> _T:
    """What the store answers, whose errors become those of the request: :class:`WebError`.

    :param timeout: the seconds that it may take, for people.
    """
    try:
        return await question
    except QueryTimeout:
        text = f"the query took longer than {timeout:g} s: ask for less time or fewer hosts"
        raise WebError(503, text) from None
    except StoreError as error:
        raise later(f"the query failed: {error}") from None
