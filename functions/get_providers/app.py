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
    return http.unless_current(request, document, {"Cache-Control": "private, max-age=300"})


def _show_api(request: http.Request) -> http.Response:
    return http.unless_current(request, catalogue.api_document(), {"Cache-Control": "public, max-age=300"})


_of_catalogue, _of_api = http.private(_show_catalogue), http.public(_show_api)


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Show the catalogue or one integration of it to a caller, the API's description to anybody."""
    return (_of_api if event["routeKey"] == API_DESCRIPTION else _of_catalogue)(event, context)
