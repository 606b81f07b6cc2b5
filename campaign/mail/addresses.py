"""What makes two spellings one mailbox, and the hash by which an address is known without it.

The canonical form is for comparing only; mail goes to what the person wrote.
"""

from __future__ import annotations

import hashlib
import unicodedata
from contextlib import suppress
from functools import lru_cache

import idna

DOTLESS = frozenset({"gmail.com", "googlemail.com"})
ALIASES = {"googlemail.com": "gmail.com"}
HASH_PREFIX = b"campaign.address.1:"


def canonical(address: str) -> str:
    """The comparing form: NFKC, lower case, IDN as A-label, no +tag, provider's dots folded.

    Never raises: what is no address comes back folded as it is. Folded until nothing changes,
    for a folded letter may fold once more (Unicode's lower case is not always in NFKC).
    """
    for _ in range(MOST_ROUNDS):
        folded = _fold(address)
        if folded == address:
            break
        address = folded
    return address


MOST_ROUNDS = 6


def _fold(address: str) -> str:
    folded = unicodedata.normalize("NFKC", address).strip().lower()
    local, at, domain = folded.rpartition("@")
    if not at:
        return folded
    domain = _canonical_domain(domain)
    base = local.split("+", 1)[0] or local
    if domain in DOTLESS:
        base = base.replace(".", "") or base
    return f"{base}@{domain}"


@lru_cache(maxsize=4096)
def _canonical_domain(domain: str) -> str:
    """Cached, for most addresses of a petition share a few domains and IDNA is slow."""
    domain = domain.rstrip(".")
    if not domain.isascii():
        with suppress(idna.IDNAError, UnicodeError):  # no host name: compared as it is
            domain = idna.encode(domain, uts46=True).decode("ascii")
    return ALIASES.get(domain, domain)


def hash_key(key: str) -> str:
    """The hash of a canonical address: SHA-256, hexadecimal, the same on every installation key.

    It must outlive a rotated SECRET_KEY, for suppressions do; docs/privacy.md says what that
    means if a database leaks.
    """
    return hashlib.sha256(HASH_PREFIX + key.encode("utf-8", "replace")).hexdigest()


def address_hash(address: str) -> str:
    """`hash_key` of the canonical form of `address`."""
    return hash_key(canonical(address))
