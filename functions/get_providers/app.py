"""The catalogue, GET /v1/providers and GET /v1/providers/{integrationId}; and GET /openapi.json."""

from typing import Any

from latchkey import http
from latchkey.domain import catalogue
from latchkey.domain.errors import NotFoundError

API_DESCRIPTION = "GET /openapi.json"


def _show_catalogue(request: http.Request) -> http.Response:
    provider_id = request.path_parameters.get("integrationId")
    document = (
        catalogue.providers_document() if provider_id is None else catalogue.provider_document(provider_id)
    )
    if document is None:
        raise NotFoundError
    return _unless_current(request, document, "private")


def _show_api(request: http.Request) -> http.Response:
    return _unless_current(request, catalogue.api_document(), "public")


_of_catalogue, _of_api = http.private(_show_catalogue), http.public(_show_api)


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Show the catalogue or one integration of it to a caller, the API's description to anybody."""
    return (_of_api if event["routeKey"] == API_DESCRIPTION else _of_catalogue)(event, context)


def _unless_current(request: http.Request, document: catalogue.Document, scope: str) -> http.Response:
    """The document, unless the caller's copy is the current one."""
    headers = {"ETag": document.etag, "Cache-Control": f"{scope}, max-age=300"}
    if _is_current(request.header("if-none-match"), document.etag):
        return http.Response(304, None, headers)
    return http.Response(200, document.body, headers)


def _is_current(if_none_match: str | None, etag: str) -> bool:
    """Compare as RFC 9110 (13.1.2) says: a list, weakly, `*` for any. Our tags hold no comma."""
    if if_none_match is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return etag in tags or tags == ["*"]
