"""What the columns of a file hold, and what one row of it says about somebody."""

from __future__ import annotations

import re
import unicodedata
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Any

from email_validator import EmailNotValidError, validate_email
from flask_babel import gettext, lazy_gettext
from flask_babel import lazy_gettext as _l

from campaign.errors import Invalid
from campaign.fields.models import Question
from campaign.fields.rules import Value, read
from campaign.mail.addresses import address_hash
from campaign.people.names import fold
from campaign.people.services import PersonDetails
from campaign.places.queries import normalize_postal_code
from campaign.tabular import Problem, Row, Unreadable, unguard
from campaign.web.fields import clean, hostile

MAX_TAGS_IN_ROW = 20


def _(message: str, **values: object) -> str:
    return str(gettext(message, **values))


class Field(StrEnum):
    """What a column of a file can hold, besides the organization's own fields."""

    EMAIL = "email"
    FIRST_NAME = "first_name"
    LAST_NAME = "last_name"
    NAME = "name"
    POSTAL_CODE = "postal_code"
    PHONE = "phone"
    TAGS = "tags"
    LANGUAGE = "language"
    SOURCE = "source"
    DISTRICT = "district"
    EMAIL_STATUS = "email_status"
    OPTED_OUT = "opted_out"


_FIRST_OF_SEVERAL = frozenset({Field.EMAIL, Field.PHONE})
"""Google writes several into one cell, with three colons between them."""
IGNORED = "ignore"
OWN = "field:"
"""An own field is written by this and its key."""
SEVERAL = frozenset({Field.OPTED_OUT})
"""What several columns may hold: any of them that says so keeps somebody out of mailings."""
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
    Field.DISTRICT: lazy_gettext("Ward"),
    Field.EMAIL_STATUS: lazy_gettext("Whether they get email (yes, subscribed …)"),
    Field.OPTED_OUT: lazy_gettext("Whether they left (yes, or the day)"),
}
_SYNONYMS: dict[Field, str] = {
    Field.EMAIL: "email mail email_address emailaddress primary_email correo correo_electronico"
    " email1 email_1 email_1_value preferred_email preferredemail personal_email"
    " direccion_de_correo_electronico direccion_de_correo correo_1",
    Field.FIRST_NAME: "first_name firstname first given_name forename nombre nombres nombre_s"
    " primer_nombre nombre_de_pila",
    Field.LAST_NAME: "last_name lastname last surname family_name apellido apellidos apellido_s",
    Field.NAME: "name full_name fullname nombre_completo nombre_y_apellidos display_name contact_name",
    Field.POSTAL_CODE: "postal_code postalcode postcode zip zip_code zipcode zip_postal_code"
    " home_zip codigo_postal primary_zip zip_postal zippostal zip5 mzip5 address_1_postal_code"
    " codigo_zip cp c_p primary_postal_code",
    Field.PHONE: "phone phone_number phonenumber telephone tel mobile mobile_phone mobile_number"
    " cell cell_phone cellphone can_phone telefono can2_phone phone_1_value preferred_phone"
    " preferredphone home_phone telefono_movil telefono_celular celular movil numero_de_telefono",
    Field.TAGS: "tags tag labels etiquetas etiqueta can2_user_tags tag_list tag_s group_membership",
    Field.LANGUAGE: "language lang preferred_language idioma lengua",
    Field.SOURCE: "source origin contact_source fuente origen procedencia",
    Field.DISTRICT: "ward district distrito ward_number",
    Field.EMAIL_STATUS: "email_status can2_subscription_status subscription_status email_opt_in"
    " email_subscription_status emailsubscriptionstatus member_status subscribed is_subscribed"
    " suscrito estado_de_suscripcion estado_de_la_suscripcion",
    Field.OPTED_OUT: "opted_out opt_out is_opt_out no_bulk_emails_user_opt_out no_bulk_emails"
    " do_not_email do_not_contact unsub_time clean_time unsubscribed unsubscribed_at on_hold"
    " email_on_hold email1_is_bad email_is_bad no_email dado_de_baja fecha_de_baja baja"
    " no_enviar_correo no_enviar_correos",
}
_BY_HEADING = {word: found for found, words in _SYNONYMS.items() for word in words.split()}
_PROGRAMS: tuple[tuple[str, frozenset[str]], ...] = (
    ("Action Network", frozenset({"can2_subscription_status"})),
    ("Action Network", frozenset({"can2_user_tags"})),
    ("NationBuilder", frozenset({"nationbuilder_id"})),
    ("CiviCRM", frozenset({"contact_id", "contact_type"})),
    ("CiviCRM", frozenset({"internal_contact_id"})),
    ("CiviCRM", frozenset({"no_bulk_emails_user_opt_out"})),
    ("Mailchimp", frozenset({"leid", "euid"})),
    ("Mailchimp", frozenset({"member_rating", "optin_time"})),
    ("EveryAction", frozenset({"vanid"})),
    ("Google Contacts", frozenset({"email_1_value"})),
)
"""Headings that one program alone writes into its files."""
_LANGUAGES = {
    "en": "en",
    "eng": "en",
    "english": "en",
    "ingles": "en",
    "es": "es",
    "spa": "es",
    "spanish": "es",
    "espanol": "es",
}
_LIMITS = {
    Field.FIRST_NAME: 200,
    Field.LAST_NAME: 200,
    Field.NAME: 400,
    Field.EMAIL: 254,
    Field.PHONE: 40,
    Field.POSTAL_CODE: 20,
    Field.LANGUAGE: 80,
    Field.SOURCE: 80,
    Field.TAGS: 2000,
    Field.DISTRICT: 80,
    Field.EMAIL_STATUS: 80,
    Field.OPTED_OUT: 80,
}
_SAYS_NO = frozenset({"no", "n", "false", "0", "off", "never", "none"})
_GETS_EMAIL = frozenset(
    {"yes", "y", "true", "1", "on", "x", "si", "s", "subscribed", "subscriber", "active", "activo"}
    | {"activa", "confirmed", "opted in", "opt in", "suscrito", "suscrita"}
)
"""What a file writes of somebody who gets its mailings; every other word is somebody who does not.
Programs have many for that (previous bounce, neutral, on hold), and one too many costs nobody."""
_SYSTEM_GROUPS = frozenset({"* mycontacts", "* starred"})
"""Google puts everybody into these."""
_PLAIN_ADDRESS = re.compile(
    r"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+"
    r"(?:com|org|net|edu|gov|us|info|mx|es|uk|ca|de|fr)"
)


# Columns


def heading(column: str) -> str:
    """A heading for comparing: small letters without accents, words joined by a line."""
    plain = "".join(
        letter
        for letter in unicodedata.normalize("NFKD", column).casefold()
        if not unicodedata.combining(letter)
    )
    return re.sub(r"[^\w]+", "_", plain).strip("_").replace("e_mail", "email")


def header_key(header: Sequence[str]) -> str:
    """The hash by which the columns of such a file are remembered."""
    return sha256("\n".join(map(heading, header)).encode()).hexdigest()


def program_of(header: Sequence[str]) -> str:
    """The program whose export a file looks like, by headings that it alone writes; or ""."""
    headings = set(map(heading, header))
    return next((name for name, words in _PROGRAMS if words <= headings), "")


def recognize(header: Sequence[str], own: Sequence[Question] = ()) -> dict[str, str]:
    """Column → field for the headings people and programs commonly write, and those of the
    organization's own fields; the first of two alike counts."""
    known = dict[str, str](_BY_HEADING)
    for question in own:
        for words in (question.key, OWN + question.key, *question.name.values()):
            known.setdefault(heading(words), OWN + question.key)
    found: dict[str, str] = {}
    for column in header:
        name = known.get(heading(column))
        if name is not None and (name in SEVERAL or name not in found.values()):
            found[column] = str(name)
    if {Field.FIRST_NAME, Field.LAST_NAME} & set(found.values()):
        found = {column: name for column, name in found.items() if name != Field.NAME}
    return found


def map_columns(
    header: Sequence[str], given: Mapping[str, str], own: Sequence[Question] = ()
) -> dict[str, str]:
    """What each column holds: what was said (`given`), else what its heading says.

    Raises Invalid when something said is not there, two columns hold one field, or none holds
    e-mail addresses.
    """
    fields = {name.value for name in Field} | {OWN + question.key for question in own}
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
    named = {name for name in given.values() if name != IGNORED and name not in SEVERAL}
    chosen = {
        column: name
        for column, name in recognize(header, own).items()
        if column not in given and name not in named
    }
    chosen |= {column: name for column, name in given.items() if name != IGNORED}
    single = [name for name in chosen.values() if name not in SEVERAL]
    if len(set(single)) < len(single):
        raise Invalid(_("Two columns are to hold the same thing. Choose one of them."))
    if Field.EMAIL not in single:
        raise Invalid(
            _(
                "No column holds email addresses. The columns are: %(columns)s.",
                columns=", ".join(header),
            )
        )
    return chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How the rows of one file are read: where each field stands, and what holds for all rows."""

    places: Mapping[Field, tuple[int, ...]]
    own: tuple[tuple[Question, int], ...] = ()
    wards: Mapping[str, uuid.UUID] = field(default_factory=dict)
    source: str = "import"
    tags: tuple[str, ...] = ()
    language: str = "en"

    @classmethod
    def of(
        cls, header: Sequence[str], mapping: Mapping[str, str], own: Sequence[Question], **more: Any
    ) -> Plan:
        """The plan of a mapping that `map_columns` made."""
        places: dict[Field, tuple[int, ...]] = {}
        mine: list[tuple[Question, int]] = []
        keys = {OWN + question.key: question for question in own}
        for column, name in mapping.items():
            at = header.index(column)
            if name in keys:
                mine.append((keys[name], at))
            else:
                places[Field(name)] = (*places.get(Field(name), ()), at)
        return cls(places=places, own=tuple(mine), **more)


def reason_unreadable(error: Unreadable) -> str:
    """Why a file holds no table, in words."""
    return {
        "spreadsheet": _(
            "This is an old spreadsheet file. Save it as XLSX or CSV and choose that."
        ),
        "binary": _("This is not a table. Choose a CSV or an XLSX file."),
        "bomb": _(
            "This file unpacks to more than we can take. Save the sheet as CSV and try again."
        ),
        "broken": _("This spreadsheet is damaged. Save it anew, or as CSV."),
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
    """A row that can be taken. The district of its postal code is not looked up yet.

    `has_left`: the file says that they left other mailings. `values` are those of own fields;
    `note` is something a reader of the report should know.
    """

    number: int
    details: PersonDetails
    tags: tuple[str, ...]
    hashed: str
    has_left: bool = False
    values: tuple[tuple[Question, Value], ...] = ()
    note: object = ""


def read_rows(rows: Iterable[Row], plan: Plan, most: int) -> Iterator[list[Entry | Refusal]]:
    """Rows as what they say, in pieces of `most`; the last may be empty.

    Asks nothing of a session: it runs in a thread of its own (`read_ahead`).
    """
    piece: list[Entry | Refusal] = []
    for row in rows:
        try:
            piece.append(read_row(row, plan))
        except RefusedError as refusal:
            piece.append(Refusal(row.number, refusal.reason))
        if len(piece) == most:
            yield piece
            piece = []
    yield piece


def read_row(row: Row, plan: Plan) -> Entry:
    """What a row says about somebody. Raises RefusedError."""
    if row.problem is not None:
        raise RefusedError(_problem(row.problem))
    values: dict[Field, str] = {}
    cells = row.cells
    for name, places in plan.places.items():
        text = _cell(cells[places[0]], FIELD_NAMES[name], _LIMITS[name])
        if name in _FIRST_OF_SEVERAL and ":::" in text:
            text = text.partition(":::")[0].strip()
        for place in places[1:]:
            text = text if says_yes(text) else _cell(cells[place], FIELD_NAMES[name], _LIMITS[name])
        values[name] = text
    email = _address(values.get(Field.EMAIL, ""))
    first, last = values.get(Field.FIRST_NAME, ""), values.get(Field.LAST_NAME, "")
    if values.get(Field.NAME):
        first, _space, last = values[Field.NAME].rpartition(" ")
        first, last = (first, last) if first else (last, "")
    language, note = _language(values.get(Field.LANGUAGE, ""))
    district_id = None
    if ward := values.get(Field.DISTRICT):
        district_id = ward_in(ward, plan.wards)
        if district_id is None:
            note = _l("There is no ward “%(ward)s”: left out.", ward=ward)
    tags = _tags(values.get(Field.TAGS, ""))
    return Entry(
        row.number,
        PersonDetails(
            email=email,
            first_name=first,
            last_name=last,
            postal_code=normalize_postal_code(values.get(Field.POSTAL_CODE, "")),
            phone=values.get(Field.PHONE, ""),
            language=language,
            source=values.get(Field.SOURCE, "") or plan.source,
            district_id=district_id,
            district_share=1.0 if district_id else None,
            is_district_stated=district_id is not None,
        ),
        tuple(dict.fromkeys((*tags, *plan.tags))) if plan.tags else tags,
        address_hash(email),
        _has_left(values),
        tuple(_own(cells, plan)) if plan.own else (),
        note,
    )


def _cell(written: str, name: object, limit: int) -> str:
    text = unguard(written)
    if text and not (text.isascii() and text.isprintable()):
        message = hostile(text.strip())
        if message:
            raise RefusedError(_l("%(field)s: %(problem)s", field=name, problem=message))
    text = clean(text)
    if len(text) > limit:
        raise RefusedError(
            _l("%(field)s: longer than %(most)s characters.", field=name, most=limit)
        )
    return text


def _own(cells: Sequence[str], plan: Plan) -> Iterator[tuple[Question, Value]]:
    """The values of own fields; a blank is none. Raises RefusedError."""
    for question, place in plan.own:
        try:
            value = read(question, unguard(cells[place]), plan.language)
        except Invalid as error:
            name = question.name.get_for(plan.language)
            raise RefusedError(
                _l("%(field)s: %(problem)s", field=name, problem=error.message)
            ) from None
        if value is not None:
            yield question, value


def says_yes(text: str) -> bool:
    """Whether a cell says yes, or the day since when: anything but a no and nothing."""
    return bool(text) and text.casefold() not in _SAYS_NO


def _has_left(values: Mapping[Field, str]) -> bool:
    """Whether the file says that somebody gets no mail of whoever sent it before."""
    status = values.get(Field.EMAIL_STATUS, "").casefold()
    gets_none = bool(status) and fold(status) not in _GETS_EMAIL
    return gets_none or says_yes(values.get(Field.OPTED_OUT, ""))


def ward_in(text: str, wards: Mapping[str, uuid.UUID]) -> uuid.UUID | None:
    """The ward that a cell names: by its number ("20", "Ward 20", "20th ward") or its name."""
    digits = "".join(re.findall(r"[0-9]+", text)).lstrip("0")
    return wards.get(heading(text)) or wards.get(digits)


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


def _language(text: str) -> tuple[str, object]:
    """The language we write to somebody in, and a note where the file names another one."""
    if not text:
        return "", ""
    word = heading(text).split("_")[0]
    found = _LANGUAGES.get(word, "")
    return found, "" if found else _l("We do not write in “%(language)s”.", language=text)


def _tags(text: str) -> tuple[str, ...]:
    if not text:
        return ()
    parts = (
        part.strip(' "*')
        for part in re.split("[;,|]|:::", text)
        if part.strip().casefold() not in _SYSTEM_GROUPS
    )
    names = tuple(dict.fromkeys(part for part in parts if part))
    if len(names) > MAX_TAGS_IN_ROW or any(len(name) > 80 for name in names):
        raise RefusedError(
            _l("These are too many tags (%(most)s at most), or one is too long.", most=20)
        )
    return names
