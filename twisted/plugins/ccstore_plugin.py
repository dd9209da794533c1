"""
Tells twistd of the command ``ccstore``.

Every start of any twistd on the machine imports this file, so it imports nothing of ours: twistd imports
``ccstore.tap`` by its name once the command is asked for.
"""

from twisted.application.service import ServiceMaker

ccstore = ServiceMaker(
    "ccstore",
    "ccstore.tap",
    "A short-term store for the events and logs of HPC clusters.",
    "ccstore",
)
