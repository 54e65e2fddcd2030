"""A link's life over HTTP, deployed, with IAM enforced: claim, session, operations, end."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode

import pytest

from schemas import answers
from tests.e2e.api import Api, Session, eventually, link
from tests.e2e.deployed import Deployed
from tests.judge import hold

READ, WRITE, BILLS = "paymentMethod.read", "paymentMethod.write", "mobileBillingStatement.read"


def assert_nothing_is_kept(deployed: Deployed, link_id: str) -> None:
    """What was sealed for the link goes right after its end, without any sweep."""
    eventually(lambda: not deployed.secrets(link_id), 5)
    eventually(lambda: "secrets" not in deployed.link(link_id), 5)


# --- Section 8's table ---------------------------------------------------------------------------

# User, operations, one-time codes; then status, error code and operationIndex.
OUTCOMES = [
    ("user_good", [READ], (), "complete", None, None),
    ("user_good", [BILLS], (), "complete", None, None),
    ("user_good", [WRITE, READ, BILLS], (), "complete", None, None),
    ("user_otp", [READ], ("123456",), "complete", None, None),
    ("user_otp", [READ, WRITE], ("000000", "111111", "123456"), "complete", None, None),
    ("user_otp", [READ], ("000000", "111111", "222222"), "failed", "LOGIN_FAILED", None),
    ("user_bad", [READ], (), "failed", "LOGIN_FAILED", None),
    ("nobody", [READ, WRITE], (), "failed", "LOGIN_FAILED", None),
    ("user_locked", [READ], (), "failed", "LOGIN_FAILED", None),
    ("user_locked", [WRITE, READ], (), "failed", "LOGIN_FAILED", None),
    ("user_op1_fails", [READ], (), "failed", "AUTOMATION_ERROR", 0),
    ("user_op2_fails", [READ, WRITE, READ], (), "failed", "AUTOMATION_ERROR", 1),
    ("user_op9_fails", [READ] * 9, (), "failed", "AUTOMATION_ERROR", 8),
    ("user_op3_fails", [READ, WRITE], (), "complete", None, None),
    ("user_bad_data", [READ], (), "failed", "RESULT_VALIDATION_ERROR", 0),
    ("user_bad_data", [WRITE, READ], (), "failed", "RESULT_VALIDATION_ERROR", 0),
    ("user_down", [READ], (), "failed", "CONNECTION_FAILED", None),
    ("user_down", [READ, WRITE], (), "failed", "CONNECTION_FAILED", None),
    ("user_slow", [READ], (), "complete", None, None),
    ("user_slow", [WRITE, READ], (), "complete", None, None),
    ("user_crash", [READ, WRITE], (), "failed", "CONNECTION_FAILED", 0),
    ("user_crash", [WRITE], (), "failed", "OUTCOME_UNKNOWN", 0),
    ("user_wait", [READ, WRITE], (), "complete", None, None),
    ("user_choice", [READ], ("email", "000000", "123456"), "complete", None, None),
    ("user_step_up", [READ, WRITE, WRITE], ("000000", "123456"), "complete", None, None),
    ("user_step_up", [WRITE, READ], ("000000", "111111", "222222"), "failed", "AUTOMATION_ERROR", 0),
    ("user_declined", [READ, WRITE], (), "failed", "AUTOMATION_ERROR", 1),
]


@pytest.mark.parametrize(
    ("user", "named", "codes", "status", "code", "index"),
    OUTCOMES,
    ids=[f"{user}-{len(named)}-{status}" for user, named, _, status, _, _ in OUTCOMES],
)
def test_the_user_name_decides_what_happens(
    deployed: Deployed,
    user: str,
    named: list[str],
    codes: tuple[str, ...],
    status: str,
    code: str | None,
    index: int | None,
) -> None:
    session = deployed.api.begin(link(*named))
    seen, view = session.play(user, *codes), deployed.api.link(session.link_id)
    assert (seen["status"], view["status"]) == (status, status)
    assert (seen["error"] and seen["error"]["code"]) == (view["error"] and view["error"]["code"])
    assert [o["status"] for o in seen["operations"]] == [o["status"] for o in view["operations"]]
    assert view["completedAt"] >= view["claimedAt"] >= view["createdAt"]
    shown = [o["status"] for o in view["operations"]]
    if code is None:
        assert view["error"] is None
        assert shown == ["succeeded"] * len(named)
        members = {READ: "paymentMethods", WRITE: "success", BILLS: "billing"}
        if len(named) > 1:
            results = [result["data"] for result in view["result"]["operations"]]
        else:
            results = [view["result"]]
        assert [members[name] in result for name, result in zip(named, results, strict=True)] == [True] * len(
            named
        )
    else:
        assert (view["error"]["code"], view["error"]["operationIndex"]) == (code, index)
        assert view["result"] is None
        before = ["succeeded"] * (index or 0) + ["unknown" if code == "OUTCOME_UNKNOWN" else "failed"] * (
            index is not None
        )
        assert shown == before + ["skipped"] * (len(named) - len(before))
    assert_nothing_is_kept(deployed, session.link_id)


def test_sixteen_operations_run_in_one_session(deployed: Deployed) -> None:
    session = deployed.api.begin(link(*[READ, WRITE] * 8, debug=True))
    assert session.play("user_good")["status"] == "complete"
    view = deployed.api.link(session.link_id)
    results = view["result"]["operations"]
    assert [(result["resource"], result["action"]) for result in results] == [
        ("paymentMethod", "read"),
        ("paymentMethod", "write"),
    ] * 8
    assert [step["event"] for step in view["timeline"]].count("operation.succeeded") == 16
    assert_nothing_is_kept(deployed, session.link_id)


# --- Claim ---------------------------------------------------------------------------------------


def test_of_64_claims_at_once_one_wins(api: Api) -> None:
    created = api.create(link()).json
    with ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(lambda _: api.claim(created["claimCode"]), range(64)))
    assert sorted(answer.status for answer in answers) == [200] + [409] * 63
    (won,) = [answer.json for answer in answers if answer.status == 200]
    session = Session(Api(api.url, won["clientToken"]), created["linkId"])
    assert session.play("user_good")["status"] == "complete"


def test_get_and_head_never_claim(api: Api) -> None:
    created = api.create(link()).json
    query = urlencode({"code": created["claimCode"]})
    requests = [
        (method, path)
        for method in ("GET", "HEAD")
        for path in (f"/link/claim?{query}", f"/{created['linkId']}?{query}")
    ] * 25
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda request: api.request(*request), requests))
    assert len(answers) == 100
    assert not [answer.status for answer in answers if answer.status >= 500]
    assert api.link(created["linkId"])["status"] == "pending"
    assert api.claim(created["claimCode"]).status == 200


def test_a_code_that_opens_nothing_is_refused(api: Api) -> None:
    for code, status in (("clm_0000000000000000000000", 404), ("", 404), (5, 400)):
        answer = Api(api.url, "").request("POST", "/link/claim", {"code": code})
        hold(answers.ApiError, answer.text)
        assert answer.status == status


# --- Time ----------------------------------------------------------------------------------------


def test_a_link_expires_on_time_and_is_marked_within_two_sweeps(deployed: Deployed) -> None:
    created = deployed.api.create(link(WRITE, expiresIn=1)).json
    eventually(lambda: time.time() * 1000 >= created["createdAt"] + 1100)
    answer = deployed.api.claim(created["claimCode"])
    assert (answer.status, answer.json["code"]) == (410, "gone")
    view = deployed.api.link(created["linkId"])
    assert (view["status"], view["completedAt"]) == ("expired", created["expiresAt"])
    deployed.sweep()
    deployed.sweep()
    assert deployed.link(created["linkId"])["status"] == "expired"
    assert_nothing_is_kept(deployed, created["linkId"])


def test_a_session_that_the_user_leaves_times_out(deployed: Deployed) -> None:
    session = deployed.api.begin(link(WRITE))
    session.turn()
    # As if fifteen minutes had passed.
    row = deployed.link(session.link_id)
    row["session"]["endsAt"] = row["dueAt"] = row["session"]["claimedAt"]
    deployed.table("LinksTable").put_item(Item=row)
    assert session.view()["error"]["code"] == "CLIENT_TIMEOUT"
    assert session.answer({"username": "user_good", "password": "pass_good"}, "chl_x").status == 409
    deployed.sweep()
    assert deployed.link(session.link_id)["status"] == "failed"
    assert_nothing_is_kept(deployed, session.link_id)


def test_sweep_runs_by_itself_each_minute(deployed: Deployed) -> None:
    """Asked after the tests above, which take a while; so it seldom waits."""
    eventually(lambda: deployed.logged('"swept"') > deployed.sweeps, 90)


# --- Cancel --------------------------------------------------------------------------------------


def test_the_user_cancels(deployed: Deployed) -> None:
    session = deployed.api.begin(link(WRITE))
    session.turn()
    canceled = session.cancel()
    assert (canceled.status, canceled.json["status"]) == (200, "canceled")
    view = deployed.api.link(session.link_id)
    assert (view["status"], view["error"]["code"]) == ("failed", "USER_CANCELED")
    assert session.cancel().status == 409
    assert_nothing_is_kept(deployed, session.link_id)


def test_the_caller_cancels_before_during_and_after(deployed: Deployed) -> None:
    pending = deployed.api.create(link(WRITE)).json
    running = deployed.api.begin(link(READ, WRITE))
    running.log_in("user_slow")
    eventually(lambda: deployed.api.link(running.link_id)["operations"][0]["status"] == "running")
    for link_id in (pending["linkId"], running.link_id):
        answers = [deployed.api.cancel(link_id) for _ in range(2)]
        assert [answer.status for answer in answers] == [200, 200]
        assert {answer.json["status"] for answer in answers} == {"canceled"}
    assert deployed.api.claim(pending["claimCode"]).status == 410
    assert running.view()["status"] == "canceled"
    complete = deployed.api.begin()
    complete.play("user_good")
    refused = deployed.api.cancel(complete.link_id)
    assert (refused.status, refused.json["code"]) == (409, "conflict")
    for other in (deployed.other, deployed.live):
        assert other.cancel(complete.link_id).status == 404
    # The worker of the running one comes back to a link that has ended, and leaves nothing behind either.
    executed = f'"sessionId": "{running.link_id.replace("link_", "sess_")}", "status": "result"'
    eventually(lambda: deployed.logged(executed) == 1)
    for link_id in (pending["linkId"], running.link_id):
        assert_nothing_is_kept(deployed, link_id)
    assert [o["status"] for o in deployed.api.link(running.link_id)["operations"]] == ["failed", "skipped"]


# --- List ----------------------------------------------------------------------------------------


def test_a_list_is_paged_filtered_and_its_owners_alone(deployed: Deployed) -> None:
    api = deployed.new_caller("lister")
    made = [
        api.create(link(integrationId=integration, externalUserId=f"user {n % 2}")).json["linkId"]
        for n, integration in enumerate(["tmobile", "att", "tmobile", "att", "tmobile"])
    ]
    api.cancel(made[4])

    def listed(caller: Api = api, **query: Any) -> list[str]:
        """Ids over all pages."""
        found: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            answer = caller.get(f"/v1/links?{urlencode(query | cursor)}")
            assert answer.status == 200, answer.text
            hold(answers.LinkList, answer.text)
            found += [item["linkId"] for item in answer.json["links"]]
            if answer.json["nextCursor"] is None:
                return found
            cursor = {"cursor": answer.json["nextCursor"]}

    newest_first = made[::-1]
    for limit in (1, 2, 5, 100):
        assert listed(limit=limit) == newest_first
    assert listed(status="canceled") == [made[4]]
    assert listed(integrationId="att", limit=1) == [made[3], made[1]]
    assert listed(externalUserId="user 0", limit=2) == [made[4], made[2], made[0]]
    assert listed(externalUserId="user 0", status="pending", limit=1) == [made[2], made[0]]
    assert listed(externalUserId="user 2") == []
    assert listed(deployed.new_caller("lister"), externalUserId="user 1") == [made[3], made[1]]
    assert listed(deployed.new_caller("other"), externalUserId="user 1") == []
    cursor = api.get("/v1/links?limit=2").json["nextCursor"]
    for path in (
        *(f"/v1/links?cursor={cursor[:-1]}", f"/v1/links?cursor={cursor}&status=pending"),
        *("/v1/links?limit=0", "/v1/links?state=pending", "/v1/links?status=done"),
    ):
        assert api.get(path).status == 400, path
    assert deployed.new_caller("lister").get(f"/v1/links?cursor={cursor}").status == 400


# --- Another page waits --------------------------------------------------------------------------


def test_a_page_of_any_origin_sees_the_link_from_its_making_to_its_end(api: Api) -> None:
    created = api.create(link(READ)).json
    code, origin = created["claimCode"], {"Origin": "https://www.example.com"}

    def status() -> Any:
        answer = api.status(code, **origin)
        assert (answer.status, answer.headers.get_all("Access-Control-Allow-Origin")) == (200, ["*"])
        hold(answers.LinkStanding, answer.text)
        return answer.json["status"]

    asked = api.request(
        "OPTIONS",
        "/link/status",
        headers=origin
        | {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"},
    )
    assert (asked.status, asked.text) == (204, "")
    assert asked.headers.get_all("Access-Control-Allow-Origin") == ["*"]
    assert asked.headers["Access-Control-Allow-Methods"] == "POST"
    assert status() == "pending"
    claimed = api.claim(code).json
    assert status() == "active"
    Session(Api(api.url, claimed["clientToken"]), claimed["linkId"]).play("user_good")
    assert status() == "complete"
    unknown = api.status("clm_" + "0" * 22, **origin)
    assert (unknown.status, unknown.headers["Access-Control-Allow-Origin"]) == (404, "*")


@pytest.mark.parametrize("path", ["/link/claim", "/link/session", "/v1/links"])
def test_no_other_route_is_open_to_other_origins(api: Api, path: str) -> None:
    headers = {"Origin": "https://www.example.com", "Access-Control-Request-Method": "POST"}
    for method in ("OPTIONS", "POST"):
        answer = api.request(method, path, {} if method == "POST" else None, headers)
        assert answer.headers["Access-Control-Allow-Origin"] is None


# --- A worker that is killed ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "runs", "status", "code"),
    [(WRITE, 1, "failed", "OUTCOME_UNKNOWN"), (READ, 2, "complete", None)],
)
def test_a_worker_that_is_killed_in_an_operation_leaves_a_link_that_ends(
    deployed: Deployed, operation: str, runs: int, status: str, code: str | None
) -> None:
    session = deployed.api.begin(link(operation, READ))
    session.log_in("user_slow")
    eventually(lambda: deployed.api.link(session.link_id)["operations"][0]["status"] == "running")
    assert deployed.kill("RunSessionFunction") > 0
    deployed.sweep()
    assert session.view()["status"] == "running"  # the lease of the dead worker holds
    deployed.let_pass(session.link_id, 90)  # what the lease lasts
    deployed.sweep()
    seen = session.turn()
    assert (seen["status"], (seen["error"] or {"code": None})["code"]) == (status, code)
    # The connector answers whether anybody is there to hear it; so its log tells how often it was run.
    executed = f'"sessionId": "{session.link_id.replace("link_", "sess_")}", "status": "result"'
    expected = runs if code else runs + 1
    eventually(lambda: deployed.logged(executed) >= expected)
    assert deployed.logged(executed) == expected
    assert_nothing_is_kept(deployed, session.link_id)
