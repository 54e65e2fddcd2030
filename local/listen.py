"""A receiver for developers, `make listen`: prints the local stack's webhooks, their signatures verified."""

import argparse
import json
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from standardwebhooks import Webhook, WebhookVerificationError

from local.stack import LISTENER_PORT, Failure, Stack

# What becomes of an event that nobody has taken.
AGAIN = {
    "pending": "it is tried again by itself",
    "exhausted": "POST /v1/links/{linkId}/redeliver sends it again",
}


class Receiver(ThreadingHTTPServer):
    """Answers every verified webhook with `status`, every other request with 400."""

    def __init__(self, port: int, status: int, stack: Callable[[], Mapping[str, str]]) -> None:
        self._stack = stack
        self._webhook = self._newest_secret()
        self.status = status
        self.attempts: Counter[str] = Counter()
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except OSError:
            raise Failure(f"Port {port} is in use: choose another with `make listen PORT=...`") from None

    def verify(self, headers: dict[str, str], body: bytes) -> Any:
        """The event; raises WebhookVerificationError, or ValueError for what is malformed.

        All live secrets sign, so the newest is enough; if it fails, there may be a newer one.
        """
        try:
            return self._webhook.verify(body, headers)
        except (WebhookVerificationError, ValueError):
            self._webhook = self._newest_secret()
            return self._webhook.verify(body, headers)

    def missed(self) -> list[Any]:
        """Of the newest hundred events, those that nobody has taken, the oldest first."""
        events = self._get("/v1/events?limit=100")["events"]
        return [event for event in reversed(events) if event["webhook"]["status"] in AGAIN]

    def _newest_secret(self) -> Webhook:
        return Webhook(self._get("/v1/webhook-secret")["secrets"][0]["secret"])

    def _get(self, path: str) -> Any:
        running = self._stack()
        connection = HTTPConnection(urlsplit(running["apiUrl"]).netloc, timeout=30)
        try:
            authorization = {"Authorization": f"Bearer {running['testApiKey']}"}
            connection.request("GET", path, headers=authorization)
            answer = connection.getresponse()
            content = answer.read()
        except OSError as error:
            raise Failure(f"{running['apiUrl']} does not answer: `make up` starts it") from error
        finally:
            connection.close()
        if answer.status != 200:
            raise Failure(f"GET {path} answers {answer.status}; `make logs` shows why")
        return json.loads(content)


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            event = self.server.verify(dict(self.headers.items()), body)
        except (WebhookVerificationError, ValueError, Failure) as error:
            self._answer(400, f"REFUSED, {error}")
            return
        message_id = self.headers["webhook-id"]
        self.server.attempts[message_id] += 1
        attempt = self.server.attempts[message_id]
        text = json.dumps(event, indent=2, ensure_ascii=False)
        self._answer(self.server.status, f"verified, {message_id}, attempt {attempt} seen here\n{text}")

    def _answer(self, status: int, text: str) -> None:
        print(f"{datetime.now():%H:%M:%S} {status} {text}", flush=True)  # noqa: DTZ005 # the developer's own clock
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """What there is to say is said already."""


def print_missed(events: list[Any]) -> None:
    """What nobody took while nobody listened."""
    for event in events:
        webhook, link_id = event["webhook"], event["data"]["linkId"]
        again = AGAIN[webhook["status"]].format(linkId=link_id)
        print(f"{event['timestamp']} MISSED {event['type']}, {link_id}, {event['id']}: {again}", flush=True)


def print_welcome(url: str, running: Mapping[str, str]) -> None:
    api, authorization = running["apiUrl"], f"-H 'Authorization: Bearer {running['testApiKey']}'"
    body = {
        "integrationId": "tmobile",
        "operations": [{"resource": "paymentMethod", "action": "read"}],
        "webhookUrl": url,
    }
    print(f"Listening at {url}. For a first event, make a link in another terminal and cancel it:\n")
    print(f"link=$(curl -s {api}/v1/links {authorization} \\")
    print("  -H 'Content-Type: application/json' \\")
    print(f"  -d {shlex.quote(json.dumps(body))} \\")
    print("  | grep -o 'link_[0-9A-Za-z]*' | head -n 1) &&")
    print(f'curl -i -X POST "{api}/v1/links/$link/cancel" {authorization}\n', flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="listen", description=__doc__)
    parser.add_argument("--port", type=int, default=LISTENER_PORT, help=f"to listen at ({LISTENER_PORT})")
    parser.add_argument("--status", type=int, default=204, help="to answer verified webhooks with (204)")
    arguments = parser.parse_args()
    stack = Stack()
    try:
        with Receiver(arguments.port, arguments.status, stack.read) as receiver:
            print_welcome(f"http://127.0.0.1:{arguments.port}/", stack.read())
            print_missed(receiver.missed())
            receiver.serve_forever()
    except Failure as failure:
        sys.exit(str(failure))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
