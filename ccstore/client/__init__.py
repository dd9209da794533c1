"""
The commands that talk to a running ccstore.

Where what is: `command` starts a command and ends it with the right status, `server` makes requests, and each
command has a module of its own. `hostlist`, `times` and `table` read and show what people write and read.
"""
