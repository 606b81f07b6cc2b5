"""Forms: walking in, lines of paper sheets, heads, and "did you come?"."""

from __future__ import annotations

from collections.abc import Mapping

from flask_babel import lazy_gettext as _l
from wtforms import HiddenField, RadioField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import NumberRange, Optional

from campaign.checkin.models import CountWay, SignInWay
from campaign.checkin.services import FEEDBACK_LIMIT, MOST_GUESTS, WalkIn
from campaign.people.door import PostalCode
from campaign.web.fields import Count, RequiredOnce, area, choice, count, email, text, tick
from campaign.web.forms import Form
from campaign.web.languages import LANGUAGES

MOST_SHEETS = 50
_GUESTS = NumberRange(min=0, max=MOST_GUESTS, message=_l("Write a number from 0 to %(max)s."))


class WalkInForm(Form):
    """Somebody at the door. The consent boxes are read from the request."""

    first_name = text(
        _l("First name"),
        required=_l("Please write the first name."),
        limit=100,
        render_kw={"autocomplete": "off"},
    )
    last_name = text(_l("Last name"), limit=100, render_kw={"autocomplete": "off"})
    email = email(_l("Email"), render_kw={"autocomplete": "off"})
    postal_code = text(
        _l("ZIP code"),
        limit=20,
        validators=(PostalCode(),),
        render_kw={"autocomplete": "off", "inputmode": "numeric"},
    )
    guests = Count(
        _l("Guests"),
        default=0,
        validators=[Optional(), _GUESTS],
        render_kw={"inputmode": "numeric", "type": "text"},
    )
    repeat = tick(_l("It is somebody else"))
    key = HiddenField()

    def check_consents(self, ticked: Mapping[str, str]) -> bool:
        """Whoever agrees to email needs an address: else nobody could keep the promise."""
        if ticked and not self.email.data:
            self.add_error("email", _l("They agreed to email: please write the address."))
            return False
        return True

    def details(self, wordings: Mapping[str, str], language: str) -> WalkIn:
        """What was typed, for the service."""
        return WalkIn(
            first_name=self.first_name.data,
            last_name=self.last_name.data or "",
            email=self.email.data or "",
            postal_code=self.postal_code.data or "",
            guests=self.guests.data or 0,
            language=language,
            wordings=wordings,
            way=SignInWay.DOOR,
        )


class LineForm(WalkInForm):
    """One line of a paper sheet."""

    sheet = Count(
        _l("Sheet"),
        default=1,
        validators=[
            RequiredOnce(),
            NumberRange(min=1, max=999, message=_l("Write the number at the top of the sheet.")),
        ],
        render_kw={"inputmode": "numeric", "type": "text", "autocomplete": "off"},
    )
    line = Count(
        _l("Line"),
        default=1,
        validators=[
            RequiredOnce(),
            NumberRange(min=1, max=99, message=_l("Write the number at the left of the line.")),
        ],
        render_kw={"inputmode": "numeric", "type": "text", "autocomplete": "off"},
    )
    sheet_language = choice(_l("Language of the sheet"), lambda: list(LANGUAGES.items()))

    @property
    def place(self) -> str:
        """ "2/14": sheet 2, line 14."""
        return f"{self.sheet.data}/{self.line.data}"

    def details(self, wordings: Mapping[str, str], language: str) -> WalkIn:
        return WalkIn(
            first_name=self.first_name.data,
            last_name=self.last_name.data or "",
            email=self.email.data or "",
            postal_code=self.postal_code.data or "",
            guests=0,
            language=language,
            wordings=wordings,
            way=SignInWay.SHEET,
            sheet_line=self.place,
        )


class HeadsForm(Form):
    """How many heads."""

    count = Count(
        _l("How many heads?"),
        validators=[
            RequiredOnce(_l("Write how many you counted.")),
            NumberRange(min=0, max=10_000_000, message=_l("Write a number from 0 to 10 million.")),
        ],
        render_kw={"inputmode": "numeric", "type": "text", "autocomplete": "off"},
    )
    way = choice(
        _l("How did you count?"),
        [
            (CountWay.HAND.value, _l("By eye or by hand")),
            (CountWay.CLICKER.value, _l("With the clicker")),
            (CountWay.PHOTO.value, _l("On a picture, which we do not keep")),
        ],
        default=CountWay.HAND.value,
    )
    note = text(_l("Note"), limit=200, render_kw={"autocomplete": "off"})


class ExpectForm(Form):
    """An organizer's own forecast."""

    count = count(_l("Your own number"))


class SheetsForm(Form):
    """Paper to print."""

    language = choice(_l("Language of the sheet"), lambda: list(LANGUAGES.items()))
    sheets = Count(
        _l("How many sheets?"),
        default=3,
        validators=[
            RequiredOnce(),
            NumberRange(min=1, max=MOST_SHEETS, message=_l("Choose from 1 to %(max)s sheets.")),
        ],
        render_kw={"inputmode": "numeric", "type": "text"},
    )
    names = tick(_l("Print the names of those who said they come"))


class CameForm(Form):
    """Did you come?"""

    came = RadioField(
        _l("Did you come?"),
        choices=[
            SelectChoice("yes", _l("Yes, I was there")),
            SelectChoice("no", _l("No, I could not come")),
        ],
        validators=[RequiredOnce(_l("Please choose yes or no."))],
    )
    feedback = area(
        _l("Do you want to tell us something?"), limit=FEEDBACK_LIMIT, render_kw={"rows": 4}
    )
