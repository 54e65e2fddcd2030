"""GET /link/session, POST /link/session/input, POST /link/session/cancel."""

from latchkey import http
from latchkey.domain.views import session_view
from latchkey.services import client_session


@http.public
def lambda_handler(request: http.Request) -> http.Response:
    """Show the session that a client token opens, after the client's step if it takes one."""
    link, status = client_session.session(request.bearer, request.now), 200
    request.log["linkId"] = link.link_id
    match request.route:
        case "POST /link/session/input":
            link, status = client_session.answer_challenge(link, request.json_object(), request.now), 202
        case "POST /link/session/cancel":
            link = client_session.cancel(link, request.now)
    return http.answer(status, session_view(link, request.now))
