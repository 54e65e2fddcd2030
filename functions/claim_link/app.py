"""POST /link/claim."""

from latchkey import http, ids, queues, store
from latchkey.errors import ConflictError, GoneError, NotFoundError, ValidationFailedError
from latchkey.links import Session
from latchkey.settings import settings
from latchkey.validation import claim_issues
from latchkey.views import claimed_view


@http.public
def lambda_handler(request: http.Request) -> http.Response:
    """Begin the one session of the link that a claim code opens."""
    body = request.json_object()
    if issues := claim_issues(body):
        raise ValidationFailedError(issues)
    link_id = ids.link_id(body["code"])
    token = ids.new_client_token(link_id)
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
        if error.link.session is not None:
            raise ConflictError("The link was claimed before") from None
        raise GoneError("The link was canceled or has expired; ask for a new one") from None
    queues.wake_worker(link)
    return http.answer(200, claimed_view(link, token), log={"linkId": link_id})
