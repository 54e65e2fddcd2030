"""A session's work: log in through the integration's connector, then run the operations in their order.

Every step is written before it is taken, under the condition that nobody else wrote the link meanwhile.
So a worker that was overtaken (the link was canceled, or its lease ran out and another took over) stops
at its next write, and a worker that dies leaves behind how far it came.
"""

import json
from collections.abc import Callable
from typing import Any, NoReturn

from latchkey.adapters import connectors, sealing, store, telemetry
from latchkey.adapters.connectors import ConnectorDiedError, ConnectorUnreachableError
from latchkey.domain import connector_protocol, ids, links, sessions, validation
from latchkey.domain.errors import NotFoundError, UnavailableError
from latchkey.domain.links import Link, session_of
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
        worker.save(sessions.leased(link, clock()))
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


class _OverError(Exception):
    """Nothing more is to be done in this run."""


class _Worker:
    def __init__(self, link: Link, clock: Callable[[], int], seconds_left: Callable[[], float]) -> None:
        self.link = link
        self.clock = clock
        self.seconds_left = seconds_left

    def save(self, link: Link) -> None:
        self.link = store.save(self.link, link)

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
        try:
            if session.input_row is None:
                reply = connectors.call(self.link, "start", state)
            else:
                answer = self._unseal(session.input_row, sealing.INPUT)
                reply = connectors.call(self.link, "answer", state, input=answer)
        except (ConnectorDiedError, ConnectorUnreachableError) as error:
            self._fail("CONNECTION_FAILED", error)
        match reply["status"]:
            case "challenge":
                challenge = {"id": f"chl_{ids.new_token()}"} | reply["challenge"]
                row = self._seal(sealing.STATE, reply["state"])
                self.save(sessions.asked(self.link, self.clock(), challenge, row))
            case "authenticated":
                row = self._seal(sealing.STATE, reply["state"])
                self.save(sessions.authenticated(self.link, self.clock(), row))
            case "error":
                self._fail(reply["code"])
        for used in (session.state_row, session.input_row):
            if used is not None:
                store.delete_secret(self.link, used)
        if not session_of(self.link).authenticated:
            raise _OverError
        return reply["state"]

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
            if not end_link.fits(self.link, self._result(results), self.clock()):
                self._fail("RESULT_VALIDATION_ERROR")
            if index < len(self.link.operations) - 1:
                now = self._check_time()  # what comes after the session's end does not count
                row, state_row = self._seal(sealing.RESULT, reply["data"]), session_of(self.link).state_row
                if "state" in reply:
                    state = reply["state"]
                    state_row = self._seal(sealing.STATE, state)
                self.save(sessions.succeeded(self.link, now, index, row, state_row))
        return results

    def _execute(self, index: int, arguments: Any, state: Any) -> dict[str, Any]:
        """Run one operation; the reply with its result. A read is tried again if the connector dies."""
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
            self.save(sessions.began(self.link, self.clock(), index))
            try:
                reply = connectors.call(self.link, "execute", state, operation=request)
                if reply["status"] == "error":
                    self._fail(reply["code"])
                break
            except ConnectorUnreachableError as error:
                self._fail("CONNECTION_FAILED", error)
            except ConnectorDiedError as error:
                telemetry.logger.warning("connector died", linkId=self.link.link_id, reason=str(error))
            if operation.action == "write":
                self._fail("OUTCOME_UNKNOWN")
        schema = validation.result_validator(self.link.integration_id, operation.resource, operation.action)
        if connector_protocol.data_issues(schema, reply["data"]):
            self._fail("RESULT_VALIDATION_ERROR")
        return reply

    def _complete(self, results: list[dict[str, Any]]) -> None:
        now = self._check_time()
        last = sessions.succeeded(self.link, now, len(results) - 1, None, session_of(self.link).state_row)
        end_link.end(self.link, links.ended(last, "complete", now), now, self._result(results))

    def _result(self, results: list[dict[str, Any]]) -> dict[str, Any]:
        """The link's result, of those of its operations so far."""
        operations = self.link.operations
        if len(operations) == 1:
            return results[0]
        return {
            "operations": [
                {"resource": operation.resource, "action": operation.action, "data": data}
                for operation, data in zip(operations, results, strict=False)
            ]
        }

    # --- What every step needs --------------------------------------------------------------------

    def _check_time(self) -> int:
        """The time; goes on only if the session is not over."""
        now = self.clock()
        last = links.as_of(self.link, now)
        if last.status != "active":
            end_link.end(self.link, last, now)
            raise _OverError
        return now

    def _check(self) -> None:
        """Go on only if the session is not over and this worker has the time for a call."""
        now = self._check_time()
        if self.seconds_left() < NEEDED_SECONDS:
            self.save(sessions.released(self.link, now))  # and sweep calls the next worker
            raise _OverError

    def _fail(self, code: str, cause: Exception | None = None) -> NoReturn:
        if cause is not None:
            telemetry.logger.warning("connector failed", linkId=self.link.link_id, reason=str(cause))
        end_link.fail(self.link, self.clock(), code)
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
