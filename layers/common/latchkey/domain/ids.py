"""Ids, claim codes and API keys: how they are made, derived and recognised.

Base62 keeps them safe in URLs and selectable with a double click.
"""

import hashlib
import hmac
import secrets
import zlib

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]  # half the divisions
_ID_BYTES = 16  # 128 bits
_ID_CHARS = 22  # 62**22 > 2**128

_KEY_RANDOM_CHARS = 30  # 178 bits
_KEY_CHECKSUM_CHARS = 6  # 62**6 > 2**32
_KEY_PREFIXES = {"lk_live_": True, "lk_test_": False}


def _base62(number: int, width: int) -> str:
    pairs = []
    for _ in range(0, width, 2):
        number, pair = divmod(number, 62 * 62)
        pairs.append(_PAIRS[pair])
    return "".join(reversed(pairs))[-width:]


def _id_text(digest: bytes) -> str:
    return _base62(int.from_bytes(digest[:_ID_BYTES]), _ID_CHARS)


def _random(size: int, width: int) -> str:
    return _base62(int.from_bytes(secrets.token_bytes(size)), width)


def _checksum(text: str) -> str:
    return _base62(zlib.crc32(text.encode()), _KEY_CHECKSUM_CHARS)


def new_api_key(*, livemode: bool) -> str:
    """`lk_live_` or `lk_test_`, 30 random characters, and the CRC32 of all before it in 6."""
    prefix = "lk_live_" if livemode else "lk_test_"
    body = prefix + "".join(secrets.choice(_ALPHABET) for _ in range(_KEY_RANDOM_CHARS))
    return body + _checksum(body)


def api_key_mode(key: str) -> bool | None:
    """Whether the key is a live one; None for what cannot be a key, found without any look-up."""
    livemode = _KEY_PREFIXES.get(key[:8])
    if livemode is None or len(key) != 8 + _KEY_RANDOM_CHARS + _KEY_CHECKSUM_CHARS or not key.isascii():
        return None
    body, checksum = key[:-_KEY_CHECKSUM_CHARS], key[-_KEY_CHECKSUM_CHARS:]
    return livemode if _checksum(body) == checksum else None


def api_key_hash(key: str) -> str:
    """SHA-256 in hex: 178 random bits need no slow hash."""
    return hashlib.sha256(key.encode()).hexdigest()


def new_claim_code() -> str:
    """`clm_` and 128 random bits."""
    return "clm_" + _random(_ID_BYTES, _ID_CHARS)


def derived_claim_code(api_key: str, idempotency_key: str) -> str:
    """The one claim code that belongs to this Idempotency-Key of this API key.

    Whoever repeats the request gets the same code again, though nobody has stored it.
    """
    digest = keyed_digest(api_key, "claim-code", idempotency_key.encode())
    return "clm_" + _id_text(digest)


def link_id(claim_code: str) -> str:
    """The link that a claim code opens: a one-way function of the code.

    A claim is thus found by its code alone, and the store, which knows the id, cannot tell the code.
    """
    digest = hashlib.sha256(b"latchkey link id\0" + claim_code.encode()).digest()
    return "link_" + _id_text(digest)


def is_link_id(text: str) -> bool:
    """Whether the text has the form of a link id."""
    return len(text) == 5 + _ID_CHARS and text.startswith("link_") and text.isascii() and text[5:].isalnum()


def session_id(link_id: str) -> str:
    """The session of a link: it has at most one."""
    return f"sess_{link_id[5:]}"


def link_of_session(session: str) -> str:
    """The link that a session belongs to."""
    return f"link_{session[5:]}"


def new_client_token(link_id: str) -> str:
    """`ct_`, the link it belongs to, and 128 random bits: the session is found by its token alone."""
    return f"ct_{link_id[5:]}{_random(_ID_BYTES, _ID_CHARS)}"


def derived_client_token(claim_code: str, idempotency_key: str) -> str:
    """The one client token that belongs to this Idempotency-Key of this claim code.

    Whoever repeats the claim gets the same token again, though nobody has stored it.
    """
    digest = keyed_digest(claim_code, "client-token", idempotency_key.encode())
    return f"ct_{link_id(claim_code)[5:]}{_id_text(digest)}"


def link_of_client_token(token: str) -> str | None:
    """The link whose session a client token claims to open; None for what cannot be a token."""
    link_id = f"link_{token[3 : 3 + _ID_CHARS]}"
    if token.startswith("ct_") and len(token) == 3 + 2 * _ID_CHARS and is_link_id(link_id):
        return link_id
    return None


def token_hash(token: str) -> bytes:
    """SHA-256: 128 random bits need no slow hash."""
    return hashlib.sha256(token.encode()).digest()


def event_id(link_id: str) -> str:
    """The event of a link: it has one, whose id is the same over all attempts to deliver it."""
    return f"msg_{link_id[5:]}"


def link_of_event(event: str) -> str:
    """The link that an event belongs to."""
    return f"link_{event[4:]}"


def new_message_id() -> str:
    """`msg_` and 128 random bits: the id of an event that belongs to no link."""
    return "msg_" + _random(_ID_BYTES, _ID_CHARS)


def keyed_digest(secret: str, purpose: str, message: bytes) -> bytes:
    """HMAC-SHA256 under an API key or a claim code, distinct for each purpose."""
    return hmac.digest(secret.encode(), purpose.encode() + b"\0" + message, "sha256")


def new_token() -> str:
    """96 random bits, for what has to be unique and not secret."""
    return _random(12, 17)
