"""Forms to log in, to set a password and to change one's own account."""

from __future__ import annotations

from zoneinfo import available_timezones

from flask_babel import lazy_gettext as _l
from wtforms import PasswordField, StringField
from wtforms.validators import Length, ValidationError

from campaign.accounts.services import LONGEST_PASSWORD, SHORTEST_PASSWORD
from campaign.web.fields import NoHostileText, RequiredOnce, choice, email, text
from campaign.web.forms import Form
from campaign.web.languages import LANGUAGES


def password_field(label: object, autocomplete: str, *, hint: object = "") -> PasswordField:
    """A password: never cleaned, never shown again, and at most so long that hashing is cheap."""
    return PasswordField(
        label,
        description=hint,
        validators=[
            RequiredOnce(),
            Length(max=LONGEST_PASSWORD, message=_l("Please use %(max)d characters at most.")),
        ],
        render_kw={"autocomplete": autocomplete, "maxlength": str(LONGEST_PASSWORD)},
    )


def new_password_field() -> PasswordField:
    """A password to be set, with our advice."""
    return password_field(
        _l("New password"),
        "new-password",
        hint=_l(
            "%(count)d characters or more. Four words in a row are easy to keep in mind.",
            count=SHORTEST_PASSWORD,
        ),
    )


def zone_choices() -> list[tuple[str, str]]:
    """The time zones of the IANA database, those of the United States first."""
    names = sorted(name for name in available_timezones() if "/" in name or name == "UTC")
    near = [
        "America/Chicago",
        "America/New_York",
        "America/Denver",
        "America/Phoenix",
        "America/Los_Angeles",
        "America/Anchorage",
        "Pacific/Honolulu",
        "America/Puerto_Rico",
    ]
    skipped = {*near}
    rest = [
        name
        for name in names
        if name not in skipped and not name.startswith(("Etc/", "posix/", "right/", "SystemV/"))
    ]
    return [(name, name.replace("_", " ")) for name in near + rest]


def language_choices() -> list[tuple[str, str]]:
    """Our languages, each in its own words."""
    return list(LANGUAGES.items())


class LoginForm(Form):
    """`/login`."""

    email = StringField(
        _l("Email"),
        filters=[lambda value: value.strip() if value else ""],
        validators=[RequiredOnce(), NoHostileText(), Length(max=254)],
        render_kw={
            "type": "email",
            "autocomplete": "username",
            "inputmode": "email",
            "spellcheck": "false",
            "maxlength": "254",
        },
    )
    password = password_field(_l("Password"), "current-password")


class AgainForm(Form):
    """The password once more."""

    password = password_field(_l("Your password"), "current-password")


class AskResetForm(Form):
    """Where to send the link."""

    email = email(_l("Email"), required=True)


class SetPasswordForm(Form):
    """A new password by a link."""

    password = new_password_field()


class ChangePasswordForm(Form):
    """A new password, for somebody logged in."""

    present = password_field(_l("Your password now"), "current-password")
    password = new_password_field()


class ProfileForm(Form):
    """Who somebody is, and how the console speaks to them."""

    name = text(_l("Name"), required=True, limit=120, render_kw={"autocomplete": "name"})
    language = choice(_l("Language"), language_choices)
    time_zone = choice(_l("Time zone"), zone_choices)

    def validate_time_zone(self, field: StringField) -> None:
        if field.data not in available_timezones():
            raise ValidationError(_l("Please choose a time zone from the list."))
