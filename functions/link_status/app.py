"""POST /link/status, and the OPTIONS by which a browser asks whether a page of another origin may send it."""

from dataclasses import replace

from latchkey import http
from latchkey.domain import ids, sessions
from latchkey.domain.errors import NotFoundError, ValidationFailedError
from latchkey.domain.validation import claim_issues
from latchkey.domain.views import status_view
from latchkey.services import read_link

_ANY_ORIGIN = {"Access-Control-Allow-Origin": "*"}
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "POST",
    "Access-Control-Allow-Headers": "content-type",
    "Access-Control-Max-Age": "86400",  # seconds: a day
}


def _answer(request: http.Request) -> http.Response:
    """Tell how the link of a claim code stands, and claim nothing."""
    if request.route.startswith("OPTIONS"):
        return http.Response(204, None, _ANY_ORIGIN | _PREFLIGHT)
    body = request.json_object()
    if issues := claim_issues(body):
        raise ValidationFailedError(issues)
    link_id = request.log["linkId"] = ids.link_id(body["code"])
    link = read_link.known(link_id)
    # A code outlives its link in mails and histories: as long as the client's own token it is good for this.
    if link is None or not sessions.is_readable(link, request.now):
        raise NotFoundError("No link has this claim code, or it ended more than 24 hours ago")
    return http.answer(200, status_view(link, request.now), _ANY_ORIGIN)


def _failed(_: http.Request, failure: http.Response) -> http.Response:
    return replace(failure, headers=failure.headers | _ANY_ORIGIN)


lambda_handler = http.public(_answer, _failed)
