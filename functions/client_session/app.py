"""GET /link/session, POST /link/session/input, POST /link/session/cancel."""

from latchkey import clients, http
from latchkey.views import session_view


@http.public
def lambda_handler(request: http.Request) -> http.Response:
    """Show the session that a client token opens, after the client's step if it takes one."""
    link, status = clients.session(request.bearer, request.now), 200
    request.log["linkId"] = link.link_id
    match request.route:
        case "POST /link/session/input":
            link, status = clients.answer_challenge(link, request.json_object(), request.now), 202
        case "POST /link/session/cancel":
            link = clients.cancel(link, request.now)
    return http.answer(status, session_view(link, request.now))
