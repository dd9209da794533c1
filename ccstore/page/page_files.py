"""The files of the page as they are sent: read, packed and named once, when the daemon starts."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator, Mapping
from html import escape
from importlib import resources
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from attrs import frozen

from ccstore import __version__

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable  # Python 3.10 has it elsewhere

_TYPES: Final[Mapping[str, str]] = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
_INDEX: Final = "index.html"
#: Characters of the digest in the addresses of the files.
_DIGEST: Final = 16


@frozen
class PageFile:
    """What is sent for a file.

    :ivar packed: the same by gzip.
    :ivar tag: of what is not packed, for the header ETag, without quotes.
    """

    content: bytes
    packed: bytes
    content_type: str
    tag: str


class PageFiles:
    """The files, by their paths below the folder ``static``.

    The first page names all others below a digest of all of them: so a browser may keep them for ever, and
    never has some of one release and some of another.

    :ivar digest: of all of them.
    :ivar index: the first page.
    """

    def __init__(self) -> None:
        contents = dict(_contents(resources.files("ccstore.page").joinpath("static"), PurePosixPath()))
        index = contents.pop(_INDEX).decode()
        whole = hashlib.sha256(__version__.encode())
        for path in sorted(contents):
            whole.update(f"{path}\0{len(contents[path])}\0".encode() + contents[path])
        self.digest = whole.hexdigest()[:_DIGEST]
        self._files = {path: _file(path, content) for path, content in contents.items()}
        self.index = _file(_INDEX, self._filled(index).encode())

    def get(self, path: str) -> PageFile | None:
        """The file at a path, such as ``js/main.js``; None if there is none."""
        return self._files.get(path)

    @property
    def paths(self) -> list[str]:
        """The paths of all of them."""
        return sorted(self._files)

    def _filled(self, index: str) -> str:
        """The first page with what is known only here."""
        # Modules that are named here are loaded all at once, and not only when another one asks for them.
        preloads = "\n".join(
            f'<link rel="modulepreload" href="page/{self.digest}/{path}">'
            for path in self.paths
            if path.startswith("js/")
        )
        return (
            index.replace("@FILES@", f"page/{self.digest}")
            .replace("@VERSION@", escape(__version__))
            .replace("<!--@PRELOADS@-->", preloads)
        )


def _contents(folder: Traversable, path: PurePosixPath) -> Iterator[tuple[str, bytes]]:
    for each in folder.iterdir():
        if each.is_dir():
            yield from _contents(each, path / each.name)
        elif PurePosixPath(each.name).suffix in _TYPES:
            yield str(path / each.name), each.read_bytes()


def _file(path: str, content: bytes) -> PageFile:
    return PageFile(
        content,
        # Without the time of day, so that the same file is the same bytes.
        gzip.compress(content, mtime=0),
        _TYPES[PurePosixPath(path).suffix],
        hashlib.sha256(content).hexdigest()[:_DIGEST],
    )
