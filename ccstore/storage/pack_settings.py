"""What is packed, and how, in either database."""

from __future__ import annotations

from typing import Final

from attrs import frozen


@frozen
class Packing:
    """What is packed, and how.

    :ivar after: seconds after which older messages are packed; 0 for never.
    :ivar has_words: what is packed gets an index of words.
    """

    after: float = 0.0
    has_words: bool = True


#: Everything stays as it came.
NO_PACKING: Final = Packing()
