"""
The commands that talk to a running ccstore.

Where what is: `session` starts a command and ends it with the right status, `server` makes requests, to the
one that `contexts` finds, with what `credentials` has. Each command has a module of its own: `query_command`,
`counting_commands`, `histogram_command`, `send` with `cutting` and `tally`, `stats`, `doctor` with
`diagnosis`, `token`. Those that ask for messages share `choosing`; what they show is made by `rendering` and
`message_parts`, and goes out through `terminal`. `tailing` follows, with `server_sent`, and `absent` says why
there is nothing.
"""
