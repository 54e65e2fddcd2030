"""Sealing: AES-256-GCM under a data key that KMS wraps.

The additional data is account|link|purpose, so that no sealed value can stand in for another; the
purpose is also KMS's encryption context, so that a role can be let at one purpose and not another.
"""

import os
from dataclasses import dataclass

from latchkey import aws

DATA_KEY_MS = 300_000
DATA_KEY_USES = 1000
NONCE_BYTES = 12


@dataclass(frozen=True, slots=True)
class Sealed:
    """A ciphertext (nonce first) and the wrapped key that opens it."""

    ciphertext: bytes
    wrapped_key: bytes


@dataclass(slots=True)
class _DataKey:
    plaintext: bytes
    wrapped: bytes
    expires_at: int
    uses_left: int


_data_keys: dict[str, _DataKey] = {}


def _data_key(key_id: str, purpose: str, now: int) -> _DataKey:
    key = _data_keys.get(purpose)
    if key is None or now >= key.expires_at or key.uses_left <= 0:
        with aws.unavailable_when_down():
            answer = aws.kms().generate_data_key(
                KeyId=key_id, KeySpec="AES_256", EncryptionContext={"purpose": purpose}
            )
        key = _DataKey(answer["Plaintext"], answer["CiphertextBlob"], now + DATA_KEY_MS, DATA_KEY_USES)
        _data_keys[purpose] = key
    key.uses_left -= 1
    return key


def additional_data(account: str, link_id: str, purpose: str) -> bytes:
    """What a sealed value is bound to. None of the three can hold the separator."""
    return f"{account}|{link_id}|{purpose}".encode()


def seal(plaintext: bytes, *, key_id: str, account: str, link_id: str, purpose: str, now: int) -> Sealed:
    """Seal for one link and purpose, at `now` (ms). Asks KMS at most once in 5 minutes or 1,000 uses."""
    # Imported here: most requests seal nothing, and the cipher's library is 8 MB.
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    key = _data_key(key_id, purpose, now)
    nonce = os.urandom(NONCE_BYTES)
    ciphertext = AESGCM(key.plaintext).encrypt(nonce, plaintext, additional_data(account, link_id, purpose))
    return Sealed(nonce + ciphertext, key.wrapped)
