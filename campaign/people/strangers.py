"""Posts of people we do not know: what is odd about them, and who shares an address.

One strong signal or two weak ones hold a post for a quiet look; nobody meets a wall, for a
clinic's waiting room shares one internet address.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection

from campaign.people import names

FAST_SECONDS = 3.0
MAILS_A_DAY = 3
"""How many e-mails strangers' posts may bring to one address on a day."""

HONEYPOT = "honeypot"
SOURCE_LIMIT = "source limit"
BURST = "burst"
FAST = "fast form"
DISPOSABLE = "disposable address"
LINKS = "links in the comment"
STRONG = frozenset({HONEYPOT, SOURCE_LIMIT, BURST})

IPV4_PREFIX, IPV6_PREFIX = 24, 48

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


def is_same_name(one: tuple[str, str], other: tuple[str, str]) -> bool:
    """Whether two (first, last) names are one person's: accents, case and dashes do not count."""
    return name_key(*one) == name_key(*other)


def name_key(first: str, last: str) -> str:
    """Two spellings of one name have the same."""
    whole = f"{first} {last}"
    return names.fold(whole) or "".join(whole.split()).casefold()


def share_household(first_code: str, second_code: str) -> bool:
    """Whether two postal codes let two names share an address."""
    return bool(first_code) and first_code == second_code


def is_disposable(email: str) -> bool:
    """Whether the address is at a service that throws mail away."""
    return email.rpartition("@")[2].lower() in DISPOSABLE_DOMAINS


def review_reason(signals: Collection[str]) -> str:
    """Why a post waits for a look, "" when it need not."""
    if STRONG.intersection(signals) or len(signals) >= 2:
        return ", ".join(sorted(signals))[:120]
    return ""


def network_of(ip: str) -> str:
    """The /24 of an IPv4 address, the /48 of an IPv6 one; "" for what is no address."""
    try:
        address = ipaddress.ip_address(ip.split("%", maxsplit=1)[0])
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    prefix = IPV4_PREFIX if address.version == 4 else IPV6_PREFIX
    return str(ipaddress.ip_network(f"{address}/{prefix}", strict=False))
