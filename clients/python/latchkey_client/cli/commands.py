"""The commands, each a call or a few of the client."""

from __future__ import annotations

import getpass
import json
import os
import stat
import sys
import time
import webbrowser
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter
from rich.prompt import Confirm, Prompt

from latchkey_client import models
from latchkey_client._base import VERSION
from latchkey_client._sync import Latchkey
from latchkey_client.cli import profiles
from latchkey_client.cli.output import Output, duration
from latchkey_client.errors import (
    APIConnectionError,
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    GoneError,
    LatchkeyError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    UnprocessableEntityError,
    WaitTimeoutError,
)

EXIT_CODES = """\
Data goes to stdout and words to stderr; with --json data is one JSON object a line, and an error too.

Exit codes: 0 done; 1 it ended otherwise, or something was found wrong; 2 wrong usage, or refused as \
invalid; 3 no valid key, or one that may not; 4 not found; 5 refused in that state; 6 too many requests; \
7 no answer, or a failure of the service; 130 interrupted.
"""
CODES: list[tuple[type[LatchkeyError] | tuple[type[LatchkeyError], ...], int]] = [
    (BadRequestError, 2),
    ((AuthenticationError, PermissionDeniedError), 3),
    (NotFoundError, 4),
    ((ConflictError, GoneError, UnprocessableEntityError), 5),
    (RateLimitError, 6),
    ((APIStatusError, APIConnectionError), 7),
    (WaitTimeoutError, 1),
]


class Usage(LatchkeyError):  # noqa: N818 # not a failure of the program
    """What was typed cannot be meant so."""


@dataclass
class Run:
    """One run of the command: what it prints, and whom it asks."""

    output: Output
    profile_name: str | None

    @cached_property
    def profile(self) -> profiles.Profile:
        return profiles.chosen(self.profile_name)

    @cached_property
    def client(self) -> Latchkey:
        return Latchkey(api_key=self.profile.key, base_url=self.profile.url)

    def confirm(self, question: str, yes: bool) -> None:
        """Go on only if it is meant: by the flag, or by an answer."""
        if yes:
            return
        if not self.output.terminal:
            raise Usage(f"{question} Say --yes: there is no terminal to ask at")
        if not Confirm.ask(question, console=self.output._err, default=False):
            raise Usage("Nothing was done")


Running = Annotated[Run, Parameter(parse=False)]
# A text, or - for standard input.
Dashed = Annotated[str, Parameter(allow_leading_hyphen=True)]
Flag = Annotated[bool, Parameter(negative="")]

app = App(
    name="latchkey",
    help="Latchkey from the command line.",
    help_epilogue=EXIT_CODES,
    help_format="plaintext",
    version=VERSION,
)
app.meta.suppress_keyboard_interrupt = False  # execute has an exit code for it
links = App(name="links", help="Make, read and end links.")
secret = App(name="secret", help="The secrets that events are signed with.")
session = App(name="session", help="What the user's device does, with a claim code or a client token.")
for group in (links, secret, session):
    app.command(group)

LINK_COLUMNS = ("linkId", "status", "integrationId", "externalUserId", "webhook.status", "createdAt")
EVENT_COLUMNS = ("timestamp", "type", "data.linkId", "id", "webhook.status")


# --- Whom to ask -----------------------------------------------------------------------------------


@app.command
def login(*, url: str | None = None, run: Running) -> None:
    """Keep an address and a key, for this command alone.

    Without an address it is the local stack of this folder or one above it, if one runs. The key is asked for
    at a terminal, else read from standard input; it is never an argument, which other users could see.

    Parameters
    ----------
    url
        The deployment's ApiUrl.
    """
    name = run.profile_name
    stack = profiles.find_stack(Path.cwd()) if url is None else None
    if stack is not None:
        profile = profiles.of_stack(stack, name or "local")
    else:
        if url is None:
            if not run.output.terminal:
                raise Usage("Say --url: no local stack runs here, and there is no terminal to ask at")
            url = Prompt.ask("Address (ApiUrl)", console=run.output._err)
        key = getpass.getpass("API key: ") if sys.stdin.isatty() else sys.stdin.readline()
        profile = profiles.Profile(name or "default", url.strip().rstrip("/"), key.strip())
    with Latchkey(api_key=profile.key, base_url=profile.url) as client:
        _accepted(client)  # a key that is refused is not kept
    file = profiles.save(profile)
    run.output.say(f"Logged in to {profile.url} with a {profile.mode} key: profile {profile.name} in {file}")


def _accepted(client: Latchkey) -> models.Response:
    """An answer to the key if it is valid, whatever it may do."""
    try:
        response = client.links.list(limit=1).response
    except PermissionDeniedError as refused:  # it is restricted
        response = refused.response
    assert response is not None
    return response


@app.command
def whoami(*, run: Running) -> None:
    """Show the address, the kind of key, and whether it is accepted."""
    answer = _accepted(run.client)
    run.output.members({
        "profile": run.profile.name,
        "url": run.profile.url,
        "mode": run.profile.mode,
        "key": f"...{run.profile.key[-4:]}",
        "server": answer.headers.get("x-latchkey-version"),
        "client": VERSION,
    })  # fmt: skip


@app.command
def doctor(*, run: Running) -> int:
    """Check the profile, the way to the service, the key, the clock and what this deployment can do."""
    found: list[dict[str, Any]] = []

    def check(name: str, look: Callable[[], str]) -> bool:
        try:
            found.append({"check": name, "status": "ok", "found": look()})
        except LatchkeyError as error:
            found.append({"check": name, "status": "failed", "found": str(error).replace("\n", ";")})
        return bool(found[-1]["status"] == "ok")

    def profile() -> str:
        kept = run.profile
        file = profiles.path()
        if (
            kept.name != profiles.ENVIRONMENT
            and os.name == "posix"
            and stat.S_IMODE(file.stat().st_mode) & 0o077
        ):
            raise LatchkeyError(f"others can read {file}: chmod 600 {file}")
        return f"{kept.name}: {kept.url}, a {kept.mode} key"

    def reach() -> str:
        began = time.monotonic()
        run.client.openapi()
        return f"answers in {round((time.monotonic() - began) * 1000)} ms"

    def key() -> str:
        answer = _accepted(run.client)
        return f"accepted by version {answer.headers.get('x-latchkey-version', 'unknown')}"

    def clock() -> str:
        answer = _accepted(run.client)
        off = time.time() - parsedate_to_datetime(answer.headers["date"]).timestamp()
        if abs(off) > 60:
            raise LatchkeyError(f"this clock is {off:.0f} s off, and webhooks verify within 300 s: set it")
        return f"within {abs(off) + 1:.0f} s of the service's"

    def events() -> str:
        run.client.events.list(limit=1)
        return "can be listened to"

    if check("profile", profile) and check("service", reach) and check("key", key):
        check("clock", clock)
        check("events", events)
    run.output.rows(found, ("check", "status", "found"))
    return int(any(row["status"] == "failed" for row in found))


# --- Links -----------------------------------------------------------------------------------------


@links.command
def create(
    *,
    integration: str | None = None,
    operation: Annotated[list[str] | None, Parameter(negative="")] = None,
    webhook_url: str | None = None,
    return_url: str | None = None,
    external_user_id: str | None = None,
    expires_in: str | None = None,
    metadata: Annotated[dict[str, str] | None, Parameter(negative="")] = None,
    embed_origin: Annotated[list[str] | None, Parameter(negative="")] = None,
    debug: Flag = False,
    idempotency_key: str | None = None,
    open_: Annotated[bool, Parameter(name="--open", negative="")] = False,
    run: Running,
) -> None:
    """Create a link, and print its page's address; at a terminal its QR code too.

    What is left out and needed is asked for at a terminal, by the catalogue; arguments are typed unseen.

    Parameters
    ----------
    integration
        The integration's id, such as tmobile.
    operation
        What to do, such as paymentMethod.read; with arguments paymentMethod.write=FILE, their JSON, - for
        standard input. Again for each, in order.
    webhook_url
        Where the event of its end is sent.
    return_url
        Where the user goes afterwards.
    external_user_id
        Your identifier for the user.
    expires_in
        How long it can be claimed, such as 4h.
    metadata
        Your own data: --metadata.plan pro.
    embed_origin
        A web origin that may show the page in a frame. Again for each.
    debug
        Keep a timeline.
    idempotency_key
        Makes one link however often the command is run with it.
    open_
        Open the page in a browser.
    """
    provider = None
    if integration is None:
        known = run.client.providers.list().providers
        integration = ask(run, "--integration", "Integration", [provider.id for provider in known])
    if not operation or not all("=" in text or text.endswith(".read") for text in operation):
        # Create tells best what is wrong with a name.
        with suppress(NotFoundError):
            provider = run.client.providers.get(integration)
    if not operation:
        offered = (
            [f"{r.name}.{action}" for r in provider.resources for action in r.operations] if provider else []
        )
        operation = [ask(run, "--operation", "Operation", offered)]
    made = run.client.links.create(
        integration_id=integration,
        operations=[_operation(run, text, provider) for text in operation],
        webhook_url=webhook_url,
        return_url=return_url,
        external_user_id=external_user_id,
        expires_in=None if expires_in is None else duration(expires_in),
        metadata=metadata,
        embed_origins=embed_origin,
        debug=debug or None,
        idempotency_key=idempotency_key,
    )
    run.output.members(made.to_dict() if run.output.as_json else {
        "linkId": made.link_id, "page": made.app_clip_url, "expiresAt": made.expires_at
    })  # fmt: skip
    _show_page(run, made.app_clip_url, open_)


@links.command(name="open")
def open_page(address: str, /, *, run: Running) -> None:
    """Open a link's page in a browser; at a terminal show its QR code too.

    Parameters
    ----------
    address
        The page's address, as `links create` printed it: no other answer holds its code.
    """
    if not address.startswith(("http://", "https://")):
        raise Usage("A page's address begins with https://: it is what `latchkey links create` prints")
    _show_page(run, address, True)


@links.command
def get(link_id: str, /, *, run: Running) -> None:
    """Show a link, with its result once it is complete."""
    run.output.members(run.client.links.get(link_id).to_dict())


@links.command(name="list")
def list_links(
    *,
    status: str | None = None,
    integration: str | None = None,
    external_user_id: str | None = None,
    webhook_status: str | None = None,
    limit: int = 20,
    run: Running,
) -> None:
    """List links, newest first.

    Parameters
    ----------
    status
        Only those in this state: pending, active, complete, failed, expired, canceled.
    integration
        Only those of this integration.
    external_user_id
        Only those of this user.
    webhook_status
        Only those whose event stands so: none, pending, delivered, exhausted.
    limit
        How many at most; 0 for all.
    """
    page = run.client.links.list(
        status=status,
        integration_id=integration,
        external_user_id=external_user_id,
        webhook_status=webhook_status,
        limit=min(limit, 100) or 100,
    )
    run.output.rows(_first(page, limit), LINK_COLUMNS)


@links.command
def cancel(link_id: str, /, *, run: Running) -> None:
    """Cancel a link that has not ended."""
    run.output.members(run.client.links.cancel(link_id).to_dict())


@links.command
def delete(link_id: str, /, *, yes: Flag = False, run: Running) -> None:
    """Erase what is kept of a link and its user, for ever; one that is open is canceled without an event.

    Parameters
    ----------
    yes
        Do not ask.
    """
    run.confirm(f"Erase {link_id} for ever?", yes)
    run.output.members(run.client.links.delete(link_id).to_dict())


@links.command
def watch(link_id: str, /, *, timeout: str = "15m", run: Running) -> int:
    """Follow a link to its end; exits with 0 if it is complete.

    Parameters
    ----------
    timeout
        How long to wait for it.
    """
    until, shown = time.monotonic() + duration(timeout), None
    with run.output.working(f"Waiting for {link_id}"):
        while True:
            link = run.client.links.get(link_id)
            stands = (link.status, [operation.status for operation in link.operations])
            if stands != shown:
                shown = stands
                if run.output.as_json:
                    run.output.json(link.to_dict())
                else:
                    run.output.line(" ".join([link.status, *stands[1]]))
            if link.ended:
                break
            if time.monotonic() > until:
                raise WaitTimeoutError(f"{link_id} is still {link.status} after {timeout}")
            time.sleep(1)
    if link.error is not None:
        run.output.say(f"{link.error.code}: {link.error.message}")
    return int(link.status != "complete")


# --- Events ----------------------------------------------------------------------------------------


@app.command
def deliveries(link_id: str, /, *, run: Running) -> None:
    """List the attempts to deliver a link's event, oldest first."""
    attempts = [attempt.to_dict() for attempt in run.client.links.deliveries(link_id).deliveries]
    run.output.rows(attempts, ("attempt", "at", "durationMs", "statusCode", "error"))


@app.command
def redeliver(link_id: str, /, *, run: Running) -> None:
    """Send a link's event once more."""
    run.output.members(run.client.links.redeliver(link_id).to_dict())


@app.command
def recover(*, since: str, run: Running) -> int:
    """Send again every event that was given up, of links that ended since then.

    Parameters
    ----------
    since
        How far back, such as 2h or 3d.
    """
    from_ = time.time() * 1000 - duration(since) * 1000
    sent = refused = 0
    with run.output.working("Sending events again"):
        for link in run.client.links.list(webhook_status="exhausted", limit=100):
            if (link.completed_at or 0) < from_:
                continue
            try:
                run.output.rows(
                    [run.client.links.redeliver(link.link_id).to_dict()], ("linkId", "webhook.status")
                )
                sent += 1
            except (ConflictError, GoneError) as error:
                run.output.say(f"{link.link_id}: {error}")
                refused += 1
    run.output.say(f"{sent} sent again" + (f", {refused} refused" if refused else ""))
    return int(refused > 0)


@app.command
def events(
    *,
    type_: Annotated[str | None, Parameter(name="--type")] = None,
    after: str | None = None,
    limit: int = 20,
    run: Running,
) -> None:
    """List the events of links that ended, newest first.

    Parameters
    ----------
    type_
        Only those of this type, such as link.failed.
    after
        Those since this event, oldest first.
    limit
        How many at most; 0 for all.
    """
    page = run.client.events.list(type=type_, after=after, limit=min(limit, 100) or 100)
    run.output.rows(_first(page, limit), EVENT_COLUMNS)


@app.command
def listen(
    *,
    forward_to: str | None = None,
    type_: Annotated[str | None, Parameter(name="--type")] = None,
    run: Running,
) -> None:
    """Print each event as it happens, and hand it, signed, to an address on this machine.

    The service is asked for its events, so nothing has to reach this machine.

    Parameters
    ----------
    forward_to
        The receiver, such as http://localhost:3000/hook; at a terminal r sends the last event again.
    type_
        Only those of this type, such as link.failed.
    """
    from latchkey_client.cli.listen import listen as follow

    if forward_to is not None and not forward_to.startswith(("http://", "https://")):
        raise Usage("--forward-to is an address such as http://localhost:3000/hook")
    follow(run.client, run.output, forward_to, type_)


@app.command
def receive(*, port: int = 4800, answer: int = 204, run: Running) -> None:
    """Be a webhookUrl on this machine: print each event that is delivered, its signature verified.

    Only a stack on this machine delivers here; `listen` shows the events of any.

    Parameters
    ----------
    port
        Where, at 127.0.0.1.
    answer
        The status that verified events are answered with; 500 shows how they are tried again.
    """
    from latchkey_client.cli.receive import receive as serve

    serve(run.client, run.output, port, answer)


@app.command
def webhook_test(
    url: str, /, *, type_: Annotated[str, Parameter(name="--type")] = "link.complete", run: Running
) -> int:
    """Let the service send one signed example event to a public address; exits with 0 if it is taken.

    Parameters
    ----------
    type_
        The event's type.
    """
    told = run.client.webhook_tests.create(url=url, type=type_)
    run.output.members(told.to_dict())
    return int(told.status_code is None or not 200 <= told.status_code < 300)


@app.command
def account(*, run: Running) -> None:
    """Show what the key is and may, and what its account has set."""
    run.output.members(run.client.account().to_dict())


@secret.command
def show(*, run: Running) -> None:
    """Show the valid secrets, newest first."""
    run.output.rows(
        [valid.to_dict() for valid in run.client.webhook_secret.get().secrets], ("secret", "expiresAt")
    )


@secret.command
def rotate(*, overlap: str | None = None, run: Running) -> None:
    """Make a new secret.

    Parameters
    ----------
    overlap
        How long the one before goes on signing too, such as 2h; a day if left out.
    """
    seconds = None if overlap is None else duration(overlap)
    run.output.members(run.client.webhook_secret.rotate(overlap_seconds=seconds).to_dict())


# --- Catalogue and erasing -------------------------------------------------------------------------


@app.command(name="providers")
def list_providers(integration: str | None = None, /, *, run: Running) -> None:
    """List what is on offer, or show one integration's operations."""
    if run.output.as_json:
        if integration is not None:
            return run.output.json(run.client.providers.get(integration).to_dict())
        return run.output.rows([p.to_dict() for p in run.client.providers.list().providers], ())
    found = [run.client.providers.get(integration)] if integration else run.client.providers.list().providers
    rows = [
        {"integration": p.id, "operation": f"{r.name}.{action}", "description": operation.description,
         "arguments": " ".join((operation.arguments or {}).get("required", []))}
        for p in found for r in p.resources for action, operation in r.operations.items()
    ]  # fmt: skip
    return run.output.rows(rows, ("integration", "operation", "description", "arguments"))


@app.command
def erase(external_user_id: str, /, *, yes: Flag = False, run: Running) -> None:
    """Erase what is kept of all links of a user, for ever.

    Parameters
    ----------
    external_user_id
        Your identifier for the user.
    yes
        Do not ask.
    """
    run.confirm("Erase all links of that user for ever?", yes)
    erased, remaining = 0, True
    with run.output.working("Erasing"):
        while remaining:
            told = run.client.erasures.create(external_user_id=external_user_id)
            erased, remaining = erased + told.erased, told.remaining
    run.output.members({"erased": erased})


@app.command
def openapi(*, run: Running) -> None:
    """Print the deployment's description of its routes, OpenAPI 3.1."""
    run.output.json(run.client.openapi())


# --- Test links ------------------------------------------------------------------------------------


@app.command
def trigger(
    end: Literal["complete", "failed", "expired", "canceled"],
    /,
    *,
    integration: str = "tmobile",
    webhook_url: str | None = None,
    run: Running,
) -> None:
    """Make a test link and bring it to this end, so that its event is sent.

    Parameters
    ----------
    integration
        The integration's id; its first read is asked for.
    webhook_url
        Where to send the event, such as what `latchkey receive` prints; `latchkey listen` sees it without.
    """
    from latchkey_client.cli.listen import signed

    provider = run.client.providers.get(integration)
    readable = next((r.name for r in provider.resources if "read" in r.operations), None)
    if readable is None:
        raise Usage(f"{integration} has nothing to read: make a link by `latchkey links create`")
    with run.output.working(f"Making a link that is {end}"):
        made = run.client.links.create(
            integration_id=integration,
            operations=[{"resource": readable, "action": "read"}],
            webhook_url=webhook_url,
        )
        test = run.client.test
        if end == "complete":
            link = test.simulate(made.link_id, outcome="complete")
        elif end == "failed":
            link = test.simulate(made.link_id, outcome="fail", code="LOGIN_FAILED")
        elif end == "expired":
            link = test.advance(made.link_id, until="expiry")
        else:
            link = run.client.links.cancel(made.link_id)
        newest = run.client.events.list(limit=10).data
        event = next((event for event in newest if event.data.link_id == made.link_id), None)
        if event is not None:
            signed(run.client, event)
    run.output.rows([link.to_dict()], LINK_COLUMNS)
    if event is not None:
        run.output.say(f"{event.type} {event.id}, as it is sent: its signature was verified")


@app.command
def advance(
    link_id: str,
    time_: Annotated[str | None, Parameter(name="TIME")] = None,
    /,
    *,
    until: Literal["expiry", "session_end", "next_attempt", "retention"] | None = None,
    run: Running,
) -> None:
    """Turn a test link's own clock forward; what became due has then happened.

    Parameters
    ----------
    time_
        How far, such as 4h.
    until
        Forward to this, in place of a time.
    """
    if (time_ is None) == (until is None):
        raise Usage("Say how far, such as `latchkey advance LINK 4h`, or --until, not both")
    seconds = None if time_ is None else duration(time_)
    with run.output.working("Turning the clock"):
        link = run.client.test.advance(link_id, seconds=seconds, until=until)
    run.output.members(link.to_dict())


@app.command
def simulate(
    link_id: str,
    outcome: Literal["complete", "fail"],
    /,
    *,
    data: Dashed | None = None,
    code: str | None = None,
    reason: str | None = None,
    operation_index: int | None = None,
    run: Running,
) -> None:
    """End a test link as a session would.

    Parameters
    ----------
    data
        A file of JSON, - for standard input: an array, one result for each operation; if it is left out, the
        catalogue's examples.
    code
        With fail: the error's code, such as LOGIN_FAILED.
    reason
        With fail: the error's reason, such as card_declined.
    operation_index
        With fail: the operation that was running, counted from 0.
    """
    results = None if data is None else _json_file(data)
    link = run.client.test.simulate(
        link_id, outcome=outcome, data=results, code=code, reason=reason, operation_index=operation_index
    )
    run.output.members(link.to_dict())


@app.command
def fail_deliveries(
    link_id: str, count: int, /, *, as_: Annotated[str, Parameter(name="--as")] = "500", run: Running
) -> None:
    """Let the next attempts to deliver a test link's event fail, without sending anything.

    Parameters
    ----------
    count
        How many, 1 to 10.
    as_
        How: 400, 410, 429, 500, 503, timeout, connect or tls.
    """
    how = int(as_) if as_.isascii() and as_.isdigit() else as_
    run.output.members(run.client.test.fail_deliveries(link_id, count=count, as_=how).to_dict())


@app.command
def outcomes(*, run: Running) -> None:
    """List the sandbox's users, and what comes of logging in as each."""
    users = [outcome.to_dict() for outcome in run.client.test.outcomes().outcomes]
    run.output.rows(users, ("username", "password", "status", "errorCode", "reason", "description"))


# --- The user's side -------------------------------------------------------------------------------


@session.command
def claim(code: Dashed, /, *, run: Running) -> None:
    """Begin the one session of a link; prints the client token.

    Parameters
    ----------
    code
        The claim code, - for standard input.
    """
    run.output.members(run.client.sessions.claim(code=_given(code)).to_dict())


@session.command(name="status")
def session_status(code: Dashed, /, *, run: Running) -> None:
    """Show how the link of a claim code stands, claiming nothing.

    Parameters
    ----------
    code
        The claim code, - for standard input.
    """
    run.output.members(run.client.sessions.status(code=_given(code)).to_dict())


@session.command(name="show")
def session_show(token: Dashed, /, *, run: Running) -> None:
    """Show a session: what is asked of the user, or how it ended.

    Parameters
    ----------
    token
        The client token, - for standard input.
    """
    run.output.members(run.client.sessions.get(client_token=_given(token)).to_dict())


@session.command(name="input")
def session_input(
    token: str,
    challenge_id: str | None = None,
    /,
    *,
    input_: Annotated[Dashed | None, Parameter(name="--input")] = None,
    action: str | None = None,
    run: Running,
) -> None:
    """Answer a session's challenge; at a terminal its fields are asked for.

    Parameters
    ----------
    token
        The client token.
    challenge_id
        The challenge's id; if it is left out the open one, or the next to come.
    input_
        A file of JSON, - for standard input.
    action
        One of the challenge's actions, in place of an answer.
    """
    answer = None if input_ is None else _json_file(input_)
    typed = answer is None and action is None
    if typed and not run.output.terminal:
        raise Usage("Say --input or --action: there is no terminal to ask at")
    if typed or challenge_id is None:
        challenge = _asked(run, token)
        challenge_id = challenge_id or challenge.id
        answer = _typed(challenge.schema) if typed else answer
    view = run.client.sessions.input(
        client_token=token, challenge_id=challenge_id, input=answer, action=action
    )
    run.output.members(view.to_dict())


@session.command(name="cancel")
def session_cancel(token: Dashed, /, *, run: Running) -> None:
    """End a session as its user.

    Parameters
    ----------
    token
        The client token, - for standard input.
    """
    run.output.members(run.client.sessions.cancel(client_token=_given(token)).to_dict())


@app.command
def completion(shell: Literal["bash", "zsh", "fish", "powershell"], /, *, run: Running) -> None:
    """Print what completes this command in a shell: source <(latchkey completion bash)."""
    run.output.line(app.meta.generate_completion(prog_name="latchkey", shell=shell))


# --- Running ---------------------------------------------------------------------------------------


@app.meta.default
def launch(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
    fields: str = "",
    profile: str | None = None,
) -> int:
    """Latchkey from the command line.

    Parameters
    ----------
    json_
        Print data as JSON, one object a line.
    fields
        Print only these members, such as linkId,webhook.status: one line an object, blanks in between.
    profile
        The profile to use, in place of the environment's or the current one.
    """
    command, bound, ignored = app.parse_args(tokens, exit_on_error=False, print_error=True)
    run = Run(Output(json_, tuple(filter(None, fields.split(",")))), profile)
    try:
        return _reporting(lambda: command(*bound.args, **bound.kwargs, **dict.fromkeys(ignored, run)), run)
    finally:
        if "client" in vars(run):  # it was needed
            run.client.close()


def execute(arguments: Sequence[str]) -> int:
    """Run a command line; returns its exit code."""
    try:
        code = app.meta(arguments, exit_on_error=False, print_error=True, result_action="return_value")
    except CycloptsError:
        return 2  # it is told already
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # who reads has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code if isinstance(code, int) else 0


def _reporting(command: Callable[[], Any], run: Run) -> int:
    try:
        code = command()
        return code if isinstance(code, int) else 0
    except (ValueError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            raise
        return _tell(run, error)
    except LatchkeyError as error:
        return _tell(run, error)


def _tell(run: Run, error: Exception) -> int:
    code = next((code for kinds, code in CODES if isinstance(error, kinds)), 2)
    told: dict[str, Any] = {"error": str(error)}
    if isinstance(error, APIStatusError):
        told = {
            "error": error.message, "code": error.code, "status": error.status, "requestId": error.request_id,
            "issues": [vars(issue) for issue in error.issues],
        }  # fmt: skip
    if run.output.as_json and not run.output.fields:
        sys.stderr.write(json.dumps(told, ensure_ascii=False) + "\n")
        return code
    run.output.say(str(error))
    if isinstance(error, NotFoundError) and not error.code:  # the gateway's answer, not the service's
        run.output.say("This deployment does not have that route: it is older than this command")
    return code


def ask(run: Run, flag: str, question: str, choices: list[str]) -> str:
    """One of these; an error that names the flag where there is no terminal."""
    if not run.output.terminal:
        raise Usage(f"Say {flag}, one of {', '.join(choices)}: there is no terminal to ask at")
    return Prompt.ask(question, choices=choices, console=run.output._err)


def _asked(run: Run, token: str) -> models.Challenge:
    """What a session asks, now or as soon as it does; an error once it asks nothing any more."""
    with run.output.working("Waiting to be asked"):
        while True:
            view = run.client.sessions.get(client_token=token)
            if view.challenge is not None:
                return view.challenge
            if view.status not in ("running", "awaiting_input"):
                raise Usage(f"Nothing is asked any more: the session is {view.status}")
            time.sleep(0.5)


def _operation(run: Run, text: str, provider: models.Provider | None) -> models.OperationInput:
    """The operation of "resource.action" or "resource.action=FILE"."""
    name, _, file = text.partition("=")
    resource, _, action = name.rpartition(".")
    if not resource or not action:
        raise Usage(f"{name!r} is no operation: write it like paymentMethod.read")
    made: models.OperationInput = {"resource": resource, "action": action}
    if file:
        return {**made, "arguments": _json_file(file)}
    offered = {r.name: r for r in provider.resources} if provider else {}
    described = offered[resource].operations.get(action) if resource in offered else None
    if described is None or not (described.arguments or {}).get("required"):
        return made  # what is not offered the service tells best
    if not run.output.terminal:
        raise Usage(f"Say --operation {name}=FILE, with its arguments: there is no terminal to ask at")
    run.output.say(f"{name}: {described.description}")
    return {**made, "arguments": _typed(described.arguments or {}, hidden=True)}


def _typed(schema: Mapping[str, Any], *, hidden: bool = False) -> dict[str, Any]:
    """The schema's required strings, typed at the terminal; secrets, or all if hidden, unseen."""
    typed = {}
    for name in schema.get("required", []):
        field = schema.get("properties", {}).get(name, {})
        unseen = hidden or field.get("writeOnly") or field.get("format") == "password"
        question = f"  {field.get('title', name)}: "
        if not unseen:
            sys.stderr.write(question)
            sys.stderr.flush()
        typed[name] = getpass.getpass(question) if unseen else input()
    return typed


def _json_file(name: str) -> Any:
    """The JSON of a file, or of standard input; what is wrong is told without what it holds."""
    try:
        return json.loads(_read(name))
    except ValueError as error:
        where = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise Usage(f"{'Standard input' if name == '-' else name} is no JSON{where}") from None


def _read(name: str) -> str:
    return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")


def _given(text: str) -> str:
    """A secret that was given as an argument, or by standard input for -."""
    return sys.stdin.readline().strip() if text == "-" else text


def _first(page: Any, limit: int) -> list[dict[str, Any]]:
    found = []
    for item in page:
        found.append(item.to_dict())
        if len(found) == limit:
            break
    return found


def _show_page(run: Run, address: str, open_it: bool) -> None:
    if run.output.terminal and sys.stdout.isatty() and not run.output.as_json:
        import segno

        segno.make(address, error="l").terminal(out=sys.stderr, compact=True)
    if open_it and not webbrowser.open(address):
        run.output.say("No browser could be opened here: open the address yourself")
