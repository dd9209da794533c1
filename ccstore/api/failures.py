"""What is answered when a route fails, the same for all of them."""

from __future__ import annotations

from typing import Any, cast

from klein import Klein
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.routing import RequestRedirect

from ccstore.web import WebError, answer, internal_error


def answer_failures(app: Klein) -> None:
    """Let the routes of a class with a ``log`` answer their failures as errors in JSON."""
    for kind, handler in (
        (WebError, _web_error),
        (HTTPException, _routing_error),
        (Exception, _unexpected_error),
    ):
        app.handle_errors(kind)(cast(Any, handler))


def _web_error(routes: Any, request: IRequest, failure: Failure) -> bytes:
    error = failure.value
    assert isinstance(error, WebError)
    return answer(request, error.status, error.body(), error.headers)


def _routing_error(routes: Any, request: IRequest, failure: Failure) -> bytes:
    error: Any = failure.value
    if isinstance(error, RequestRedirect):
        error = NotFound()
    headers = {}
    text = "nothing here, / shows what there is"
    if isinstance(error, MethodNotAllowed):
        allowed = sorted(error.valid_methods or ())
        headers = {"allow": ", ".join(allowed)}
        text = f"the method is not allowed here, {' and '.join(allowed)} are"
    return answer(request, error.code, WebError(error.code, text).body(), headers)


def _unexpected_error(routes: Any, request: IRequest, failure: Failure) -> bytes:
    error = internal_error(routes.log, failure, request)
    return answer(request, error.status, error.body())
