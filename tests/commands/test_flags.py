"""Options with one dash or two."""

from __future__ import annotations

import pytest

from ccstore.commands.options import two_dashes


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("-config x -logdate", "--config x --logdate"),
        ("--config x --logdate", "--config x --logdate"),
        ("-config=x=y -loglevel=info", "--config=x=y --loglevel=info"),
        ("-config= -logdate", "--config= --logdate"),
        # The next word is the value, whatever it looks like.
        ("-config -logdate -logdate", "--config -logdate --logdate"),
        ("-config", "--config"),
        ("-logdate=true -logdate=1 -logdate=T", "--logdate --logdate --logdate"),
        ("-logdate=false --logdate=0", ""),
        ("-logdate=perhaps", "-logdate=perhaps"),
        # The short forms that are not Go's.
        ("-c x -l info -cx", "-c x -l info -cx"),
        # Behind the first word that is no option, everything is left alone.
        ("-logdate x -config y", "--logdate x -config y"),
        ("-logdate -- -config y", "--logdate -- -config y"),
        ("- -config", "- -config"),
        ("---config x", "---config x"),
        ("-unknown -logdate", "-unknown --logdate"),
    ],
)
def test_two_dashes(given: str, expected: str) -> None:
    assert two_dashes(given.split(), ["config", "loglevel"], ["logdate"]) == expected.split()


def test_two_dashes_behind_other_words() -> None:
    words = ["old.db", "-config", "x", "-", "-logdate", "--", "-config"]
    expected = ["old.db", "--config", "x", "-", "--logdate", "--", "-config"]
    assert two_dashes(words, ["config"], ["logdate"], is_mixed=True) == expected
