"""The rules of signing that need no database: goals, households, what is public, what is odd."""

from __future__ import annotations

import re
import uuid
from functools import lru_cache

from campaign.mail.addresses import address_hash, hash_key
from campaign.people import strangers
from campaign.petitions.models import Display

CONFIRM_DAYS = 7
CONFIRM_AFTER_CLOSING_HOURS = 24

_TENTHS = (10, 15, 20, 30, 50, 75, 100)
_DISPLAYS = tuple(Display)
_LINK = re.compile(r"https?://|www\.", re.IGNORECASE)


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


def signer_hash(email: str, first_name: str, last_name: str, postal_code: str) -> str:
    """What a petition knows a signer by: the address, or without one the name and postal code."""
    if email:
        return address_hash(email)
    return hash_key(f"name\0{strangers.name_key(first_name, last_name)}\0{postal_code}")


def signals_in(email: str, comment: str) -> list[str]:
    """What is odd about the words themselves."""
    found = []
    if email and strangers.is_disposable(email):
        found.append(strangers.DISPOSABLE)
    if comment and _LINK.search(comment):
        found.append(strangers.LINKS)
    return found


def short_key(signature_id: uuid.UUID) -> str:
    """The end of an id, for people to name a row by."""
    return signature_id.hex[-6:]
