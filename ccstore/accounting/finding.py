"""What a doctor finds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from attrs import frozen

#: Senders that are named for one problem.
NAMED: Final = 5


@frozen
class Finding:
    """Something about a sender, or about the store.

    :ivar is_problem: something should be done; else it is only good to know.
    :ivar receiver: at which it shows, or None.
    :ivar senders: addresses with the hosts they speak for, as they are shown.
    :ivar lines: how many, if the books have that.
    :ivar says: what is the matter.
    :ivar do: what would mend it.
    """

    is_problem: bool
    receiver: str | None
    says: str
    do: str
    senders: Sequence[str] = ()
    lines: int | None = None
    reason: str = ""

    def as_json(self) -> dict[str, object]:
        """The same for programs."""
        return {
            "problem": self.is_problem,
            "receiver": self.receiver,
            "senders": list(self.senders),
            "lines": self.lines,
            "reason": self.reason,
            "says": self.says,
            "do": self.do,
        }

    def __str__(self) -> str:
        named = ", ".join(self.senders[:NAMED])
        more = len(self.senders) - NAMED
        if more > 0:
            named += f" and {more} more"
        who = f"sender{'s' if len(self.senders) > 1 else ''} {named}: " if named else ""
        return f"{who}{self.says}" + (f": {self.do}" if self.do else "")
