"""Messages in an SQLite file.

Messages are appended to the open *segment* of their kind, a table without an index. When it is large or old
enough it is sealed: an index is built in one pass, and the catalogue learns its oldest and newest time.
Events expire by dropping whole sealed segments; logs, which stay, are merged into larger segments.

There is one writing connection, in a process of its own where there is more than one core, and a few that
read, with a thread each. A statement inserts or fetches many rows: sqlite3 gives up the interpreter lock at
every step, and gets it back only when a busy thread lets it go.
"""
