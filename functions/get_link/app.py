"""GET /v1/links/{linkId}."""

from latchkey import http, ids, store
from latchkey.errors import NotFoundError
from latchkey.links import link_view


@http.private
def lambda_handler(request: http.Request) -> http.Response:
    """Show a link to the account and mode that made it."""
    link_id = request.path_parameters["linkId"]
    link = store.get_link(link_id) if ids.is_link_id(link_id) else None
    if link is None or link.owner != request.caller.owner:
        raise NotFoundError
    return http.answer(200, link_view(link, request.now), log={"linkId": link_id})
