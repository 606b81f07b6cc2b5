"""Signed links, random tokens and sealed values.

Signed (nothing stored, can expire, carries ids): preferences, unsubscribe, form tokens.
Random (stored as SHA-256, revocable, used once): confirmations, sessions, invitations, API.
Sealed (encrypted in the database): what must not be read by whoever steals it.
Neither ever carries a name or an address.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import b2a_base64
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from itsdangerous import (
    BadSignature,
    SignatureExpired,
    TimestampSigner,
    URLSafeTimedSerializer,
    want_bytes,
)
from itsdangerous.encoding import base64_encode, int_to_bytes

from campaign.errors import Gone, NotFound

RANDOM_BYTES = 16
_URL_SAFE = bytes.maketrans(b"+/", b"-_")  # RFC 4648, section 5


class _Seal(TimestampSigner):
    """The signature under a token; its key, which is always the same, is derived once."""

    def derive_key(self, secret_key: str | bytes | None = None) -> bytes:
        secret = self.secret_keys[-1] if secret_key is None else want_bytes(secret_key)
        return _derived(secret, self.salt)


@lru_cache(maxsize=4)
def _stamp(second: int) -> bytes:
    """How itsdangerous writes the time into a token."""
    return base64_encode(int_to_bytes(second))


@lru_cache(maxsize=256)
def _derived(secret_key: bytes, salt: bytes) -> bytes:
    """What itsdangerous derives by `key_derivation="hmac"`."""
    return hmac.digest(secret_key, salt, "sha256")


class Signer:
    """Signs small JSON values for one purpose each; old keys still verify, new ones sign."""

    def __init__(self, secret_key: str, fallbacks: tuple[str, ...] = ()) -> None:
        self._keys = [*reversed(fallbacks), secret_key]
        self._serializers: dict[str, URLSafeTimedSerializer] = {}
        self._macs: dict[str, hmac.HMAC] = {}
        self._for_ids: dict[str, list[bytes]] = {}

    def _for(self, purpose: str) -> URLSafeTimedSerializer:
        found = self._serializers.get(purpose)
        if found is None:
            found = URLSafeTimedSerializer(
                self._keys,
                salt=f"campaign.{purpose}",
                signer=_Seal,
                signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "hmac"},
            )
            self._serializers[purpose] = found
        return found

    def sign(self, purpose: str, value: Any) -> str:
        """A URL-safe token that carries `value` (JSON) and the time."""
        body = base64_encode(json.dumps(value, separators=(",", ":")))  # too short to compress
        stamped = b"%s.%s" % (body, _stamp(int(time.time())))
        return f"{stamped.decode()}.{base64_encode(self._seal(purpose, stamped)).decode()}"

    def _seal(self, purpose: str, stamped: bytes) -> bytes:
        """What itsdangerous puts under `stamped`, whose keyed hash is begun once."""
        begun = self._macs.get(purpose)
        if begun is None:
            key = _derived(self._keys[-1].encode(), f"campaign.{purpose}".encode())
            begun = self._macs[purpose] = hmac.new(key, digestmod="sha256")
        mac = begun.copy()
        mac.update(stamped)
        return mac.digest()

    def sign_id(self, purpose: str, row_id: uuid.UUID) -> str:
        """A short URL-safe token for an id, without a time."""
        return self.sign_ids(purpose, [row_id.bytes])[0]

    def sign_ids(self, purpose: str, ids: Sequence[bytes]) -> list[str]:
        """`sign_id` for many ids of 16 bytes each, as for a mailing: what can be done once for
        all of them is."""
        keyed = hashlib.blake2b(key=self._id_keys(purpose)[-1], digest_size=16)
        parts = []
        for row_id in ids:
            seal = keyed.copy()
            seal.update(row_id)
            # 32 bytes are 43 characters. A 33rd makes it 44, so that tokens can stand in a row.
            parts.append(row_id + seal.digest() + b"\0")
        row = b2a_base64(b"".join(parts), newline=False).translate(_URL_SAFE).decode()
        return [row[start : start + 43] for start in range(0, len(row), 44)]

    def read_id(self, purpose: str, token: str) -> uuid.UUID:
        """The id in a token of `sign_id`. Raises NotFound if forged."""
        try:
            raw = urlsafe_b64decode(token.encode("ascii") + b"=")
        except (ValueError, UnicodeError) as error:
            raise NotFound from error
        body, seal = raw[:16], raw[16:]
        seals = [
            hashlib.blake2b(body, key=key, digest_size=16).digest()
            for key in self._id_keys(purpose)
        ]
        if len(raw) != 32 or not any(hmac.compare_digest(seal, own) for own in seals):
            raise NotFound
        return uuid.UUID(bytes=body)

    def _id_keys(self, purpose: str) -> list[bytes]:
        """A key for each secret key, bound to the purpose (keyed BLAKE2b, RFC 7693)."""
        found = self._for_ids.get(purpose)
        if found is None:
            context = f"campaign.id.{purpose}".encode()
            found = [hmac.digest(key.encode(), context, "sha512") for key in self._keys]
            self._for_ids[purpose] = found
        return found

    def seal(self, purpose: str, value: Any) -> str:
        """`value` (JSON) encrypted for one purpose: who has the database alone reads nothing.

        Fernet (AES-128-CBC and HMAC-SHA256) with a key of its own for each purpose.
        """
        return self._locks(purpose).encrypt(json.dumps(value).encode()).decode("ascii")

    def unseal(self, purpose: str, sealed: str) -> Any:
        """What `seal` was given. Raises Gone when no key of ours opens it any more."""
        try:
            return json.loads(self._locks(purpose).decrypt(sealed.encode()))
        except (InvalidToken, ValueError) as error:
            raise Gone from error

    def _locks(self, purpose: str) -> MultiFernet:
        """A lock for each secret key, the present one first: it seals, all of them open."""
        context = f"campaign.seal.{purpose}".encode()
        return MultiFernet(
            [
                Fernet(urlsafe_b64encode(hmac.digest(key.encode(), context, "sha256")))
                for key in reversed(self._keys)
            ]
        )

    def read(self, purpose: str, token: str, *, max_age: int | None = None) -> Any:
        """The value. Raises NotFound if forged, Gone if older than `max_age` seconds."""
        return self.read_with_age(purpose, token, max_age=max_age)[0]

    def read_with_age(
        self, purpose: str, token: str, *, max_age: int | None = None
    ) -> tuple[Any, float]:
        """The value and the token's age in seconds; raises like `read`."""
        from campaign import clock

        try:
            value, made_at = self._for(purpose).loads(token, max_age=max_age, return_timestamp=True)
        except SignatureExpired as error:
            raise Gone from error
        except (BadSignature, ValueError, OverflowError) as error:
            raise NotFound from error
        return value, (clock.now() - made_at).total_seconds()


def random_token(size: int = RANDOM_BYTES) -> str:
    """A random URL-safe token of `size` bytes (128 bits unless told otherwise)."""
    return secrets.token_urlsafe(size)


def fingerprint(token: str) -> str:
    """What is stored of a random token: its SHA-256, hexadecimal. The token itself never is."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
