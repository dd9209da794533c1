"""Whether the files at some paths are still those that are open."""

from __future__ import annotations

import os
from pathlib import Path
from stat import S_IMODE

from ccstore.errors import StoreUnavailable
from ccstore.storage.dbfile.explain import may_not
from ccstore.storage.dbfile.sql import beside


class FileChanged(StoreUnavailable):
    """A file that is open was removed, replaced, overwritten, or may not be used any more.

    :ivar is_content: what is in it was changed, and not just its path.
    :ivar is_done: what was to be done was done, to the file that is open.
    """

    def __init__(self, reason: str, is_content: bool = False, is_done: bool = False) -> None:
        super().__init__(reason)
        self.is_content = is_content
        self.is_done = is_done


class Place:
    """The paths of a database and of what SQLite keeps beside it, and which files were found there.

    :param name: what the file is and its path, for people.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._name = name
        self._descriptor = -1
        self._inode = (0, 0)
        self._access: dict[str, tuple[int, int, int]] = {}
        self._beside: dict[str, tuple[int, int]] = {}

    @property
    def knows_others(self) -> bool:
        """It is known which files are beside the database."""
        return bool(self._beside)

    def begin(self, descriptor: int) -> None:
        """The file with this descriptor is the one that has to be at the path."""
        self._descriptor = descriptor
        there = os.fstat(descriptor)
        self._inode = (there.st_dev, there.st_ino)
        self._check_access(str(self._path), there)

    def find_others(self) -> str:
        """The files that are beside it now have to stay; gives the path of the log's index."""
        for path in beside(self._path):
            there = os.stat(path)
            self._beside[path] = (there.st_dev, there.st_ino)
            self._check_access(path, there)
        return path

    def forget_others(self) -> None:
        """The files beside the database may be other ones from now on."""
        self._access = {path: access for path, access in self._access.items() if path not in self._beside}
        self._beside = {}

    def end(self) -> None:
        """Nothing is known any more."""
        self._descriptor = -1
        self._beside = {}
        self._access = {}

    def check(self) -> os.stat_result:
        """Raises :class:`FileChanged` if the files at the paths are not those that are open."""
        try:
            there = os.stat(self._path)
        except OSError as error:
            raise FileChanged(self._gone(error)) from None
        if (there.st_dev, there.st_ino) != self._inode:
            raise FileChanged(
                f"{self._name} was replaced by another file while it was open: put the right one back, or"
                " restart ccstore to go on with the one that is there"
            )
        self._check_access(str(self._path), there)
        for path, inode in self._beside.items():
            try:
                found = os.stat(path)
                is_same = (found.st_dev, found.st_ino) == inode
            except OSError:
                is_same = False
            if not is_same:
                raise FileChanged(
                    f"{path}, which belongs to {self._name}, was removed or replaced while it was open:"
                    " restart ccstore"
                )
            self._check_access(path, found)
        return there

    def _check_access(self, path: str, there: os.stat_result) -> None:
        access = (there.st_mode, there.st_uid, there.st_gid)
        known = self._access.setdefault(path, access)
        if access != known:
            if not os.access(path, os.R_OK | os.W_OK, effective_ids=True):
                raise FileChanged(
                    f"{self._name} may not be used any more: {may_not(path, 'read and write')}; give it back"
                    f" its owner and its mode {S_IMODE(known[0]):04o}"
                )
            self._access[path] = access

    def _gone(self, error: OSError) -> str:
        if not isinstance(error, FileNotFoundError):
            return f"{self._name} cannot be reached any more: {error.strerror}"
        how = "moved away" if os.fstat(self._descriptor).st_nlink else "removed"
        return (
            f"{self._name} was {how} while it was open: put it back, or restart ccstore to begin with what is"
            " there then"
        )
