"""Messages on their way to a database that is away, in an SQLite file beside the daemon.

Nobody waits for these messages, so they are good here for as long as it takes: they are on disk, and survive
the process. A row is a batch, packed. They leave in the order in which they came, in *groups*. A group has an
id that goes into the database with it, and it is noted here before it is sent. So after a crash it is the
same group, and the database can tell that it has it already.
"""

from ccstore.storage.spool.file import Group, SpoolFile
from ccstore.storage.spool.spool import Spool

__all__ = ["Group", "Spool", "SpoolFile"]
