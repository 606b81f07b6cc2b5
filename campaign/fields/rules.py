"""What may stand under a field: read from what somebody typed or a file held, and said again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation

from babel.dates import format_date
from babel.numbers import NumberFormatError, format_decimal, parse_decimal
from flask_babel import gettext as _

from campaign.errors import Invalid
from campaign.fields.models import LONGEST, CustomField, FieldKind, Option, Question
from campaign.people.names import fold
from campaign.web.fields import EARLIEST, LATEST, clean, hostile

YES = frozenset({"yes", "y", "true", "1", "x", "si", "s"})
NO = frozenset({"no", "n", "false", "0"})
MOST = Decimal(10) ** 13
ASKED = "field_"
"""A public form names the line of a question by this and the question's key."""


@dataclass(frozen=True, slots=True)
class Value:
    """A value as it is stored: see FieldValue."""

    text: str
    text_key: str
    number: Decimal | None = None
    day: date | None = None


def key_of(text: str) -> str:
    """The comparing form of a text: case, accents and signs do not matter."""
    return (fold(text) or " ".join(text.split()).casefold())[:LONGEST]


def read(field: CustomField | Question, typed: str, language: str = "en") -> Value | None:
    """What was typed as a value of the field; None for a blank.

    Numbers may be written as the language writes them, days as 2026-06-30, a choice by any of its
    words. Raises Invalid with what is expected.
    """
    text = clean(typed)
    if not text:
        return None
    if message := hostile(text):
        raise Invalid(str(message))
    if len(text) > LONGEST:
        raise Invalid(_("Please keep this under %(max)d characters.", max=LONGEST))
    if field.kind == FieldKind.NUMBER:
        return _number(text, language)
    if field.kind == FieldKind.DATE:
        return _day(text)
    if field.kind == FieldKind.YES_NO:
        return _yes_no(text)
    if field.kind == FieldKind.CHOICE:
        return _choice(field, text)
    return Value(text, key_of(text))


def _number(text: str, language: str) -> Value:
    try:
        found = Decimal(text)
    except InvalidOperation:
        try:
            found = parse_decimal(text, locale=language, strict=True)
        except NumberFormatError:
            raise Invalid(_("Write a number, like 12 or 12.5.")) from None
    if not found.is_finite() or abs(found) >= MOST:
        raise Invalid(_("This number is too large."))
    rounded = found.quantize(Decimal("0.0001"))
    if rounded != found:
        raise Invalid(_("At most four digits after the point."))
    plain = f"{rounded:f}".rstrip("0").rstrip(".")
    plain = "0" if plain in ("", "-0") else plain
    return Value(plain, plain, number=Decimal(plain))


def _day(text: str) -> Value:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise Invalid(_("Write the day as year-month-day, like 2026-06-30.")) from None
    if not EARLIEST <= day <= LATEST:
        raise Invalid(_("This day is too far away. Please check the year."))
    return Value(day.isoformat(), day.isoformat(), day=day)


def _yes_no(text: str) -> Value:
    key = fold(text)
    if key in YES:
        return Value("yes", "yes")
    if key in NO:
        return Value("no", "no")
    raise Invalid(_("Write yes or no."))


def _choice(field: CustomField | Question, text: str) -> Value:
    wanted = key_of(text)
    for option in field.options:
        if text == option.value or wanted in {key_of(words) for words in option.words.values()}:
            return Value(option.value, key_of(option.value))
    known = ", ".join(said(option, "en") for option in field.options[:8])
    raise Invalid(_("Choose one of these: %(choices)s.", choices=known))


def read_answers(
    questions: Sequence[Question], typed: Mapping[str, str], language: str
) -> dict[str, str]:
    """What somebody answered, by the questions' keys, as it is kept until the address is theirs:
    the id of each field in hexadecimal → the stored text. What was left out is not in it.

    Raises Invalid at the line of the form that is wrong.
    """
    found: dict[str, str] = {}
    for question in questions:
        try:
            value = read(question, typed.get(question.key, ""), language)
        except Invalid as error:
            raise Invalid(error.message, field=ASKED + question.key) from None
        if value is not None:
            found[question.id.hex] = value.text
    return found


def in_words(
    fields: Sequence[CustomField], answers: Mapping[str, str], language: str
) -> list[tuple[str, str]]:
    """What `read_answers` kept, to be read: the name of each of these fields, and its value."""
    return [
        (field.name.get_for(language), shown(field, answers[field.id.hex], language))
        for field in fields
        if field.id.hex in answers
    ]


def said(option: Option, language: str) -> str:
    """An option in words."""
    return option.words.get_for(language) or option.value


def shown(field: CustomField | Question, text: str, language: str) -> str:
    """A stored value as a person reads it; what a choice no longer offers stays as it was."""
    if not text:
        return ""
    if field.kind == FieldKind.YES_NO:
        return str(_("Yes") if text == "yes" else _("No"))
    if field.kind == FieldKind.CHOICE:
        option = next((one for one in field.options if one.value == text), None)
        return said(option, language) if option else text
    if field.kind == FieldKind.NUMBER:
        return str(format_decimal(Decimal(text), locale=language))
    if field.kind == FieldKind.DATE:
        return str(format_date(date.fromisoformat(text), "long", locale=language))
    return text
