"""
``ccstore import``: messages of ``cc-event-store`` and of files of lines, brought into the configured store.

Where what is: `command` has the words of the command and what it says, `importer` the way of a piece into the
store, `position` what the store remembers of it, `source` what a source is, `go_database` and `line_file` the
two kinds there are, `display` the bar.

A piece of a source and the position behind it are committed together. So an import that was ended in any way
goes on where it was when it is given again, and what is imported is imported once.
"""
