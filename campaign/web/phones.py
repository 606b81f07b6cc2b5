"""Telephone numbers as people write them, and as a telephone dials them.

What somebody typed is kept as it is; only how it is shown is decided here. A number without a
country is read as one of the United States.
"""

from __future__ import annotations

import re

import phonenumbers
from markupsafe import Markup, escape
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat, ValidationResult

HOME = "US"
HOME_CODE = 1
SHORTEST = 3
_NOT_DIALLED = re.compile(r"[^0-9]")


def _read(given: str) -> PhoneNumber | None:
    try:
        number = phonenumbers.parse(given, HOME)
    except NumberParseException:
        return None
    reason = phonenumbers.is_possible_number_with_reason(number)
    return number if reason == ValidationResult.IS_POSSIBLE else None


def phone_words(given: str | None) -> str:
    """A number as one writes it: "(773) 555-0142" at home, "+52 55 1234 5678" elsewhere.

    What cannot be read as a number stays as it was typed.
    """
    number = _read(given or "")
    if number is None:
        return given or ""
    is_home = number.country_code == HOME_CODE
    kind = PhoneNumberFormat.NATIONAL if is_home else PhoneNumberFormat.INTERNATIONAL
    return str(phonenumbers.format_number(number, kind))


def phone_link(given: str | None) -> Markup:
    """The same as a link that dials it, with its country, so that it works from abroad too.

    The words do not break: half a number at the end of a line is read wrongly.
    """
    if not given:
        return Markup()
    number = _read(given)
    if number is not None:
        target = str(phonenumbers.format_number(number, PhoneNumberFormat.RFC3966))
    else:
        digits = _NOT_DIALLED.sub("", given)
        if len(digits) < SHORTEST:
            return escape(given)
        target = f"tel:{'+' if given.lstrip().startswith('+') else ''}{digits}"
    return Markup('<a class="nowrap" href="{}">{}</a>').format(target, phone_words(given))
