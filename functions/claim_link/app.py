"""POST /link/claim."""

from latchkey import http
from latchkey.domain import ids
from latchkey.domain.errors import ValidationFailedError
from latchkey.domain.validation import claim_issues, idempotency_key_issues
from latchkey.domain.views import claimed_view
from latchkey.services.client_session import claim

# Who knows the code and the key has the session: the key must not be guessed by others who have the link.
MIN_KEY_CHARS = 16


@http.public
def lambda_handler(request: http.Request) -> http.Response:
    """Begin the one session of the link that a claim code opens.

    A client whose answer was lost claims again with the same Idempotency-Key, and gets the same answer.
    """
    body = request.json_object()
    key = request.header("idempotency-key")
    if issues := claim_issues(body) + idempotency_key_issues(key, least=MIN_KEY_CHARS):
        raise ValidationFailedError(issues)
    request.log["linkId"] = ids.link_id(body["code"])
    link, token, replayed = claim(body["code"], key, request.now)
    return http.answer(200, claimed_view(link, token), http.REPLAYED if replayed else None)
