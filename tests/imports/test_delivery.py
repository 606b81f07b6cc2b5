"""Bringing in people: every row gets its verdict, and the same file changes nothing twice."""

from __future__ import annotations

import csv
import io
import itertools
import random
import resource
import time
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import func, select

from campaign import clock
from campaign.db import db
from campaign.errors import Invalid
from campaign.fields import queries as fields
from campaign.fields.models import FieldKind
from campaign.imports import delivery, rules
from campaign.imports.models import Import
from campaign.lists import queries
from campaign.mail import services as mail
from campaign.mail.addresses import address_hash
from campaign.mail.models import Scope
from campaign.organizations.models import AuditEntry, Organization
from campaign.people import services as people
from campaign.people.models import Consent, Person, PersonChange
from campaign.people.queries import has_consent, tags_of
from campaign.places.queries import districts
from tests.factories.campaigns import make_wards
from tests.factories.fields import make_field
from tests.factories.organizations import make_organization
from tests.factories.people import make_consent, make_person
from tests.test_workbooks import book

BASIS = "Signed our paper sheets in June"
HEADER = "first_name,last_name,email,postal_code,phone,tags\n"


@pytest.fixture
def organization(app: Flask) -> Organization:
    made = make_organization(slug="stop", language="es")
    db.session.commit()
    return made


@pytest.fixture
def bring_in(app: Flask, organization: Organization, tmp_path: Path) -> Callable[..., Result]:
    """Run the command on a file with this content."""

    def run(content: str | bytes, *more: str, code: int = 0) -> Result:
        file = tmp_path / "people.csv"
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        result = app.test_cli_runner().invoke(
            args=[
                "people", "import", str(file), "--organization", "stop", "--basis", BASIS,
                "--report", str(tmp_path / "report.csv"), *more,
            ]
        )  # fmt: skip
        db.session.expire_all()
        assert result.exit_code == code, result.output
        return result

    return run


def report_of(tmp_path: Path) -> list[tuple[int, str, str]]:
    rows = list(csv.reader((tmp_path / "report.csv").open(newline="")))
    assert rows[0] == ["row", "verdict", "reason"]
    return [(int(row), verdict, reason) for row, verdict, reason in rows[1:]]


def everybody(organization: Organization) -> list[Person]:
    return list(
        db.session.scalars(
            select(Person).where(Person.organization_id == organization.id).order_by(Person.id)
        )
    )


def test_people_come_in_with_everything(
    bring_in: Any, organization: Organization, tmp_path: Path
) -> None:
    make_wards()
    result = bring_in(
        HEADER + "Ann,Lee,Ann.Lee+news@Gmail.com,60637-1234,+1 312 555 0100,press; driver\n",
        "--list",
        "Paper signers",
    )
    assert result.stdout.strip() == "added 1, updated 0, unchanged 0, refused 0"
    (person,) = everybody(organization)
    assert (person.first_name, person.last_name) == ("Ann", "Lee")
    assert person.email == "Ann.Lee+news@gmail.com"
    assert person.email_key == "annlee@gmail.com"
    assert (person.postal_code, person.phone) == ("60637", "+1 312 555 0100")
    assert (person.language, person.source) == ("es", "import")
    assert person.district is not None
    assert [tag.name for tag in tags_of(person.id)] == ["driver", "press"]
    (line,) = db.session.scalars(select(Consent).where(Consent.person_id == person.id))
    assert line.is_granted
    assert (line.grantee_id, line.purpose, line.source) == (organization.id, "email", "import")
    assert line.source_detail == "people.csv #2", "for people to read, not an id"
    assert line.wording is not None
    assert line.wording.text == BASIS
    list_ = queries.list_by_name(organization.id, "paper SIGNERS")
    assert list_ is not None
    assert list(db.session.scalars(queries.people_in_list(list_.id))) == [person.id]
    assert report_of(tmp_path) == [(2, "added", "")]
    assert db.session.scalar(select(AuditEntry.action)) == "people.import"


def test_the_same_file_again_changes_nothing(bring_in: Any, organization: Organization) -> None:
    content = HEADER + "".join(
        f"First{n},Last{n},p{n}@example.org,6060{n},,a; b\n" for n in range(5)
    )
    content += "first0,LAST0,P0@Example.org,60600,312 555,\n"  # the same person, spelled otherwise
    assert "added 5, updated 0, unchanged 1, refused 0" in bring_in(content).stdout
    before = db.session.scalar(select(func.count()).select_from(Consent))
    stamps = [person.updated_at for person in everybody(organization)]
    assert "added 0, updated 0, unchanged 6, refused 0" in bring_in(content).stdout
    assert db.session.scalar(select(func.count()).select_from(Consent)) == before
    assert [person.updated_at for person in everybody(organization)] == stamps


def test_what_changed_is_updated_and_blank_means_unknown(
    bring_in: Any, organization: Organization
) -> None:
    bring_in(HEADER + "Ann,Lee,ann@example.org,60637,111,\nBo,May,bo@example.org,60601,222,\n")
    result = bring_in(HEADER + "Ann,Lee,ann@example.org,60640,,\nBo,,bo@example.org,,,new\n")
    assert "added 0, updated 2, unchanged 0, refused 0" in result.stdout
    ann, bo = everybody(organization)
    assert (ann.postal_code, ann.phone) == ("60640", "111")
    assert (bo.last_name, bo.postal_code, bo.phone) == ("May", "60601", "222")
    assert [tag.name for tag in tags_of(bo.id)] == ["new"]


def test_a_household_shares_an_address(bring_in: Any, organization: Organization) -> None:
    content = HEADER + (
        "Ann,Lee,lee@example.org,60637,,\nBo,Lee,LEE@example.org,60637,,\n"
        "Cy,Far,lee@example.org,90210,,\n"
    )
    assert "added 2, updated 0, unchanged 1" in bring_in(content).stdout
    assert [(person.first_name, person.slot) for person in everybody(organization)] == [
        ("Ann", 1),
        ("Bo", 2),
    ]
    assert "unchanged 3" in bring_in(content).stdout


MALFORMED = {
    "NUL": b"A\x00nn,Lee,a@example.org,,,",
    "a bidi control": "Ann\u202e,Lee,a@example.org,,,".encode(),
    "a line break in a name": b'"Ann\nBee",Lee,a@example.org,,,',
    "an oversized cell": b"Ann," + b"x" * 20_000 + b",a@example.org,,,",
    "a name too long": b"Ann," + b"x" * 201 + b",a@example.org,,,",
    "no address": b"Ann,Lee,,60637,,",
    "a wrong address": b"Ann,Lee,ann at example,60637,,",
    "two addresses": b'Ann,Lee,"a@example.org, b@example.org",,,',
    "too many cells": b"Ann,Lee,a@example.org,,,,more",
    "a stray quote": b'"Ann"x,Lee,a@example.org,,,',
    "an open quote": b'"Ann,Lee,a@example.org,,,',
    "an empty row": b",,,,,",
    "a broken letter": b"Ann,L\xffe,a@example.org,,,",
    "too many tags": b"Ann,Lee,a@example.org,,," + b";".join(b"t%d" % n for n in range(30)),
    "a lone escape": b"Ann,\x1b[31mLee,a@example.org,,,",
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_malformed_row_costs_that_row_alone(
    kind: str, bring_in: Any, organization: Organization, tmp_path: Path
) -> None:
    content = HEADER.encode() + b"\n".join(
        [
            "José,Díaz,jose@example.org,60637,,".encode(),
            MALFORMED[kind],
            b"Bo,May,bo@example.org,,,",
        ]
    )
    result = bring_in(content + b"\n")
    assert result.stdout.strip() == "added 2, updated 0, unchanged 0, refused 1"
    assert [person.first_name for person in everybody(organization)] == ["José", "Bo"]
    report = report_of(tmp_path)
    assert [(row, verdict) for row, verdict, _reason in report] == [
        (2, "added"),
        (3, "refused"),
        (4, "added"),
    ]
    assert report[1][2]


def test_ten_thousand_malformed_rows_cost_none_of_the_others(
    bring_in: Any, organization: Organization, tmp_path: Path
) -> None:
    """All kinds in no order, line ends of three systems, a cell of a megabyte, a row of a hundred
    thousand columns and days that no calendar has: each bad row is told by its number."""
    make_field(organization, "born", kind=FieldKind.DATE)
    kinds = [row + b"," for name, row in MALFORMED.items() if name != "too many cells"]
    kinds += [MALFORMED["too many cells"] + b",,,more", b"Ann,Lee,a@example.org,,,,31/02/2026"]
    kinds += [b"Ann,Lee,a@example.org,,,,2026-02-31", b"Ann,Lee,a@example.org,,,,12"]
    rng = random.Random(5)
    bad = [rng.choice(kinds) for _ in range(9_998)]
    bad += [b"Ann,Lee,a@example.org,,," + b"x" * 1_000_000, b"a," * 100_000]
    good = [
        f"=José{n},Lee,p{n}@example.org,60637,,'=cmd|x,2026-02-{n % 28 + 1:02}".encode()
        for n in range(3_000)
    ]
    rows = [(row, False) for row in bad] + [(row, True) for row in good]
    rng.shuffle(rows)
    rows = [(row, is_good) for row, is_good in rows if not row.startswith(b'"Ann\nBee"')]
    content = HEADER.strip().encode() + b",born\r\n"
    content += b"".join(row + rng.choice([b"\n", b"\r\n", b"\r"]) for row, _good in rows)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    told = bring_in(content).stdout
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert told.strip() == f"added 3000, updated 0, unchanged 0, refused {len(rows) - 3000}"
    assert [(row, verdict) for row, verdict, _reason in report_of(tmp_path)] == [
        (number, "added" if is_good else "refused")
        for number, (_row, is_good) in enumerate(rows, 2)
    ]
    assert all(reason for _row, verdict, reason in report_of(tmp_path) if verdict == "refused")
    assert grown < 120_000  # kilobytes
    assert "added 0, updated 0, unchanged 3000" in bring_in(content).stdout
    assert {person.first_name[:4] for person in everybody(organization)} == {"=Jos"}


def test_suppressed_stay_suppressed_and_it_says_so(
    bring_in: Any, organization: Organization, tmp_path: Path
) -> None:
    other = make_organization()
    for address, scope, key in (
        ("gone@example.org", Scope.ORGANIZATION, organization.id),
        ("bounced@example.org", Scope.ADDRESS, ""),
        ("elsewhere@example.org", Scope.ORGANIZATION, other.id),
    ):
        mail.suppress(address_hash(address), scope=scope, scope_id=key, reason="unsubscribed")
    withdrawn = make_person(organization, email="no@example.org", first_name="Nan", last_name="No")
    make_consent(withdrawn, organization)
    people.withdraw_consent(withdrawn, grantee_id=organization.id, source="page")
    db.session.commit()
    result = bring_in(
        HEADER
        + "G,G,gone@example.org,,,\nB,B,bounced@example.org,,,\nE,E,elsewhere@example.org,,,\n"
        "Nan,No,no@example.org,,,\n"
    )
    assert "added 3, updated 0, unchanged 1, refused 0" in result.stdout
    assert "3 of them are on the do-not-mail list and stay on it," in result.stderr
    agreed = {
        person.email: has_consent(person.id, organization.id) for person in everybody(organization)
    }
    assert agreed == {
        "gone@example.org": False,
        "bounced@example.org": False,
        "elsewhere@example.org": True,
        "no@example.org": False,
    }
    reasons = {row: reason for row, _verdict, reason in report_of(tmp_path)}
    assert [bool(reasons[row]) for row in (2, 3, 4, 5)] == [True, True, False, True]


def test_known_people_get_no_consent_from_a_file(bring_in: Any, organization: Organization) -> None:
    person = make_person(organization, email="ann@example.org", first_name="Ann", last_name="Lee")
    bring_in(HEADER + "Ann,Lee,ann@example.org,60637,,\n")
    assert not has_consent(person.id, organization.id)


def test_an_erased_person_is_not_brought_back(
    bring_in: Any, organization: Organization, tmp_path: Path
) -> None:
    person = make_person(organization, email="ann@example.org")
    people.erase(person)
    db.session.commit()
    result = bring_in(HEADER + "Ann,Lee,a.n.n@example.org,,,\nAnn,Lee,Ann@example.org,,,\n")
    assert "added 1, updated 0, unchanged 0, refused 1" in result.stdout
    assert report_of(tmp_path)[1][1:] == (
        "refused",
        "This person asked to be erased and stays so.",
    )


def test_a_dry_run_saves_nothing_and_tells_the_same(
    bring_in: Any, organization: Organization, tmp_path: Path
) -> None:
    content = HEADER + "Ann,Lee,ann@example.org,,,new\nAnn,Lee,ANN@example.org,,,\nx,y,z,,,\n"
    told = bring_in(content, "--dry-run", "--list", "Nobody")
    assert everybody(organization) == []
    assert queries.list_by_name(organization.id, "Nobody") is None
    assert db.session.scalar(select(func.count()).select_from(Import)) == 0
    foretold = report_of(tmp_path)
    assert told.stdout == bring_in(content, "--list", "Nobody").stdout
    assert report_of(tmp_path) == foretold


def test_other_headings_and_maps(bring_in: Any, organization: Organization) -> None:
    bring_in("E-Mail;Given Name;Surname;ZIP\nann@example.org;Ann;Lee;60637\n")
    bring_in(
        "address,who\nbo@example.org,Bo May Lin\n", "--map", "address=email", "--map", "who=name"
    )
    found = [(p.email, p.first_name, p.last_name, p.postal_code) for p in everybody(organization)]
    assert found == [
        ("ann@example.org", "Ann", "Lee", "60637"),
        ("bo@example.org", "Bo May", "Lin", ""),
    ]


@pytest.mark.parametrize(
    ("content", "more", "code"),
    [
        ("first_name,last_name\nAnn,Lee\n", (), 2),
        ("email\na@example.org\n", ("--map", "mail=email"), 2),
        ("email,b\na@example.org,x\n", ("--map", "b=shoe size"), 2),
        ("email,b\na@example.org,x\n", ("--map", "b=email", "--map", "email=email"), 2),
        ("email\na@example.org\n", ("--map", "email"), 2),
        ("email\na@example.org\n", ("--organization", "nobody-here"), 2),
        ("email\na@example.org\n", ("--basis", " "), 2),
        ("", (), 1),
        (b"PK\x03\x04", (), 1),
    ],
)
def test_wrong_use_and_unreadable_files_say_so(
    content: Any, more: tuple[str, ...], code: int, bring_in: Any, organization: Organization
) -> None:
    result = bring_in(content, *more, code=code)
    assert "Error" in result.stderr
    assert everybody(organization) == []
    assert db.session.scalar(select(func.count()).select_from(Import)) == 0


def test_recognize_takes_the_first_of_two_alike() -> None:
    assert rules.recognize(["Email", "E-mail address", "Name", "Nombre"]) == {
        "Email": "email",
        "Nombre": "first_name",
    }


def test_two_columns_cannot_hold_one_thing(app: Flask) -> None:
    with pytest.raises(Invalid):
        rules.map_columns(["a", "b"], {"a": "email", "b": "email"})


def test_fifty_thousand_rows_take_little_memory_and_time(
    bring_in: Any, organization: Organization, tmp_path: Path
) -> None:
    count = 50_000
    out = io.StringIO()
    out.write(HEADER)
    for n in range(count):
        out.write(f"First{n},Last{n % 977},person{n}@example.org,606{n % 100:02d},,\n")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    result = bring_in(out.getvalue())
    took = time.process_time() - started
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert f"added {count}, updated 0, unchanged 0, refused 0" in result.stdout
    assert len(report_of(tmp_path)) == count
    assert grown < 120_000  # kilobytes
    assert took < 60  # of our own processor, however busy the machine


def test_a_workbook_comes_in_as_a_table_does(
    bring_in: Any, organization: Organization, tmp_path: Path
) -> None:
    content = book(
        ["email", "first_name", "zip"], ["a@example.org", "Ann", 60637], [], ["broken", "", ""]
    ).getvalue()
    result = bring_in(content, "--tag", "press", "--tag", "sheets", "--source", "june sheets")
    assert "added 1, updated 0, unchanged 0, refused 1" in result.stdout
    (person,) = everybody(organization)
    assert (person.first_name, person.postal_code, person.source) == ("Ann", "60637", "june sheets")
    assert {tag.name for tag in tags_of(person.id)} == {"press", "sheets"}
    assert [row[0] for row in report_of(tmp_path)] == [2, 4]
    assert "unchanged 1" in bring_in(content, "--tag", "press").stdout


def test_a_bomb_is_refused_in_words(bring_in: Any, organization: Organization) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
        archive.writestr("xl/worksheets/sheet1.xml", b"0" * 30_000_000)
    assert "unpacks to more than we can take" in bring_in(out.getvalue(), code=1).output
    assert everybody(organization) == []


def test_ctrl_c_stops_and_resume_goes_on(
    bring_in: Any, organization: Organization, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("BATCH_ROWS", "LARGE_BATCH_ROWS"):
        monkeypatch.setattr(delivery, name, 10)
    content = "email\n" + "".join(f"p{n}@example.org\n" for n in range(35))
    original, count = delivery.Importer._work_in, itertools.count(1)

    def interrupted(self: Any, piece: Any) -> Any:
        if next(count) == 3:
            original(self, piece)
            raise KeyboardInterrupt
        return original(self, piece)

    monkeypatch.setattr(delivery.Importer, "_work_in", interrupted)
    result = bring_in(content, code=1)
    assert "stopped after 20 rows" in result.output
    assert len(everybody(organization)) == 20
    assert "no import of a file called" not in result.output
    result = bring_in(content, "--resume")
    assert "added 35, updated 0, unchanged 0, refused 0" in result.stdout
    assert len(everybody(organization)) == 35
    assert [row[0] for row in report_of(tmp_path)] == list(range(2, 37))
    assert "was stopped" in bring_in(content, "--resume", code=2).output


def test_a_resumed_import_begins_another_report_where_the_first_is_gone(
    bring_in: Any, organization: Organization, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("BATCH_ROWS", "LARGE_BATCH_ROWS"):
        monkeypatch.setattr(delivery, name, 10)
    content = "email\n" + "".join(f"p{n}@example.org\n" for n in range(25))
    original = delivery.Importer._work_in

    def cut_off(self: Any, piece: Any) -> Any:
        if self.tally.done == 10:
            raise SystemExit(9)
        return original(self, piece)

    monkeypatch.setattr(delivery.Importer, "_work_in", cut_off)
    bring_in(content, code=9)  # as if it had been killed: nobody could note that it stopped
    monkeypatch.setattr(delivery.Importer, "_work_in", original)
    assert "five minutes later" in bring_in(content, "--resume", code=2).output
    (found,) = db.session.scalars(select(Import))
    found.lease_until = clock.now() - timedelta(seconds=1)
    db.session.commit()
    (tmp_path / "report.csv").unlink()
    assert "added 25, updated 0" in bring_in(content, "--resume").stdout
    assert [row[0] for row in report_of(tmp_path)] == list(range(12, 27))
    assert len(everybody(organization)) == 25


def test_a_ward_that_a_file_names_is_taken_over_and_stays(
    bring_in: Any, organization: Organization
) -> None:
    make_wards()
    bring_in("email,zip\na@example.org,60637\n")
    (person,) = everybody(organization)
    before = person.district_id
    other = next(one for one in districts() if one.id != before)
    content = f"email,zip,ward\na@example.org,60637,{other.code}\n"
    assert "updated 1" in bring_in(content).stdout
    assert (person.district_id, person.district_share) == (other.id, 1.0)
    assert "unchanged 1" in bring_in(content).stdout
    assert "unchanged 1" in bring_in("email,zip\na@example.org,60637\n").stdout
    assert person.district_id == other.id, "what a postal code guesses takes nothing back"
    assert db.session.scalars(select(PersonChange)).all() == []


def test_one_row_that_says_somebody_left_counts_for_the_whole_address(
    bring_in: Any, organization: Organization, tmp_path: Path
) -> None:
    content = (
        "email,first_name,zip,email_status\nlee@example.org,Ann,60637,subscribed\n"
        "LEE@example.org,Bo,60637,unsubscribed\n"
    )
    assert "added 2" in bring_in(content).stdout
    assert [has_consent(one.id, organization.id) for one in everybody(organization)] == [
        False,
        False,
    ]
    assert all(reason for _row, _verdict, reason in report_of(tmp_path))


def test_who_left_there_is_brought_in_without_consent(
    bring_in: Any, organization: Organization, tmp_path: Path
) -> None:
    result = bring_in(
        "email,can2_subscription_status\nyes@example.org,subscribed\nno@example.org,unsubscribed\n"
    )
    assert "added 2" in result.stdout
    by_email = {person.email: person for person in everybody(organization)}
    assert has_consent(by_email["yes@example.org"].id, organization.id)
    assert not has_consent(by_email["no@example.org"].id, organization.id)
    assert "without consent" in report_of(tmp_path)[1][2]


def test_own_fields_are_filled_and_what_they_were_is_kept(
    bring_in: Any, organization: Organization, tmp_path: Path
) -> None:
    make_field(organization, "Years here", "number")
    health = make_field(organization, "Your clinic", is_sensitive=True)
    content = "email,Years here,your_clinic\na@example.org,3,Woodlawn\nb@example.org,many,\n"
    result = bring_in(content)
    assert "added 1, updated 0, unchanged 0, refused 1" in result.stdout
    assert "Write a number" in report_of(tmp_path)[1][2]
    (person,) = everybody(organization)
    assert dict(fields.known_of(organization.id, person.id, "en")) == {
        "Years here": "3",
        "Your clinic": "Woodlawn",
    }
    assert "unchanged 1" in bring_in(content).stdout
    changed = bring_in("email,Years here,your_clinic\na@example.org,4,Roseland\n")
    assert "updated 1" in changed.stdout
    kept = db.session.scalars(select(PersonChange)).one()
    assert kept.fields == {"Years here": ["3", "4"], health.name["en"]: ["•••", "•••"]}
