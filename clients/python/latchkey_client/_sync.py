"""The sync client, made of `_async.py` by `make schemas`: change that one."""

from __future__ import annotations

import time
from collections.abc import Iterator, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Generic, Literal, TypeVar

import httpx2

from latchkey_client import models, webhooks
from latchkey_client._base import (
    POLL_FIRST,
    POLL_LONGEST,
    Request,
    Settings,
    connection_error,
    made,
    new_idempotency_key,
    not_ended,
    part,
    response_of,
    without_none,
)
from latchkey_client.errors import LatchkeyError, WaitTimeoutError
from latchkey_client.models import Model, Response

M = TypeVar("M", bound=Model)


class Page(Generic[M]):
    """A page of a list. Iterating goes on over the pages behind it, each asked for when it is reached."""

    def __init__(
        self,
        data: list[M],
        next_cursor: str | None,
        response: Response | None,
        turn: Callable[[str], Page[M]],
    ) -> None:
        self.data = data
        self.next_cursor = next_cursor
        self.response = response
        self._turn = turn

    def next_page(self) -> Page[M] | None:
        """The page behind this one; None if this is the last."""
        return None if self.next_cursor is None else self._turn(self.next_cursor)

    def __iter__(self) -> Iterator[M]:
        page: Page[M] | None = self
        while page is not None:
            for item in page.data:
                yield item
            page = page.next_page()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.data)} here, {'more' if self.next_cursor else 'the last'})"


class Latchkey:
    """Latchkey's API.

    The key and the address are those of LATCHKEY_API_KEY and LATCHKEY_BASE_URL if they are not given.
    `timeout` is in seconds, for each try; a try that fails by the network, 408, 429 or 5xx is followed by
    `max_retries` others. Calls raise APIStatusError or APIConnectionError, both of them LatchkeyError.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout: float = 30,
        max_retries: int = 2,
    ) -> None:
        self._settings = Settings.of(api_key, base_url, timeout, max_retries)
        self._http = httpx2.Client(timeout=timeout)
        self._sleep = time.sleep
        self.links = Links(self)
        self.events = Events(self)
        self.providers = Providers(self)
        self.webhook_secret = WebhookSecret(self)
        self.webhook_tests = WebhookTests(self)
        self.erasures = Erasures(self)
        self.test = Test(self)
        self.sessions = Sessions(self)
        self.webhooks = webhooks

    def account(self) -> models.Account:
        """What this key is and may, and what its account has set."""
        return self._call(models.Account, Request("GET", "/v1/account"))

    def openapi(self) -> dict[str, Any]:
        """The deployment's own description of its routes, OpenAPI 3.1."""
        return (self._call(Model, Request("GET", "/openapi.json"))).to_dict()

    def close(self) -> None:
        """Close the kept connections."""
        self._http.close()

    def __enter__(self) -> Latchkey:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self._settings.base_url!r})"

    def _call(self, model: type[M], request: Request) -> M:
        arguments = self._settings.http_arguments(request)
        tries = 0
        while True:
            tries += 1
            try:
                answer = self._http.request(**arguments)
            except httpx2.RequestError as error:
                wait = self._settings.wait_before_retry(request, tries, error)
                if wait is None:
                    raise connection_error(request, error) from error
            else:
                response = response_of(answer)
                wait = self._settings.wait_before_retry(request, tries, response)
                if wait is None:
                    return made(model, response)
            self._sleep(wait)

    def _page(self, model: type[M], member: str, path: str, query: Mapping[str, Any]) -> Page[M]:
        def turn(cursor: str) -> Page[M]:
            return self._page(model, member, path, {**query, "cursor": cursor})

        answer = self._call(Model, Request("GET", path, query))
        data = answer.to_dict()
        if not isinstance(data.get(member), list):
            raise LatchkeyError(f"The answer has no list of {member}: is base_url that of Latchkey?")
        items = [model(item, answer.response) for item in data[member]]
        return Page(items, data.get("nextCursor"), answer.response, turn)


class Links:
    """What a caller makes and reads."""

    def __init__(self, client: Latchkey) -> None:
        self._client = client

    def create(
        self,
        *,
        integration_id: str,
        operations: Sequence[models.OperationInput],
        webhook_url: str | None = None,
        return_url: str | None = None,
        external_user_id: str | None = None,
        debug: bool | None = None,
        expires_in: int | None = None,
        metadata: Mapping[str, str] | None = None,
        embed_origins: Sequence[str] | None = None,
        idempotency_key: str | None = None,
    ) -> models.CreatedLink:
        """Create a link; `expires_in` is in seconds.

        One call makes one link, however often it had to be sent: an Idempotency-Key is made for it. Give your
        own, such as an order's number, to make a link once over restarts too.
        """
        body = without_none(
            integrationId=integration_id,
            operations=[dict(operation) for operation in operations],
            webhookUrl=webhook_url,
            returnUrl=return_url,
            externalUserId=external_user_id,
            debug=debug,
            expiresIn=expires_in,
            metadata=None if metadata is None else dict(metadata),
            embedOrigins=None if embed_origins is None else list(embed_origins),
        )
        key = new_idempotency_key() if idempotency_key is None else idempotency_key
        return self._client._call(
            models.CreatedLink, Request("POST", "/v1/links", body=body, idempotency_key=key)
        )

    def get(self, link_id: str) -> models.Link:
        """The link, with its result once it is complete."""
        return self._client._call(models.Link, Request("GET", f"/v1/links/{part(link_id)}"))

    def list(
        self,
        *,
        status: models.LinkStatus | None = None,
        integration_id: str | None = None,
        external_user_id: str | None = None,
        webhook_status: models.WebhookStatus | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Page[models.ListedLink]:
        """A page of links, newest first, without results; iterate it for all. `limit` is a page's."""
        query = {
            "status": status,
            "integrationId": integration_id,
            "externalUserId": external_user_id,
            "webhookStatus": webhook_status,
            "limit": limit,
            "cursor": cursor,
        }
        return self._client._page(models.ListedLink, "links", "/v1/links", query)

    def cancel(self, link_id: str) -> models.Link:
        """Cancel a link; ConflictError if it has ended. If a write was running, `error` says so."""
        return self._client._call(models.Link, Request("POST", f"/v1/links/{part(link_id)}/cancel"))

    def delete(self, link_id: str) -> models.Link:
        """Cancel it if it has not ended, without an event, and erase what is kept of its user, at once."""
        return self._client._call(models.Link, Request("DELETE", f"/v1/links/{part(link_id)}"))

    def wait(self, link_id: str, *, timeout: float = 900) -> models.Link:
        """The link once it has ended, however it ends; WaitTimeoutError after so many seconds."""
        until, pause = time.monotonic() + timeout, POLL_FIRST
        while not (link := self.get(link_id)).ended:
            left = until - time.monotonic()
            if left <= 0:
                raise WaitTimeoutError(not_ended(link, timeout))
            self._client._sleep(min(pause, left))
            pause = min(POLL_LONGEST, pause * 1.5)
        return link

    def deliveries(self, link_id: str) -> models.DeliveryList:
        """The attempts to deliver the link's event, oldest first."""
        return self._client._call(
            models.DeliveryList, Request("GET", f"/v1/links/{part(link_id)}/deliveries")
        )

    def redeliver(self, link_id: str) -> models.Redelivery:
        """Send the link's event once more, beside the schedule."""
        return self._client._call(
            models.Redelivery, Request("POST", f"/v1/links/{part(link_id)}/redeliver")
        )


class Events:
    """Every link that ended, for catching up and for receivers that nobody can reach."""

    def __init__(self, client: Latchkey) -> None:
        self._client = client

    def list(
        self,
        *,
        type: models.EventType | None = None,  # noqa: A002 # the parameter's name
        after: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Page[models.ListedEvent]:
        """A page of events, newest first; with `after`, an event's id, those since, oldest first."""
        query = {"type": type, "after": after, "limit": limit, "cursor": cursor}
        return self._client._page(models.ListedEvent, "events", "/v1/events", query)


class Providers:
    """The catalogue."""

    def __init__(self, client: Latchkey) -> None:
        self._client = client

    def list(self) -> models.ProviderList:
        """Every integration, with the JSON Schemas of its operations."""
        return self._client._call(models.ProviderList, Request("GET", "/v1/providers"))

    def get(self, integration_id: str) -> models.Provider:
        """One integration."""
        return self._client._call(
            models.Provider, Request("GET", f"/v1/providers/{part(integration_id)}")
        )


class WebhookSecret:
    """The secrets that the account's events are signed with; both modes share them."""

    def __init__(self, client: Latchkey) -> None:
        self._client = client

    def get(self) -> models.WebhookSecrets:
        """The valid ones, newest first."""
        return self._client._call(models.WebhookSecrets, Request("GET", "/v1/webhook-secret"))

    def rotate(
        self, *, overlap_seconds: int | None = None, idempotency_key: str | None = None
    ) -> models.NewSecret:
        """A new one; the one before goes on signing too for `overlap_seconds`, a day if left out."""
        key = new_idempotency_key() if idempotency_key is None else idempotency_key
        body = without_none(overlapSeconds=overlap_seconds)
        return self._client._call(
            models.NewSecret, Request("POST", "/v1/webhook-secret/rotate", body=body, idempotency_key=key)
        )


class WebhookTests:
    """Example events to a receiver."""

    def __init__(self, client: Latchkey) -> None:
        self._client = client

    def create(
        self,
        *,
        url: str,
        type: models.EventType = "link.complete",  # noqa: A002 # the member's name
    ) -> models.WebhookTest:
        """Send one signed example event now, and tell how it was taken."""
        return self._client._call(
            models.WebhookTest,
            Request("POST", "/v1/webhook-tests", body={"url": url, "type": type}, repeatable=False),
        )


class Erasures:
    """Erasing a user."""

    def __init__(self, client: Latchkey) -> None:
        self._client = client

    def create(self, *, external_user_id: str) -> models.Erased:
        """Erase at most a hundred links of that user; call it again until `remaining` is false."""
        return self._client._call(
            models.Erased, Request("POST", "/v1/erasures", body={"externalUserId": external_user_id})
        )


class Test:
    """What test links alone can do."""

    __test__ = False  # no test, whatever pytest thinks of its name

    def __init__(self, client: Latchkey) -> None:
        self._client = client

    def advance(
        self,
        link_id: str,
        *,
        seconds: int | None = None,
        until: Literal["expiry", "session_end", "next_attempt", "retention"] | str | None = None,
    ) -> models.Link:
        """Turn the link's own clock forward; what became due by then has happened when this returns."""
        return self._post(link_id, "advance", without_none(seconds=seconds, until=until))

    def simulate(
        self,
        link_id: str,
        *,
        outcome: Literal["complete", "fail"] | str,
        data: Sequence[Mapping[str, Any]] | None = None,
        code: models.LinkErrorCode | None = None,
        reason: str | None = None,
        operation_index: int | None = None,
    ) -> models.Link:
        """End the link as a session would: complete, with a result for each operation, or failed."""
        body = without_none(
            outcome=outcome,
            data=None if data is None else list(data),
            code=code,
            reason=reason,
            operationIndex=operation_index,
        )
        return self._post(link_id, "simulate", body)

    def fail_deliveries(
        self,
        link_id: str,
        *,
        count: int,
        as_: Literal[400, 410, 429, 500, 503, "timeout", "connect", "tls"] | int | str,
    ) -> models.Link:
        """Let the next attempts to deliver its event fail so, without sending anything."""
        return self._post(link_id, "fail-deliveries", {"count": count, "as": as_})

    def outcomes(self) -> models.SandboxUserList:
        """The sandbox's users and what comes of logging in as each."""
        return self._client._call(models.SandboxUserList, Request("GET", "/v1/test/outcomes"))

    def _post(self, link_id: str, name: str, body: Mapping[str, Any]) -> models.Link:
        path = f"/v1/test/links/{part(link_id)}/{name}"
        return self._client._call(models.Link, Request("POST", path, body=body, repeatable=False))


class Sessions:
    """What the user's device does. These calls never carry the API key."""

    def __init__(self, client: Latchkey) -> None:
        self._client = client

    def claim(self, *, code: str, idempotency_key: str | None = None) -> models.ClaimedLink:
        """Begin the one session of the link that this claim code opens."""
        key = new_idempotency_key() if idempotency_key is None else idempotency_key
        return self._client._call(
            models.ClaimedLink,
            Request("POST", "/link/claim", body={"code": code}, idempotency_key=key, token=""),
        )

    def status(self, *, code: str) -> models.LinkStanding:
        """How the link of a claim code stands; claims nothing."""
        return self._client._call(
            models.LinkStanding, Request("POST", "/link/status", body={"code": code}, token="")
        )

    def get(self, *, client_token: str) -> models.Session:
        """The session: what is asked of the user, or how it ended."""
        return self._client._call(models.Session, Request("GET", "/link/session", token=client_token))

    def input(
        self,
        *,
        client_token: str,
        challenge_id: str,
        input: Mapping[str, Any] | None = None,  # noqa: A002 # the member's name
        action: str | None = None,
    ) -> models.Session:
        """Answer the open challenge, or choose one of its actions."""
        answer = None if input is None else dict(input)
        body = without_none(challengeId=challenge_id, input=answer, action=action)
        return self._client._call(
            models.Session,
            Request("POST", "/link/session/input", body=body, token=client_token, repeatable=False),
        )

    def cancel(self, *, client_token: str) -> models.Session:
        """End the session as its user."""
        return self._client._call(
            models.Session,
            Request("POST", "/link/session/cancel", token=client_token, repeatable=False),
        )
