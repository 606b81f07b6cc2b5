"""The rules of signing that need no database: goals, households, what is public, what is odd."""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection
from functools import lru_cache

from campaign.mail.addresses import address_hash, hash_key
from campaign.people import names
from campaign.petitions.models import Display

CONFIRM_DAYS = 7
CONFIRM_AFTER_CLOSING_HOURS = 24
MAILS_A_DAY = 3
FAST_SECONDS = 3.0

# Signals: one of the first kind is enough for a quiet review, of the second it takes two.
HONEYPOT = "honeypot"
SOURCE_LIMIT = "source limit"
PETITION_BURST = "burst"
FAST = "fast form"
DISPOSABLE = "disposable address"
LINKS = "links in the comment"
STRONG = frozenset({HONEYPOT, SOURCE_LIMIT, PETITION_BURST})

_TENTHS = (10, 15, 20, 30, 50, 75, 100)
_DISPLAYS = tuple(Display)
_LINK = re.compile(r"https?://|www\.", re.IGNORECASE)

DISPOSABLE_DOMAINS = frozenset(
    [
        "0-mail.com",
        "10minutemail.com",
        "10minutemail.net",
        "1secmail.com",
        "1secmail.net",
        "1secmail.org",
        "20minutemail.com",
        "33mail.com",
        "anonbox.net",
        "burnermail.io",
        "byom.de",
        "deadaddress.com",
        "despam.it",
        "discard.email",
        "discardmail.com",
        "disposable.email",
        "dispostable.com",
        "dropmail.me",
        "emailfake.com",
        "emailondeck.com",
        "fakeinbox.com",
        "fakemail.net",
        "fakemailgenerator.com",
        "getairmail.com",
        "getnada.com",
        "grr.la",
        "guerrillamail.biz",
        "guerrillamail.com",
        "guerrillamail.de",
        "guerrillamail.info",
        "guerrillamail.net",
        "guerrillamail.org",
        "guerrillamailblock.com",
        "harakirimail.com",
        "incognitomail.org",
        "inboxkitten.com",
        "jetable.org",
        "mail-temp.com",
        "mailcatch.com",
        "maildrop.cc",
        "mailexpire.com",
        "mailinator.com",
        "mailinator.net",
        "mailinator2.com",
        "mailmoat.com",
        "mailnesia.com",
        "mailnull.com",
        "mailpoof.com",
        "mailsac.com",
        "mintemail.com",
        "mohmal.com",
        "moakt.com",
        "mytemp.email",
        "mytrashmail.com",
        "nada.email",
        "neverbox.com",
        "nospam.ze.tc",
        "pokemail.net",
        "sharklasers.com",
        "spam4.me",
        "spambog.com",
        "spambox.us",
        "spamex.com",
        "spamfree24.org",
        "spamgourmet.com",
        "spamhole.com",
        "tempail.com",
        "temp-mail.io",
        "temp-mail.org",
        "tempinbox.com",
        "tempmail.dev",
        "tempmail.net",
        "tempmailaddress.com",
        "tempmailo.com",
        "tempr.email",
        "throwawaymail.com",
        "trash-mail.com",
        "trashmail.com",
        "trashmail.de",
        "trashmail.net",
        "trbvm.com",
        "yopmail.com",
        "yopmail.fr",
        "yopmail.net",
        "wegwerfmail.de",
        "wegwerfmail.net",
        "zetmail.com",
    ]
)


def goal_for(count: int, first: int) -> int:
    """The goal to show: the first one until it is reached, then the next round number above.

    1,000 is followed by 1,500, 2,000, 3,000, 5,000, 7,500, 10,000 and so on.
    """
    if count < first:
        return first
    scale = 10 ** (len(str(count)) - 1)
    steps = [scale * tenths // 10 for tenths in _TENTHS if scale * tenths % 10 == 0]
    nearest: int = next(step for step in steps if step > count)
    return nearest


@lru_cache(maxsize=64)
def least(*displays: str) -> Display:
    """The most private of several choices; what we do not know is hidden."""
    order = [_DISPLAYS.index(Display(one)) if one in _DISPLAYS else 0 for one in displays]
    return _DISPLAYS[min(order, default=0)]


def is_same_name(one: tuple[str, str], other: tuple[str, str]) -> bool:
    """Whether two (first, last) names are one person's: accents, case and dashes do not count."""
    return _name_key(*one) == _name_key(*other)


def _name_key(first: str, last: str) -> str:
    whole = f"{first} {last}"
    return names.fold(whole) or "".join(whole.split()).casefold()


def share_household(first_code: str, second_code: str) -> bool:
    """Whether two postal codes let two names share an address."""
    return bool(first_code) and first_code == second_code


def signer_hash(email: str, first_name: str, last_name: str, postal_code: str) -> str:
    """What a petition knows a signer by: the address, or without one the name and postal code."""
    if email:
        return address_hash(email)
    return hash_key(f"name\0{_name_key(first_name, last_name)}\0{postal_code}")


def is_disposable(email: str) -> bool:
    """Whether the address is at a service that throws mail away."""
    return email.rpartition("@")[2].lower() in DISPOSABLE_DOMAINS


def signals_in(email: str, comment: str) -> list[str]:
    """What is odd about the words themselves."""
    found = []
    if email and is_disposable(email):
        found.append(DISPOSABLE)
    if comment and _LINK.search(comment):
        found.append(LINKS)
    return found


def review_reason(signals: Collection[str]) -> str:
    """Why a signature waits for a look, "" when it need not."""
    if STRONG.intersection(signals) or len(signals) >= 2:
        return ", ".join(sorted(signals))[:120]
    return ""


def short_key(signature_id: uuid.UUID) -> str:
    """The end of an id, for people to name a row by."""
    return signature_id.hex[-6:]
