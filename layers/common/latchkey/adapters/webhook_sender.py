"""One attempt to deliver a webhook: an HTTP/1.1 POST to the public internet and to nothing else.

Neither the URL nor its DNS nor the answer is trusted. The URL is read once and its name is looked up once;
every address found is judged, and a judged address is what is dialled. Redirects are not followed, and
proxies of the environment are not asked.
"""

import functools
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from itertools import zip_longest
from queue import Empty, SimpleQueue
from threading import Thread

from latchkey.domain.retry_schedule import DeliveryError, Outcome
from latchkey.domain.urls import InvalidUrl, WebhookUrl, parse_webhook_url, public_address

ATTEMPT_SECONDS = 15.0
_LOOK_UP_SECONDS = 5.0
_CONNECT_SECONDS = 5.0  # for all addresses together
_DIALLED_ADDRESSES = 4
_COURTESY_SECONDS = 2.0  # for what follows the status line
_HEAD_BYTES = 32 * 1024
_BODY_BYTES = 64 * 1024
_CHUNK_BYTES = 16 * 1024

# Beside those of the message itself.
HEADERS = {"User-Agent": "Latchkey-Webhooks/1", "Content-Type": "application/json"}

type Resolve = Callable[[str], Iterable[str]]  # a name's addresses; OSError for none
type Dial = Callable[[tuple[str, int], float], socket.socket]  # address and port, seconds


class _AttemptError(Exception):
    def __init__(self, code: DeliveryError) -> None:
        self.code: DeliveryError = code


def _ask_system(name: str) -> Iterable[str]:
    return [str(found[4][0]) for found in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)]


def send(
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    ports: frozenset[int],
    allow_loopback: bool,
    resolve: Resolve = _ask_system,
    dial: Dial = socket.create_connection,
    seconds: float = ATTEMPT_SECONDS,
) -> Outcome:
    """POST the JSON `body`; returns within `seconds`, whatever the URL, its DNS and the receiver do.

    The status line decides: an answer that breaks off after it has that status all the same.
    """
    started = time.monotonic()
    deadline = started + seconds
    status, retry_after = None, None
    error: DeliveryError | None = None
    try:
        target = parse_webhook_url(url, ports, allow_loopback)
        with _connect(_addresses(target, resolve, deadline), target.port, dial, deadline) as connection:
            wire = _Wire(connection, deadline)
            if target.scheme == "https":
                wire.start_tls(target.host)
            # A receiver may answer, and hang up, before it has read everything.
            with suppress(BrokenPipeError, ConnectionResetError):
                wire.send(_request(target, headers, body))
            status, retry_after = _read_answer(wire)
    except InvalidUrl:
        error = "invalid_url"
    except _AttemptError as failure:
        error = failure.code
    except TimeoutError:
        error = "timeout"
    except ssl.SSLError:
        error = "tls"
    except OSError:
        error = "disconnected"
    duration_ms = round((time.monotonic() - started) * 1000)
    return Outcome(duration_ms=duration_ms, status_code=status, error=error, retry_after=retry_after)


def _addresses(target: WebhookUrl, resolve: Resolve, deadline: float) -> list[str]:
    """What may be dialled; one answer that is not public makes all of them suspect."""
    if target.scheme == "http":
        return [target.host]  # 127.0.0.1, where allowed: parse_webhook_url lets no other host through
    if literal := public_address(target.host):
        return [literal]
    answers = _look_up(target.host, resolve, min(_LOOK_UP_SECONDS, _left(deadline)))
    if not answers:
        raise _AttemptError("dns")
    public = [address for answer in answers if (address := public_address(answer))]
    if len(public) < len(answers):
        raise _AttemptError("blocked_address")
    return _by_turns(dict.fromkeys(public))


def _by_turns(addresses: Iterable[str]) -> list[str]:
    """The addresses, their families by turns (RFC 8305, 4): those of one may all be out of reach.

    IPv4 first, because a function outside a VPC has no IPv6.
    """
    families: dict[bool, list[str]] = {False: [], True: []}
    for address in addresses:
        families[":" in address].append(address)
    turns = zip_longest(*families.values())
    return [address for turn in turns for address in turn if address is not None]


def _look_up(name: str, resolve: Resolve, seconds: float) -> list[str]:
    """A name's addresses; none if it has none or they do not come in time.

    A look-up cannot be broken off, so it has a thread of its own that ends when the resolver gives up.
    """
    answers: SimpleQueue[list[str]] = SimpleQueue()

    def ask() -> None:
        try:
            answers.put(list(resolve(name)))
        except OSError:
            answers.put([])

    Thread(target=ask, daemon=True).start()
    try:
        return answers.get(timeout=seconds)
    except Empty:
        return []


def _connect(addresses: list[str], port: int, dial: Dial, deadline: float) -> socket.socket:
    """A connection to the first address that takes one; each gets an equal share of the time left."""
    deadline = min(deadline, time.monotonic() + _CONNECT_SECONDS)
    candidates = addresses[:_DIALLED_ADDRESSES]
    timed_out = False
    for tried, address in enumerate(candidates):
        try:
            return dial((address, port), _left(deadline) / (len(candidates) - tried))
        except TimeoutError:
            timed_out = True
        except OSError:
            continue
    raise _AttemptError("timeout" if timed_out else "connect")


def _left(deadline: float) -> float:
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds


def _request(target: WebhookUrl, headers: Mapping[str, str], body: bytes) -> bytes:
    host = f"[{target.host}]" if ":" in target.host else target.host
    if target.port != {"https": 443, "http": 80}[target.scheme]:
        host += f":{target.port}"
    lines = [
        f"POST {target.target} HTTP/1.1",
        f"Host: {host}",
        *(f"{name}: {value}" for name, value in HEADERS.items()),
        f"Content-Length: {len(body)}",
        "Accept-Encoding: identity",
        "Connection: close",
        *(f"{name}: {value}" for name, value in headers.items()),
        "\r\n",
    ]
    return "\r\n".join(lines).encode("ascii") + body


_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: .*)?")


def _read_answer(wire: "_Wire") -> tuple[int, str | None]:
    """Status and Retry-After of the final answer.

    Nothing after its status line changes the verdict. It is read for Retry-After, and because a receiver may
    break off its own work when the other side hangs up.
    """
    while True:
        status_line = _STATUS_LINE.fullmatch(wire.line())
        if status_line is None:
            raise _AttemptError("protocol")
        status = int(status_line[1])
        if status >= 200 or status == 101:  # nobody asked to switch protocols
            break
        while wire.line():
            pass  # headers of an informational answer
    retry_after = None
    body_bytes = 0 if status == 204 else _BODY_BYTES
    wire.deadline = min(wire.deadline, time.monotonic() + _COURTESY_SECONDS)
    with suppress(OSError, _AttemptError):
        while header := wire.line():
            name, _, content = header.partition(b":")
            value = content.strip()[:64].decode("latin-1")
            if name.lower() == b"retry-after":
                retry_after = value
            elif name.lower() == b"content-length" and value.isdecimal():
                body_bytes = min(body_bytes, int(value))
        wire.skip(body_bytes)
    return status, retry_after


class _Wire:
    """A connection, plain or with TLS, with one deadline for all that it does.

    TLS works on memory: on a socket, OpenSSL reads on past every timeout as long as a receiver feeds it
    records without content.
    """

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self.deadline = deadline
        self._socket = connection
        self._tls: ssl.SSLObject | None = None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._buffer = bytearray()
        self._head_left = _HEAD_BYTES

    def start_tls(self, host: str) -> None:
        """Shake hands with the certificate's verified owner, who must be `host`."""
        self._tls = _tls_context().wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        try:
            self._with_records(self._tls.do_handshake)
        except TimeoutError:
            raise
        except OSError:  # refused with an alert, or hung up on by FIN or by RST
            raise _AttemptError("tls") from None

    def send(self, data: bytes) -> None:
        """Send all of it."""
        if self._tls is None:
            self._send(data)
            return
        rest = memoryview(data)
        while rest:
            rest = rest[self._with_records(functools.partial(self._tls.write, rest)) :]

    def line(self) -> bytes:
        """The next line, without its end; the lines together have a limit."""
        while (end := self._buffer.find(b"\n")) < 0 and len(self._buffer) < self._head_left:
            data = self._receive(min(_CHUNK_BYTES, self._head_left - len(self._buffer)))
            if not data:
                raise _AttemptError("disconnected")
            self._buffer += data
        if end < 0:
            raise _AttemptError("too_large")
        self._head_left -= end + 1
        line = bytes(self._buffer[:end]).removesuffix(b"\r")
        del self._buffer[: end + 1]
        return line

    def skip(self, size: int) -> None:
        """Read that many bytes, or to the end, and drop them."""
        size -= len(self._buffer)
        while size > 0 and (data := self._receive(min(size, _CHUNK_BYTES))):
            size -= len(data)

    def _receive(self, size: int) -> bytes:
        """Some bytes; none at the end."""
        if self._tls is None:
            return self._receive_raw(size)
        try:
            return self._with_records(functools.partial(self._tls.read, size))
        except ssl.SSLEOFError:
            return b""

    def _with_records[T](self, operation: Callable[[], T]) -> T:
        """Do an operation of TLS, and carry the records that it makes and needs."""
        while True:
            try:
                result = operation()
            except ssl.SSLWantReadError:
                self._flush()
                if data := self._receive_raw(_CHUNK_BYTES):
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
            else:
                self._flush()
                return result

    def _flush(self) -> None:
        if records := self._outgoing.read():
            self._send(records)

    def _receive_raw(self, size: int) -> bytes:
        self._socket.settimeout(_left(self.deadline))
        return self._socket.recv(size)

    def _send(self, data: bytes) -> None:
        self._socket.settimeout(_left(self.deadline))
        self._socket.sendall(data)  # the timeout is for all of it


@functools.cache
def _tls_context() -> ssl.SSLContext:
    context = ssl.create_default_context()  # verifies the certificate and the name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context
