"""URL rules: where a webhook may be sent, where a user may be sent back to, and who may show a link's page.

Libraries disagree on hostile URLs (`https://127.1.1.1\\@example.com`, `https://%31%32%37.0.0.1`), and a
resolver takes `0x7f.1` for 127.0.0.1. So a URL is read here, once, by a grammar that gives it one meaning,
and whoever connects uses the parts that were checked.
"""

from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

# The characters of RFC 3986. It keeps brackets out of paths and queries; `?items[]=1` is everywhere and
# has one meaning, so they are let in. Characters outside ASCII are for host names alone.
_DIGITS = frozenset("0123456789")
_HEX_DIGITS = _DIGITS | frozenset("abcdefABCDEF")
_ALPHANUMERIC = _DIGITS | frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_LABEL = _ALPHANUMERIC | frozenset("-")
_SCHEME = _ALPHANUMERIC | frozenset("+-.")
_AUTHORITY = _ALPHANUMERIC | frozenset("-._~!$&'()*+,;=:@[]")
_PART = _AUTHORITY | frozenset("/?%")

_NOT_A_URL = "must be a valid URL"
_BAD_HOST = "must have a valid host name or address"
_USER_INFO = "must not contain a user name or password"
_NOT_AN_ORIGIN = (
    'must be one origin as browsers write it, such as "https://your-app.com": https, in lower case, without '
    "path, default port, user name or wildcard"
)

_LOOPBACK = ("localhost", "127.0.0.1")  # the developer's own machine
_NOT_PUBLIC_NAMES = (
    ".localhost",  # RFC 6761, as are test and invalid
    ".test",
    ".invalid",
    ".local",  # RFC 6762; the next six are its appendix G, what private networks call themselves
    ".internal",  # also a VPC's names and metadata.google.internal
    ".intranet",
    ".private",
    ".corp",
    ".home",
    ".lan",
    ".mail",  # kept out of the DNS by ICANN for the same reason
    ".localdomain",  # /etc/hosts of Linux distributions
    ".localdomain6",
    ".arpa",  # home.arpa (RFC 8375), and the DNS's own machinery
    ".onion",  # RFC 7686
    ".alt",  # RFC 9476
    ".metadata.goog",  # a metadata service under a public name
)

# fmt: off
_REFUSED_SCHEMES = frozenset((
    # runs or shows content that is not the app's
    "about", "applescript", "blob", "cid", "content", "data", "file", "filesystem", "jar", "javascript",
    "mhtml", "moz-extension", "res", "resource", "safari-extension", "safari-web-extension", "vbscript",
    "view-source",
    # starts a call, a message, a purchase, another browser, a setting
    "android-app", "android-resource", "app-prefs", "app-settings", "callto", "firefox", "imessage",
    "intent", "macappstore", "macappstores", "mailto", "market", "microsoft-edge", "mmsto", "prefs",
    "search", "search-ms", "shortcuts", "sip", "sips", "skype", "sms", "smsto", "tel", "telprompt",
    "workflow",
    # a network protocol other than https
    "afp", "ftp", "ftps", "gopher", "http", "ldap", "ldaps", "nfs", "rdp", "sftp", "smb", "ssh", "telnet",
    "vnc", "ws", "wss",
))
# fmt: on
_REFUSED_SCHEME_PREFIXES = ("chrome", "facetime", "googlechrome", "itms", "ms-", "x-apple", "x-safari")


class InvalidUrl(ValueError):  # noqa: N818  # it names the caller's mistake, not one of ours
    """The URL is refused. The text says what it must be and repeats nothing of it."""


@dataclass(frozen=True, slots=True)
class WebhookUrl:
    """A checked webhook URL, in the parts that a sender needs.

    `host` is a lower-case name in ASCII (A-labels) or an address, without trailing dot or brackets.
    `target` is what stands on the request line.
    """

    scheme: str
    host: str
    port: int
    target: str


@lru_cache(256)  # a caller's links all have the same
def parse_webhook_url(url: str, ports: frozenset[int], allow_loopback: bool) -> WebhookUrl:
    """The parts of an https URL to one of the ports of a host that may be public; else raise InvalidUrl.

    May be: nothing is looked up, so the sender must ask `public_address` of all that a name resolves to.
    `allow_loopback` also lets http://127.0.0.1 through, any port.
    """
    scheme, authority, path, query = _split(url)
    target = (path or "/") + query
    if scheme == "http" and allow_loopback:
        host, port = _host_and_port(authority)
        if host != "127.0.0.1":
            raise InvalidUrl("must start with https:// or http://127.0.0.1")
        return WebhookUrl(scheme, host, port or 80, target)
    if scheme != "https":
        raise InvalidUrl("must start with https://")
    host, port = _host_and_port(authority)
    if not _may_be_public(host):
        raise InvalidUrl("must have a public host name or address")
    port = port or 443
    if port not in ports:
        raise InvalidUrl(f"must use port {' or '.join(map(str, sorted(ports)))}")
    return WebhookUrl(scheme, host, port, target)


@lru_cache(256)
def check_return_url(url: str, allow_loopback: bool) -> None:
    """Raise InvalidUrl unless it is an https URL or one of an app's own scheme.

    The host need not be public: the user's browser goes there, we do not.
    `allow_loopback` also lets http to localhost and 127.0.0.1 through, any port.
    """
    scheme, authority, _, _ = _split(url)
    if scheme == "https" or (scheme == "http" and allow_loopback):
        host, _ = _host_and_port(authority)
        if scheme == "https" or host in _LOOPBACK:
            return
    if scheme in _REFUSED_SCHEMES or scheme.startswith(_REFUSED_SCHEME_PREFIXES):
        raise InvalidUrl("must start with https:// or your app's own scheme, such as myapp://")
    if authority and "@" in authority:
        raise InvalidUrl(_USER_INFO)
    if len(url) == len(f"{scheme}:") or not _PART.issuperset(authority or ""):
        raise InvalidUrl(_NOT_A_URL)


def check_origin(origin: str, allow_loopback: bool) -> None:
    """Raise InvalidUrl unless it is an https origin, letter for letter as browsers write it.

    `allow_loopback` also lets http to localhost and 127.0.0.1 through, any port.
    """
    with suppress(InvalidUrl):
        scheme, authority, _, _ = _split(origin)
        host, port = _host_and_port(authority)
        loopback = allow_loopback and host in _LOOPBACK
        if origin == _origin(scheme, host, port) and (scheme == "https" or (scheme == "http" and loopback)):
            return
    raise InvalidUrl(_NOT_AN_ORIGIN)


def add_link_id(return_url: str, link_id: str) -> str:
    """A checked return URL with `linkId` as the last parameter of its query and no other of that name."""
    rest, number_sign, fragment = return_url.partition("#")
    base, _, query = rest.partition("?")
    kept = [pair for pair in query.split("&") if pair and not _is_link_id(pair)]
    return f"{base}?{'&'.join([*kept, f'linkId={link_id}'])}{number_sign}{fragment}"


def add_status(return_url: str, status: str) -> str:
    """A return URL that has its `linkId`, with `status` after it: a hint at what to show."""
    rest, number_sign, fragment = return_url.partition("#")
    return f"{rest}&status={status}{number_sign}{fragment}"


def is_public_address(packed: bytes) -> bool:
    """Whether a packed IPv4 or IPv6 address is a host's on the public internet.

    The table is our own: `ipaddress.is_global` holds for multicast, 6to4, NAT64 and some clouds' metadata
    services, and changes between Python releases.
    """
    if len(packed) == 16 and packed.startswith(_V4_MAPPED):
        packed = packed[len(_V4_MAPPED) :]
    if len(packed) == 4:
        return not _contain(_NOT_PUBLIC_V4, packed)
    return len(packed) == 16 and _contain(_UNICAST_V6, packed) and not _contain(_NOT_PUBLIC_V6, packed)


def public_address(text: str) -> str | None:
    """The address to dial for a public one in text form, else None; a mapped IPv4 address becomes that."""
    packed = _packed(AF_INET6 if ":" in text else AF_INET, text)
    if packed is None or not is_public_address(packed):
        return None
    if len(packed) == 16 and packed.startswith(_V4_MAPPED):
        return inet_ntop(AF_INET, packed[len(_V4_MAPPED) :])
    return text


def _split(url: str) -> tuple[str, str | None, str, str]:
    """Scheme in lower case, authority (None without `//`), path, and query with its `?`.

    All are of valid characters but the authority, where those depend on the scheme.
    """
    rest, _, fragment = url.partition("#")
    rest, question_mark, query = rest.partition("?")
    scheme, colon, path = rest.partition(":")
    authority = None
    if path.startswith("//"):
        authority, slash, path = path[2:].partition("/")
        path = slash + path
    if not (
        colon
        and scheme[:1].isalpha()
        and _SCHEME.issuperset(scheme)
        and _PART.issuperset(path + query + fragment)
        and all(len(code) > 1 and _HEX_DIGITS.issuperset(code[:2]) for code in url.split("%")[1:])
    ):
        raise InvalidUrl(_NOT_A_URL)
    return scheme.lower(), authority, path, question_mark + query


def _host_and_port(authority: str | None) -> tuple[str, int | None]:
    """Host, as in `WebhookUrl`, and port, if one is written, of an http or https URL."""
    if not authority or any(char.isascii() for char in set(authority) - _AUTHORITY):
        raise InvalidUrl(_NOT_A_URL)
    if "@" in authority:
        raise InvalidUrl(_USER_INFO)
    host, colon, port = authority.rpartition(":")
    if not colon or port.endswith("]"):
        return _host(authority), None
    if not port or len(port) > 5 or not _DIGITS.issuperset(port) or not 0 < int(port) < 65536:
        raise InvalidUrl(_NOT_A_URL)
    return _host(host), int(port)


def _origin(scheme: str, host: str, port: int | None) -> str:
    """How a browser writes the origin of a URL (WHATWG's URL and HTML standards)."""
    if ":" in host:
        before, _, last = host.rpartition(":")
        if "." in last:  # the last 32 bits, which the standard writes as all others
            high, low = divmod(int.from_bytes(inet_pton(AF_INET, last)), 1 << 16)
            host = f"{before}:{high:x}:{low:x}"
        host = f"[{host}]"
    default = {"https": 443, "http": 80}.get(scheme)
    return f"{scheme}://{host}" + ("" if port in (None, default) else f":{port}")


def _host(text: str) -> str:
    if text.startswith("["):
        address = _packed(AF_INET6, text[1:-1]) if text.isascii() and text.endswith("]") else None
        if address:
            return inet_ntop(AF_INET6, address)
        raise InvalidUrl(_BAD_HOST)
    host = (text.lower() if text.isascii() else _a_labels(text)).removesuffix(".")
    labels = host.split(".")
    if _is_number(labels[-1]):
        # Resolvers know many spellings of an IPv4 address; inet_pton, one: four decimals, no leading zeros.
        valid = _packed(AF_INET, host) is not None
    else:
        valid = len(host) <= 253 and all(map(_is_label, labels))
    if not valid:
        raise InvalidUrl(_BAD_HOST)
    return host


def _a_labels(name: str) -> str:
    """The ASCII form of an internationalised name; empty if it has none.

    UTS 46 maps look-alikes to ASCII: circled letters, wide digits, the ideographic full stop. Nobody writes
    their own name so, hence only a change of case or of normal form is allowed.
    """
    from unicodedata import normalize

    import idna

    try:
        mapped = idna.uts46_remap(name)
        if mapped.lower() != normalize("NFC", name).lower():
            return ""
        return idna.encode(mapped).decode()
    except idna.IDNAError:
        return ""


def _is_label(text: str) -> bool:
    return 0 < len(text) <= 63 and _LABEL.issuperset(text) and text[0] != "-" and text[-1] != "-"


def _is_number(label: str) -> bool:
    """Whether a host that ends in this label is an IPv4 address, as the WHATWG's URL standard decides it."""
    digits, kind = (label[2:], _HEX_DIGITS) if label.startswith("0x") else (label, _DIGITS)
    return kind.issuperset(digits)


def _packed(family: int, address: str) -> bytes | None:
    try:
        return inet_pton(family, address)
    except OSError:
        return None


def _may_be_public(host: str) -> bool:
    address = _packed(AF_INET6 if ":" in host else AF_INET, host)
    if address:
        return is_public_address(address)
    return "." in host and not f".{host}".endswith(_NOT_PUBLIC_NAMES)


def _is_link_id(pair: str) -> bool:
    name = pair.partition("=")[0]
    if "%" in name:
        from urllib.parse import unquote

        name = unquote(name)
    return name == "linkId"


type _Networks = tuple[tuple[int, int], ...]


def _networks(*networks: str) -> _Networks:
    """Each as the bits that its addresses begin with, and the number of bits that follow."""
    table = []
    for network in networks:
        address, _, length = network.partition("/")
        packed = inet_pton(AF_INET6 if ":" in address else AF_INET, address)
        rest = len(packed) * 8 - int(length)
        table.append((int.from_bytes(packed) >> rest, rest))
    return tuple(table)


def _contain(networks: _Networks, packed: bytes) -> bool:
    number = int.from_bytes(packed)
    return any(number >> rest == prefix for prefix, rest in networks)


_NOT_PUBLIC_V4 = _networks(
    "0.0.0.0/8",  # this network
    "10.0.0.0/8",  # private
    "100.64.0.0/10",  # carrier-grade NAT
    "127.0.0.0/8",  # loopback
    "168.63.129.16/32",  # Azure's platform service
    "169.254.0.0/16",  # link-local: EC2's, ECS's and others' metadata and credentials
    "172.16.0.0/12",  # private
    "192.0.0.0/24",  # protocol assignments, Oracle's metadata
    "192.0.2.0/24",  # documentation
    "192.31.196.0/24",  # AS112
    "192.52.193.0/24",  # AMT
    "192.88.99.0/24",  # 6to4 relays
    "192.168.0.0/16",  # private
    "192.175.48.0/24",  # AS112
    "198.18.0.0/15",  # benchmarks
    "198.51.100.0/24",  # documentation
    "203.0.113.0/24",  # documentation
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved, broadcast
)

_V4_MAPPED = bytes(10) + b"\xff\xff"
# All of global unicast so far: NAT64, unique local, link-local and the like lie outside.
_UNICAST_V6 = _networks("2000::/3")
_NOT_PUBLIC_V6 = _networks(
    "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID
    "2001:db8::/32",  # documentation
    "2002::/16",  # 6to4
    "2620:4f:8000::/48",  # AS112
    "3fff::/20",  # documentation
)
