"""Stand-in for AWS that answers each call at once with a fixed body and counts the calls by operation.

Started by `bench.run`: prints its port, and ends when standard input does. `PUT /answers` tells it what to
answer, `{operation: answer}`; the operation may be followed by the kind of item that is asked for, which is
the beginning of its key. `GET /counts` answers how often each was called since.
"""

import collections
import json
import re
import socketserver
import sys
import threading

OPERATION = re.compile(rb"\r\nx-amz-target: *\w+\.(\w+)", re.IGNORECASE)
KEY = re.compile(rb'"pk": ?\{"S": ?"([a-z]+)')
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)

answers: dict[str, bytes] = {}
counts: collections.Counter[str] = collections.Counter()


def response(status: str, body: object) -> bytes:
    data = json.dumps(body).encode()
    head = [f"HTTP/1.1 {status}", "Content-Type: application/x-amz-json-1.0", f"Content-Length: {len(data)}"]
    return "\r\n".join([*head, "", ""]).encode() + data


def answer(head: bytes, body: bytes) -> bytes:
    if head.startswith(b"PUT /answers"):
        answers.clear()
        counts.clear()
        answers.update((name, response("200 OK", content)) for name, content in json.loads(body).items())
        return response("200 OK", {})
    if head.startswith(b"GET /counts"):
        return response("200 OK", dict(counts))
    named = OPERATION.search(head)
    operation = named[1].decode() if named else head.partition(b"\r\n")[0].decode("latin-1")
    counts[operation] += 1
    key = KEY.search(body)
    kind = f"{operation} {key[1].decode()}" if key else operation
    # A 400 is not retried by the SDK, so an operation nobody foresaw fails the run at once.
    unknown = {"__type": "UnknownOperationException"}
    return answers.get(kind) or answers.get(operation) or response("400 Bad Request", unknown)


class Connection(socketserver.BaseRequestHandler):
    """One kept-alive connection; a thread that blocks in recv answers sooner than an event loop does."""

    def handle(self) -> None:
        data = b""
        while chunk := self.request.recv(65536):
            data += chunk
            head, end, body = data.partition(b"\r\n\r\n")
            length = LENGTH.search(head)
            if end and len(body) >= (int(length[1]) if length else 0):
                self.request.sendall(answer(head, body))
                data = b""


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


def main() -> None:
    server = Server(("127.0.0.1", 0), Connection)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
