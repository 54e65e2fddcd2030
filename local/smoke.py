"""Tries a deployed stack as its callers, users and operators meet it: `make smoke`.

With a key of its own, which it revokes. Each line is a thing that was tried; one that failed says what to do.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2

from latchkey.domain import ids
from local import audit, keys
from local.deploy import warnings

ACCOUNT = "smoke"
LOGIN = {"username": "user_otp", "password": "pass_good"}  # the sandbox's
SWEPT_SECONDS = 150  # sweep comes each minute, and events are listed some seconds after


class Failure(Exception):  # noqa: N818 - not a defect of the program
    """What is wrong and what to do about it, in one sentence."""


class Smoke:
    def __init__(self, session: Any, endpoint: str | None, stack: str, api_url: str | None) -> None:
        self.session, self.endpoint, self.stack = session, endpoint, stack
        found = self.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
        self.protected = found.get("EnableTerminationProtection", False)
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in found["Outputs"]}
        self.parameters = {p["ParameterKey"]: p["ParameterValue"] for p in found["Parameters"]}
        listed = self.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack)
        self.physical = {
            resource["LogicalResourceId"]: resource["PhysicalResourceId"]
            for page in listed
            for resource in page["StackResourceSummaries"]
        }
        got = self.client("cloudformation").get_template(StackName=stack, TemplateStage="Processed")
        body = got["TemplateBody"]
        self.template = json.loads(body) if isinstance(body, str) else body
        self.log = self.outputs["LogGroupName"]
        self.began = int(time.time() * 1000)
        self.key = ids.new_api_key(livemode=False)
        self.http = httpx2.Client(base_url=api_url or self.outputs["ApiUrl"], timeout=35)

    def client(self, service: str) -> Any:
        return self.session.client(service, endpoint_url=self.endpoint)

    def resources(self, kind: str) -> dict[str, dict[str, Any]]:
        """The properties of each resource of a type that is there, by logical id."""
        found = self.template["Resources"].items()
        return {n: r.get("Properties", {}) for n, r in found if r["Type"] == kind and n in self.physical}

    def ask(self, method: str, path: str, expected: int, key: str | None = None, **more: Any) -> Any:
        """The JSON of an answer, or its text; fails if its status is another."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            answer = self.http.request(method, path, headers=headers | more.pop("headers", {}), **more)
        except httpx2.HTTPError as error:
            raise Failure(f"{method} {path} gets no answer from {self.http.base_url} ({error!r})") from None
        if answer.status_code != expected:
            asked = answer.headers.get("x-request-id", "none")
            raise Failure(
                f"{method} {path.partition('?')[0]} answers {answer.status_code} and not {expected} (request "
                f"{asked}): look it up in the log {self.log}, docs/operate.md, ApiErrors"
            )
        return answer.json() if "json" in answer.headers.get("content-type", "") else answer

    def until(self, look: Callable[[], Any], seconds: int, otherwise: str) -> Any:
        end = time.monotonic() + seconds
        while not (found := look()):
            if time.monotonic() > end:
                raise Failure(otherwise)
            time.sleep(0.5)
        return found

    # --- What is deployed --------------------------------------------------------------------------

    def functions_are_as_deployed(self) -> None:
        """Architecture, settings and what the roles allow, as the template and its parameters have them."""
        known = self.parameters | {"AWS::StackName": self.stack}
        for name, properties in self.resources("AWS::Lambda::Function").items():
            found = self.client("lambda").get_function_configuration(
                FunctionName=self.physical[name], Qualifier="live"
            )
            if found["Architectures"] != [self.parameters["Architecture"]]:
                raise Failure(f"{name} is built for {found['Architectures'][0]}: deploy again, with ARCH=")
            there = found.get("Environment", {}).get("Variables", {})
            for variable, wanted in properties["Environment"]["Variables"].items():
                value = known.get(wanted["Ref"]) if isinstance(wanted, dict) and "Ref" in wanted else None
                if variable not in there or (value is not None and there[variable] != value):
                    raise Failure(
                        f"{name} runs with {variable}={there.get(variable)!r}, and the stack says "
                        f"{value or 'otherwise'!r}: somebody changed it by hand; `make deploy` puts it back"
                    )
            self._role_allows(name, properties["Role"]["Fn::GetAtt"][0])

    def _role_allows(self, function: str, role: str) -> None:
        iam, policies = self.client("iam"), self.template["Resources"][role]["Properties"].get("Policies", [])
        for policy in policies:
            try:
                found = iam.get_role_policy(RoleName=self.physical[role], PolicyName=policy["PolicyName"])[
                    "PolicyDocument"
                ]
            except iam.exceptions.NoSuchEntityException:
                raise Failure(f"{function} has lost its policy: `make deploy` puts it back") from None
            there = {statement.get("Sid"): _list(statement["Action"]) for statement in found["Statement"]}
            for statement in policy["PolicyDocument"]["Statement"]:
                if "Sid" not in statement:
                    continue  # one that is for AWS alone
                if lacking := set(_list(statement["Action"])) - set(there.get(statement["Sid"], [])):
                    raise Failure(
                        f"{function} may not {', '.join(sorted(lacking))} ({statement['Sid']}) as it needs "
                        "to: somebody changed its role by hand; `make deploy` puts it back"
                    )

    def alarms_tell_somebody(self) -> None:
        names = [self.physical[name] for name in self.resources("AWS::CloudWatch::Alarm")]
        found = self.client("cloudwatch").describe_alarms(AlarmNames=names)["MetricAlarms"]
        topic = self.outputs["AlarmTopicArn"]
        for alarm in found:
            if topic not in alarm["AlarmActions"] or topic not in alarm["OKActions"]:
                raise Failure(f"{alarm['AlarmName']} tells nobody: `make deploy` gives it its action back")
        if len(found) < len(names):
            lost = sorted(set(names) - {alarm["AlarmName"] for alarm in found})
            raise Failure(f"{', '.join(lost)} are gone: delete them from drift by `make deploy`")

    def connectors_can_be_called(self) -> None:
        answer = self.client("lambda").invoke(
            FunctionName=self.physical["RunSessionFunction"],
            Qualifier="live",
            Payload=b'{"check": "connectors"}',
        )
        said = json.loads(answer["Payload"].read())
        if "FunctionError" in answer:
            raise Failure("run_session cannot tell its connectors: docs/operate.md, FunctionErrors")
        wrong = [f"{name}: {text}" for name, text in said["connectors"].items() if text != "ok"]
        if wrong:
            raise Failure("; ".join(wrong))

    # --- What callers and users meet ------------------------------------------------------------------

    def refuses_what_it_should(self) -> None:
        self.ask("GET", "/v1/providers", 200, self.key)
        self.ask("GET", "/v1/links/link_unknown", 404, self.key)
        self.ask("POST", "/v1/links", 400, self.key, json={})
        large = "x" * 300_000
        self.ask("POST", "/v1/links", 413, self.key, json={"integrationId": large})
        answer = self.http.get("/v1/providers", headers={"Authorization": "Bearer no-key"})
        if answer.status_code != 401 or "www-authenticate" not in answer.headers:
            raise Failure(f"Without a key, the API answers {answer.status_code} and no WWW-Authenticate")

    def link_from_create_to_result(self) -> None:
        """Created once, claimed, logged in with a code, read back, its event sent; no code in the log."""
        body = _founding() | {"webhookUrl": str(self.http.base_url.join("/link/status"))}
        key = {"Idempotency-Key": ids.new_token()}
        created = self.ask("POST", "/v1/links", 201, self.key, json=body, headers=key)
        again = self.ask("POST", "/v1/links", 201, self.key, json=body, headers=key)
        if again != created:
            raise Failure("A create that was repeated with its Idempotency-Key made another link")
        self.ask("GET", f"/{created['linkId']}?code={created['claimCode']}", 200)
        claimed = self.ask("POST", "/link/claim", 200, json={"code": created["claimCode"]})
        token = {"Authorization": f"Bearer {claimed['clientToken']}"}

        def turn() -> Any:
            view = self.ask("GET", "/link/session", 200, headers=token)
            return view if view["status"] != "running" else None

        for given in (LOGIN, {"code": "123456"}):
            view = self.until(turn, 60, "No worker takes the session up: docs/operate.md, SessionQueueAge")
            if view["challenge"] is None:
                break
            answer = {"challengeId": view["challenge"]["id"], "input": given}
            self.ask("POST", "/link/session/input", 202, headers=token, json=answer)
        view = self.until(turn, 60, "The session does not end: docs/operate.md, FunctionErrors")
        link = self.ask("GET", f"/v1/links/{created['linkId']}", 200, self.key)
        if link["status"] != "complete" or not link["result"]:
            raise Failure(f"The link ended as {link['status']} ({link['error']}) and not as complete")
        # The API itself is the receiver: it refuses an event, which shows that one got out and an answer in.
        path = f"/v1/links/{created['linkId']}/deliveries"
        deliveries = self.until(
            lambda: self.ask("GET", path, 200, self.key)["deliveries"],
            60,
            "No sender takes the event up: docs/operate.md, WebhookQueueAge",
        )
        if deliveries[0]["statusCode"] is None:
            raise Failure(f"An event does not get out of the stack ({deliveries[0]['error']})")
        self._log_has(created["linkId"], [created["claimCode"], claimed["clientToken"], self.key])
        self._audit_has(created["linkId"])

    def _log_has(self, link_id: str, secrets: list[str]) -> None:
        logs = self.client("logs")

        def lines() -> list[str]:
            pages = logs.get_paginator("filter_log_events").paginate(
                logGroupName=self.log, startTime=self.began
            )
            found = [event["message"] for page in pages for event in page["events"]]
            return found if any(link_id in line for line in found) else []

        text = "\n".join(self.until(lines, 60, f"The log {self.log} has no line of a link"))
        if any(secret in text for secret in secrets):
            raise Failure(
                "A code or key stands in the log: stop using the stack, and report it (SECURITY.md)"
            )

    def _audit_has(self, link_id: str) -> None:
        def told() -> bool:
            lines = audit.told(self.client("logs"), self.outputs["AuditLogGroupName"], self.began)
            return any(line.get("linkId") == link_id for line in lines)

        self.until(told, 60, "The audit log does not say who made a link: docs/operate.md, FunctionErrors")

    def link_expires_by_itself(self) -> None:
        created = self.ask("POST", "/v1/links", 201, self.key, json=_founding() | {"expiresIn": 1})

        def told() -> bool:
            events = self.ask("GET", "/v1/events?type=link.expired", 200, self.key)["events"]
            return any(event["data"]["linkId"] == created["linkId"] for event in events)

        self.until(told, SWEPT_SECONDS, "Sweep ended no link in time: docs/operate.md, SweepLate")

    def __iter__(self) -> Iterator[Callable[[], None]]:
        yield from (self.functions_are_as_deployed, self.alarms_tell_somebody, self.connectors_can_be_called)
        yield from (self.refuses_what_it_should, self.link_from_create_to_result, self.link_expires_by_itself)


def _list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _founding() -> dict[str, Any]:
    card = {"cardNumber": "4242424242424242", "expirationDate": "12/49", "cvv": "123"}
    write = {"resource": "paymentMethod", "action": "write"}
    arguments = card | {"nameOnCard": "Smoke Test", "billingZip": "12345"}
    read = {"resource": "paymentMethod", "action": "read"}
    return {"integrationId": "tmobile", "operations": [read, write | {"arguments": arguments}]}


def run(smoke: Smoke, table: Any) -> int:
    """Try each thing and print how it went; returns how many failed."""
    failed, reached = 0, (smoke.session, smoke.endpoint, smoke.stack)
    of = keys.named(smoke.key, ACCOUNT)
    keys.register(table, smoke.key, ACCOUNT)
    try:
        keys.tell(reached, "key.created", **of)
        for trial in smoke:
            name = trial.__name__.replace("_", " ")
            started = time.monotonic()
            try:
                trial()
            except Failure as failure:
                failed += 1
                print(f"FAILED  {name}: {failure}", flush=True)
            else:
                print(f"ok      {name} ({time.monotonic() - started:.1f} s)", flush=True)
    finally:
        smoke.http.close()
        keys.revoke(table, smoke.key)
        keys.tell(reached, "key.revoked", **of)
    return failed


def main() -> None:
    parser = argparse.ArgumentParser(prog="smoke", description=__doc__)
    parser.add_argument("--stack", help="a deployed stack's name; the local stack if left out")
    arguments = parser.parse_args()
    session, endpoint, stack = keys.reach(arguments.stack)
    local = json.loads(keys.STACK_FILE.read_text()) if arguments.stack is None else {}
    smoke = Smoke(session, endpoint, stack, local.get("apiUrl"))
    if endpoint is None:
        for warning in warnings(session):
            print(f"warning {warning}")
        if not smoke.protected:
            print(f"warning the stack can be deleted by mistake: `make protect STACK={stack}`")
    failed = run(smoke, keys.links_table(arguments.stack))
    print(f"{failed} of these failed" if failed else f"All of it works on {stack}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
