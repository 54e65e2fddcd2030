"""The connector of test links: it plays every integration, and the user's name says what happens.

Its data is the catalogue's own: the examples of each operation's result.
"""

import json
import re
import time
from typing import Any

from latchkey.domain.catalogue import Operation, Provider, providers
from latchkey.domain.sandbox import PASSWORD, USERS

CODE = "123456"
TRIES = 3
WRONG_CODE = "That code is wrong"
MAX_OPERATIONS = 20
SLOW_SECONDS = 3
WAIT_MS = 5000

_USERS = {user.username for user in USERS} - {"user_bad"}

type Json = dict[str, Any]

LOGIN_FIELDS = {
    "username": {
        "type": "string",
        "title": "User name",
        "description": 'a user name of the sandbox, for example "user_good"',
        "minLength": 1,
        "maxLength": 100,
    },
    "password": {
        "type": "string",
        "title": "Password",
        "description": "the password of a user of the sandbox",
        "format": "password",
        "writeOnly": True,
        "minLength": 1,
        "maxLength": 100,
    },
}
CODE_FIELDS = {
    "code": {
        "type": "string",
        "title": "One-time code",
        "description": "6 digits",
        "writeOnly": True,
        "minLength": 6,
        "maxLength": 6,
        "pattern": "^[0-9]{6}$",
    },
}
WAY_FIELDS = {
    "way": {
        "type": "string",
        "title": "Send it by",
        "description": "one of the ways on offer",
        "oneOf": [
            {"const": "sms", "title": "Text message to the phone that ends in 88"},
            {"const": "email", "title": "E-mail to u***@example.com"},
        ],
    },
}
ACTIONS = [{"id": "new_code", "title": "Send a new code"}, {"id": "other_way", "title": "Choose another way"}]


def lambda_handler(event: Any, _context: Any) -> Json:
    """Reply to one request of a session; schemas/connector_request.json and connector_reply.json say how."""
    reply = _reply(event)
    # Nothing that was sent but the session's id: all else may hold what a user typed.
    line = {"level": "INFO", "message": "reply", "sessionId": _session_id(event)}
    line |= {name: reply[name] for name in ("status", "code", "reason") if name in reply}
    print(json.dumps(line))  # noqa: T201 # Powertools' logger would be most of this function's cold start
    return reply


def _reply(event: Any) -> Json:
    match event:
        case {"version": 1, "integrationId": str(integration_id)} if integration_id in providers():
            provider = providers()[integration_id]
        case _:
            return _error("CONNECTION_FAILED")
    match event:
        case {"action": "start", "state": None}:
            return _challenge(provider, "login", TRIES)
        case {
            "action": "answer",
            "state": {"step": "login", "triesLeft": int(tries)},
            "input": {"username": str(user), "password": str(password)},
        } if 1 <= tries <= TRIES:
            return _log_in(provider, tries, user, password)
        case {
            "action": "answer",
            "state": {"step": "otp", "triesLeft": int(tries)},
            "input": {"code": str(code)},
        } if 1 <= tries <= TRIES:
            return _authenticated("user_otp") if code == CODE else _again(provider, "otp", tries)
        case {
            "action": "answer",
            "state": {"step": "choice"},
            "input": {"way": "sms" | "email" as way},
        }:
            return _code_sent(provider, way, TRIES)
        case {
            "action": "answer",
            "state": {"step": "code", "way": "sms" | "email" as way, "triesLeft": int(tries)},
            **answer,
        } if 1 <= tries <= TRIES:
            match answer:
                case {"input": {"code": str(code)}}:
                    left = tries - 1
                    wrong = f"{WRONG_CODE}: try again ({left} left)"
                    if code == CODE:
                        return _authenticated("user_choice")
                    return _code_sent(provider, way, left, wrong) if left else _error("LOGIN_FAILED")
                case {"choice": "new_code"}:
                    return _code_sent(provider, way, tries, "A new code is on its way")
                case {"choice": "other_way"}:
                    return _ways(provider, way)
        case {"action": "poll", "state": {"step": "wait", "until": int(until)}}:
            return _authenticated("user_wait") if _now() >= until else _wait(provider, until)
        case {
            "action": "execute",
            "state": {"step": "authenticated" | "step_up", "user": str(user)} as state,
            "operation": {"index": int(index), "resource": str(resource), "action": str(action), **rest},
        } if 0 <= index < MAX_OPERATIONS:
            operation = provider.resources.get(resource, {}).get(action)
            arguments = rest.get("arguments")
            if operation is None or not (arguments is None or isinstance(arguments, dict)):
                return _error("AUTOMATION_ERROR")
            if action == "write" and user == "user_declined":
                return _error("AUTOMATION_ERROR") | {"reason": "card_declined"}
            if action == "write" and user == "user_step_up":
                asked = _step_up(provider, state, event.get("input"))
                confirmed = {"step": "authenticated", "user": user, "confirmed": True}
                return asked or _execute(operation, user, index, arguments or {}) | {"state": confirmed}
            return _execute(operation, user, index, arguments or {})
    return _error("CONNECTION_FAILED")


def _log_in(provider: Provider, tries: int, user: str, password: str) -> Json:
    if user not in _USERS or password != PASSWORD:
        return _again(provider, "login", tries)
    match user:
        case "user_otp":
            return _challenge(provider, "otp", TRIES)
        case "user_choice":
            return _ways(provider)
        case "user_wait":
            return _wait(provider, _now() + WAIT_MS)
        case "user_locked":
            return _error("LOGIN_FAILED")
        case "user_down":
            return _error("CONNECTION_FAILED")
    return _authenticated(user)


def _again(provider: Provider, step: str, tries: int) -> Json:
    return _challenge(provider, step, tries - 1) if tries > 1 else _error("LOGIN_FAILED")


def _challenge(provider: Provider, step: str, tries: int) -> Json:
    if step == "login":
        title, wrong = f"Log in to {provider.name}", "That user name and password do not match"
        fields: Json = LOGIN_FIELDS
    else:
        title, wrong = f"Enter the code that {provider.name} sent you", WRONG_CODE
        fields = CODE_FIELDS
    if tries < TRIES:
        title = f"{wrong}: try again ({tries} left)"
    return _asked(step, title, fields, {"step": step, "triesLeft": tries})


def _asked(kind: str, title: str, fields: Json, state: Json, **more: Any) -> Json:
    schema = {
        "type": "object",
        "properties": fields,
        "required": list(fields),
        "additionalProperties": False,
    }
    challenge = {"type": kind, "title": title, "schema": schema} | more
    return {"status": "challenge", "challenge": challenge, "state": state}


def _wait(provider: Provider, until: int) -> Json:
    title = f"Approve the login in the app of {provider.name}"
    return _asked("wait", title, {}, {"step": "wait", "until": until}, pollSeconds=2)


def _ways(provider: Provider, last: str | None = None) -> Json:
    title = f"Where shall {provider.name} send the code?"
    more = {} if last is None else {"values": {"way": last}}
    return _asked("choice", title, WAY_FIELDS, {"step": "choice"}, **more)


def _code_sent(provider: Provider, way: str, tries: int, message: str | None = None) -> Json:
    title = f"Enter the code that {provider.name} sent you"
    more = {"actions": ACTIONS, "expiresInSeconds": 300} | ({"message": message} if message else {})
    return _asked("otp", title, CODE_FIELDS, {"step": "code", "way": way, "triesLeft": tries}, **more)


def _step_up(provider: Provider, state: Json, typed: Any) -> Json | None:
    """What the first write is replied until it has the code; None from then on."""
    tries, message = TRIES, {}
    match state, typed:
        case [{"confirmed": True}, _]:
            return None
        case [{"step": "step_up", "triesLeft": int(left)}, {"code": str(code)}] if 1 <= left <= TRIES:
            if code == CODE:
                return None
            if left == 1:
                return _error("AUTOMATION_ERROR")
            tries, message = left - 1, {"message": f"{WRONG_CODE}: try again ({left - 1} left)"}
    title = f"Enter the code that {provider.name} sent you, to save the card"
    return _asked("otp", title, CODE_FIELDS, state | {"step": "step_up", "triesLeft": tries}, **message)


def _authenticated(user: str) -> Json:
    return {"status": "authenticated", "state": {"step": "authenticated", "user": user}}


def _execute(operation: Operation, user: str, index: int, arguments: Json) -> Json:
    match user:
        case "user_crash" if index == 0:
            raise RuntimeError("the sandbox connector dies, because user_crash is logged in")
        case "user_bad_data":
            return {"status": "result", "data": {"notInAnyResultSchema": True}}
        case "user_slow":
            time.sleep(SLOW_SECONDS)
        case _ if user == f"user_op{index + 1}_fails":
            return _error("AUTOMATION_ERROR")
    return {"status": "result", "data": _data(operation, arguments)}


def _data(operation: Operation, arguments: Json) -> Json:
    """An example of the operation's result, as the arguments want it."""
    examples: list[Json] = operation.result["examples"]
    dry_run = arguments.get("dryRun") is True
    data = next((example for example in examples if example.get("dryRun", False) is dry_run), examples[0])
    limit, card_number = arguments.get("limit"), arguments.get("cardNumber")
    if isinstance(limit, int):
        rows = {name: value[:limit] for name, value in data.items() if isinstance(value, list)}
        counts = {f"{name.removesuffix('s')}Count": len(value) for name, value in rows.items()}
        data = data | rows | {name: count for name, count in counts.items() if name in data}
    if "card" in data and isinstance(card_number, str) and re.fullmatch("[0-9]{12,19}", card_number):
        data = data | {"card": {"last4": card_number[-4:]}}
    return data


def _now() -> int:
    """Milliseconds."""
    return time.time_ns() // 1_000_000


def _error(code: str) -> Json:
    return {"status": "error", "code": code}


def _session_id(event: Any) -> str | None:
    match event:
        case {"sessionId": str(session_id)} if re.fullmatch("sess_[A-Za-z0-9_-]{1,64}", session_id):
            return session_id
    return None
