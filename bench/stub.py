"""Stand-in for AWS that answers each call at once with a fixed body and counts the calls by operation.

Started by `bench.run`: reads `{operation: answer}` from the first line of standard input, prints its port,
and ends when standard input does.
"""

import collections
import json
import re
import socketserver
import sys
import threading

OPERATION = re.compile(rb"\r\nx-amz-target: *\w+\.(\w+)", re.IGNORECASE)
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)

answers: dict[str, bytes] = {}
counts: collections.Counter[str] = collections.Counter()


def response(status: str, body: object) -> bytes:
    data = json.dumps(body).encode()
    head = [f"HTTP/1.1 {status}", "Content-Type: application/x-amz-json-1.0", f"Content-Length: {len(data)}"]
    return "\r\n".join([*head, "", ""]).encode() + data


def answer(head: bytes) -> bytes:
    if head.startswith(b"GET /counts"):
        seen = dict(counts)
        counts.clear()
        return response("200 OK", seen)
    named = OPERATION.search(head)
    operation = named[1].decode() if named else head.partition(b"\r\n")[0].decode("latin-1")
    counts[operation] += 1
    # A 400 is not retried by the SDK, so an operation nobody foresaw fails the run at once.
    return answers.get(operation) or response("400 Bad Request", {"__type": "UnknownOperationException"})


class Connection(socketserver.BaseRequestHandler):
    """One kept-alive connection; a thread that blocks in recv answers sooner than an event loop does."""

    def handle(self) -> None:
        data = b""
        while chunk := self.request.recv(65536):
            data += chunk
            head, end, body = data.partition(b"\r\n\r\n")
            length = LENGTH.search(head)
            if end and len(body) >= (int(length[1]) if length else 0):
                self.request.sendall(answer(head))
                data = b""


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


def main() -> None:
    answers.update(
        (name, response("200 OK", body)) for name, body in json.loads(sys.stdin.readline()).items()
    )
    server = Server(("127.0.0.1", 0), Connection)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
