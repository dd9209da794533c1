"""What the REST interface says of itself: its OpenAPI document, and the page of the Swagger UI."""

from __future__ import annotations

import json
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, NamedTuple

from ccstore import __version__

#: Files of the Swagger UI that its page needs, with their types.
_SWAGGER_FILES: Final = {
    "swagger-ui.css": "text/css; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "favicon-32x32.png": "image/png",
}
#: Files of the page itself.
_PAGE_FILES: Final = {"index.html": "text/html; charset=utf-8", "start.js": "text/javascript; charset=utf-8"}
#: The page loads nothing from anywhere else, and this makes the browser see to it.
SWAGGER_POLICY: Final = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"
)


class File(NamedTuple):
    """What is sent for a file: its bytes, and the value of the header Content-Type."""

    content: bytes
    content_type: str


def openapi_document() -> dict[str, Any]:
    """The OpenAPI 3.1 document of the REST interface."""
    document: dict[str, Any] = json.loads(_static("openapi.json"))
    document["info"]["version"] = __version__
    return document


def swagger_file(name: str) -> File | None:
    """A file of the page of the Swagger UI, or None if there is none of that name."""
    if name in _PAGE_FILES:
        return File(_static(name), _PAGE_FILES[name])
    if name in _SWAGGER_FILES:
        return File((_swagger_directory() / name).read_bytes(), _SWAGGER_FILES[name])
    return None


def _static(name: str) -> bytes:
    return resources.files("ccstore.api").joinpath("static", name).read_bytes()


def _swagger_directory() -> Path:
    """Where the package that brings the Swagger UI has its files; importing it would import Jinja too."""
    spec = find_spec("swagger_ui")
    assert spec is not None
    return Path(str(spec.origin)).parent / "static"
