"""
The commands that talk to a running ccstore.

Where what is: `session` starts a command and ends it with the right status, `server` makes requests, and each
command has a module of its own: `query_command`, `send` with `cutting` and `tally`, `stats`, `doctor` with
`diagnosis`, `token`. `hostlist` and `table` read and show what people write and read.
"""
