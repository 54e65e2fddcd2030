"""What a restricted API key may be let do, by the route that does it."""

from collections.abc import Collection

from latchkey.domain.errors import ForbiddenError

ROUTES = {
    "account:read": ["GET /v1/account"],
    "events:read": ["GET /v1/events"],
    "links:erase": ["DELETE /v1/links/{linkId}", "POST /v1/erasures"],
    "links:read": [
        "GET /v1/links",
        "GET /v1/links/{linkId}",
        "GET /v1/links/{linkId}/deliveries",
        "GET /v1/test/outcomes",
    ],
    "links:write": [
        "POST /v1/links",
        "POST /v1/links/{linkId}/cancel",
        "POST /v1/test/links/{linkId}/advance",
        "POST /v1/test/links/{linkId}/simulate",
        "POST /v1/test/links/{linkId}/fail-deliveries",
    ],
    "providers:read": ["GET /v1/providers", "GET /v1/providers/{integrationId}"],
    "secrets:read": ["GET /v1/webhook-secret"],
    "secrets:write": ["POST /v1/webhook-secret/rotate"],
    "webhooks:write": ["POST /v1/links/{linkId}/redeliver", "POST /v1/webhook-tests"],
}
SCOPE_OF = {route: scope for scope, routes in ROUTES.items() for route in routes}


def check(route: str, scopes: Collection[str] | None) -> None:
    """Raise ForbiddenError if a key with these scopes may not use the route; None is for all of them."""
    if scopes is not None and SCOPE_OF[route] not in scopes:
        raise ForbiddenError(
            f"This API key is restricted and lacks the scope {SCOPE_OF[route]}; use one that has it, "
            "or ask whoever made it"
        )
