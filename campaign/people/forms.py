"""What the console asks about a person."""

from __future__ import annotations

from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import Field
from wtforms.validators import ValidationError

from campaign.people.names import phone_key
from campaign.people.services import PersonDetails
from campaign.places.queries import district_for, normalize_postal_code
from campaign.web.fields import area, choice, email, text, tick
from campaign.web.forms import Form
from campaign.web.languages import LANGUAGES

BY_HAND = "by hand"
FEWEST_DIGITS, MOST_DIGITS = 7, 15  # E.164 ends at fifteen


class ValidPhone:
    """Digits enough for a phone number, however they are written."""

    def __call__(self, form: Form, field: Field) -> None:
        if field.data and not FEWEST_DIGITS <= len(phone_key(field.data)) <= MOST_DIGITS:
            raise ValidationError(_("A phone number has 7 to 15 digits."))


class ValidPostalCode:
    """Something that can be a postal code; kept in the one form we store."""

    def __call__(self, form: Form, field: Field) -> None:
        if not field.data:
            return
        field.data = normalize_postal_code(field.data)
        if not any(letter.isdigit() for letter in field.data):
            raise ValidationError(_("This does not look like a ZIP code. It should be like 60637."))


class PersonForm(Form):
    """The fields of a person that somebody may change."""

    first_name = text(_l("First name"), render_kw={"autocomplete": "off"})
    last_name = text(_l("Last name"), render_kw={"autocomplete": "off"})
    email = email(_l("Email"), render_kw={"autocomplete": "off"})
    phone = text(
        _l("Phone"),
        limit=40,
        validators=(ValidPhone(),),
        render_kw={"type": "tel", "autocomplete": "off"},
    )
    postal_code = text(
        _l("ZIP code"), limit=20, validators=(ValidPostalCode(),), render_kw={"autocomplete": "off"}
    )
    language = choice(_l("Language"), list(LANGUAGES.items()), default="en")

    def validate(self, extra_validators: Any = None) -> bool:
        """Somebody without a name, an address and a phone is nobody."""
        is_valid = bool(super().validate(extra_validators))
        given = (self.first_name, self.last_name, self.email, self.phone)
        if is_valid and not any(field.data for field in given):
            self.add_error("first_name", _("Write at least a name, an email or a phone number."))
            return False
        return is_valid

    def details(self, source: str = BY_HAND) -> PersonDetails:
        """What was typed, with the district of the postal code."""
        district_id, share = district_for(self.postal_code.data)
        return PersonDetails(
            email=self.email.data or "",
            first_name=self.first_name.data or "",
            last_name=self.last_name.data or "",
            postal_code=self.postal_code.data or "",
            phone=self.phone.data or "",
            language=self.language.data or "en",
            source=source,
            district_id=district_id,
            district_share=share,
        )


class NewPersonForm(PersonForm):
    """Somebody added by hand: with a consent only if it is said how it was given."""

    has_agreed = tick(_l("This person agreed to get email from us"))
    basis = text(_l("How and when did they agree?"), limit=300)

    def validate(self, extra_validators: Any = None) -> bool:
        is_valid = super().validate(extra_validators)
        if self.has_agreed.data and not self.basis.data:
            self.add_error(
                "basis", _("Write how they agreed: “signed up at the vigil on May 3”, for example.")
            )
            return False
        if self.has_agreed.data and not self.email.data and not self.email.errors:
            self.add_error("email", _("Write the email address they agreed to be written at."))
            return False
        return is_valid


class NoteForm(Form):
    """A note about a person."""

    text = area(_l("Note"), required=True, limit=4000)


class TagForm(Form):
    """One tag by its name."""

    tag = text(_l("Tag"), required=_l("Write the name of a tag."), limit=80)
