"""The schema of the database in its versions."""

from __future__ import annotations

from typing import Final

from ccstore.storage.dbfile.schema import Schema, scripts

#: Marks a file as ours ("ccst"), see PRAGMA application_id.
APPLICATION_ID: Final = 0x63637374
DATABASE: Final = Schema(
    APPLICATION_ID,
    scripts("ccstore.storage.sqlite", 5),
    "it has tables, but ccstore did not make it: give another path"
    " (and if it is cc-event-store's, `ccstore import` takes over what it has)",
)
