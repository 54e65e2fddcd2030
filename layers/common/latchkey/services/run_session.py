"""A session's work: log in through the integration's connector, then run the operations in their order.

Every step is written before it is taken, under the condition that nobody else wrote the link meanwhile.
So a worker that was overtaken (the link was canceled, or its lease ran out and another took over) stops
at its next write, and a worker that dies leaves behind how far it came. Only what the user chooses while a
wait is polled does not overtake: the worker writes again over that, and it is tried next.
"""

import json
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

from latchkey.adapters import connectors, queues, sealing, store, telemetry
from latchkey.adapters.connectors import ConnectorDiedError, ConnectorUnreachableError
from latchkey.domain import connector_protocol, ids, links, sessions, validation
from latchkey.domain.errors import NotFoundError, UnavailableError
from latchkey.domain.links import Link, Session, session_of
from latchkey.services import end_link

# What is left of the function's time when it begins a connector's call.
NEEDED_SECONDS = sessions.LEASE_MS / 1000


def run(session_id: str, clock: Callable[[], int], seconds_left: Callable[[], float]) -> None:
    """Take the session as far as it goes: to its next challenge, or to the link's end.

    `clock` tells the time in milliseconds, `seconds_left` how long this worker may go on.
    """
    link = store.get_link(ids.link_of_session(session_id))
    if link is not None and link.status not in links.OPEN:
        end_link.delete_secrets(link)  # what a worker that died here had sealed after the end
    if link is None or not sessions.is_workers_turn(link, clock()):
        return  # done, waiting for the user, or in another worker's hands
    worker = _Worker(link, clock, seconds_left)
    try:
        worker.link = store.save(link, sessions.leased(link, clock()))
        worker.work()
    except store.SupersededError as error:
        telemetry.logger.info("overtaken", linkId=link.link_id)
        if error.link.status not in links.OPEN:
            end_link.delete_secrets(error.link)  # what was sealed for the write that was refused
    except NotFoundError:
        telemetry.logger.info("the link or its secrets are gone", linkId=link.link_id)
    except UnavailableError:
        # The lease runs out, and sweep calls the next worker.
        telemetry.logger.warning("a dependency is unavailable", linkId=link.link_id)
    except Exception as error:  # noqa: BLE001 # whatever it is, the link must end
        telemetry.logger.error("unexpected", linkId=link.link_id, **telemetry.unexpected(error))
        worker.give_up()


def check_connectors() -> dict[str, str]:
    """Whether the live connectors can be called, by integration: "ok", or a sentence. None is run."""
    return connectors.check()


class _OverError(Exception):
    """Nothing more is to be done in this run."""


class _Worker:
    def __init__(self, link: Link, clock: Callable[[], int], seconds_left: Callable[[], float]) -> None:
        self.link = link
        self.clock = clock
        self.seconds_left = seconds_left

    def write(self, write: Callable[[Link], Link]) -> None:
        """Do what writes the link and returns it; once more if the user chose an action meanwhile."""
        lease = session_of(self.link).lease_until
        try:
            self.link = write(self.link)
        except store.SupersededError as error:
            if error.link.status != "active" or session_of(error.link).lease_until != lease:
                raise
            self.link = write(error.link)

    def save(self, step: Callable[[Link], Link]) -> None:
        """Write the link after a step, and delete what was sealed for its session and no longer is of it."""

        def write(link: Link) -> Link:
            saved = store.save(link, step(link))
            before, after = session_of(link), session_of(saved)
            for row in (before.state_row, before.input_row):
                if row not in (None, after.state_row, after.input_row):
                    store.delete_secret(saved, row)
            return saved

        self.write(write)

    def work(self) -> None:
        try:
            state = self._log_in()
            self._complete(self._operate(state))
        except _OverError:
            pass

    def give_up(self) -> None:
        try:
            end_link.fail(self.link, self.clock(), links.interrupted(self.link, "INTERNAL_ERROR"))
        except (store.SupersededError, UnavailableError):
            telemetry.logger.warning("left to sweep", linkId=self.link.link_id)

    # --- Logging in ------------------------------------------------------------------------------

    def _log_in(self) -> Any:
        """The connector's state once the user is logged in."""
        session = session_of(self.link)
        state = None if session.state_row is None else self._unseal(session.state_row, sealing.STATE)
        if session.authenticated:
            return state
        self._check()
        action = "start" if session.challenge is None else "poll" if session.awaits_input else "answer"
        try:
            reply = connectors.call(self.link, action, state, **self._answer(session))
        except (ConnectorDiedError, ConnectorUnreachableError) as error:
            self._fail("CONNECTION_FAILED", cause=error)
        match reply["status"]:
            case "challenge":
                self._ask(reply, state, polled=action == "poll")
            case "error":
                self._fail(reply["code"], connector_protocol.reason(reply))
        row = self._seal(sealing.STATE, reply["state"])
        self.save(partial(sessions.authenticated, now=self.clock(), state_row=row))
        return reply["state"]

    # --- Asking the user, in a login or an operation ------------------------------------------------

    def _answer(self, session: Session) -> dict[str, Any]:
        """What a request says of the user's answer: an object that was typed, or the id of an action."""
        if session.input_row is None:
            return {}
        answer = self._unseal(session.input_row, sealing.INPUT)
        return {"choice" if isinstance(answer, str) else "input": answer}

    def _ask(self, reply: dict[str, Any], state: Any, *, polled: bool) -> NoReturn:
        """Stop at the challenge that was replied to a request with this state."""
        now, row = self._check_time(), session_of(self.link).state_row
        if reply["state"] != state:
            row = self._seal(sealing.STATE, reply["state"])
        new_id = f"chl_{ids.new_token()}"
        self.save(lambda link: sessions.asked(link, now, reply["challenge"], row, new_id, polled=polled))
        if not session_of(self.link).awaits_input:
            queues.wake_worker(self.link)  # for what the user has chosen
        elif "pollSeconds" in reply["challenge"]:
            queues.wake_worker(self.link, reply["challenge"]["pollSeconds"])
        raise _OverError

    # --- Operations ------------------------------------------------------------------------------

    def _operate(self, state: Any) -> list[dict[str, Any]]:
        """The operations' results: all of them, or none."""
        arguments: list[Any] = [None] * len(self.link.operations)
        if self.link.arguments_row is not None:
            arguments = self._unseal(self.link.arguments_row, sealing.ARGUMENTS)
        results = []
        for index, operation in enumerate(self.link.operations):
            if operation.status == "succeeded" and operation.result_row is not None:
                results.append(self._unseal(operation.result_row, sealing.RESULT))
                continue
            if operation.status == "running" and operation.action == "write":
                self._fail("OUTCOME_UNKNOWN")  # the worker that ran it is gone
            reply = self._execute(index, arguments[index], state)
            results.append(reply["data"])
            if not end_link.fits(self.link, end_link.result_of(self.link, results), self.clock()):
                self._fail("RESULT_VALIDATION_ERROR")
            if index < len(self.link.operations) - 1:
                now = self._check_time()  # what comes after the session's end does not count
                row, state_row = self._seal(sealing.RESULT, reply["data"]), session_of(self.link).state_row
                if "state" in reply:
                    state = reply["state"]
                    state_row = self._seal(sealing.STATE, state)
                done = partial(sessions.succeeded, index=index, result_row=row, state_row=state_row)
                self.save(partial(done, now=now))
        return results

    def _execute(self, index: int, arguments: Any, state: Any) -> dict[str, Any]:
        """Run one operation; the reply with its result. A read is tried again if the connector dies.

        After a challenge it is handed over again, with the answer; a read that died with that, without.
        """
        operation = self.link.operations[index]
        request = {
            "index": index,
            "resource": operation.resource,
            "action": operation.action,
            "arguments": arguments,
        }
        while True:
            self._check()
            if self.link.operations[index].tries >= sessions.MAX_TRIES:
                self._fail("CONNECTION_FAILED")
            session = session_of(self.link)
            answer, polled = self._answer(session), session.awaits_input
            self.save(partial(sessions.began, now=self.clock(), index=index, polled=polled))
            try:
                reply = connectors.call(self.link, "execute", state, operation=request, **answer)
            except ConnectorUnreachableError as error:
                self._fail("CONNECTION_FAILED", cause=error)
            except ConnectorDiedError as error:
                telemetry.logger.warning("connector died", linkId=self.link.link_id, reason=str(error))
                if operation.action == "write":
                    self._fail("OUTCOME_UNKNOWN")
                continue
            match reply["status"]:
                case "result":
                    break
                case "challenge":
                    new = not polled or reply["challenge"]["type"] != "wait"
                    if new and self.link.operations[index].asked >= sessions.MAX_ASKED:
                        self._fail("AUTOMATION_ERROR")
                    self._ask(reply, state, polled=polled)
                case "error":
                    self._fail(reply["code"], connector_protocol.reason(reply))
        schema = validation.result_validator(self.link.integration_id, operation.resource, operation.action)
        if connector_protocol.data_issues(schema, reply["data"]):
            self._fail("RESULT_VALIDATION_ERROR")
        return reply

    def _complete(self, results: list[dict[str, Any]]) -> None:
        now, index = self._check_time(), len(results) - 1

        def complete(link: Link) -> Link:
            last = sessions.succeeded(link, now, index, None, session_of(link).state_row)
            last = links.ended(last, "complete", link.clock(now))
            return end_link.end(link, last, now, end_link.result_of(link, results))

        self.write(complete)

    # --- What every step needs --------------------------------------------------------------------

    def _check_time(self) -> int:
        """The time; goes on only if the session is not over."""
        now = self.clock()
        last = links.as_of(self.link, now)
        if last.status != "active":
            self.write(lambda link: end_link.end(link, links.as_of(link, now), now))
            raise _OverError
        return now

    def _check(self) -> None:
        """Go on only if the session is not over and this worker has the time for a call."""
        now = self._check_time()
        if self.seconds_left() < NEEDED_SECONDS:
            self.save(partial(sessions.released, now=now))  # and sweep calls the next worker
            raise _OverError

    def _fail(self, code: str, reason: str | None = None, *, cause: Exception | None = None) -> NoReturn:
        if cause is not None:
            telemetry.logger.warning("connector failed", linkId=self.link.link_id, reason=str(cause))
        now = self.clock()
        self.write(lambda link: end_link.fail(link, now, code, reason))
        raise _OverError

    def _seal(self, purpose: str, value: Any) -> str:
        """Seal a value in a new row, and return the row."""
        row = f"{purpose}#{ids.new_token()}"
        sealed = sealing.seal(
            json.dumps(value, ensure_ascii=False).encode(),
            account=self.link.account,
            subject=self.link.link_id,
            purpose=purpose,
            now=self.clock(),
        )
        store.put_secret(self.link, row, sealed)
        return row

    def _unseal(self, row: str, purpose: str) -> Any:
        sealed = store.get_secret(self.link, row)
        return json.loads(
            sealing.unseal(
                sealed,
                account=self.link.account,
                subject=self.link.link_id,
                purpose=purpose,
                now=self.clock(),
            )
        )
