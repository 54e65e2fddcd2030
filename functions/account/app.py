"""GET /v1/account."""

from latchkey import http
from latchkey.services import accounts


@http.private
def lambda_handler(request: http.CallerRequest) -> http.Response:
    """Show a key what it is, and what its account has set."""
    return http.answer(200, accounts.view(request.caller, request.now))
