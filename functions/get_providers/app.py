"""GET /v1/providers and GET /v1/providers/{integrationId}."""

from latchkey import http
from latchkey.domain import catalogue
from latchkey.domain.errors import NotFoundError


@http.private
def lambda_handler(request: http.Request) -> http.Response:
    """Show the catalogue, or one integration of it, unless the caller's copy is the current one."""
    provider_id = request.path_parameters.get("integrationId")
    document = (
        catalogue.providers_document() if provider_id is None else catalogue.provider_document(provider_id)
    )
    if document is None:
        raise NotFoundError
    headers = {"ETag": document.etag, "Cache-Control": "private, max-age=300"}
    if _is_current(request.header("if-none-match"), document.etag):
        return http.Response(304, None, headers)
    return http.Response(200, document.body, headers)


def _is_current(if_none_match: str | None, etag: str) -> bool:
    """Compare as RFC 9110 (13.1.2) says: a list, weakly, `*` for any. Our tags hold no comma."""
    if if_none_match is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return etag in tags or tags == ["*"]
