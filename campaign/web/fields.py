"""Form fields that refuse hostile text with a clear message at the field.

What a person may type is wide (any script, emoji); what breaks other people's screens, files or
mail headers is not: NUL and other controls, lone surrogates, bidirectional overrides, line
breaks where one line is asked.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from datetime import date, time
from typing import Any, ClassVar

from email_validator import EmailNotValidError, validate_email
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import (
    BooleanField,
    DateField,
    Field,
    IntegerField,
    SelectField,
    StringField,
    TextAreaField,
    TimeField,
)
from wtforms import Form as WTForm
from wtforms.fields.choices import SelectChoice
from wtforms.validators import Length, NumberRange, Optional, StopValidation, ValidationError

BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
BREAK = re.compile("[\r\n\u2028\u2029\u0085]")
SURROGATE = re.compile("[\ud800-\udfff]")
EARLIEST, LATEST = date(1900, 1, 1), date(2200, 1, 1)


def clean(value: str | None) -> str:
    """NFC, without white space at the ends; "" for None."""
    return unicodedata.normalize("NFC", value).strip() if value else ""


def hostile(value: str, *, lines: bool = False) -> Any:
    """Why `value` cannot be taken (a message for the person), or None.

    `lines` allows line breaks. The same rule serves forms, imports and the API.
    """
    if CONTROL.search(value) or SURROGATE.search(value) or "\ufffd" in value:
        return _l("This has characters we cannot use. Please type it again.")
    if BIDI.search(value):
        return _l(
            "This has hidden characters that change the direction of text. Please remove them."
        )
    if not lines and BREAK.search(value):
        return _l("Please write this on one line.")
    return None


class NoHostileText:
    """Validator for `hostile`."""

    def __init__(self, *, lines: bool = False) -> None:
        self.lines = lines

    def __call__(self, form: WTForm, field: Field) -> None:
        if isinstance(field.data, str):
            message = hostile(field.data, lines=self.lines)
            if message:
                raise StopValidation(message)


class RequiredOnce:
    """A value must be there, with our words for it."""

    field_flags: ClassVar[dict[str, bool]] = {"required": True}

    def __init__(self, message: str | None = None) -> None:
        self.message = message

    def __call__(self, form: WTForm, field: Field) -> None:
        if not field.data or (isinstance(field.data, str) and not field.data.strip()):
            field.errors[:] = []
            raise StopValidation(self.message or _l("Please fill this in."))


class ValidEmail:
    """An address that mail can go to (syntax only: no DNS while a person waits)."""

    def __call__(self, form: WTForm, field: Field) -> None:
        if not field.data:
            return
        try:
            field.data = validate_email(field.data, check_deliverability=False).normalized
        except EmailNotValidError:
            raise ValidationError(
                _l("This does not look like an email address. It should be like name@example.org.")
            ) from None


def _validators(required: bool | str, limit: int, lines: bool, extra: tuple[Any, ...]) -> list[Any]:
    first: Any = RequiredOnce(None if required is True else required) if required else Optional()
    return [
        first,
        NoHostileText(lines=lines),
        Length(max=limit, message=_l("Please keep this under %(max)d characters.")),
        *extra,
    ]


def text(
    label: Any,
    *,
    required: bool | str = False,
    limit: int = 200,
    validators: tuple[Any, ...] = (),
    **options: Any,
) -> StringField:
    """One line of text."""
    keywords = {"maxlength": str(limit)} | options.pop("render_kw", {})
    return StringField(
        label,
        filters=[clean],
        validators=_validators(required, limit, False, validators),
        render_kw=keywords,
        **options,
    )


def email(label: Any, *, required: bool | str = False, **options: Any) -> StringField:
    """An e-mail address, at most 254 characters (RFC 5321)."""
    keywords = {
        "type": "email",
        "autocomplete": "email",
        "inputmode": "email",
        "spellcheck": "false",
    }
    return text(
        label,
        required=required,
        limit=254,
        validators=(ValidEmail(),),
        render_kw=keywords | options.pop("render_kw", {}),
        **options,
    )


def area(
    label: Any, *, required: bool | str = False, limit: int = 20_000, **options: Any
) -> TextAreaField:
    """Several lines of text."""
    return TextAreaField(
        label,
        filters=[clean],
        validators=_validators(required, limit, True, ()),
        render_kw={"maxlength": str(limit)} | options.pop("render_kw", {}),
        **options,
    )


def choice(
    label: Any,
    choices: list[tuple[str, Any]] | Callable[[], list[tuple[str, Any]]],
    **options: Any,
) -> SelectField:
    """One of a list of (value, label) pairs, or of what a function gives when the form is made."""

    def made() -> list[SelectChoice]:
        return [SelectChoice(*pair) for pair in (choices() if callable(choices) else choices)]

    return SelectField(label, choices=made, **options)


def tick(label: Any, **options: Any) -> BooleanField:
    """Yes or no; not ticked unless told."""
    return BooleanField(label, **options)


class Day(DateField):
    """A day; what cannot be read as one is said in our words."""

    data: date | None

    def process_formdata(self, valuelist: list[str]) -> None:
        try:
            super().process_formdata(valuelist)
        except ValueError:
            raise ValueError(_("Write the day as year-month-day, like 2026-06-30.")) from None
        if self.data is not None and not EARLIEST <= self.data <= LATEST:
            self.data = None
            raise ValueError(_("This day is too far away. Please check the year."))


class Count(IntegerField):
    """A whole number that is not negative."""

    def process_formdata(self, valuelist: list[str]) -> None:
        plain = [re.sub(r"[\s,.'’]", "", value) for value in valuelist]
        try:
            super().process_formdata(plain)
        except ValueError:
            raise ValueError(_("Write a whole number, like 540.")) from None


def day(label: Any, *, required: bool = False, **options: Any) -> Day:
    """A day of the calendar."""
    return Day(
        label,
        validators=[RequiredOnce() if required else Optional()],
        render_kw={"type": "date"},
        **options,
    )


class Hour(TimeField):
    """A time of day; seconds that a browser adds do not matter."""

    def process_formdata(self, valuelist: list[str]) -> None:
        try:
            super().process_formdata(valuelist)
        except ValueError:
            self.data = None
            raise ValueError(_("Write a time like 21:00.")) from None

    def process_data(self, value: Any) -> None:
        super().process_data(
            time.fromisoformat(value) if isinstance(value, str) and value else value or None
        )


def hour(label: Any, **options: Any) -> Hour:
    """A time of day, or none."""
    return Hour(
        label,
        format=["%H:%M", "%H:%M:%S"],
        validators=[Optional()],
        render_kw={"type": "time"},
        **options,
    )


class InRange(NumberRange):
    """What was typed and is no number has its message already, and one is enough."""

    def __call__(self, form: Any, field: Any) -> None:
        if field.process_errors:
            raise StopValidation
        try:
            super().__call__(form, field)
        except ValidationError as error:
            raise StopValidation(*error.args) from None


def count(label: Any, *, has_limits: bool = True, **options: Any) -> Count:
    """A whole number up to ten million; thousands may be set off.

    Without `has_limits` the form says itself what is too little and too much.
    """
    limits = InRange(min=0, max=10_000_000, message=_l("Write a number from 0 to 10 million."))
    return Count(
        label,
        validators=[Optional(), *([limits] if has_limits else [])],
        render_kw={"inputmode": "numeric", "type": "text"},
        **options,
    )
