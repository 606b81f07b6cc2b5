"""What the columns of a file hold, and what one row of it says about somebody."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from email_validator import EmailNotValidError, validate_email
from flask_babel import gettext, lazy_gettext
from flask_babel import lazy_gettext as _l

from campaign.errors import Invalid
from campaign.mail.addresses import address_hash
from campaign.people.services import PersonDetails
from campaign.places.queries import normalize_postal_code
from campaign.tabular import Problem, Row, Unreadable, unguard
from campaign.web.fields import clean, hostile

MAX_TAGS_IN_ROW = 20


def _(message: str, **values: object) -> str:
    return str(gettext(message, **values))


class Field(StrEnum):
    """What a column of a file can hold."""

    EMAIL = "email"
    FIRST_NAME = "first_name"
    LAST_NAME = "last_name"
    NAME = "name"
    POSTAL_CODE = "postal_code"
    PHONE = "phone"
    TAGS = "tags"
    LANGUAGE = "language"
    SOURCE = "source"


IGNORED = "ignore"
FIELD_NAMES = {
    Field.EMAIL: lazy_gettext("Email"),
    Field.FIRST_NAME: lazy_gettext("First name"),
    Field.LAST_NAME: lazy_gettext("Last name"),
    Field.NAME: lazy_gettext("Full name"),
    Field.POSTAL_CODE: lazy_gettext("ZIP or postal code"),
    Field.PHONE: lazy_gettext("Phone"),
    Field.TAGS: lazy_gettext("Tags"),
    Field.LANGUAGE: lazy_gettext("Language"),
    Field.SOURCE: lazy_gettext("Source"),
}
_SYNONYMS: dict[Field, str] = {
    Field.EMAIL: "email mail email_address emailaddress primary_email correo correo_electronico",
    Field.FIRST_NAME: "first_name firstname first given_name forename nombre nombres",
    Field.LAST_NAME: "last_name lastname last surname family_name apellido apellidos",
    Field.NAME: "name full_name fullname nombre_completo",
    Field.POSTAL_CODE: "postal_code postalcode postcode zip zip_code zipcode zip_postal_code"
    " home_zip codigo_postal",
    Field.PHONE: "phone phone_number phonenumber telephone tel mobile mobile_phone mobile_number"
    " cell cell_phone cellphone can_phone telefono",
    Field.TAGS: "tags tag labels etiquetas",
    Field.LANGUAGE: "language lang preferred_language idioma",
    Field.SOURCE: "source origin",
}
_BY_HEADING = {word: found for found, words in _SYNONYMS.items() for word in words.split()}
_LANGUAGES = {
    "en": "en",
    "eng": "en",
    "english": "en",
    "inglés": "en",
    "es": "es",
    "spa": "es",
    "spanish": "es",
    "español": "es",
}
_LIMITS = {
    Field.FIRST_NAME: 200,
    Field.LAST_NAME: 200,
    Field.NAME: 400,
    Field.EMAIL: 254,
    Field.PHONE: 40,
    Field.POSTAL_CODE: 20,
    Field.LANGUAGE: 40,
    Field.SOURCE: 80,
    Field.TAGS: 2000,
}
_PLAIN_ADDRESS = re.compile(
    r"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+"
    r"(?:com|org|net|edu|gov|us|info|mx|es|uk|ca|de|fr)"
)


# Columns


def recognize(header: Sequence[str]) -> dict[str, str]:
    """Column → field for the headings people commonly write; the first of two alike counts."""
    found: dict[str, str] = {}
    for column in header:
        heading = re.sub(r"[^\w]+", "_", column.casefold()).strip("_").replace("e_mail", "email")
        known = _BY_HEADING.get(heading)
        if known is not None and known.value not in found.values():
            found[column] = known.value
    if {Field.FIRST_NAME, Field.LAST_NAME} & set(found.values()):
        found = {column: name for column, name in found.items() if name != Field.NAME}
    return found


def map_columns(header: Sequence[str], given: Mapping[str, str]) -> dict[str, str]:
    """What each column holds: what was said (`given`), else what its heading says.

    Raises Invalid when something said is not there, two columns hold one field, or none holds
    e-mail addresses.
    """
    fields = {name.value for name in Field}
    for column, name in given.items():
        if column not in header:
            raise Invalid(
                _(
                    "There is no column “%(column)s”. There are: %(columns)s.",
                    column=column,
                    columns=", ".join(header),
                )
            )
        if name not in fields and name != IGNORED:
            raise Invalid(
                _(
                    "“%(field)s” is no field. There are: %(fields)s.",
                    field=name,
                    fields=", ".join([*sorted(fields), IGNORED]),
                )
            )
    named = {name for name in given.values() if name != IGNORED}
    chosen = {
        column: name
        for column, name in recognize(header).items()
        if column not in given and name not in named
    }
    chosen |= {column: name for column, name in given.items() if name != IGNORED}
    if len(set(chosen.values())) < len(chosen):
        raise Invalid(_("Two columns are to hold the same thing. Choose one of them."))
    if Field.EMAIL not in chosen.values():
        raise Invalid(
            _(
                "No column holds email addresses. The columns are: %(columns)s.",
                columns=", ".join(header),
            )
        )
    return chosen


def reason_unreadable(error: Unreadable) -> str:
    """Why a file holds no table, in words."""
    return {
        "spreadsheet": _("This is a spreadsheet file. Save it as CSV and choose that file."),
        "binary": _("This is not a table. Choose a CSV file."),
        "empty": _("There is nothing in this file."),
        "columns": _("The first line must name the columns, like: email,first_name,last_name."),
    }[error.kind]


def reason_failed(error: Exception) -> str:
    """Why an import could not go on, in words without a path."""
    if isinstance(error, Unreadable):
        return reason_unreadable(error)
    if isinstance(error, Invalid):
        return str(error.message)
    return _("The file could not be read again. Please upload it once more.")


# Rows


class RefusedError(Exception):
    """This row cannot be taken, and why: words that are said when they are written down."""

    def __init__(self, reason: object) -> None:
        super().__init__()
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that cannot be taken."""

    number: int
    reason: object


@dataclass(frozen=True, slots=True)
class Entry:
    """A row that can be taken. Its district is not looked up yet."""

    number: int
    details: PersonDetails
    tags: tuple[str, ...]
    hashed: str


def read_rows(
    rows: Iterable[Row], places: Mapping[Field, int], most: int
) -> Iterator[list[Entry | Refusal]]:
    """Rows as what they say, in pieces of `most`; the last may be empty.

    Asks nothing of a session or a request: it runs in a thread of its own (`read_ahead`).
    """
    piece: list[Entry | Refusal] = []
    for row in rows:
        try:
            piece.append(read_row(row, places))
        except RefusedError as refusal:
            piece.append(Refusal(row.number, refusal.reason))
        if len(piece) == most:
            yield piece
            piece = []
    yield piece


def read_row(row: Row, places: Mapping[Field, int]) -> Entry:
    """What a row says about somebody; raises RefusedError. `places` is field → column number."""
    if row.problem is not None:
        raise RefusedError(_problem(row.problem))
    values: dict[Field, str] = {}
    for name, place in places.items():
        text = unguard(row.cells[place])
        if text and not (text.isascii() and text.isprintable()):
            message = hostile(text.strip())
            if message:
                raise RefusedError(
                    _l("%(field)s: %(problem)s", field=FIELD_NAMES[name], problem=message)
                )
        text = clean(text)
        if len(text) > _LIMITS[name]:
            raise RefusedError(
                _l(
                    "%(field)s: longer than %(most)s characters.",
                    field=FIELD_NAMES[name],
                    most=_LIMITS[name],
                )
            )
        values[name] = text
    email = _address(values.get(Field.EMAIL, ""))
    first, last = values.get(Field.FIRST_NAME, ""), values.get(Field.LAST_NAME, "")
    if values.get(Field.NAME):
        first, _space, last = values[Field.NAME].rpartition(" ")
        first, last = (first, last) if first else (last, "")
    code = normalize_postal_code(values.get(Field.POSTAL_CODE, ""))
    return Entry(
        number=row.number,
        details=PersonDetails(
            email=email,
            first_name=first,
            last_name=last,
            postal_code=code,
            phone=values.get(Field.PHONE, ""),
            language=_language(values.get(Field.LANGUAGE, "")),
            source=values.get(Field.SOURCE, "") or "import",
        ),
        tags=_tags(values.get(Field.TAGS, "")),
        hashed=address_hash(email),
    )


def _problem(problem: Problem) -> object:
    return {
        Problem.QUOTES: _l("The quotes in this row do not match."),
        Problem.TOO_LONG: _l("A cell in this row is too long."),
        Problem.TOO_MANY_CELLS: _l("This row has more cells than the first line has columns."),
        Problem.EMPTY: _l("This row is empty."),
    }[problem]


def _address(text: str) -> str:
    if not text:
        raise RefusedError(_l("There is no email address."))
    if _PLAIN_ADDRESS.fullmatch(text) and text.index("@") <= 64:
        local, _at, domain = text.rpartition("@")
        return f"{local}@{domain.lower()}"
    try:
        return validate_email(text, check_deliverability=False).normalized
    except EmailNotValidError:
        raise RefusedError(_l("The email address is not complete or not correct.")) from None


def _language(text: str) -> str:
    if not text:
        return ""
    found = _LANGUAGES.get(text.casefold()) or _LANGUAGES.get(text.casefold()[:2])
    if found is None:
        raise RefusedError(_l("The language is not one we write in: use en or es."))
    return found


def _tags(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(part for part in map(str.strip, re.split("[;,|]", text)) if part))
    if len(names) > MAX_TAGS_IN_ROW or any(len(name) > 80 for name in names):
        raise RefusedError(
            _l("These are too many tags (%(most)s at most), or one is too long.", most=20)
        )
    return names
