"""Sealing: AES-256-GCM under a data key that KMS wraps.

The additional data is account|subject|purpose, so that no sealed value can stand in for another; the
subject is a link, or the account's own row. The purpose is also KMS's encryption context, so that a role
can be let at one purpose and not another.
"""

import os
from dataclasses import dataclass

from latchkey.adapters import aws
from latchkey.adapters.settings import settings
from latchkey.domain.links import Sealed

# What is sealed. Each is a row of its own in the Secrets table while the link is open, but for the last two.
ARGUMENTS, INPUT, STATE, RESULT = "arguments", "input", "state", "result"
EVENT = "event"  # an event's body with the result in it, in the link's item
WEBHOOK_SECRET = "webhook-secret"  # noqa: S105 # the name of a purpose; an account's, in its item

DATA_KEY_MS = 300_000
DATA_KEY_USES = 1000
OPENED_KEYS = 1000  # wrapped keys that an environment remembers the plain form of
NONCE_BYTES = 12


@dataclass(slots=True)
class _DataKey:
    plaintext: bytes
    wrapped: bytes
    expires_at: int
    uses_left: int


_data_keys: dict[str, _DataKey] = {}
# Wrapped key -> (when to forget it, its plain form).
_opened_keys: dict[bytes, tuple[int, bytes]] = {}


def _data_key(purpose: str, now: int) -> _DataKey:
    key = _data_keys.get(purpose)
    if key is None or now >= key.expires_at or key.uses_left <= 0:
        with aws.unavailable_when_down():
            answer = aws.kms().generate_data_key(
                KeyId=settings().sealing_key, KeySpec="AES_256", EncryptionContext={"purpose": purpose}
            )
        key = _DataKey(answer["Plaintext"], answer["CiphertextBlob"], now + DATA_KEY_MS, DATA_KEY_USES)
        _data_keys[purpose] = key
    key.uses_left -= 1
    return key


def _opened_key(wrapped: bytes, purpose: str, now: int) -> bytes:
    expires_at, plaintext = _opened_keys.get(wrapped, (0, b""))
    if now >= expires_at:
        with aws.unavailable_when_down():
            plaintext = aws.kms().decrypt(
                KeyId=settings().sealing_key, CiphertextBlob=wrapped, EncryptionContext={"purpose": purpose}
            )["Plaintext"]
        _opened_keys.pop(wrapped, None)
        if len(_opened_keys) >= OPENED_KEYS:
            del _opened_keys[next(iter(_opened_keys))]  # the oldest
        _opened_keys[wrapped] = (now + DATA_KEY_MS, plaintext)
    return plaintext


def additional_data(account: str, subject: str, purpose: str) -> bytes:
    """What a sealed value is bound to. None of the three can hold the separator."""
    return f"{account}|{subject}|{purpose}".encode()


def seal(plaintext: bytes, *, account: str, subject: str, purpose: str, now: int) -> Sealed:
    """Seal for one subject and purpose, at `now` (ms). Asks KMS at most once in 5 minutes or 1,000 uses."""
    # Imported here: most requests seal nothing, and the cipher's library is 8 MB.
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    key = _data_key(purpose, now)
    nonce = os.urandom(NONCE_BYTES)
    ciphertext = AESGCM(key.plaintext).encrypt(nonce, plaintext, additional_data(account, subject, purpose))
    return Sealed(nonce + ciphertext, key.wrapped)


def unseal(sealed: Sealed, *, account: str, subject: str, purpose: str, now: int) -> bytes:
    """What was sealed for this subject and purpose; anything else raises InvalidTag or KMS's refusal."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    key = _opened_key(sealed.wrapped_key, purpose, now)
    nonce, ciphertext = sealed.ciphertext[:NONCE_BYTES], sealed.ciphertext[NONCE_BYTES:]
    return AESGCM(key).decrypt(nonce, ciphertext, additional_data(account, subject, purpose))
