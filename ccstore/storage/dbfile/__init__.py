"""A file of SQLite that is ours, as the store and the spool have one.

It is locked for one process, brought to the schema that the process knows, and watched: whatever somebody
does to it is noticed before anything else is written.
"""
