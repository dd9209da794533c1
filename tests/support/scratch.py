"""Directories for a test, and another user to look at them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

_NOBODY = 65534


def scratch(case: SynchronousTestCase) -> Path:
    """A directory that lives as long as the test, and that every user may enter."""
    directory = Path(tempfile.mkdtemp(prefix="ccstore-"))
    case.addCleanup(shutil.rmtree, directory)
    directory.chmod(0o755)
    return directory


@contextmanager
def as_somebody_else() -> Iterator[None]:
    """As a user whom file permissions bind, which they do not if the tests run as root."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)
