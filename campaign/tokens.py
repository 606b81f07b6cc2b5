"""Signed links and random tokens.

Signed (nothing stored, can expire, carries ids): preferences, unsubscribe, form tokens.
Random (stored as SHA-256, revocable, used once): confirmations, sessions, invitations, API.
Neither ever carries a name or an address.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

from itsdangerous import BadSignature, SignatureExpired, URLSafeTimedSerializer

from campaign.errors import Gone, NotFound

RANDOM_BYTES = 16


class Signer:
    """Signs small JSON values for one purpose each; old keys still verify, new ones sign."""

    def __init__(self, secret_key: str, fallbacks: tuple[str, ...] = ()) -> None:
        self._keys = [*reversed(fallbacks), secret_key]
        self._serializers: dict[str, URLSafeTimedSerializer] = {}

    def _for(self, purpose: str) -> URLSafeTimedSerializer:
        found = self._serializers.get(purpose)
        if found is None:
            found = URLSafeTimedSerializer(
                self._keys,
                salt=f"campaign.{purpose}",
                signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "hmac"},
            )
            self._serializers[purpose] = found
        return found

    def sign(self, purpose: str, value: Any) -> str:
        """A URL-safe token that carries `value` (JSON) and the time."""
        return str(self._for(purpose).dumps(value))

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
