import ipaddress
import json
import subprocess
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import idna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from urllib3.util import parse_url

from latchkey.domain.urls import (
    InvalidUrl,
    WebhookUrl,
    add_link_id,
    check_origin,
    check_return_url,
    is_public_address,
    parse_webhook_url,
    public_address,
)

NOT_A_URL = "must be a valid URL"
BAD_HOST = "must have a valid host name or address"
USER_INFO = "must not contain a user name or password"
NOT_HTTPS = "must start with https://"
NOT_LOOPBACK = "must start with https:// or http://127.0.0.1"
NOT_PUBLIC = "must have a public host name or address"
BAD_PORT = "must use port 443 or 8443"
BAD_SCHEME = "must start with https:// or your app's own scheme, such as myapp://"
MESSAGES = {NOT_A_URL, BAD_HOST, USER_INFO, NOT_HTTPS, NOT_LOOPBACK, NOT_PUBLIC, BAD_PORT, BAD_SCHEME}

LINK_ID = "link_abc123"


def webhook(url: str, *, allow_loopback: bool = False) -> WebhookUrl:
    return parse_webhook_url(url, frozenset({443, 8443}), allow_loopback)


def refusal(check: Callable[..., object], url: str, **options: bool) -> str | None:
    """The message if the URL is refused, None if it is accepted."""
    try:
        check(url, **options)
    except InvalidUrl as error:
        refused = error
    else:
        return None
    assert refused.__context__ is None, "a chained error would carry the URL into the logs"
    return str(refused)


def vectors(name: str) -> list[Any]:
    path = Path(__file__).parents[1] / "vectors" / name
    return [pytest.param(vector, id=vector["id"]) for vector in json.loads(path.read_text())["vectors"]]


# --- webhookUrl ----------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", vectors("ssrf_core.json"))
def test_webhook_vector_holds(vector: dict[str, Any]) -> None:
    assert (refusal(webhook, vector["url"]) is None) == (vector["create"] == "accept"), vector["why"]


@pytest.mark.parametrize(
    ("url", "host", "port", "target"),
    [
        ("https://hooks.example.com", "hooks.example.com", 443, "/"),
        ("https://hooks.example.com:8443/wh?a=1#part", "hooks.example.com", 8443, "/wh?a=1"),
        ("HTTPS://Hooks.Example.COM/Path", "hooks.example.com", 443, "/Path"),
        ("https://hooks.example.com?a=/b?c", "hooks.example.com", 443, "/?a=/b?c"),
        ("https://hooks.example.com/wh?", "hooks.example.com", 443, "/wh?"),
        ("https://hooks.example.com#@127.0.0.1/", "hooks.example.com", 443, "/"),
        ("https://hooks.example.com//a/../%2e%2E/b;c=d", "hooks.example.com", 443, "//a/../%2e%2E/b;c=d"),
        ("https://hooks.example.com/wh?items[]=1", "hooks.example.com", 443, "/wh?items[]=1"),
        ("https://hooks.example.com./wh", "hooks.example.com", 443, "/wh"),
        ("https://r3---a.example.com/", "r3---a.example.com", 443, "/"),
        ("https://8.8.8.8:443/", "8.8.8.8", 443, "/"),
        ("https://8.8.8.8./", "8.8.8.8", 443, "/"),
        ("https://[2606:4700:4700:0:0:0:0:1111]:8443/", "2606:4700:4700::1111", 8443, "/"),
        ("https://[2606:4700:4700::ABCD]", "2606:4700:4700::abcd", 443, "/"),
        ("https://[::ffff:8.8.8.8]/", "::ffff:8.8.8.8", 443, "/"),
        ("https://BÜCHER.example/", "xn--bcher-kva.example", 443, "/"),
        ("https://bu\u0308cher.example./", "xn--bcher-kva.example", 443, "/"),
        ("https://XN--Bcher-KVA.example/", "xn--bcher-kva.example", 443, "/"),
        ("https://straße.example/", "xn--strae-oqa.example", 443, "/"),
    ],
)
def test_webhook_is_read_into_parts(url: str, host: str, port: int, target: str) -> None:
    assert webhook(url) == WebhookUrl("https", host, port, target)


@pytest.mark.parametrize(
    "url",
    [
        "",
        ":",
        "not a url",
        "not-a-url",
        "hooks.example.com",
        "/wh",
        "//hooks.example.com/wh",
        "https",
        "https:",
        "https:/hooks.example.com",
        "https:hooks.example.com",
        "https://",
        "https:///wh",
        "https://?a=1",
        "https://#a",
        "https:\\\\hooks.example.com\\wh",
        " https://hooks.example.com",
        "https://hooks.example.com ",
        "https://hooks.example.com\n",
        "https ://hooks.example.com",
        "ⓗttps://hooks.example.com",
        "https://hooks .example.com/",
        "https://hooks\t.example.com/",
        "https://hooks.example.com\\.evil.example/",
        "https://hooks.example.com%2eevil.example/",
        "https://hooks.example.com%00/",
        "https://<hooks.example.com>/",
        "https://hooks.example.com/a b",
        "https://hooks.example.com/wé",
        "https://hooks.example.com/\x7f",
        "https://hooks.example.com/a|b",
        'https://hooks.example.com/?q="',
        "https://hooks.example.com/100%",
        "https://hooks.example.com/%zz",
        "https://hooks.example.com/%4?1",
        "https://hooks.example.com/#a#b",
        "https://hooks.example.com:/wh",
        "https://hooks.example.com:0/wh",
        "https://hooks.example.com:65536/wh",
        "https://hooks.example.com:+443/wh",
        "https://hooks.example.com:4 43/wh",
        "https://hooks.example.com:٤٤٣/wh",
        "https://hooks.example.com:" + "4" * 5000,
        "https://[2606:4700:4700::1111]443/",
        "https://[2606:4700:4700::1111].example.com/",
        "https://[fe80::1%eth0]/",
    ],
)
def test_what_is_no_url_is_told_so(url: str) -> None:
    assert refusal(webhook, url) == NOT_A_URL


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://hooks.example.com/wh", NOT_HTTPS),
        ("http://127.0.0.1/wh", NOT_HTTPS),
        ("javascript:alert(1)", NOT_HTTPS),
        ("localhost:8443/wh", NOT_HTTPS),
        ("https://user@hooks.example.com/", USER_INFO),
        ("https://:pw@hooks.example.com/", USER_INFO),
        ("https://@hooks.example.com/", USER_INFO),
        ("https://hooks.example.com:443@127.0.0.1/", USER_INFO),
        ("https://hooks.example.com:80/", BAD_PORT),
        ("https://hooks.example.com:44/", BAD_PORT),
        ("https://hooks.example.com:65535/", BAD_PORT),
    ],
)
def test_refusal_says_what_to_change(url: str, message: str) -> None:
    assert refusal(webhook, url) == message


def test_ports_are_the_callers() -> None:
    assert parse_webhook_url("https://hooks.example.com:9000", frozenset({9000}), False).port == 9000
    with pytest.raises(InvalidUrl, match=r"^must use port 9000$"):
        parse_webhook_url("https://hooks.example.com", frozenset({9000}), False)


@pytest.mark.parametrize(
    "host",
    [
        ".",
        "..",
        ".example.com",
        "hooks..example.com",
        "hooks.example.com..",
        "-hooks.example.com",
        "hooks-.example.com",
        "my_hooks.example.com",
        "*.example.com",
        "hooks,example.com",
        "hooks.example.com:443:443",
        f"{'a' * 64}.example.com",
        f"{'é' * 63}.example.com",
        "2606:4700:4700::1111",
        "[2606:4700:4700::1111",
        "[2606:4700:4700::1111x:443",
        "2606:4700:4700::1111]",
        "[]",
        "[8.8.8.8]",
        "[hooks.example.com]",
        "[[::1]]",
        "[2606:4700:4700::1111:]",
        "[2606:4700:4700:1111]",
        "[2606::4700::1111]",
        "[2606:4700:4700::11111]",
        "[::ffff:8.8.8]",
        "[::ffff:010.8.8.8]",
        "[v1.fe80]",
        "[::１]",
        "[\ud800::1]",
    ],
)
def test_host_must_be_well_formed(host: str) -> None:
    assert refusal(webhook, f"https://{host}/wh") == BAD_HOST
    assert refusal(check_return_url, f"https://{host}/done", allow_loopback=False) == BAD_HOST


@pytest.mark.parametrize(
    "host",
    [
        *(
            "0",
            "134744072",
            "8",
            "8.8",
            "8.8.8",
            "8.8.8.8.8",
            "8.8.8.256",
            "8.8.8.08",
            "08.8.8.8",
            "8.8.8.8..",
        ),
        *("0x08080808", "0x8.8.8.8", "8.8.8.0x8", "8.8.8.0X8", "8.8.8.0x", "010.8.8.8", "hooks.example.0x7f"),
        *("hooks.example.1", "1.2.3.com.4", "8.8.8.8\u3002", "８.8.8.8", "⑧.8.8.8", "8。8。8。8", "8.8.8.٨"),
    ],
)
def test_address_has_one_spelling(host: str) -> None:
    assert refusal(webhook, f"https://{host}/wh") == BAD_HOST


@pytest.mark.parametrize(
    "host",
    [
        "ⓔxample.com",
        "ｅxample.com",
        "exam\u00adple.com",
        "exam\u200bple.com",
        "exam\u200dple.com",
        "ﬁne.example.com",
        "hooks\u3000.example.com",
        "hooks．example.com",
        "hooks｡example.com",
        "hooks\uff20example.com",
        "hooks\u2100.example.com",
        "☃.example.com",
        "\u0301a.example.com",
        "aא.example.com",
        "é..example.com",
        "\ud800.example.com",
        "\x85.example.com",
    ],
)
def test_international_name_is_what_its_owner_writes(host: str) -> None:
    assert refusal(webhook, f"https://{host}/wh") == BAD_HOST
    assert refusal(check_return_url, f"https://{host}/done", allow_loopback=False) == BAD_HOST


def test_name_is_at_most_253_characters_of_labels_of_63() -> None:
    longest = ".".join(["a" * 63] * 3 + ["b" * 57, "com"])
    assert len(longest) == 253
    assert webhook(f"https://{longest}./").host == longest
    assert refusal(webhook, f"https://b{longest[1:].replace('b', 'bb', 1)}/") == BAD_HOST


@pytest.mark.parametrize(
    "host",
    [
        *(
            "localhost",
            "LOCALHOST.",
            "a.localhost",
            "a.localdomain",
            "localhost6.localdomain6",
            "printer.local",
        ),
        *("metadata.google.internal", "Metadata.Google.Internal.", "metadata.goog", "a.metadata.goog"),
        *(
            "ip-10-0-0-5.eu-west-1.compute.internal",
            "host.docker.internal",
            "svc.cluster.local",
            "router.lan",
        ),
        *("wiki.intranet", "wiki.private", "wiki.corp", "wiki.home", "wiki.mail", "router.home.arpa"),
        *("1.0.0.127.in-addr.arpa", "a.onion", "a.invalid", "a.test", "a.alt", "bücher.local"),
        *("intranet", "com", "example", "bücher"),
    ],
)
def test_name_must_be_public(host: str) -> None:
    assert refusal(webhook, f"https://{host}/wh") == NOT_PUBLIC
    assert refusal(check_return_url, f"https://{host}/done", allow_loopback=False) is None


@pytest.mark.parametrize(
    "host",
    [
        *(
            "localhost.example.com",
            "notlocalhost.com",
            "local.dev",
            "internal.example",
            "my.mylan",
            "corp.com",
        ),
        *(
            "127.0.0.1.example.com",
            "1.2.3.4com",
            "10.0xyz",
            "0x7f.example",
            "metadata.google.com",
            "mygoog.goog",
        ),
    ],
)
def test_name_that_only_looks_private_is_accepted(host: str) -> None:
    assert webhook(f"https://{host}/wh").host == host


@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("http://127.0.0.1", 80),
        ("http://127.0.0.1:1/wh", 1),
        ("HTTP://127.0.0.1:65535/wh", 65535),
    ],
)
def test_loopback_is_let_through_where_allowed(url: str, port: int) -> None:
    accepted = webhook(url, allow_loopback=True)
    assert (accepted.scheme, accepted.host, accepted.port) == ("http", "127.0.0.1", port)
    assert refusal(webhook, url) == NOT_HTTPS


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://localhost:8080/", NOT_LOOPBACK),
        ("http://127.0.0.2/", NOT_LOOPBACK),
        ("http://[::1]/", NOT_LOOPBACK),
        ("http://[::ffff:127.0.0.1]/", NOT_LOOPBACK),
        ("http://hooks.example.com/", NOT_LOOPBACK),
        ("http://127.0.0.1.example.com/", NOT_LOOPBACK),
        ("http://127.1/", BAD_HOST),
        ("http://user@127.0.0.1/", USER_INFO),
        ("http://127.0.0.1:0/", NOT_A_URL),
        ("http:127.0.0.1", NOT_A_URL),
        ("https://127.0.0.1/", NOT_PUBLIC),
        ("https://localhost/", NOT_PUBLIC),
        ("https://10.0.0.1/", NOT_PUBLIC),
        ("https://hooks.example.com:80/", BAD_PORT),
        ("ftp://127.0.0.1/", NOT_HTTPS),
    ],
)
def test_allowing_loopback_allows_nothing_else(url: str, message: str) -> None:
    assert refusal(webhook, url, allow_loopback=True) == message


# --- addresses -----------------------------------------------------------------------------------

# fmt: off
NOT_PUBLIC_V4 = [ipaddress.IPv4Network(network) for network in (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16",
    "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24",
    "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
)]
NOT_PUBLIC_V6 = [ipaddress.IPv6Network(network) for network in (
    "::/128", "::1/128", "::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001::/23",
    "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20", "4000::/2", "5f00::/16", "fc00::/7",
    "fe80::/10", "fec0::/10", "ff00::/8",
)]
# fmt: on
MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")


def expected_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return address in GLOBAL_UNICAST and not any(address in network for network in NOT_PUBLIC_V6)
        address = address.ipv4_mapped
    return not any(address in network for network in NOT_PUBLIC_V4)


def edges(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> Iterator[Any]:
    """The first and last addresses of the network and their neighbours outside it."""
    kind = type(network.network_address)
    first, last = int(network.network_address), int(network.broadcast_address)
    for number in (first - 1, first, last, last + 1):
        if 0 <= number < 1 << network.max_prefixlen:
            yield kind(number)


EDGES = [
    address
    for networks in (NOT_PUBLIC_V4, [*NOT_PUBLIC_V6, GLOBAL_UNICAST, MAPPED])
    for network in networks
    for address in edges(network)
]


def test_public_is_decided_exactly_at_the_edges_of_networks() -> None:
    assert [a for a in EDGES if is_public_address(a.packed) != expected_public(a)] == []
    mapped = [ipaddress.IPv6Address(MAPPED[0]) + int(a) for a in EDGES if a.version == 4]
    assert [a for a in mapped if is_public_address(a.packed) != expected_public(a)] == []
    assert {expected_public(a) for a in EDGES} == {True, False}


@settings(max_examples=100, deadline=None)
@given(
    st.ip_addresses()
    | st.ip_addresses(network=str(GLOBAL_UNICAST))
    | st.ip_addresses(network=str(MAPPED))
    | st.sampled_from(NOT_PUBLIC_V6).flatmap(lambda network: st.ip_addresses(network=str(network)))
    | st.sampled_from(NOT_PUBLIC_V4).flatmap(lambda network: st.ip_addresses(network=str(network)))
)
def test_public_agrees_with_the_table_and_never_exceeds_the_standard_library(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    public = is_public_address(address.packed)
    assert public == expected_public(address)
    assert not public or address.is_global


def test_public_agrees_with_the_table_on_a_million_random_addresses() -> None:
    def bounds(networks: Any) -> tuple[list[int], list[int]]:
        merged = sorted(ipaddress.collapse_addresses(networks))
        return [int(n.network_address) for n in merged], [int(n.broadcast_address) for n in merged]

    def within(number: int, firsts: list[int], lasts: list[int]) -> bool:
        place = bisect_right(firsts, number)
        return place > 0 and number <= lasts[place - 1]

    v4, v6 = bounds(NOT_PUBLIC_V4), bounds(NOT_PUBLIC_V6)
    random = Random(4)  # noqa: S311 # the same addresses in every run
    wrong, public = [], 0
    for turn in range(500_000):
        number = random.getrandbits(32)
        expected = not within(number, *v4)
        public += expected
        if is_public_address(number.to_bytes(4)) is not expected:
            wrong.append(number)
        # Half of them in global unicast, a quarter in its first /13, where most exceptions are.
        number = random.getrandbits((128, 125, 115, 128)[turn % 4]) | ((0, 1 << 125, 1 << 125, 0)[turn % 4])
        expected = number >> 125 == 1 and not within(number, *v6)
        public += expected
        if is_public_address(number.to_bytes(16)) is not expected:
            wrong.append(number)
    assert wrong == []
    assert 300_000 < public < 800_000


@pytest.mark.parametrize("packed", [b"", b"\x08" * 3, b"\x08" * 5, b"\x20" * 15, b"\x00" + b"\x20" * 16])
def test_what_is_no_address_is_not_public(packed: bytes) -> None:
    assert not is_public_address(packed)


@pytest.mark.parametrize(
    ("text", "dialled"),
    [
        ("8.8.8.8", "8.8.8.8"),
        ("2606:4700:4700::1111", "2606:4700:4700::1111"),
        ("::ffff:8.8.8.8", "8.8.8.8"),
        ("::ffff:808:808", "8.8.8.8"),
        *((text, None) for text in ("::ffff:10.0.0.1", "10.0.0.1", "::8.8.8.8", "fe80::1%eth0", "8.8.8.8%1")),
        *((text, None) for text in ("", "8.8.8", "8.8.8.08", "0x8.8.8.8", "hooks.example.com", "1::2::3")),
    ],
)
def test_a_public_address_is_dialled_in_its_own_family(text: str, dialled: str | None) -> None:
    assert public_address(text) == dialled


# --- returnUrl -----------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", vectors("return_url.json"))
def test_return_vector_holds(vector: dict[str, Any]) -> None:
    url = vector["returnUrl"]
    assert (refusal(check_return_url, url, allow_loopback=False) is None) == (vector["create"] == "accept"), (
        vector["why"]
    )
    if vector["create"] == "accept":
        assert add_link_id(url, LINK_ID) == vector["final"]


@pytest.mark.parametrize(
    "url",
    [
        "https://your-app.com",
        "HTTPS://your-app.com:65535/?a[]=1#/route?b",
        "https://bücher.example/",
        "https://10.0.0.1:3000/done",
        "https://[::1]:3000/done",
        "https://your-app.com/?next=https://user:pw@example.com/",
        "myapp://",
        "MyApp:done",
        "myapp:/done",
        "myapp:?a=1",
        "com.example.app://call%20back:now/a?b#c",
        "myapp:to@somebody",
        "a:b",
        "wsx://done",
        "datapp://done",
    ],
)
def test_return_to_https_or_an_apps_own_scheme(url: str) -> None:
    assert refusal(check_return_url, url, allow_loopback=False) is None


@pytest.mark.parametrize(
    "url",
    [
        *("http://localhost", "http://localhost/", "http://localhost:3000/done?a=1#b", "http://localhost?a"),
        *("http://127.0.0.1", "http://127.0.0.1:65535/x", "HTTP://LocalHost:80/"),
    ],
)
def test_return_to_the_developers_own_machine_in_test_mode_alone(url: str) -> None:
    assert refusal(check_return_url, url, allow_loopback=True) is None
    assert refusal(check_return_url, url, allow_loopback=False) == BAD_SCHEME


@pytest.mark.parametrize(
    ("url", "message"),
    [
        *((f"http://{host}/", BAD_SCHEME) for host in ("example.com", "127.0.0.2", "[::1]", "0.0.0.0")),  # noqa: S104
        *((f"http://{host}/", BAD_SCHEME) for host in ("localhost.example.com", "a.localhost", "xlocalhost")),
        *((f"http://{host}/", BAD_HOST) for host in ("127.1", "127.0.0.01", "ⓛocalhost")),
        ("http://localhost@example.com/", USER_INFO),
        ("http://me@localhost/", USER_INFO),
        *((f"http://localhost:{port}/", NOT_A_URL) for port in ("", "0", "65536", "x")),
        *((url, NOT_A_URL) for url in ("http:localhost", "http:", "http:///localhost")),
    ],
)
def test_no_other_http_address_is_the_developers_own_machine(url: str, message: str) -> None:
    assert refusal(check_return_url, url, allow_loopback=True) == message
    assert refusal(check_return_url, url, allow_loopback=False) is not None


@pytest.mark.parametrize(
    "scheme",
    [
        *("http", "ws", "wss", "ftp", "smb", "ssh", "javascript", "data", "vbscript", "file", "blob"),
        *("filesystem", "about", "view-source", "content", "intent", "android-app", "tel", "sms", "mailto"),
        *("facetime", "facetime-audio", "itms", "itms-apps", "itmss", "market", "shortcuts", "chrome"),
        *("chrome-extension", "googlechrome", "microsoft-edge", "ms-settings", "ms-word", "search-ms"),
        *("x-apple.systempreferences", "x-safari-https"),
    ],
)
def test_scheme_of_the_system_is_refused(scheme: str) -> None:
    for url in (f"{scheme}://your-app.com/", f"{scheme.upper()}:x"):
        assert refusal(check_return_url, url, allow_loopback=False) == BAD_SCHEME


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", NOT_A_URL),
        ("done", NOT_A_URL),
        ("myapp", NOT_A_URL),
        ("myapp:", NOT_A_URL),
        (":done", NOT_A_URL),
        ("+app://x", NOT_A_URL),
        ("my_app://x", NOT_A_URL),
        ("éapp://x", NOT_A_URL),
        (" myapp://x", NOT_A_URL),
        ("my\tapp://x", NOT_A_URL),
        ("java\nscript:alert(1)", NOT_A_URL),
        ("myapp://call back", NOT_A_URL),
        ("myapp://bücher", NOT_A_URL),
        ("myapp://a\\b", NOT_A_URL),
        ("myapp://a%zz", NOT_A_URL),
        ("myapp:<script>", NOT_A_URL),
        ("myapp:done#\x00", NOT_A_URL),
        ("myapp://user:pw@callback", USER_INFO),
        ("https://user@your-app.com", USER_INFO),
        ("https://your-app.com:65536/", NOT_A_URL),
        ("https://your-app.com/wé", NOT_A_URL),
        ("https://127.1/", BAD_HOST),
    ],
)
def test_return_url_refusal_says_what_to_change(url: str, message: str) -> None:
    assert refusal(check_return_url, url, allow_loopback=False) == message


@pytest.mark.parametrize(
    ("url", "final"),
    [
        ("https://a.example", "https://a.example?linkId=link_abc123"),
        ("https://a.example/?", "https://a.example/?linkId=link_abc123"),
        ("https://a.example/?#f?g", "https://a.example/?linkId=link_abc123#f?g"),
        ("https://a.example/?&", "https://a.example/?linkId=link_abc123"),
        ("https://a.example/?b&", "https://a.example/?b&linkId=link_abc123"),
        ("https://a.example/?b=1?2", "https://a.example/?b=1?2&linkId=link_abc123"),
        ("https://a.example/?linkId=x", "https://a.example/?linkId=link_abc123"),
        ("https://a.example/?linkId", "https://a.example/?linkId=link_abc123"),
        ("https://a.example/?linkId=x&b=%26&linkId=y", "https://a.example/?b=%26&linkId=link_abc123"),
        ("https://a.example/?link%49d=x&%6CinkId=y", "https://a.example/?linkId=link_abc123"),
        ("https://a.example/?link%2549d=x", "https://a.example/?link%2549d=x&linkId=link_abc123"),
        (
            "https://a.example/?linkid=x&xlinkId=y&linkId[]=z",
            "https://a.example/?linkid=x&xlinkId=y&linkId[]=z&linkId=link_abc123",
        ),
        ("https://a.example/#?linkId=x", "https://a.example/?linkId=link_abc123#?linkId=x"),
        ("https://bücher.example/", "https://bücher.example/?linkId=link_abc123"),
        ("myapp:done", "myapp:done?linkId=link_abc123"),
        ("myapp://", "myapp://?linkId=link_abc123"),
    ],
)
def test_link_id_goes_last_in_the_query(url: str, final: str) -> None:
    check_return_url(url, allow_loopback=False)
    assert add_link_id(url, LINK_ID) == final


URL_PARTS = st.text("ab1-._~!$'()*+,;:@/?[]", max_size=4) | st.sampled_from(["%26", "%3D", "%25", "%ff", "+"])
PAIRS = st.lists(
    st.tuples(
        URL_PARTS | st.sampled_from(["linkId", "link%49d", "linkid"]),
        st.just("") | URL_PARTS.map("={}".format),
    ).map("".join),
    max_size=5,
)


@settings(max_examples=100, deadline=None)
@given(
    base=st.sampled_from(["https://a.example", "https://a.example/b", "myapp://callback", "myapp:done"]),
    pairs=PAIRS,
    fragment=st.none() | URL_PARTS,
)
def test_link_id_is_there_once_and_all_else_stays(base: str, pairs: list[str], fragment: str | None) -> None:
    url = base + ("?" + "&".join(pairs) if pairs else "") + ("" if fragment is None else f"#{fragment}")
    final = add_link_id(url, LINK_ID)
    check_return_url(url, allow_loopback=False)
    check_return_url(final, allow_loopback=False)
    assert add_link_id(final, LINK_ID) == final

    rest, number_sign, final_fragment = final.partition("#")
    assert (number_sign + final_fragment) == ("" if fragment is None else f"#{fragment}")
    final_base, _, query = rest.partition("?")
    assert final_base == base
    *others, last = query.split("&")
    assert last == f"linkId={LINK_ID}"
    assert others == [p for p in pairs if p and p.partition("=")[0] not in ("linkId", "link%49d")]
    names = [name for name, _ in parse_qsl(query, keep_blank_values=True)]
    assert names.count("linkId") == 1


# --- embedOrigins --------------------------------------------------------------------------------

NOT_AN_ORIGIN = (
    'must be one origin as browsers write it, such as "https://your-app.com": https, in lower case, without '
    "path, default port, user name or wildcard"
)
# What `new URL(text).origin` gives back as it is; a test in a browser holds the list to that.
ORIGINS = [
    *("https://your-app.com", "https://localhost", "https://localhost:3000", "https://a.b.your-app.com:8443"),
    *("https://xn--bcher-kva.example", "https://your-app.com:80", "https://8.8.8.8", "https://10.0.0.1:1"),
    *("https://[::1]", "https://[2606:4700:4700::1111]:65535", "https://[::ffff:808:808]", "https://[::]"),
    *("https://[::808:808]", "https://[2001:db8:0:1:1:1:1:1]", "https://[2001:0:0:1::1]"),
]


@pytest.mark.parametrize("origin", ORIGINS)
def test_an_origin_is_an_https_host_and_port(origin: str) -> None:
    assert refusal(check_origin, origin, allow_loopback=False) is None


@pytest.mark.parametrize(
    "origin",
    [
        *("", "*", "null", "your-app.com", "https://", "https:your-app.com", "//your-app.com"),
        *("http://your-app.com", "wss://your-app.com", "myapp://callback", "file://", "data:,x"),
        *(
            "https://*.your-app.com",
            "https://*",
            "https://your-app.com:*",
            "https://your-app.com https://b.example",
        ),
        *(
            "https://your-app.com/",
            "https://your-app.com/a",
            "https://your-app.com?",
            "https://your-app.com#",
        ),
        *(
            "HTTPS://your-app.com",
            "https://Your-App.com",
            "https://[2606::ABCD]",
            "https://XN--bcher-kva.example",
        ),
        *("https://bücher.example", "https://your-app.com.", "https://your-app。com"),
        *("https://your-app.com:443", "https://your-app.com:0443", "https://your-app.com:08443"),
        *("https://your-app.com:", "https://your-app.com:0", "https://your-app.com:65536"),
        *("https://user@your-app.com", "https://user:pw@your-app.com", "https://@your-app.com"),
        *("https://127.1", "https://0x7f.0.0.1", "https://010.0.0.1", "https://1", "https://256.0.0.1"),
        *(
            "https://[0:0:0:0:0:0:0:1]",
            "https://[::ffff:8.8.8.8]",
            "https://[::8.8.8.8]",
            "https://[fe80::1%25eth0]",
        ),
        *(
            "https://[2001:0db8::1]",
            "https://[2001:db8::1:1:1:1:1]",
            "https://[2001::1:0:0:0:1]",
            "https://::1",
        ),
        *(
            " https://your-app.com",
            "https://your-app.com\n",
            "https://your-app.com;script-src *",
            "https://a,b",
        ),
    ],
)
def test_an_origin_is_as_browsers_write_it(origin: str) -> None:
    assert refusal(check_origin, origin, allow_loopback=True) == NOT_AN_ORIGIN


@pytest.mark.parametrize("origin", ["http://localhost", "http://localhost:3000", "http://127.0.0.1:65535"])
def test_the_developers_own_machine_is_an_origin_in_test_mode_alone(origin: str) -> None:
    assert refusal(check_origin, origin, allow_loopback=True) is None
    assert refusal(check_origin, origin, allow_loopback=False) == NOT_AN_ORIGIN


@pytest.mark.parametrize(
    "origin",
    [
        *("http://localhost:80", "http://LOCALHOST:3000", "http://localhost/", "http://me@localhost:3000"),
        *("http://127.0.0.2", "http://127.1", "http://[::1]:3000", "http://a.localhost", "http://localhost."),
    ],
)
def test_no_other_http_origin_is_the_developers_own_machine(origin: str) -> None:
    assert refusal(check_origin, origin, allow_loopback=True) == NOT_AN_ORIGIN


def written(groups: list[int]) -> str:
    """An IPv6 address as the URL standard has it written: the first longest run of zeros is cut out."""
    texts = [f"{group:x}" for group in groups]
    runs = [(n, at) for at in range(8) for n in range(2, 9 - at) if not any(groups[at : at + n])]
    if not runs:
        return f"[{':'.join(texts)}]"
    n, at = max(runs, key=lambda run: (run[0], -run[1]))
    return f"[{':'.join(texts[:at])}::{':'.join(texts[at + n :])}]"


GROUPS = st.lists(st.sampled_from([0, 0, 0, 1, 0xAB, 0xFFFF]), min_size=8, max_size=8)
NAMES = st.lists(st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True), max_size=3)
HOSTS = (
    NAMES.map(lambda names: ".".join([*names, "example"]))
    | st.ip_addresses(v=4).map(str)
    | GROUPS.map(written)
)
PORTS = st.just("") | st.integers(1, 65535).filter(lambda port: port != 443).map(":{}".format)


@settings(max_examples=200, deadline=None)
@given(host=HOSTS, port=PORTS, data=st.data())
def test_an_origin_has_one_spelling(host: str, port: str, data: st.DataObject) -> None:
    origin = f"https://{host}{port}"
    check_origin(origin, allow_loopback=False)
    at = data.draw(st.integers(0, len(origin)))
    more = data.draw(st.sampled_from([*"/?#@*\\ \tAÉ%;,", "%41", "\u00ad", "。"]))
    for other in (origin[:at] + more + origin[at:], origin.upper(), origin.replace("https", "http")):
        assert refusal(check_origin, other, allow_loopback=False) == NOT_AN_ORIGIN


# --- hostile text --------------------------------------------------------------------------------

PIECES = st.sampled_from(
    [
        *(
            "https:",
            "http:",
            "https://",
            "http://",
            "myapp:",
            "//",
            "/",
            "\\",
            "?",
            "#",
            "&",
            "=",
            ":",
            ":443",
        ),
        *(":99999", "@", "user:pw@", "hooks.example.com", "hooks", ".", "..", "-", "_", "xn--", "localhost"),
        *("127.0.0.1", "8.8.8.8", "8", "0x7f", "017", "[", "]", "[::1]", "[2606:4700:4700::1111]", "::ffff:"),
        *(
            "%",
            "%31",
            "%00",
            "%zz",
            " ",
            "\t",
            "\r\n",
            "\x00",
            "\x85",
            "\ud800",
            "é",
            "É",
            "bücher",
            "ⓛ",
            "１",
        ),
        *("。", "．", "\u00ad", "\u200d", "ß", "Σ", "א", "☃", "٣"),
    ]
)
HOSTILE = (
    st.lists(PIECES, max_size=8).map("".join)
    | st.lists(PIECES, max_size=6).map(lambda pieces: "https://" + "".join(pieces))
    | st.text(st.characters())
    | st.text(st.characters()).map("https://{}".format)
)


@settings(max_examples=100, deadline=None)
@given(url=HOSTILE, allow_loopback=st.booleans())
def test_any_text_is_accepted_or_refused_in_our_words(url: str, allow_loopback: bool) -> None:
    assert refusal(webhook, url, allow_loopback=allow_loopback) in {None, *MESSAGES}
    assert refusal(check_return_url, url, allow_loopback=False) in {None, *MESSAGES}
    assert refusal(check_origin, url, allow_loopback=allow_loopback) in {None, NOT_AN_ORIGIN}


NEARLY_VALID = st.builds(
    "{}://{}{}{}".format,
    st.sampled_from(["https", "HTTPS"]),
    st.sampled_from(
        ["hooks.example.com", "HOOKS.example.com.", "8.8.8.8", "[2606:4700::A]", "[::ffff:8.8.8.8]"]
    ),
    st.sampled_from(["", ":443", ":08443"]),
    st.lists(PIECES | URL_PARTS.map("/{}".format) | URL_PARTS.map("?{}".format), max_size=4).map("".join),
)


@settings(max_examples=100, deadline=None)
@given(NEARLY_VALID)
def test_what_is_accepted_means_the_same_to_other_parsers(url: str) -> None:
    try:
        ours = webhook(url)
    except InvalidUrl:
        return
    assert url.isprintable()
    assert ours.target.startswith("/")
    assert ours.target.isascii()
    assert ours.host == ours.host.lower()
    assert ours.host.isascii()
    theirs = urlsplit(url)
    assert theirs.username is None
    assert (theirs.scheme, theirs.port or 443) == (ours.scheme, ours.port)
    if url.isascii():
        for host in (theirs.hostname, parse_url(url).host):
            assert host is not None
            host = host.strip("[]").removesuffix(".").lower()
            assert ours.host == (str(ipaddress.ip_address(host)) if ":" in host else host)


LETTERS = st.characters(categories=["L", "M", "N"]) | st.sampled_from("aéßΣς\u00ad\u200d-")


@settings(max_examples=100, deadline=None)
@given(st.text(LETTERS, min_size=1, max_size=5))
def test_accepted_international_name_is_the_one_browsers_connect_to(label: str) -> None:
    try:
        host = webhook(f"https://a{label}.example.com/").host
    except InvalidUrl:
        return
    assert host == idna.encode(f"a{label}.example.com", uts46=True).decode()


def test_import_brings_nothing_that_is_rarely_needed() -> None:
    script = "import sys, latchkey.domain.urls; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-S", "-c", script],
        env={"PYTHONPATH": str(Path(__file__).parents[2] / "layers/common")},
        capture_output=True,
        check=True,
        text=True,
    ).stdout.split()
    assert "latchkey.domain.urls" in loaded
    assert not {"idna", "unicodedata", "ipaddress", "urllib.parse", "boto3"} & set(loaded)
