"""Columns and cells: whose export it is, who left, wards and own fields."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from flask import Flask

from campaign.db import Words
from campaign.errors import Invalid
from campaign.fields.models import FieldKind, Option, Question
from campaign.imports import rules
from campaign.imports.rules import Plan, RefusedError, map_columns, program_of, read_row, recognize
from campaign.tabular import Row

WARD = uuid.UUID(int=20)
WARDS = {"20": WARD, "ward_20": WARD}
EXPORTS: dict[str, tuple[str, dict[str, str]]] = {
    "Action Network": (
        "first_name,last_name,email,zip_code,can2_phone,can2_user_tags,can2_subscription_status",
        {
            "can2_phone": "phone",
            "can2_user_tags": "tags",
            "can2_subscription_status": "email_status",
            "zip_code": "postal_code",
        },
    ),
    "NationBuilder": (
        "nationbuilder_id,first_name,last_name,email,email_opt_in,primary_zip,mobile_number,tag_list",
        {
            "email_opt_in": "email_status",
            "primary_zip": "postal_code",
            "mobile_number": "phone",
            "tag_list": "tags",
        },
    ),
    "CiviCRM": (
        (
            "Contact ID,Contact Type,Display Name,First Name,Last Name,Email,Postal Code,Phone,"
            "Do Not Email,No Bulk Emails (User Opt Out),Preferred Language,Tag(s)"
        ),
        {
            "Do Not Email": "opted_out",
            "No Bulk Emails (User Opt Out)": "opted_out",
            "Preferred Language": "language",
            "Tag(s)": "tags",
        },
    ),
    "Mailchimp": (
        "Email Address,First Name,Last Name,Phone Number,MEMBER_RATING,LEID,EUID,UNSUB_TIME,TAGS",
        {"Email Address": "email", "UNSUB_TIME": "opted_out", "TAGS": "tags"},
    ),
    "EveryAction": (
        "VANID,Contact Name,Preferred Email,Preferred Phone,Zip/Postal,Email Subscription Status",
        {
            "Contact Name": "name",
            "Preferred Email": "email",
            "Preferred Phone": "phone",
            "Zip/Postal": "postal_code",
            "Email Subscription Status": "email_status",
        },
    ),
    "Google Contacts": (
        (
            "First Name,Middle Name,Last Name,Labels,E-mail 1 - Label,E-mail 1 - Value,"
            "Phone 1 - Value,Address 1 - Postal Code"
        ),
        {
            "E-mail 1 - Value": "email",
            "Phone 1 - Value": "phone",
            "Address 1 - Postal Code": "postal_code",
            "Labels": "tags",
        },
    ),
}


@pytest.mark.parametrize("program", EXPORTS)
def test_exports_of_other_programs_are_known(app: Flask, program: str) -> None:
    header, wanted = EXPORTS[program]
    columns = header.split(",")
    assert program_of(columns) == program
    found = recognize(columns)
    assert wanted.items() <= found.items()
    assert map_columns(columns, {}) == found


def test_a_plain_file_is_nobodys() -> None:
    assert program_of(["email", "first_name"]) == ""


def entry(header: str, *cells: str, own: list[Question] | None = None, **more: Any) -> rules.Entry:
    columns = header.split(",")
    mapping = map_columns(columns, {}, own or [])
    plan = Plan.of(columns, mapping, own or [], wards=WARDS, **more)
    return read_row(Row(2, 2, cells), plan)


@pytest.mark.parametrize(
    ("header", "cells", "has_left"),
    [
        ("email,email_status", ("subscribed",), False),
        ("email,email_status", ("Unsubscribed",), True),
        ("email,email_status", ("bouncing",), True),
        ("email,email_status", ("spam complaint",), True),
        ("email,email_status", ("",), False),
        ("email,can2_subscription_status", ("previous bounce",), True),
        ("email,EmailSubscriptionStatus", ("Neutral",), True),
        ("email,email_status", ("whatever a program may call it",), True),
        ("email,email_status", ("Opted-In",), False),
        ("correo,suscrito", ("Sí",), False),
        ("correo,suscrito", ("no",), True),
        ("correo,fecha de baja", ("2024-02-03",), True),
        ("email,On Hold", ("On Hold Bounce",), True),
        ("email,On Hold", ("No",), False),
        ("email,email_opt_in", ("true",), False),
        ("email,email_opt_in", ("FALSE",), True),
        ("email,do_not_email", ("Yes",), True),
        ("email,do_not_email", ("No",), False),
        ("email,do_not_email,opt_out", ("No", "1"), True),
        ("email,do_not_email,opt_out", ("1", "0"), True),
        ("email,unsub_time", ("2024-02-03 10:00:00",), True),
        ("email,unsub_time", ("",), False),
        ("email,email_status,opted_out", ("subscribed", "yes"), True),
    ],
)
def test_who_left_there_does_not_come_in_with_consent(
    app: Flask, header: str, cells: tuple[str, ...], has_left: bool
) -> None:
    assert entry(header, "a@example.org", *cells).has_left is has_left


@pytest.mark.parametrize("text", ["20", "Ward 20", "20th ward", "ward 20", "020"])
def test_a_ward_is_named_as_people_do(app: Flask, text: str) -> None:
    found = entry("email,ward,zip", "a@example.org", text, "60637")
    assert (found.details.district_id, found.details.district_share) == (WARD, 1.0)


def test_a_ward_that_is_none_is_left_out_and_told(app: Flask) -> None:
    found = entry("email,ward", "a@example.org", "99")
    assert found.details.district_id is None
    assert str(found.note) == "There is no ward “99”: left out."


def test_a_language_we_do_not_write_in_costs_nobody_their_row(app: Flask) -> None:
    assert entry("email,language", "a@example.org", "Spanish; Castilian").details.language == "es"
    assert entry("email,language", "a@example.org", "en_US").details.language == "en"
    found = entry("email,language", "a@example.org", "Polish")
    assert found.details.language == ""
    assert str(found.note) == "We do not write in “Polish”."


def test_tags_are_parted_as_each_program_parts_them(app: Flask) -> None:
    for text in ("press; vigil", '"press","vigil"', "press|vigil", "* press ::: * vigil"):
        assert entry("email,tags", "a@example.org", text).tags == ("press", "vigil"), text
    found = entry("email,tags", "a@example.org", "press", tags=("sheets", "press"))
    assert found.tags == ("press", "sheets")


def test_google_writes_several_into_one_cell_and_everybody_into_a_group(app: Flask) -> None:
    found = entry(
        "E-mail 1 - Value,Phone 1 - Value,Labels",
        *("ann@example.org ::: lee@example.org", "312 555 0100 ::: 312 555 0101"),
        "Driver ::: * myContacts ::: * starred",
    )
    assert (found.details.email, found.details.phone) == ("ann@example.org", "312 555 0100")
    assert found.tags == ("Driver",)


def test_spanish_headings_are_known() -> None:
    header = ["Correo electrónico", "Nombre(s)", "Apellido(s)", "Código postal", "Teléfono móvil"]
    header += ["Etiquetas", "Idioma", "Fuente", "Distrito", "Suscrito"]
    assert list(recognize(header).values()) == [
        *("email", "first_name", "last_name", "postal_code", "phone"),
        *("tags", "language", "source", "district", "email_status"),
    ]


def question(kind: str, name: str, *options: str) -> Question:
    return Question(
        id=uuid.uuid4(),
        key=name.casefold().replace(" ", "_"),
        name=Words(en=name),
        hint=Words(),
        kind=kind,
        options=tuple(Option(one, Words(en=one)) for one in options),
        is_sensitive=False,
    )


def test_own_fields_are_found_by_key_and_name_and_read_as_what_they_are(app: Flask) -> None:
    own = [question(FieldKind.NUMBER, "Years here"), question(FieldKind.DATE, "Joined")]
    found = entry("email,years_here,joined", "a@example.org", "12.50", "2026-06-30", own=own)
    assert [(one.key, value.text) for one, value in found.values] == [
        ("years_here", "12.5"),
        ("joined", "2026-06-30"),
    ]
    own_file = entry("email,field:years_here", "a@example.org", "4", own=own)
    assert [value.text for _question, value in own_file.values] == ["4"], "as our files head them"
    assert entry("email,Years Here", "a@example.org", "  ", own=own).values == ()
    for cells in (("many", ""), ("", "31/02/2026")):
        with pytest.raises(RefusedError):
            entry("email,years_here,joined", "a@example.org", *cells, own=own)
    with pytest.raises(Invalid):
        map_columns(["email", "x"], {"x": "field:unknown"}, own)
