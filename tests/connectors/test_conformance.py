"""Conformance passes the connectors that there are, and fails each that harms its users, by that harm."""

import re
from pathlib import Path
from typing import Any

import pytest

from latchkey.domain.catalogue import providers
from local import harms
from local.conformance import SANDBOX_INPUTS, on_this_machine
from tests.connectors.conftest import CHROMIUM
from tests.connectors.test_standard import JANE, STELLA
from tests.template import ROOT

type Json = dict[str, Any]

MIXED = "two users in turn through one process see their own"
DRY_RUN = "a dry run changes nothing"
PROCESSES = "each call in a process of its own goes on from the state"
TWICE = "a start that comes twice does no harm"
INTERRUPTED = "a read that was interrupted does no harm"
AWAY = "a provider that cannot be reached is told"
HANGS = "a provider that hangs is given up in time"
PRINTED = "nothing that was typed, and no cookie, is printed"

# A connector to the practice site with the kit's help, and one harm.
KIT = """
import json
import os
from http.cookiejar import CookieJar
from latchkey_kit import Connector, ask

app, jar, pages = Connector(os.environ["LARK_URL"]), CookieJar(), {}
HARM = "none"

def get(s, address):
    if HARM == "a cookie jar in a module":
        s.http.cookies.jar = jar
    page = s.http.get(address)
    return pages.setdefault(address, page) if HARM == "a page in a global" else page

@app.start
def start(s):
    raise ask.login("Log in")

@app.step
def login(s, username, password):
    page = s.form(get(s, "/login"), username=username, password=password)
    if page.url.path != "/account":
        raise ask.again("That is not right")

@app.read("mobileBillingStatement")
def bills(s, limit=100):
    found = s.find(get(s, "/bills"), "", r"<td>([0-9-]+)</td><td>.([0-9.]+)</td>")
    rows = [{"periodStart": day, "amountDue": due, "currency": "USD"} for day, due in found]
    return {"billing": rows[:limit]}

@app.read("paymentMethod")
def cards(s):
    found = enumerate(s.find(get(s, "/cards"), "", "ending in ([0-9]{4})"))
    card = {"type": "credit_card", "isDefault": False}
    return {"paymentMethods": [card | {"order": n, "vendorId": str(n), "last4": four} for n, four in found]}

@app.write("paymentMethod")
def save(s, cardNumber, dryRun=False, **_):
    if HARM == "submits a dry run" or not dryRun:
        s.form(get(s, "/cards/new"), number=cardNumber, expires="04/29", cvv="123", zip="12345")
    return {"dryRun": True, "card": {"last4": cardNumber[-4:]}}

memory = {}

def lambda_handler(request, context):
    if HARM == "prints its requests":
        print(request)
    if HARM == "prints its state":
        print(app(request, context).get("state"))
    if HARM == "prints a user name" and request["input"]:
        print("logging in", request["input"]["username"])
    if HARM == "writes a log of its own":
        with open(os.path.join(os.environ["TMPDIR"], "log"), "a") as log:
            log.write(json.dumps(request))
    if HARM == "remembers in a file":
        name = f"/tmp/{request['sessionId']}.json"
        if request["action"] != "start" and os.path.exists(name):
            with open(name) as file:
                request = request | {"state": json.load(file)}
        reply = app(request, context)
        with open(name, "w") as file:
            json.dump(reply.get("state", request["state"]), file)
        return reply | ({"state": {}} if "state" in reply else {})
    if HARM != "remembers in its process":
        return app(request, context)
    state = memory.get(request["sessionId"])
    reply = app(request | {"state": state}, context)
    memory[request["sessionId"]] = reply.get("state", state)
    return reply | ({"state": {}} if "state" in reply else {})
"""

# One that speaks HTTP by itself, to the site's own doors, without a thought of what may go wrong.
BARE = """
import os
from urllib.request import urlopen

URL = os.environ["LARK_URL"]
SHARED, TIMEOUT = {}, None
SECRET = {"format": "password", "writeOnly": True}
FIELDS = {
    "username": {"type": "string", "title": "User name", "maxLength": 100},
    "password": {"type": "string", "title": "Password", "maxLength": 100} | SECRET,
}
FORM = {"type": "object", "properties": FIELDS, "required": list(FIELDS), "additionalProperties": False}

def lambda_handler(request, context):
    match request:
        case {"version": 1, "action": "start"}:
            urlopen(URL + "/login", timeout=TIMEOUT).read()
            return {
                "status": "challenge",
                "challenge": {"type": "login", "title": "Log in", "schema": FORM},
                "state": None,
            }
        case {"version": 1, "action": "answer", "input": {"username": name, "password": password}}:
            if password != name + "-password-1":
                return {"status": "error", "code": "LOGIN_FAILED"}
            return {"status": "authenticated", "state": {"user": name}}
        case {"version": 1, "action": "execute", "state": {"user": user}, "operation": {"action": "read"}}:
            if request["operation"]["resource"] == "paymentMethod":
                return {"status": "result", "data": {"paymentMethods": []}}
            if request["operation"]["resource"] == "mobileBillingStatement":
                limit = (request["operation"]["arguments"] or {}).get("limit", 9)
                rows = [{"periodStart": f"2026-0{len(user)}-01", "amountDue": "1.00", "currency": "USD"}]
                return {"status": "result", "data": {"billing": rows[:limit]}}
        case {"version": 1, "action": "execute", "state": {"user": user}, "operation": {"action": "write"}}:
            if request["operation"]["resource"] == "paymentMethod":
                last4 = request["operation"]["arguments"]["cardNumber"][-4:]
                return {"status": "result", "data": {"dryRun": True, "card": {"last4": last4}}}
    return {"status": "error", "code": "CONNECTION_FAILED"}
"""


pytestmark = pytest.mark.usefixtures("site")


@pytest.fixture(autouse=True)
def _short_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harms, "HANG_SECONDS", 3.0)


def failed(connector: Path, *users: list[Json], integration: str = "tmobile") -> dict[str, list[str]]:
    """The problems of each check that failed; none may have been skipped."""
    checks = list(on_this_machine(connector, providers()[integration], list(users)))
    assert [check.name for check in checks if check.skipped] == ([] if len(users) == 2 else [MIXED])
    assert all(check.advice for check in checks if check.problems)
    return {check.name: check.problems for check in checks if check.problems}


@pytest.mark.parametrize("name", ["http", pytest.param("browser", id="browser")])
def test_the_examples_do_no_harm(name: str) -> None:
    if name == "browser" and CHROMIUM is None:
        pytest.skip("no Chromium on this machine: install its package chromium")
    assert failed(ROOT / f"examples/provider/connector_{name}.py", JANE, STELLA) == {}


def test_the_sandbox_does_no_harm() -> None:
    assert failed(ROOT / "functions/sandbox_connector/app.py", SANDBOX_INPUTS) == {}


@pytest.mark.parametrize(
    ("page", "integration", "inputs"),
    [("connect-a-provider", "ubereats", SANDBOX_INPUTS)],
)
def test_the_connectors_of_the_pages_do_no_harm(
    tmp_path: Path, page: str, integration: str, inputs: list[Json]
) -> None:
    found = re.search(r"```python\n(.*?)```", (ROOT / f"docs/{page}.md").read_text(), re.DOTALL)
    assert found
    file = tmp_path / "connector.py"
    file.write_text(found[1])
    assert failed(file, inputs, integration=integration) == {}


@pytest.mark.parametrize(
    ("harm", "names"),
    [
        ("none", set()),
        ("a cookie jar in a module", {MIXED, PROCESSES, INTERRUPTED}),
        ("a page in a global", {MIXED}),
        ("prints its requests", {PRINTED}),
        ("prints its state", {PRINTED}),
        ("prints a user name", {PRINTED}),
        ("writes a log of its own", {PRINTED}),
        ("submits a dry run", {DRY_RUN}),
        ("remembers in its process", {PROCESSES, INTERRUPTED}),
        ("remembers in a file", {PROCESSES}),
    ],
)
def test_each_harm_fails_by_its_name(tmp_path: Path, harm: str, names: set[str]) -> None:
    file = tmp_path / "connector.py"
    file.write_text(KIT.replace('HARM = "none"', f'HARM = "{harm}"'))
    found = failed(file, JANE, STELLA)
    found.pop("read paymentMethod again, by its state alone", None)
    assert names <= found.keys()
    if not harm.startswith("remembers"):  # which breaks much
        assert found.keys() == names


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (("SHARED, TIMEOUT = {}, None", "SHARED, TIMEOUT = {}, 2"), {AWAY, HANGS}),
        (("            urlopen(URL", "            if 0: urlopen(URL"), set()),
        (("    match request:", '    raise ValueError(request["input"])\n    match request:'), None),
    ],
    ids=["does not catch", "needs no provider", "raises what was typed"],
)
def test_a_connector_without_time_outs_or_care_is_found(
    tmp_path: Path, change: tuple[str, str], names: set[str] | None
) -> None:
    file = tmp_path / "connector.py"
    file.write_text(BARE.replace(*change))
    checks = list(on_this_machine(file, providers()["tmobile"], [JANE, STELLA]))
    found = {check.name for check in checks if check.problems}
    assert found == names if names is not None else "start" in found


def test_a_connector_that_hangs_is_not_waited_for_longer_than_by_a_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("local.environments.CALL_SECONDS", 4)
    file = tmp_path / "connector.py"
    file.write_text(BARE)
    checks = {c.name: c for c in on_this_machine(file, providers()["tmobile"], [JANE, STELLA])}
    assert checks[HANGS].problems == ["the login: no reply came within 4 s"]
