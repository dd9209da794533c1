"""What is at ``/api/``, and at ``/`` for others than browsers: a short page of what there is."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from ccstore import __version__

#: Nothing on the page is loaded, run or sent.
POLICY: Final = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_PLACES: Final = (
    ("health", "whether the daemon answers"),
    ("ready", "whether it can store messages"),
    ("api/v1/messages", "what is stored, the newest first"),
    ("api/v1/clusters", "which clusters there are"),
    ("api/stats/", "counters of every receiver, of the writer and of the database"),
    ("api/samples/", "some of the lines that were not stored, with sender and reason"),
    ("metrics", "the counters for Prometheus"),
    ("api/openapi.json", "what can be asked, and how, for programs"),
)
_SWAGGER: Final = ("swagger/", "the same for people, to try it out")
_TITLE: Final = f"ccstore {__version__}"
_WHAT: Final = "A short-term store for the events and logs of HPC clusters. This is its REST interface."
_TOKEN: Final = (
    "Statistics, samples, metrics and queries want a token, which a browser does not send by itself."
)
_NO_SWAGGER: Final = "A page to try it out is at /swagger/ with enable_swagger_ui in the configuration."


class Home:
    """The page, for browsers and for others.

    :param root: where ``/`` is for links of the page, which are relative: a proxy may put all below a path.
    :param has_swagger: the Swagger UI is switched on.
    :param wants_token: requests need a token.
    """

    def __init__(self, root: str, *, has_swagger: bool, wants_token: bool) -> None:
        self._root = root
        self._places: Sequence[tuple[str, str]] = (*_PLACES, *((_SWAGGER,) if has_swagger else ()))
        self._notes = [*([] if has_swagger else [_NO_SWAGGER]), *([_TOKEN] if wants_token else [])]

    def html(self) -> bytes:
        """The page for a browser."""
        items = "".join(
            f'<li><a href="{self._root}{place}">/{place}</a>: {escape(what)}</li>\n'
            for place, what in self._places
        )
        notes = "".join(f"<p>{escape(note)}</p>\n" for note in self._notes)
        page = (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width">\n'
            f"<title>{_TITLE}</title>\n</head>\n<body>\n<h1>{_TITLE}</h1>\n<p>{escape(_WHAT)}</p>\n"
            f"<ul>\n{items}</ul>\n{notes}</body>\n</html>\n"
        )
        return page.encode()

    def text(self) -> bytes:
        """The same as plain text."""
        width = max(len(place) for place, _ in self._places)
        places = [f"  /{place:{width}}  {what}" for place, what in self._places]
        notes = ["", *self._notes] if self._notes else []
        return "\n".join([_TITLE, _WHAT, "", *places, *notes, ""]).encode()
