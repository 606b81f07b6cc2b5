"""Building exports: exactly those who said yes, at that moment, in a file that is whole or not."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from campaign import clock
from campaign.db import db
from campaign.errors import Gone, Invalid, NotFound
from campaign.exports import delivery, queries, services, tasks
from campaign.exports.models import Export, ExportedPerson, ExportState
from campaign.lists import rules
from campaign.lists.rules import Group, Speaks
from campaign.mail import services as mail
from campaign.mail.addresses import address_hash
from campaign.mail.models import Scope
from campaign.organizations.models import AuditEntry
from campaign.people import services as people
from campaign.people.models import Person, Purpose
from campaign.petitions.models import SignatureState
from tests.exports.conftest import Coalition
from tests.factories.campaigns import make_campaign, make_partner
from tests.factories.lists import make_list, make_segment
from tests.factories.organizations import make_organization
from tests.factories.people import make_consent, make_person
from tests.factories.petitions import make_petition, make_signature


def ask(coalition: Coalition, partner: Any = None, reason: str = "A letter to members") -> Export:
    export = services.request_partner_export(
        coalition.campaign,
        partner_id=(partner or coalition.nurses).id,
        user_id=None,
        reason=reason,
    )
    db.session.commit()
    return export


def rows_in(export: Export) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(Path(export.path).read_text("utf-8"), newline="")))


def emails_in(export: Export) -> list[str]:
    return [row["email"] for row in rows_in(export)]


def test_a_partner_gets_exactly_those_who_ticked_it(
    coalition: Coalition, run_tasks: Callable[[], int]
) -> None:
    for_nurses, for_union = ask(coalition), ask(coalition, coalition.union)
    run_tasks()
    assert emails_in(for_nurses) == ["ann@example.org", "bo@example.org"]
    assert emails_in(for_union) == ["bo@example.org", "cy@example.org"]
    row = rows_in(for_nurses)[0]
    assert list(row) == [
        "email", "first_name", "last_name", "postal_code", "ward", "language", "consent_at",
        "consent_page", "consent_wording", "consent_wording_version", "person_id",
    ]  # fmt: skip
    assert row["consent_wording"] == "Yes, Nurses may e-mail me."
    assert row["person_id"] == str(coalition.ann.id)
    content = Path(for_nurses.path).read_bytes()
    assert for_nurses.checksum == hashlib.sha256(content).hexdigest()
    assert (for_nurses.state, for_nurses.row_count) == (ExportState.READY, 2)
    held = db.session.execute(
        select(ExportedPerson.person_id, ExportedPerson.consent_id).where(
            ExportedPerson.export_id == for_nurses.id
        )
    ).all()
    assert {row.person_id for row in held} == {coalition.ann.id, coalition.bo.id}
    assert all(row.consent_id for row in held)


def test_nothing_of_the_leads_own_is_in_a_partners_file(
    coalition: Coalition, run_tasks: Callable[[], int]
) -> None:
    coalition.ann.phone, coalition.ann.source = "312 555 0100", "secret-source"
    people.add_tag(coalition.ann, "secret-tag")
    people.add_note(coalition.ann, "secret-note", author_id=None)
    make_consent(coalition.ann, coalition.lead, text="secret-words of the lead")
    db.session.commit()
    export = ask(coalition)
    run_tasks()
    content = Path(export.path).read_text("utf-8")
    assert "secret" not in content
    assert "555" not in content


def test_a_withdrawal_between_request_and_build_is_honoured(
    coalition: Coalition, run_tasks: Callable[[], int]
) -> None:
    export = ask(coalition)
    people.withdraw_consent(coalition.bo, grantee_id=coalition.nurses.id, source="preferences")
    db.session.commit()
    run_tasks()
    assert emails_in(export) == ["ann@example.org"]


def test_a_withdrawal_while_building_is_honoured(
    coalition: Coalition, rung: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "PIECE", 1)
    export = ask(coalition)
    assert delivery.claim(export.id)
    steps = delivery.build(export.id, tmp_path)
    assert next(steps) == 0
    assert next(steps) == 1  # ann is written already
    people.withdraw_consent(coalition.ann, grantee_id=coalition.nurses.id, source="preferences")
    db.session.commit()
    for _step in steps:
        db.session.commit()
    assert emails_in(export) == ["bo@example.org"]
    held = db.session.scalars(select(ExportedPerson.person_id))
    assert list(held) == [coalition.bo.id]


def test_other_purposes_and_other_organizations_people_do_not_count(
    coalition: Coalition, run_tasks: Callable[[], int]
) -> None:
    make_consent(coalition.ed, coalition.nurses, purpose=Purpose.PHONE)
    elsewhere = make_person(make_organization(), email="else@example.org")
    make_consent(elsewhere, coalition.nurses)
    export = ask(coalition)
    run_tasks()
    assert emails_in(export) == ["ann@example.org", "bo@example.org"]


def test_a_campaigns_export_holds_who_agreed_there_or_signed_there(
    coalition: Coalition, run_tasks: Callable[[], int]
) -> None:
    second = make_campaign(coalition.lead)
    make_partner(second, coalition.nurses)
    make_consent(coalition.ed, coalition.nurses, campaign_id=second.id)
    make_signature(make_petition(second), person=coalition.bo)
    make_signature(make_petition(second), person=coalition.cy)
    db.session.commit()
    export = services.request_partner_export(
        second, partner_id=coalition.nurses.id, user_id=None, reason="A letter"
    )
    db.session.commit()
    run_tasks()
    assert emails_in(export) == ["bo@example.org", "ed@example.org"]


def test_formulas_are_guarded(coalition: Coalition, run_tasks: Callable[[], int]) -> None:
    coalition.ann.first_name = '=HYPERLINK("https://evil.example")'
    coalition.ann.last_name = "＠SUM(1)"
    coalition.bo.first_name = "'quoted"
    db.session.commit()
    export = ask(coalition)
    run_tasks()
    ann, bo = rows_in(export)
    assert ann["first_name"] == '\'=HYPERLINK("https://evil.example")'
    assert ann["last_name"] == "'＠SUM(1)"
    assert bo["first_name"] == "''quoted"


def test_a_request_needs_a_reason_and_is_audited_on_both_sides(coalition: Coalition) -> None:
    for reason in ("", "   ", "x"):
        with pytest.raises(Invalid):
            ask(coalition, reason=reason)
        db.session.rollback()
    export = ask(coalition)
    lines = list(db.session.scalars(select(AuditEntry)))
    assert {line.organization_id for line in lines} == {coalition.lead.id, coalition.nurses.id}
    assert {(line.action, line.subject_id) for line in lines} == {
        ("partner.export.requested", export.id)
    }


def test_only_campaigns_one_takes_part_in(coalition: Coalition) -> None:
    stranger, draft = make_organization(), make_campaign(coalition.lead, state="draft")
    make_partner(draft, coalition.nurses)
    left = make_campaign(coalition.lead)
    make_partner(left, coalition.nurses, state="left")
    assert queries.shared_campaigns(coalition.nurses.id) == [coalition.campaign]
    for partner, campaign in (
        (stranger, coalition.campaign),
        (coalition.nurses, draft),
        (coalition.nurses, left),
        (coalition.lead, coalition.campaign),
    ):
        with pytest.raises(NotFound):
            queries.shared_campaign(partner.id, campaign.id)


def test_a_file_is_gone_after_a_day(coalition: Coalition, run_tasks: Callable[[], int]) -> None:
    export = ask(coalition)
    run_tasks()
    path = Path(export.path)
    assert path.stat().st_mode & 0o077 == 0
    user_id = coalition.nurses.id
    assert services.fetch_export(export, user_id=user_id) == path
    assert export.download_count == 1
    export.expires_at = clock.now() - timedelta(seconds=1)
    db.session.commit()
    with pytest.raises(Gone):
        services.fetch_export(export, user_id=user_id)
    tasks.tend_exports()
    db.session.expire_all()
    assert not path.exists()
    assert export.state == ExportState.EXPIRED


def test_a_dead_run_is_begun_anew_and_half_a_file_is_never_there(
    coalition: Coalition, rung: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "PIECE", 1)
    monkeypatch.setattr(tasks, "folder", lambda: tmp_path)
    export = ask(coalition)
    rung.clear()
    delivery.claim(export.id)
    steps = delivery.build(export.id, tmp_path)
    next(steps)
    next(steps)
    db.session.commit()
    assert [path.suffix for path in tmp_path.iterdir()] == [".part"]
    with pytest.raises(Gone):
        services.fetch_export(export, user_id=coalition.nurses.id)
    steps.close()
    export.lease_until = clock.now() - timedelta(seconds=1)
    (tmp_path / "0123.csv").write_text("of an export that never was")
    db.session.commit()
    tasks.tend_exports()
    ((task, arguments),) = rung
    task(*arguments)
    db.session.expire_all()
    assert emails_in(export) == ["ann@example.org", "bo@example.org"]
    assert [path.name for path in tmp_path.iterdir()] == [Path(export.path).name]


def test_erasure_takes_files_back(coalition: Coalition, run_tasks: Callable[[], int]) -> None:
    for_nurses, for_union = ask(coalition), ask(coalition, coalition.union)
    run_tasks()
    path = Path(for_nurses.path)
    assert services.forget_person(coalition.ann.id) == [path]
    assert for_nurses.state == ExportState.EXPIRED
    assert for_union.state == ExportState.READY


def own_export(coalition: Coalition, **values: Any) -> Export:
    export = services.request_people_export(
        coalition.lead.id, user_id=None, reason="Walk list", **values
    )
    db.session.commit()
    return export


def test_own_people_all_on_a_list_or_of_a_segment(
    coalition: Coalition, run_tasks: Callable[[], int]
) -> None:
    make_person(coalition.nurses, email="theirs@example.org")
    list_ = make_list(coalition.lead, [coalition.cy])
    coalition.ed.language = "es"
    segment = make_segment(coalition.lead, Speaks(language="es"))
    people.add_tag(coalition.ann, "press")
    db.session.commit()
    everybody, listed, found = (
        own_export(coalition),
        own_export(coalition, chosen=list_),
        own_export(coalition, chosen=segment),
    )
    run_tasks()
    assert emails_in(everybody) == [
        f"{name}@example.org" for name in ("ann", "bo", "cy", "di", "ed")
    ]
    assert emails_in(listed) == ["cy@example.org"]
    assert emails_in(found) == ["ed@example.org"]
    assert rows_in(everybody)[0]["tags"] == "press"
    assert rules.parse(found.filters["rules"]) == Group(rules=(Speaks(language="es"),))


def test_own_people_as_osdi_lines(coalition: Coalition, run_tasks: Callable[[], int]) -> None:
    make_consent(coalition.ann, coalition.lead)
    make_consent(coalition.bo, coalition.lead)
    mail.suppress(address_hash("bo@example.org"), scope=Scope.ADDRESS, reason="bounce")
    export = own_export(coalition, format="jsonl")
    run_tasks()
    found = [json.loads(line) for line in Path(export.path).read_text("utf-8").splitlines()]
    assert [one["email_addresses"][0]["status"] for one in found] == [
        "subscribed", "bouncing", "unsubscribed", "unsubscribed", "unsubscribed",
    ]  # fmt: skip
    assert found[0]["identifiers"] == [f"campaign:{coalition.ann.id}"]
    assert (found[0]["given_name"], found[0]["family_name"]) == ("Ann", "Lee")
    assert found[0]["postal_addresses"] == [{"primary": True, "postal_code": "60637"}]
    assert found[0]["custom_fields"]["consent_at"]
    with pytest.raises(Invalid):
        own_export(coalition, format="pdf")


def test_a_partners_numbers_are_its_own(coalition: Coalition) -> None:
    petition = make_petition(coalition.campaign)
    for source, state in (
        ("nurses", SignatureState.CONFIRMED),
        ("nurses", SignatureState.PENDING),
        ("union", SignatureState.CONFIRMED),
        ("", SignatureState.CONFIRMED),
    ):
        make_signature(petition, state, source=source)
    make_signature(make_petition(make_campaign(coalition.lead)), source="nurses")
    db.session.commit()
    numbers = queries.partner_numbers(coalition.nurses, coalition.campaign, "America/Chicago")
    assert (numbers.referred_count, numbers.confirmed_count, numbers.shared_count) == (2, 1, 2)
    assert sum(count for _day, count in numbers.days) == 1
    assert numbers.days[-1][1] == 1
    assert len(numbers.days) == 30


def run_command(app: Flask, *arguments: str) -> Any:
    result = app.test_cli_runner().invoke(args=["people", "export", *arguments])
    db.session.expire_all()
    return result


def test_the_command_writes_a_partners_people(
    app: Flask, coalition: Coalition, tmp_path: Path
) -> None:
    result = run_command(app, "--organization", "stop", "--partner", "nurses")
    assert result.exit_code == 0, result.output
    lines = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [line["email"] for line in lines] == ["ann@example.org", "bo@example.org"]
    export = db.session.scalars(select(Export)).one()
    assert (export.row_count, export.state) == (2, ExportState.EXPIRED)
    assert export.checksum == hashlib.sha256(result.stdout_bytes).hexdigest()
    assert queries.exports_holding(coalition.ann.id) == [export]
    file = tmp_path / "nurses.jsonl"
    result = run_command(
        app, "--organization", "stop", "--partner", "union", "--format", "jsonl",
        "--output", str(file),
    )  # fmt: skip
    found = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    assert [one["given_name"] for one in found] == ["Bo", "Cy"]
    assert "phone_numbers" not in found[0]
    assert [path.name for path in tmp_path.iterdir()] == ["nurses.jsonl"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--organization", "nobody"),
        ("--organization", "stop", "--partner", "nobody"),
        ("--organization", "stop", "--format", "pdf"),
        ("--organization", "stop", "--columns", "email,secret"),
        ("--organization", "stop", "--list", "Nobody"),
        ("--organization", "stop", "--segment", "Nobody"),
        ("--organization", "stop", "--partner", "nurses", "--columns", "email"),
        (),
    ],
)
def test_wrong_use_of_the_command(
    app: Flask, coalition: Coalition, arguments: tuple[str, ...]
) -> None:
    result = run_command(app, *arguments)
    assert result.exit_code == 2
    assert "Error" in result.stderr


def test_an_export_imports_again_without_a_map(
    app: Flask, coalition: Coalition, tmp_path: Path
) -> None:
    people.change_person(
        coalition.ann,
        people.PersonDetails(
            email="ann@example.org",
            first_name="=Ann",
            last_name="'Lee",
            phone="+1 312 555 0100",
            postal_code="60637",
            language="es",
        ),
        user_id=None,
    )
    people.add_tag(coalition.ann, "press")
    people.add_tag(coalition.ann, "+1 guest")
    db.session.commit()
    file = tmp_path / "all.csv"
    assert run_command(app, "--organization", "stop", "--output", str(file)).exit_code == 0

    def bring_in(slug: str) -> str:
        result = app.test_cli_runner().invoke(
            args=[
                "people",
                "import",
                str(file),
                "--organization",
                slug,
                "--basis",
                "our own people",
            ]
        )
        db.session.expire_all()
        return str(result.stdout).strip()

    assert bring_in("stop") == "added 0, updated 0, unchanged 5, refused 0"
    assert bring_in("union") == "added 5, updated 0, unchanged 0, refused 0"
    copy = db.session.scalars(
        select(Person).where(
            Person.organization_id == coalition.union.id, Person.email == "ann@example.org"
        )
    ).one()
    assert (copy.first_name, copy.last_name, copy.phone) == ("=Ann", "'Lee", "+1 312 555 0100")
    assert copy.language == "es"
