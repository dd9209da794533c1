"""Messages in an SQLite file.

Messages are appended to the open *segment* of their kind, a table without an index. When it is large or old
enough it is sealed: an index is built in one pass, and the catalogue learns its oldest and newest time.
Events expire by dropping whole sealed segments; logs, which stay, are merged into larger segments.

There is one writing connection with a thread of its own, and a few that read. A statement inserts or fetches
many rows: sqlite3 gives up the interpreter lock at every step, and gets it back only when a busy thread lets
it go.
"""

from ccstore.storage.sqlite.backend import SqliteBackend

__all__ = ["SqliteBackend"]
