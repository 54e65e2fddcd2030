"""The sender, by injected resolvers and diallers, and against receivers on real sockets of this machine."""

import datetime
import ipaddress
import json
import socket
import ssl
import struct
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any, get_args

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from latchkey.adapters import webhook_sender
from latchkey.domain import retry_schedule
from latchkey.domain.retry_schedule import Outcome

PORTS = frozenset({443, 8443})
NAME = "hooks.example.com"
ADDRESS = "93.184.215.14"
BODY = b'{"type":"link.complete"}'
LARGE = b"x" * 20_000_000  # more than the sockets' buffers hold
HEADERS = {"webhook-id": "msg_1", "webhook-timestamp": "1", "webhook-signature": "v1,YQ=="}

VECTORS = json.loads((Path(__file__).parents[1] / "vectors/ssrf_core.json").read_text())["vectors"]

type Script = Callable[[socket.socket], object]


class Network:
    """A resolver and a dialler that note what they are asked; connections end at `port` or are refused."""

    def __init__(self, dns: dict[str, list[list[str]]], port: int | None = None) -> None:
        self.dns, self.port = dns, port
        self.looked_up: list[str] = []
        self.dialled: list[tuple[str, int]] = []
        self.seconds: list[float] = []

    def resolve(self, name: str) -> list[str]:
        self.looked_up.append(name)
        answers = self.dns.get(name)
        if answers is None:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return answers[min(len(self.looked_up), len(answers)) - 1]

    def dial(self, address: tuple[str, int], seconds: float) -> socket.socket:
        self.dialled.append(address)
        self.seconds.append(seconds)
        if self.port is None:
            raise ConnectionRefusedError
        return socket.create_connection(("127.0.0.1", self.port), seconds)

    def send(self, url: str = f"https://{NAME}/wh", body: bytes = BODY, **options: Any) -> Outcome:
        rules: dict[str, Any] = {"ports": PORTS, "allow_loopback": False}
        rules |= {"resolve": self.resolve, "dial": self.dial}
        return webhook_sender.send(url, HEADERS, body, **(rules | options))


@contextmanager
def receiver(script: Script, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """The port of a receiver that does to each connection what the script says."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)

    def serve(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            if tls is None:
                script(connection)
                return
            with tls.wrap_socket(connection, server_side=True) as secured:
                script(secured)

    def accept() -> None:
        with suppress(OSError):
            while True:
                Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    accepting = Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        accepting.join()
        listener.close()


def read_request(connection: socket.socket) -> bytes:
    request = b""
    while not request.endswith(BODY):
        data = connection.recv(65536)
        if not data:
            break
        request += data
    return request


def answering(*parts: bytes, then: Script = lambda _: None) -> Script:
    """Read the request, send the parts, do the rest."""

    def script(connection: socket.socket) -> None:
        read_request(connection)
        for part in parts:
            connection.sendall(part)
        then(connection)

    return script


def forever(data: bytes, pause: float = 0) -> Script:
    def script(connection: socket.socket) -> None:
        while True:
            connection.sendall(data)
            Event().wait(pause)

    return script


def drip(data: bytes, pause: float) -> Script:
    def script(connection: socket.socket) -> None:
        for byte in data:
            connection.sendall(bytes([byte]))
            Event().wait(pause)

    return script


def say_nothing(connection: socket.socket) -> None:
    """Until the other side has gone."""
    while connection.recv(65536):
        pass


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


OK = b"HTTP/1.1 200 OK\r\n"
GOOD = answering(b"HTTP/1.1 204 No Content\r\n\r\n", then=say_nothing)


def send_to(port: int, body: bytes = BODY, seconds: float = 10) -> Outcome:
    """Over plain HTTP, as on the local stack."""
    url = f"http://127.0.0.1:{port}/wh"
    return webhook_sender.send(url, HEADERS, body, ports=PORTS, allow_loopback=True, seconds=seconds)


def ended(outcome: Outcome) -> tuple[int | None, str | None]:
    return outcome.status_code, outcome.error


# --- where it may go -----------------------------------------------------------------------------


@pytest.fixture(params=["without a proxy", "with proxies"])
def _proxies(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        for spelling in (name, name.upper()):
            monkeypatch.delenv(spelling, raising=False)
            if request.param == "with proxies":
                monkeypatch.setenv(spelling, "http://127.0.0.1:9")


@pytest.mark.usefixtures("_proxies")
@pytest.mark.parametrize("vector", [pytest.param(vector, id=vector["id"]) for vector in VECTORS])
def test_vector_holds_at_delivery(vector: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def no_traffic(*_: object) -> None:
        pytest.fail("a connection past the dialler")

    monkeypatch.setattr(socket.socket, "connect", no_traffic)
    network = Network(vector.get("dns", {}))
    outcome = network.send(vector["url"])
    assert len(network.looked_up) <= 1
    if vector["deliver"] == "refuse":
        assert network.dialled == []
        assert outcome.error == ("invalid_url" if vector["create"] == "refuse" else "blocked_address")
        return
    assert outcome.error == "connect"
    if network.looked_up:
        listed = sorted(network.dns[network.looked_up[0]][0], key=lambda a: ":" in a.removeprefix("::ffff:"))
        assert network.dialled == [(address.removeprefix("::ffff:"), 443) for address in listed]
    else:
        host = vector["url"].removeprefix("https://").partition("/")[0].strip("[]")
        assert network.dialled == [(host, 443)]


@pytest.mark.parametrize(
    "answer",
    ["127.0.0.1", "::1", "fe80::1%eth0", "2606:4700::1%eth0", "8.8.8.8%1", "8.8.8.08", "8.8.8", ""],
)
def test_one_answer_that_is_not_a_public_address_refuses_all(answer: str) -> None:
    for answers in ([answer], [ADDRESS, answer], [answer, ADDRESS]):
        network = Network({NAME: [answers]})
        assert ended(network.send()) == (None, "blocked_address")
        assert network.dialled == []


def test_loopback_needs_no_look_up_and_is_refused_unless_allowed() -> None:
    with receiver(GOOD) as port:
        assert ended(send_to(port)) == (204, None)
        network = Network({}, port)
        assert ended(network.send(f"http://127.0.0.1:{port}/wh")) == (None, "invalid_url")
        assert (network.looked_up, network.dialled) == ([], [])


def test_a_name_without_an_address_is_a_failure_of_dns() -> None:
    assert ended(Network({}).send()) == (None, "dns")
    assert ended(Network({NAME: [[]]}).send()) == (None, "dns")


def test_each_address_is_tried_in_an_equal_share_of_five_seconds() -> None:
    addresses = [f"8.8.8.{last}" for last in (1, 2, 2, 3, 4, 5)]
    network = Network({NAME: [addresses]})
    assert ended(network.send()) == (None, "connect")
    assert network.dialled == [(f"8.8.8.{last}", 443) for last in (1, 2, 3, 4)]
    assert network.seconds == pytest.approx([5 / 4, 5 / 3, 5 / 2, 5], abs=0.2)


def test_an_address_that_does_not_answer_does_not_hide_one_that_does(tls: ssl.SSLContext) -> None:
    with receiver(GOOD, tls) as port:
        network = Network({NAME: [["8.8.8.8", ADDRESS]]}, port)
        failures = iter([TimeoutError, None])

        def dial(address: tuple[str, int], seconds: float) -> socket.socket:
            if failure := next(failures):
                raise failure
            return network.dial(address, seconds)

        assert ended(network.send(dial=dial)) == (204, None)
        assert network.dialled == [(ADDRESS, 443)]


SIXES = [f"2606:4700:4700::{n}" for n in range(1111, 1117)]
FOURS = [f"93.184.216.{n}" for n in range(34, 40)]


@pytest.mark.parametrize(
    ("found", "dialled"),
    [
        (SIXES + FOURS, [FOURS[0], SIXES[0], FOURS[1], SIXES[1]]),
        (FOURS + SIXES[:1], [FOURS[0], SIXES[0], FOURS[1], FOURS[2]]),
        (SIXES[:1] + FOURS, [FOURS[0], SIXES[0], FOURS[1], FOURS[2]]),
        (FOURS, FOURS[:4]),
        (SIXES, SIXES[:4]),
    ],
)
def test_ipv4_comes_first_and_no_family_hides_the_other(found: list[str], dialled: list[str]) -> None:
    tried = []

    def dial(address: tuple[str, int], _seconds: float) -> socket.socket:
        tried.append(address[0])
        raise OSError

    Network({NAME: [found]}).send(dial=dial)
    assert tried == dialled


def test_a_connection_that_takes_too_long_is_a_timeout() -> None:
    def dial(_address: tuple[str, int], _seconds: float) -> socket.socket:
        raise TimeoutError

    assert ended(Network({NAME: [[ADDRESS]]}).send(dial=dial)) == (None, "timeout")


# --- what it says --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "host", "sni"),
    [
        (f"https://{NAME}/wh?a=1#b", NAME, NAME),
        ("https://Hooks.EXAMPLE.com./wh?a=1", NAME, NAME),
        (f"https://{NAME}:8443/wh?a=1", f"{NAME}:8443", NAME),
        ("https://bücher.example/wh?a=1", "xn--bcher-kva.example", "xn--bcher-kva.example"),
        (f"https://{ADDRESS}/wh?a=1", ADDRESS, None),
        ("https://[2606:4700:4700::1111]:8443/wh?a=1", "[2606:4700:4700::1111]:8443", None),
    ],
)
@pytest.mark.usefixtures("_proxies")
def test_the_request_names_the_host_and_says_no_more_than_it_must(
    url: str, host: str, sni: str | None, tls: ssl.SSLContext
) -> None:
    requests, names = [], []
    tls.sni_callback = lambda _connection, name, _context: names.append(name)

    def script(connection: socket.socket) -> None:
        requests.append(read_request(connection))
        connection.sendall(OK + b"Content-Length: 2\r\n\r\nok")
        say_nothing(connection)

    with receiver(script, tls) as port:
        network = Network({name: [[ADDRESS]] for name in (NAME, "xn--bcher-kva.example")}, port)
        assert ended(network.send(url)) == (200, None)
    assert names == [sni]
    assert requests == [
        b"POST /wh?a=1 HTTP/1.1\r\n"
        b"Host: " + host.encode() + b"\r\n"
        b"User-Agent: Latchkey-Webhooks/1\r\n"
        b"Content-Type: application/json\r\n"
        b"Content-Length: 24\r\n"
        b"Accept-Encoding: identity\r\n"
        b"Connection: close\r\n"
        b"webhook-id: msg_1\r\n"
        b"webhook-timestamp: 1\r\n"
        b"webhook-signature: v1,YQ==\r\n"
        b"\r\n" + BODY
    ]


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_large_event_arrives_whole(encrypted: bool, tls: ssl.SSLContext) -> None:
    body = bytes(range(256)) * 4096  # 1 MiB, more than the sockets' buffers hold
    received = []

    def script(connection: socket.socket) -> None:
        request = b""
        while len(request.partition(b"\r\n\r\n")[2]) < len(body):
            request += connection.recv(65536)
        received.append(request.partition(b"\r\n\r\n")[2])
        connection.sendall(OK + b"\r\n")

    with receiver(script, tls if encrypted else None) as port:
        network = Network({NAME: [[ADDRESS]]}, port)
        outcome = network.send(body=body) if encrypted else send_to(port, body)
    assert ended(outcome) == (200, None)
    assert received == [body]


# --- what it makes of an answer ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (OK + b"\r\n", (200, None)),
        (b"HTTP/1.0 299\n\n", (299, None)),
        (OK, (200, None)),
        (OK + b"Content-Length: 5\r\n\r\nab", (200, None)),
        (OK + b"Content-Length: 1\r\n\r\nabcdef", (200, None)),
        (OK + b"Content-Length: -1\r\n\r\n", (200, None)),
        (OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", (200, None)),
        (OK + b"X: " + b"x" * 200_000 + b"\r\n\r\n", (200, None)),
        (OK + b"X: y\r\n" * 40_000 + b"\r\n", (200, None)),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + OK, (200, None)),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + OK, (101, None)),
        (b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\n\r\n", (302, None)),
        (b"HTTP/1.1 308 Permanent Redirect\r\nLocation: /other\r\n\r\n", (308, None)),
        (b"HTTP/1.1 410 Gone\r\n\r\n", (410, None)),
        (b"HTTP/1.1 999 \xff\r\n\r\n", (999, None)),
        (b"HTTP/1.1 200 OK", (None, "disconnected")),
        (b"", (None, "disconnected")),
        (b"HTTP/1.1 100 Continue\r\n\r\n", (None, "disconnected")),
        (b"<html>200 OK</html>\r\n", (None, "protocol")),
        (b"HTTP/1.1 2000 OK\r\n\r\n", (None, "protocol")),
        (b"HTTP/1.1 099 OK\r\n\r\n", (None, "protocol")),
        (b"HTTP/1.1  200 OK\r\n\r\n", (None, "protocol")),
        (b"HTTP/2 200\r\n\r\n", (None, "protocol")),
        (b"\r\n" + OK + b"\r\n", (None, "protocol")),
        (b"\x16\x03\x01\x00\xc8\n", (None, "protocol")),
        (b"HTTP/1.1 200 " + b"x" * 200_000 + b"\r\n\r\n", (None, "too_large")),
        (b"HTTP/1.1 100 \r\n" + b"X: " + b"x" * 200_000, (None, "too_large")),
        (b"HTTP/1.1 100 \r\nX: " + b"x" * 32_729 + b"\r\n\r\n" + OK, (200, None)),
        (b"HTTP/1.1 100 \r\nX: " + b"x" * 32_730 + b"\r\n\r\n" + OK, (None, "too_large")),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000 + OK, (None, "too_large")),
    ],
    ids=lambda value: None if isinstance(value, tuple) else value[:30],
)
def test_the_status_line_decides(answer: bytes, expected: tuple[int | None, str | None]) -> None:
    with receiver(answering(answer)) as port:
        outcome = send_to(port)
    assert ended(outcome) == expected
    assert outcome.error in (None, *get_args(retry_schedule.DeliveryError.__value__))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (b"Retry-After: 120\r\n\r\n", "120"),
        (b"a: b\r\nretry-AFTER:  Thu, 01 Jan 2026 00:07:00 GMT \r\n\r\n", "Thu, 01 Jan 2026 00:07:00 GMT"),
        (b"Retry-After: " + b"9" * 5000 + b"\r\n\r\n", "9" * 64),
        (b"Retry-After: \xff\r\n\r\n", "ÿ"),
        (b"Retry-After: 120\r\n", "120"),
        (b"X-Retry-After: 120\r\n\r\n", None),
        (b"\r\nRetry-After: 120\r\n", None),
        (b"X: " + b"x" * 40_000 + b"\r\nRetry-After: 120\r\n\r\n", None),
    ],
)
def test_retry_after_is_passed_on(headers: bytes, expected: str | None) -> None:
    with receiver(answering(b"HTTP/1.1 503 Busy\r\n", headers)) as port:
        outcome = send_to(port)
    assert (ended(outcome), outcome.retry_after) == ((503, None), expected)


def test_at_most_64_kib_of_a_body_are_read() -> None:
    read = 0

    class Counting(socket.socket):
        def recv(self, size: int, flags: int = 0) -> bytes:
            nonlocal read
            data = super().recv(size, flags)
            read += len(data)
            return data

    def dial(address: tuple[str, int], _: float) -> socket.socket:
        connection = Counting()
        connection.connect(address)
        return connection

    head = OK + b"\r\n"
    with receiver(answering(head, then=forever(b"x" * 65536))) as port:
        url = f"http://127.0.0.1:{port}/"
        outcome = webhook_sender.send(url, {}, BODY, ports=PORTS, allow_loopback=True, dial=dial)
    assert ended(outcome) == (200, None)
    assert read == len(head) + 65536


@pytest.mark.parametrize("headers", [b"HTTP/1.1 204 No Content\r\n\r\n", OK + b"content-length:2\r\n\r\nok"])
def test_an_answer_that_is_complete_is_not_waited_upon(headers: bytes) -> None:
    with receiver(answering(headers, then=say_nothing)) as port:
        assert send_to(port).duration_ms < 1000


def test_an_answer_that_comes_before_all_is_read_counts() -> None:
    def script(connection: socket.socket) -> None:
        connection.recv(10)
        connection.sendall(b"HTTP/1.1 413 Content Too Large\r\n\r\n")  # and hang up, by a reset

    with receiver(script) as port:
        assert ended(send_to(port, LARGE)) == (413, None)


def test_after_a_status_line_the_rest_is_waited_for_but_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_sender, "_COURTESY_SECONDS", 0.1)
    with receiver(answering(OK, then=say_nothing)) as port:
        outcome = send_to(port)
    assert ended(outcome) == (200, None)
    assert outcome.duration_ms < 1000


# --- TLS -----------------------------------------------------------------------------------------


class Authority:
    """A certificate authority of the test's own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Test authority")])
        builder = self._builder(self.key.public_key(), days=1).subject_name(self.name)
        usage = dict.fromkeys(
            [
                *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
                *("key_agreement", "crl_sign", "encipher_only", "decipher_only"),
            ],
            False,
        )
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(x509.KeyUsage(key_cert_sign=True, **usage), critical=True)
        self.file = directory / "authority.pem"
        self.file.write_bytes(self._signed(builder))

    def server(self, *names: str, days: int = 1) -> ssl.SSLContext:
        """A server that can prove to be any of the names, for so many days from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(key.public_key(), days).subject_name(x509.Name([]))
        alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
        builder = builder.add_extension(alternatives, critical=True)
        chain = self.directory / "server.pem"
        chain.write_bytes(
            self._signed(builder)
            + key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        return context

    def _signed(self, builder: x509.CertificateBuilder) -> bytes:
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def _builder(self, key: ec.EllipticCurvePublicKey, days: int) -> x509.CertificateBuilder:
        now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
        authority = self.key.public_key()
        return (
            x509.CertificateBuilder()
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 30 * day)
            .not_valid_after(now + days * day)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority), critical=False)
        )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    """An authority that the sender trusts, by OpenSSL's own variable."""
    made = Authority(tmp_path_factory.mktemp("authority"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(made.file))
        webhook_sender._tls_context.cache_clear()
        yield made
    webhook_sender._tls_context.cache_clear()


@pytest.fixture
def tls(authority: Authority) -> ssl.SSLContext:
    return authority.server(NAME, "xn--bcher-kva.example", ADDRESS, "2606:4700:4700::1111")


def old_protocol(authority: Authority) -> ssl.SSLContext:
    context = authority.server(NAME)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


@pytest.mark.parametrize(
    "server",
    [
        lambda authority: authority.server("other.example.com", ADDRESS),
        lambda authority: authority.server("*.com"),
        lambda authority: authority.server(NAME, days=-1),
        lambda authority: Authority(authority.directory.parent).server(NAME),
        old_protocol,
        lambda _: None,
    ],
    ids=["another name", "too wide a name", "expired", "unknown authority", "TLS 1.1", "no TLS"],
)
def test_nothing_is_said_to_who_cannot_prove_the_name(
    server: Callable[[Authority], ssl.SSLContext | None], authority: Authority
) -> None:
    heard = []

    def script(connection: socket.socket) -> None:
        heard.append(connection.recv(65536))
        connection.sendall(OK + b"\r\n")

    context = server(authority)
    with receiver(script, context) as port:
        network = Network({NAME: [[ADDRESS]]}, port)
        assert ended(network.send()) == (None, "tls")
    assert not any(BODY in data for data in heard)
    assert context is None or heard in ([], [b""])


@pytest.mark.parametrize("end", [socket.socket.close, reset], ids=["FIN", "RST"])
@pytest.mark.parametrize("first", [b"", b"\x16\x03\x03\x00\x7a\x02\x00"], ids=["at once", "in its hello"])
def test_who_hangs_up_in_the_handshake_fails_it(end: Callable[[socket.socket], None], first: bytes) -> None:
    def script(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(first)
        end(connection)

    with receiver(script) as port:
        assert ended(Network({NAME: [[ADDRESS]]}, port).send()) == (None, "tls")


@pytest.mark.parametrize("end", [socket.socket.close, reset], ids=["FIN", "RST"])
def test_who_hangs_up_after_the_handshake_is_disconnected(
    end: Callable[[socket.socket], None], tls: ssl.SSLContext
) -> None:
    def script(connection: socket.socket) -> None:
        connection.recv(65536)
        end(connection)

    with receiver(script, tls) as port:
        assert ended(Network({NAME: [[ADDRESS]]}, port).send()) == (None, "disconnected")


# --- hostile receivers ---------------------------------------------------------------------------

INFORMATIONAL = b"HTTP/1.1 103 Early Hints\r\n\r\n"
# What it does, whether it speaks TLS, and how the attempt ends.
HOSTILE: dict[str, tuple[Script, bool, tuple[int | None, str | None]]] = {
    "endless body": (answering(OK + b"\r\n", then=forever(b"x" * 65536)), True, (200, None)),
    "endless slow body": (answering(OK + b"\r\n", then=forever(b"x", 0.05)), True, (200, None)),
    "endless header": (answering(OK, then=forever(b"x" * 65536)), True, (200, None)),
    "endless status line": (answering(b"HTTP/1.1 ", then=forever(b"2" * 65536)), True, (None, "too_large")),
    "200 KB of headers": (answering(OK, b"X: y\r\n" * 40_000, b"\r\n"), True, (200, None)),
    "one byte at a time": (answering(then=drip(OK * 99, 0.01)), False, (200, None)),
    "slow status line": (answering(then=drip(b"HTTP/1.1 200 " + b"x" * 99, 0.05)), True, (None, "timeout")),
    "endless informational answers": (answering(then=forever(INFORMATIONAL)), True, (None, "too_large")),
    "slow informational answers": (answering(then=forever(INFORMATIONAL, 0.05)), True, (None, "timeout")),
    "reset before the answer": (answering(then=reset), False, (None, "disconnected")),
    "reset in mid-answer": (answering(OK + b"Content-Le", then=reset), False, (200, None)),
    "reset in mid-status": (answering(b"HTTP/1.1 2", then=reset), False, (None, "disconnected")),
    "hanging up under TLS": (answering(b"HTTP/1.1 2"), True, (None, "disconnected")),
    "reset under TLS": (answering(b"HTTP/1.1 2", then=reset), True, (None, "disconnected")),
    "redirect to a metadata address": (
        answering(b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://169.254.169.254/\r\n\r\n"),
        True,
        (307, None),
    ),
    "silence": (say_nothing, True, (None, "timeout")),
    "silence for a handshake": (say_nothing, False, (None, "timeout")),
    "slow handshake": (drip(b"\x16\x03\x03\x40\x00" + b"\x02" * 99, 0.05), False, (None, "timeout")),
    "bad TLS": (forever(b"\xff" * 65536), False, (None, "tls")),
}
WITHOUT_A_HANDSHAKE = {"silence for a handshake", "slow handshake", "bad TLS"}


def test_hostile_receivers_are_done_with_in_time_and_memory_and_hold_up_nobody(tls: ssl.SSLContext) -> None:
    seconds = 1.0

    def attempt(name: str) -> tuple[Outcome, float]:
        script, encrypted, _ = HOSTILE[name]
        with receiver(script, tls if encrypted else None) as port:
            started = time.monotonic()
            if encrypted or name in WITHOUT_A_HANDSHAKE:
                outcome = Network({NAME: [[ADDRESS]]}, port).send(seconds=seconds)
            else:
                outcome = send_to(port, seconds=seconds)
            return outcome, time.monotonic() - started

    tracemalloc.start()
    try:
        with ThreadPoolExecutor(len(HOSTILE) + 1) as threads, receiver(GOOD, tls) as port:
            hostile = {name: threads.submit(attempt, name) for name in HOSTILE}
            good = threads.submit(Network({NAME: [[ADDRESS]]}, port).send, seconds=seconds)
            results = {name: future.result() for name, future in hostile.items()}
            assert ended(good.result()) == (204, None)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert {name: ended(outcome) for name, (outcome, _) in results.items()} == {
        name: expected for name, (_, _, expected) in HOSTILE.items()
    }
    assert max(took for _, took in results.values()) < seconds + 1
    assert peak < 16_000_000


def test_a_receiver_that_does_not_read_is_a_timeout() -> None:
    with receiver(lambda _: Event().wait(3)) as port:
        outcome = send_to(port, LARGE, seconds=0.3)
    assert ended(outcome) == (None, "timeout")
    assert outcome.duration_ms < 1300


def test_a_look_up_without_an_end_costs_no_more_than_the_attempt() -> None:
    asked = Event()

    def resolve(_: str) -> list[str]:
        asked.wait(30)
        return [ADDRESS]

    network = Network({})
    started = time.monotonic()
    assert ended(network.send(resolve=resolve, seconds=0.2)) == (None, "dns")
    asked.set()
    assert time.monotonic() - started < 1.2
    assert network.dialled == []
