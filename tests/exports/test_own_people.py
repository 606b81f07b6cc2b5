"""Files of one's own people: columns, formats, who may have what, and the same rows every way."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Text, create_engine, func, literal, null, select
from sqlalchemy.exc import DataError

from campaign import clock
from campaign.db import db, is_postgres
from campaign.errors import Forbidden, Invalid, NotFound
from campaign.exports import delivery, gathering, queries, services, tasks
from campaign.exports.columns import OWN_COLUMNS
from campaign.exports.models import Export, ExportedPerson, ExportedPiece, ExportState
from campaign.fields import services as fields
from campaign.mail import services as mail
from campaign.mail.addresses import address_hash
from campaign.mail.models import Scope
from campaign.organizations.models import AuditEntry, Membership, Organization, Role
from campaign.people import services as people
from campaign.people.models import Person
from campaign.people.services import PersonDetails
from campaign.settings import Settings
from campaign.table.rules import Asked
from campaign.tabular import XlsxWriter, unguard
from tests.exports.conftest import Coalition
from tests.factories.campaigns import make_campaign
from tests.factories.fields import make_field
from tests.factories.lists import make_list
from tests.factories.organizations import make_member, make_organization
from tests.factories.people import make_consent, make_person
from tests.factories.petitions import make_petition, make_signature
from tests.factories.sheets import quoted_cells, sheets_in

HOSTILE = (
    "=HYPERLINK(\"https://evil.example\")", "+1", "-1", "@SUM(1)", "\t=1", "'quoted", "''=1",
    "＝1", " =1", "\xa0=1", "a,b", 'say "hi"', "two\nlines", "two\r\n=lines", "two\u2028=lines",
    "\x1e[\"x\"]\x1e", "\x1f", "é—ü", "x\x0b=1", "semi;colon", "\\N", "\\", "", " ", "1e5", "00123",
)  # fmt: skip


def ask(organization: Organization, **values: Any) -> Export:
    values = {"user_id": None, "reason": "Walk list"} | values
    export = services.request_people_export(organization.id, **values)
    db.session.commit()
    return export


def built(export: Export, run_tasks: Callable[[], int]) -> bytes:
    run_tasks()
    assert export.state == ExportState.READY, export.failure
    return Path(export.path).read_bytes()


def rows_of(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


@pytest.fixture
def crowd(app: Flask) -> Organization:
    """People with hostile words everywhere, tags, consents, wards and what they did."""
    here = make_organization(slug="here")
    petition = make_petition(make_campaign(here))
    for number, word in enumerate(HOSTILE):
        person = make_person(
            here,
            email=f"p{number}@mail.example",
            first_name=word,
            last_name=HOSTILE[-number - 1],
            phone=("+1 312 555 0100", "312-555-0100", "", "=1+1", "(312) 555")[number % 5],
            source=word[:80],
        )
        if number % 2:
            make_consent(person, here)
            people.add_tag(person, "Plain")
        if number % 3 == 0:
            people.add_tag(person, "=Tag, with 'all'")
        if number % 5 == 0:
            make_signature(petition, person=person)
        if number % 7 == 0:
            people.withdraw_consent(person, grantee_id=here.id, source="preferences")
    mail.suppress(address_hash("p1@mail.example"), scope=Scope.ADDRESS, reason="bounce")
    mail.suppress(
        address_hash("p3@mail.example"), scope=Scope.ORGANIZATION, scope_id=here.id.hex,
        reason="spam complaint",
    )  # fmt: skip
    other = make_person(make_organization(), first_name="Foreign")
    people.add_tag(other, "Foreign tag")
    db.session.commit()
    return here


@pytest.mark.parametrize("piece", [4, 20_000])
def test_every_format_holds_the_same_rows_and_runs_nothing(
    crowd: Organization,
    run_tasks: Callable[[], int],
    monkeypatch: pytest.MonkeyPatch,
    piece: int,
) -> None:
    monkeypatch.setattr(delivery, "OWN_PIECE", piece)
    names = list(OWN_COLUMNS)
    exports = [ask(crowd, format=kind, columns=names) for kind in ("csv", "xlsx", "jsonl")]
    as_csv, as_xlsx, as_lines = (built(export, run_tasks) for export in exports)
    from_csv = [{k: unguard(v) for k, v in row.items()} for row in rows_of(as_csv)]
    (sheet,) = sheets_in(as_xlsx)
    assert sheet[0] == names
    padded = [row + [""] * (len(names) - len(row)) for row in sheet[1:]]
    from_xlsx = [dict(zip(names, row, strict=True)) for row in padded]
    stored = db.session.scalars(
        select(Person).where(Person.organization_id == crowd.id).order_by(Person.id)
    ).all()
    assert len(stored) == len(HOSTILE)
    for person, one, two in zip(stored, from_csv, from_xlsx, strict=True):
        for name in ("first_name", "last_name", "phone", "source", "email", "postal_code"):
            assert one[name] == getattr(person, name)
        assert one["person_id"] == str(person.id)
        clean = {k: v for k, v in one.items() if not set(v) & set("\r\x0b\x1e\x1f\u2028")}
        assert {k: two[k] for k in clean} == clean
    assert quoted_cells(as_xlsx) > len(HOSTILE)
    lines = [json.loads(line) for line in as_lines.decode().split("\n") if line]
    assert [one["given_name"] for one in lines] == [one["first_name"] for one in from_csv]
    assert [one["tags"] for one in lines][:4] == [
        ["=Tag, with 'all'"], ["Plain"], [], ["Plain", "=Tag, with 'all'"],
    ]  # fmt: skip
    assert [row["tags"] for row in from_csv][3] == "Plain; =Tag, with 'all'"
    assert [row["email_status"] for row in from_csv][:4] == [
        "unsubscribed", "bouncing", "unsubscribed", "spam complaint",
    ]  # fmt: skip
    assert [bool(row["consent_at"]) for row in from_csv][5:8] == [True, False, False]
    assert [bool(row["last_action_at"]) for row in from_csv][:6] == [
        True, False, False, False, False, True,
    ]  # fmt: skip
    assert b"Foreign" not in as_csv
    for export in exports:
        assert export.row_count == export.expected_count == len(HOSTILE)
        assert queries.exports_holding(stored[9].id) == exports


@pytest.mark.postgres
def test_what_the_database_writes_is_what_we_would_write(crowd: Organization) -> None:
    if not is_postgres():
        pytest.skip("PostgreSQL writes lines")
    field = make_field(crowd, "Shirt")
    person = db.session.scalars(select(Person).where(Person.organization_id == crowd.id)).first()
    assert person is not None
    fields.set_values(person, [field], {"shirt": "=L, large"}, language="en", user_id=None)
    db.session.commit()
    export = Export(
        organization_id=crowd.id, lead_id=crowd.id, kind="people", columns=[*OWN_COLUMNS, "field:shirt"]
    )  # fmt: skip
    plan = delivery.plan_of(export)
    for columns in (plan.columns, ["phone"], ["tags"], ["email_status"], ["added_at"]):
        narrow = gathering.Plan(columns, plan.fields, plan.wards)
        pieces = list(delivery.pieces_of_all(crowd.id))
        named = [
            gathering.Piece(one.organization_id, one.first_id, one.last_id, held)
            for one in pieces
            for held, _rows in [gathering.rows(one, narrow)]
        ]
        asked = [row for piece in named for row in gathering.rows(piece, narrow)[1]]
        for some in (pieces, named):
            file = io.BytesIO()
            writer = delivery.CsvWriter(file, columns)
            held = [len(one) for one in delivery._pass_on(writer, gathering.lines(some, narrow))]
            writer.close()
            assert sum(held) == len(HOSTILE)
            read = list(csv.reader(io.StringIO(file.getvalue().decode(), newline="")))[1:]
            assert [tuple(map(unguard, row)) for row in read] == asked
            expected = io.BytesIO()
            writer = delivery.CsvWriter(expected, columns)
            for row in asked:
                writer.write(row)
            writer.close()
            again = list(csv.reader(io.StringIO(expected.getvalue().decode(), newline="")))[1:]
            assert read == again


@pytest.mark.postgres
def test_connections_side_by_side_answer_in_order(
    app: Flask, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not is_postgres():
        pytest.skip("PostgreSQL writes lines")
    monkeypatch.setattr(gathering, "BESIDE", 2)
    engine = create_engine(settings.sqlalchemy_url)
    asked = [
        select(literal(f"{n}").concat(func.left(func.pg_sleep(seconds).cast(Text()), 0)), null())
        for n, seconds in enumerate((0.2, 0.0, 0.1, 0.0, 0.0))
    ]
    try:
        found = list(gathering._side_by_side(engine, asked))
        assert [lines.parts for lines in found] == [["0"], ["1"], ["2"], ["3"], ["4"]]
        broken = select(literal(1) / literal(0), null())
        with pytest.raises(DataError):
            list(gathering._side_by_side(engine, [asked[1], broken, asked[1]]))
    finally:
        engine.dispose()


def test_only_the_chosen_columns_in_their_order(
    crowd: Organization, run_tasks: Callable[[], int]
) -> None:
    export = ask(crowd, columns=["tags", "email", "tags"])
    assert built(export, run_tasks).splitlines()[0] == b"tags,email"
    lines = ask(crowd, columns=["email"], format="jsonl")
    found = json.loads(built(lines, run_tasks).splitlines()[0])
    assert found["email_addresses"] == [{"address": "p0@mail.example", "primary": True}]
    assert "given_name" not in found
    assert "tags" not in found
    with pytest.raises(Invalid, match="no column"):
        ask(crowd, columns=["email", "password_hash"])


def test_whom_filters_find_those_ticked_and_nobody_else(
    crowd: Organization, run_tasks: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "OWN_PIECE", 3)
    stored = db.session.scalars(
        select(Person).where(Person.organization_id == crowd.id).order_by(Person.id)
    ).all()
    foreign = make_person(make_organization())
    found = ask(crowd, chosen=Asked(tags=("plain",)))
    ticked = ask(crowd, chosen=[stored[2].id, stored[4].id, foreign.id])
    listed = ask(crowd, chosen=make_list(crowd, [stored[7]]), format="xlsx")
    content = built(found, run_tasks)
    assert [row["email"] for row in rows_of(content)] == [
        f"p{n}@mail.example" for n in range(1, len(HOSTILE), 2)
    ]
    assert [row["email"] for row in rows_of(Path(ticked.path).read_bytes())] == [
        "p2@mail.example", "p4@mail.example",
    ]  # fmt: skip
    assert [row[0] for row in sheets_in(Path(listed.path).read_bytes())[0]] == [
        "email", "p7@mail.example",
    ]  # fmt: skip
    assert found.filters == {"is_chosen": True}  # what was searched for may be somebody's name
    assert queries.exports_holding(stored[2].id) == [ticked]
    assert queries.exports_holding(foreign.id) == []
    assert db.session.scalar(select(func.count()).select_from(ExportedPerson)) == 0


def test_a_list_of_somebody_else_finds_nobody(crowd: Organization, rung: list[Any]) -> None:
    other = make_list(make_organization())
    export = ask(crowd, chosen=Asked(list_id=other.id))
    with pytest.raises(NotFound):
        delivery.freeze(export)
    tasks.build_export(str(export.id))
    db.session.expire_all()
    assert export.state == ExportState.FAILED


def test_somebody_erased_while_it_is_built_is_not_in_it(
    crowd: Organization, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rung: list[Any]
) -> None:
    monkeypatch.setattr(delivery, "OWN_PIECE", 4)
    export = ask(crowd, chosen=Asked(tags=("plain",)), format="xlsx")
    delivery.claim(export.id)
    steps = delivery.build(export.id, tmp_path)
    next(steps)
    db.session.commit()
    last = db.session.scalars(
        select(Person).where(Person.organization_id == crowd.id).order_by(Person.id.desc())
    ).first()
    assert last is not None
    people.erase(last)
    db.session.commit()
    for _step in steps:
        db.session.commit()
    (rows,) = sheets_in(Path(export.path).read_bytes())
    assert len(rows) - 1 == export.row_count == len(HOSTILE) // 2 - 1
    assert all(str(last.id) not in row for row in rows)


def test_a_run_that_died_is_begun_anew(
    crowd: Organization, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rung: list[Any]
) -> None:
    monkeypatch.setattr(delivery, "OWN_PIECE", 4)
    monkeypatch.setattr(tasks, "folder", lambda: tmp_path)
    export = ask(crowd)
    delivery.claim(export.id)
    steps = delivery.build(export.id, tmp_path)
    for _step in range(3):
        next(steps)
        db.session.commit()
    steps.close()
    assert not delivery.claim(export.id)  # it is alive for all we know
    db.session.commit()
    export.lease_until = clock.now() - timedelta(seconds=1)
    db.session.commit()
    tasks.build_export(str(export.id))
    db.session.expire_all()
    assert len(rows_of(Path(export.path).read_bytes())) == len(HOSTILE)
    held = db.session.scalars(select(ExportedPiece.people).order_by(ExportedPiece.number)).all()
    assert sum(map(len, held)) == len(HOSTILE)


# Who may have what


@pytest.fixture
def secret(crowd: Organization) -> str:
    """A sensitive field with a value; returns its column."""
    field = make_field(crowd, "Clinic used", is_sensitive=True)
    person = db.session.scalars(
        select(Person).where(Person.organization_id == crowd.id).order_by(Person.id)
    ).first()
    assert person is not None
    fields.set_values(person, [field], {field.key: "Northside"}, language="en", user_id=None)
    db.session.commit()
    return f"field:{field.key}"


def member(organization: Organization, role: str) -> Membership:
    return db.session.scalars(
        select(Membership).where(
            Membership.user_id == make_member(organization, role).id,
            Membership.organization_id == organization.id,
        )
    ).one()


def test_sensitive_columns_are_for_those_who_may_see_them(
    crowd: Organization, secret: str, run_tasks: Callable[[], int]
) -> None:
    organizer, typist = member(crowd, Role.ORGANIZER), member(crowd, Role.DATA_ENTRY)
    export = ask(crowd, user_id=organizer.user_id, columns=["email", secret])
    assert export.is_sensitive
    assert b"Northside" in built(export, run_tasks)
    line = db.session.scalars(
        select(AuditEntry).where(AuditEntry.action == "people.export.requested")
    ).one()
    assert line.details["columns"] == ["email", secret]
    assert line.details["sensitive"] is True
    with pytest.raises(Invalid):
        ask(crowd, user_id=typist.user_id, columns=["email", secret])
    db.session.rollback()
    assert services.fetch_export(export, user_id=organizer.user_id)
    with pytest.raises(Forbidden):
        services.fetch_export(export, user_id=typist.user_id)
    usual = ask(crowd, user_id=organizer.user_id)
    assert b"Northside" not in built(usual, run_tasks)


@pytest.mark.parametrize("role", [Role.DATA_ENTRY, None])
def test_a_role_that_was_taken_meanwhile_gets_no_file(
    crowd: Organization, secret: str, run_tasks: Callable[[], int], role: str | None
) -> None:
    asker = member(crowd, Role.ORGANIZER)
    export = ask(crowd, user_id=asker.user_id, columns=["email", secret])
    plain = ask(crowd, user_id=asker.user_id)
    if role is None:
        db.session.delete(asker)
    else:
        asker.role = role
    db.session.commit()
    run_tasks()
    assert {export.state, plain.state} == {ExportState.FAILED}
    assert export.failure == delivery.NO_LONGER
    assert not export.path


def test_a_field_that_became_sensitive_meanwhile_is_not_given_out(
    crowd: Organization, run_tasks: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    field = make_field(crowd, "Shirt")
    asker = member(crowd, Role.ORGANIZER)
    export = ask(crowd, user_id=asker.user_id, columns=["email", "field:shirt"])
    assert not export.is_sensitive
    field.is_sensitive = True
    asker.role = Role.DATA_ENTRY
    db.session.commit()
    monkeypatch.setattr(delivery, "permissions", lambda *_who: {"people.export"})
    run_tasks()
    assert export.state == ExportState.FAILED


def test_a_partner_never_gets_a_field(coalition: Coalition, run_tasks: Callable[[], int]) -> None:
    field = make_field(coalition.lead, "Clinic used", is_sensitive=True)
    fields.set_values(coalition.ann, [field], {field.key: "Northside"}, language="en", user_id=None)
    export = services.request_partner_export(
        coalition.campaign, partner_id=coalition.nurses.id, user_id=None, reason="A letter"
    )
    export.columns = ["email", f"field:{field.key}"]
    db.session.commit()
    run_tasks()
    content = Path(export.path).read_text("utf-8")
    assert "ann@example.org" in content
    assert "Northside" not in content


# The workbook and the command


def test_rows_beyond_a_sheet_go_on_on_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(XlsxWriter, "MOST_ROWS", 4)
    with (tmp_path / "book.xlsx").open("wb") as file:
        writer = XlsxWriter(file, ("a", "b"), title="People", folder=tmp_path)
        for number in range(7):
            writer.write((f"={number}", number))
        writer.close()
    sheets = sheets_in((tmp_path / "book.xlsx").read_bytes())
    assert [len(rows) for rows in sheets] == [4, 4, 2]
    assert all(rows[0] == ["a", "b"] for rows in sheets)
    assert sheets[2][1] == ["=6", "6"]
    assert [path.name for path in tmp_path.iterdir()] == ["book.xlsx"]


def test_the_command_takes_a_list_columns_and_a_workbook(
    app: Flask, coalition: Coalition, tmp_path: Path
) -> None:
    make_list(coalition.lead, [coalition.cy], name="Walkers")
    coalition.cy.first_name = "=1+1"
    db.session.commit()
    file = tmp_path / "walkers.xlsx"
    result = app.test_cli_runner().invoke(
        args=[
            "people", "export", "--organization", "stop", "--list", "walkers", "--format", "xlsx",
            "--columns", "first_name, email", "--output", str(file),
        ]
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert sheets_in(file.read_bytes()) == [
        [["first_name", "email"], ["=1+1", "cy@example.org"]],
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["walkers.xlsx"]
    line = db.session.scalars(
        select(AuditEntry).where(AuditEntry.action == "people.export.command")
    ).one()
    assert line.details["columns"] == ["first_name", "email"]


def test_a_workbook_imports_again(app: Flask, coalition: Coalition, tmp_path: Path) -> None:
    people.change_person(
        coalition.ann,
        PersonDetails(email="ann@example.org", first_name="=Ann", last_name="'Lee"),
        user_id=None,
    )
    db.session.commit()
    file = tmp_path / "all.xlsx"
    runner = app.test_cli_runner()
    arguments = ["people", "export", "--organization", "stop", "--format", "xlsx"]
    assert runner.invoke(args=[*arguments, "--output", str(file)]).exit_code == 0
    (rows,) = sheets_in(file.read_bytes())
    assert rows[1][:3] == ["ann@example.org", "=Ann", "'Lee"]
