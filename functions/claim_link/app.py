"""POST /link/claim."""

import hmac

from latchkey import http, ids, queues, store
from latchkey.errors import ConflictError, GoneError, NotFoundError, ValidationFailedError
from latchkey.links import Session
from latchkey.settings import settings
from latchkey.validation import claim_issues, idempotency_key_issues
from latchkey.views import claimed_view

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
    link_id = request.log["linkId"] = ids.link_id(body["code"])
    token = ids.new_client_token(link_id) if key is None else ids.derived_client_token(body["code"], key)
    headers = None
    session = Session(
        claimed_at=request.now,
        ends_at=request.now + 1000 * settings().session_seconds,
        token_hash=ids.token_hash(token),
    )
    try:
        link = store.claim(link_id, session, ids.new_token())
    except NotFoundError:
        raise NotFoundError("No link has this claim code") from None
    except store.SupersededError as error:
        link = error.link
        if link.session is None:
            raise GoneError("The link was canceled or has expired; ask for a new one") from None
        if not hmac.compare_digest(link.session.token_hash, session.token_hash):
            raise ConflictError("The link was claimed before") from None
        headers = http.REPLAYED
    queues.wake_worker(link)
    return http.answer(200, claimed_view(link, token), headers)
