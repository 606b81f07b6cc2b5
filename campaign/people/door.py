"""The door that strangers come in by: what every public form asks, and reads alike."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from email_validator import EmailNotValidError, validate_email
from flask import Request
from flask_babel import lazy_gettext as _l
from wtforms.validators import ValidationError

from campaign.people import strangers
from campaign.places.queries import normalize_postal_code
from campaign.settings import Settings
from campaign.web import csrf
from campaign.web.forms import Form
from campaign.web.limits import limiter, source_network
from campaign.web.requests import settings

HONEYPOT = "website"
CONSENT = "consent-"
SOURCE_LENGTH = 80

_POSTAL = re.compile(r"(?=.*[0-9])[0-9A-Z][0-9A-Z \-]{1,11}")
_PHONE = re.compile(r"\+?[0-9][0-9 ().\-/]{5,36}[0-9](?: ?(?:x|ext\.?) ?[0-9]{1,6})?")
_SOURCE = re.compile(r"[^\w.\- ]")
_PLAIN_NAME = re.compile(r"[A-Za-zÀ-ÖØ-öø-ÿ](?:[A-Za-zÀ-ÖØ-öø-ÿ'’. -]{0,98}[A-Za-zÀ-ÖØ-öø-ÿ.])?")
_PLAIN_LOCAL = re.compile(r"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*")
_PLAIN_CODE = re.compile(r"([0-9]{5})(?:-?[0-9]{4})?")


class PostalCode:
    """A postal code of any country: letters and digits, three to twelve."""

    def __call__(self, form: Form, field: Any) -> None:
        field.data = normalize_postal_code(field.data)
        if not _POSTAL.fullmatch(field.data):
            raise ValidationError(
                _l("This does not look like a ZIP code. It should be like 60637.")
            )


class PhoneNumber:
    """Digits with the signs people put between them."""

    def __call__(self, form: Form, field: Any) -> None:
        if field.data and not _PHONE.fullmatch(field.data):
            raise ValidationError(
                _l("This does not look like a phone number. It should be like 312 555 0142.")
            )


def consents_in(given: Mapping[str, str]) -> dict[str, str]:
    """The boxes ticked: organization's slug → what the page said about its wording."""
    return {
        name.removeprefix(CONSENT)[:80]: value[:80]
        for name, value in given.items()
        if name.startswith(CONSENT) and value
    }


def source_of(given: str) -> str:
    """A source as we keep it: a short word of letters, digits, dots and dashes."""
    return " ".join(_SOURCE.sub("", given).split())[:SOURCE_LENGTH]


def plain_person(given: Mapping[str, str]) -> dict[str, Any] | None:
    """Name, address and postal code of an ordinary post, read without a form.

    None wherever a form would have something to say or to change. Whatever this takes, the form
    takes, and reads alike.
    """
    first_name, last_name = given.get("first_name", ""), given.get("last_name", "")
    if not (_PLAIN_NAME.fullmatch(first_name) and _PLAIN_NAME.fullmatch(last_name)):
        return None
    local, _at, domain = given.get("email", "").rpartition("@")
    if len(local) > 60 or not _PLAIN_LOCAL.fullmatch(local):
        return None
    mail_domain = plain_domain(domain)
    code = _PLAIN_CODE.fullmatch(given.get("postal_code", ""))
    if not mail_domain or code is None:
        return None
    return {
        "first_name": first_name,
        "last_name": last_name,
        "email": f"{local}@{mail_domain}",
        "postal_code": code[1],
    }


@lru_cache(maxsize=4096)
def plain_domain(domain: str) -> str:
    """A plain domain as the form would write it, "" for one that it would refuse."""
    if not re.fullmatch(r"[A-Za-z0-9.-]{1,150}", domain):
        return ""
    try:
        return validate_email(f"a@{domain}", check_deliverability=False).normalized[2:]
    except EmailNotValidError:
        return ""


def signals(asked: Request, kind: str, subject: str) -> list[str]:
    """What is odd about the form that was just posted; see `signals_of`."""
    bait, age = asked.form.get(HONEYPOT, ""), csrf.form_age()
    return signals_of(kind, subject, bait=bait, age=age, address=asked.remote_addr or "")


def signals_of(kind: str, subject: str, *, bait: str, age: float, address: str) -> list[str]:
    """What is odd about a post, which is counted here: one strong signal or two weak ones hold it
    for a look.

    `kind` names what is posted to, `subject` the one of them; both have limits of their own.
    `bait` stood in the field that no person sees; `age` is the form's, in seconds.
    """
    found = []
    if bait:
        found.append(strangers.HONEYPOT)
    if age < strangers.FAST_SECONDS:
        found.append(strangers.FAST)
    limits = settings()
    if not is_own_machine(address, limits):
        count = limiter()
        source = source_network(address)
        if not count.hit(f"{limits.sign_limit_per_address} per hour", kind, source):
            found.append(strangers.SOURCE_LIMIT)
        if not count.hit(f"{limits.sign_limit_per_petition} per minute", kind, subject):
            found.append(strangers.BURST)
    return found


def is_own_machine(address: str, given: Settings) -> bool:
    """In development everybody comes from the same loopback address: it is not limited."""
    return given.is_development and (address == "::1" or address.startswith("127."))
