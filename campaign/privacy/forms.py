"""What somebody may write on their own page."""

from __future__ import annotations

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import Field
from wtforms.validators import ValidationError

from campaign.people.models import Person
from campaign.people.services import PersonDetails
from campaign.places.queries import district_for, normalize_postal_code
from campaign.web.fields import choice, email, text
from campaign.web.forms import Form
from campaign.web.languages import LANGUAGES


class ValidPostalCode:
    """Something that can be a postal code; kept in the one form we store."""

    def __call__(self, form: Form, field: Field) -> None:
        if field.data:
            field.data = normalize_postal_code(field.data)
            if not any(letter.isdigit() for letter in field.data):
                raise ValidationError(
                    _("This does not look like a ZIP code. It should be like 60637.")
                )


class OwnDetailsForm(Form):
    """What a person may correct about themself. The address stays: it is what the link proved."""

    first_name = text(_l("First name"), render_kw={"autocomplete": "given-name"})
    last_name = text(_l("Last name"), render_kw={"autocomplete": "family-name"})
    postal_code = text(
        _l("ZIP code"),
        limit=20,
        validators=(ValidPostalCode(),),
        render_kw={"autocomplete": "postal-code"},
    )
    language = choice(_l("Language of our email to you"), list(LANGUAGES.items()), default="en")

    def details(self, person: Person) -> PersonDetails:
        """What was typed; a field that the form did not send stays as it is."""

        def typed(name: str) -> str:
            sent = self[name].raw_data
            return str(self[name].data or "") if sent else str(getattr(person, name))

        postal_code = typed("postal_code")
        district_id, share = district_for(postal_code)
        return PersonDetails(
            email=person.email or "",
            phone=person.phone,
            first_name=typed("first_name"),
            last_name=typed("last_name"),
            postal_code=postal_code,
            language=typed("language"),
            source=person.source,
            district_id=district_id,
            district_share=share,
        )


class AskForm(Form):
    """The address to which the link to one's own page is sent."""

    email = email(_l("Your email"), required=_l("Write your email address."))
