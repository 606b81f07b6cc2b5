"""Forms: signing in public; writing, filtering and invalidating in the console."""

from __future__ import annotations

import re
from typing import Any

from flask import request
from flask_babel import lazy_gettext as _l
from wtforms import HiddenField, RadioField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import ValidationError

from campaign.petitions import rules
from campaign.petitions.models import Display
from campaign.petitions.queries import Sheet
from campaign.petitions.services import SignerDetails
from campaign.places.queries import normalize_postal_code
from campaign.web.fields import area, email, text
from campaign.web.forms import Form
from campaign.web.languages import language

COMMENT_LIMIT = 1000
SOURCE_LIMIT = 80
HONEYPOT = "website"
CONSENT = "consent-"
DISPLAYS = [
    SelectChoice(Display.HIDDEN.value, _l("No. Just count me.")),
    SelectChoice(Display.INITIAL.value, _l("My first name and ward, like “Maria, 20th Ward”")),
    SelectChoice(Display.FULL.value, _l("My full name")),
]

_POSTAL = re.compile(r"(?=.*[0-9])[0-9A-Z][0-9A-Z \-]{1,11}")
_PHONE = re.compile(r"\+?[0-9][0-9 ().\-/]{5,36}[0-9](?: ?(?:x|ext\.?) ?[0-9]{1,6})?")
_SOURCE = re.compile(r"[^\w.\- ]")
_CODE = re.compile(r"[A-Za-z0-9_-]{1,24}")


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


class SignForm(Form):
    """The public form. The consent boxes are read from the request: each page has its own."""

    first_name = text(
        _l("First name"),
        required=_l("Please write your first name."),
        limit=100,
        render_kw={"autocomplete": "given-name"},
    )
    last_name = text(
        _l("Last name"),
        required=_l("Please write your last name."),
        limit=100,
        render_kw={"autocomplete": "family-name"},
    )
    email = email(_l("Email"))
    postal_code = text(
        _l("ZIP code"),
        required=_l("Please write your ZIP code."),
        limit=20,
        validators=(PostalCode(),),
        render_kw={"autocomplete": "postal-code"},
    )
    phone = text(
        _l("Phone"),
        limit=40,
        validators=(PhoneNumber(),),
        render_kw={"type": "tel", "autocomplete": "tel"},
    )
    comment = area(_l("Why does this matter to you?"), limit=COMMENT_LIMIT, render_kw={"rows": 3})
    display = RadioField(
        _l("Show my name in public?"),
        choices=DISPLAYS,
        default=Display.HIDDEN,
        validate_choice=True,
    )
    language = HiddenField(_l("Language"))

    @classmethod
    def of(cls, sheet: Sheet, **values: Any) -> SignForm:
        """The form of a petition, without what it does not ask."""
        form = cls(**values)
        if not sheet.asks_phone:
            del form.phone
        if not sheet.has_comments:
            del form.comment
        most = list(Display).index(Display(sheet.most_public))
        form.display.choices = DISPLAYS[: most + 1]
        form.language.data = language()
        given = form.display.data or Display.HIDDEN
        is_known = given in list(Display)
        form.display.data = rules.least(given, sheet.most_public) if is_known else given
        return form

    def details(self, signals: list[str], ip: str) -> SignerDetails:
        """What was typed, for the service."""
        return SignerDetails(
            first_name=self.first_name.data,
            last_name=self.last_name.data,
            email=self.email.data or "",
            postal_code=self.postal_code.data,
            phone=self.phone.data if "phone" in self else "",
            comment=self.comment.data if "comment" in self else "",
            display=self.display.data,
            **came_with(),
            signals=signals,
            ip=ip,
        )


def came_with() -> dict[str, Any]:
    """What a form brings besides what is typed: boxes, language, where the signer came from."""
    given, asked = request.form, request.args
    code = given.get("ref") or asked.get("ref") or ""
    return {
        "consents": consents(),
        "language": language(),
        "source": source_of(given.get("source") or asked.get("source") or ""),
        "referral_code": code if _CODE.fullmatch(code) else "",
    }


def consents() -> dict[str, str]:
    """The boxes ticked: organization's slug → what the page said about its wording."""
    return {
        name.removeprefix(CONSENT)[:80]: value[:80]
        for name, value in request.form.items()
        if name.startswith(CONSENT) and value
    }


def source_of(given: str) -> str:
    """A source as we keep it: a short word of letters, digits, dots and dashes."""
    return " ".join(_SOURCE.sub("", given).split())[:SOURCE_LIMIT]
