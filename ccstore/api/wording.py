"""How mistakes in questions are put into words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

#: Characters of what is shown of a value.
SHOWN: Final = 60


def one_of(words: Sequence[str]) -> str:
    """Words to choose from, as people read them."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def shown(value: object) -> str:
    """A value as JSON has it, and no more of it than people want to read."""
    text = json.dumps(value, ensure_ascii=False) if value is not None else "nothing"
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"
