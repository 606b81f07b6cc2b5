"""Everything that happened with one person, from every slice, as one line after another."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from sqlalchemy import select

from campaign.accounts.models import User
from campaign.db import db
from campaign.exports.models import Export, ExportedPerson
from campaign.lists.models import List, ListMember
from campaign.mail import queries as mail
from campaign.organizations.models import Organization
from campaign.people import queries as people
from campaign.people.models import Consent, Person
from campaign.petitions import queries as petitions
from campaign.petitions.models import Petition, Signature

LONGEST = 500


class Kind(StrEnum):
    """What kind of thing happened; the page says it in words."""

    ADDED = "added"
    SIGNED = "signed"
    CONFIRMED = "confirmed"
    SIGNATURE_WITHDRAWN = "signature withdrawn"
    GRANTED = "granted"
    WITHDRAWN = "withdrawn"
    WRITTEN_TO = "written to"
    CHANGED = "changed"
    NOTED = "noted"
    TAGGED = "tagged"
    LISTED = "listed"
    EXPORTED = "exported"


@dataclass(frozen=True, slots=True)
class Happening:
    """One line of the history. `what` names the thing, `detail` is free text of somebody's."""

    at: datetime
    kind: Kind
    what: str = ""
    detail: str = ""
    by: str = ""
    state: str = ""
    source: str = ""
    version: int | None = None
    link_id: uuid.UUID | None = None
    fields: dict[str, list[str]] = field(default_factory=dict)

    @property
    def won(self) -> bool:
        return self.kind in {Kind.CONFIRMED, Kind.GRANTED}


def history_of(person: Person, language: str) -> list[Happening]:
    """What happened with a person, the latest first; at most LONGEST lines.

    What happened in the same moment stays in the order of the list below, the later thing first.
    """
    consents = people.consents_of(person.id)
    notes = people.notes_of(person.id)
    changes = people.changes_of(person.id)
    names = _user_names(
        [line.user_id for line in consents]
        + [note.author_id for note in notes]
        + [change.user_id for change in changes]
    )
    lines = [
        *_signing(petitions.signatures_of(person.id), language),
        *(_consent(line, names) for line in consents),
        *(
            Happening(
                letter.created_at,
                Kind.WRITTEN_TO,
                letter.subject,
                letter.reason,
                state=letter.state,
            )
            for letter in mail.letters_to(
                person.organization_id, person.id, person.address_hash, limit=LONGEST
            )
        ),
        *(
            Happening(
                change.at,
                Kind.CHANGED,
                by=names.get(change.user_id, ""),
                fields=change.fields,
            )
            for change in changes
        ),
        *(
            Happening(note.created_at, Kind.NOTED, "", note.text, names.get(note.author_id, ""))
            for note in notes
        ),
        *_tagging(person.id),
        *_listing(person.id),
        *_exporting(person.id),
        Happening(person.created_at, Kind.ADDED, source=person.source),
    ]
    return sorted(lines, key=lambda line: line.at, reverse=True)[:LONGEST]


def _user_names(ids: Iterable[uuid.UUID | None]) -> dict[uuid.UUID | None, str]:
    wanted = {user_id for user_id in ids if user_id is not None}
    if not wanted:
        return {}
    rows = db.session.execute(select(User.id, User.name, User.email).where(User.id.in_(wanted)))
    return {row.id: row.name or row.email for row in rows}


def _signing(signatures: Iterable[Signature], language: str) -> Iterator[Happening]:
    for signature in signatures:
        petition = db.session.get_one(Petition, signature.petition_id)
        title = petition.title.get_for(language)
        if signature.withdrawn_at is not None:
            yield Happening(
                signature.withdrawn_at, Kind.SIGNATURE_WITHDRAWN, title, link_id=petition.id
            )
        if signature.confirmed_at is not None:
            yield Happening(signature.confirmed_at, Kind.CONFIRMED, title, link_id=petition.id)
        yield Happening(
            signature.created_at,
            Kind.SIGNED,
            title,
            signature.comment,
            source=signature.source,
            link_id=petition.id,
        )


def _consent(line: Consent, names: dict[uuid.UUID | None, str]) -> Happening:
    return Happening(
        line.at,
        Kind.GRANTED if line.is_granted else Kind.WITHDRAWN,
        line.grantee.name,
        line.wording.text if line.wording and line.is_granted else "",
        names.get(line.user_id, ""),
        state=line.purpose,
        source=f"{line.source}: {line.source_detail}" if line.source_detail else line.source,
        version=line.wording.version if line.wording and line.is_granted else None,
    )


def _tagging(person_id: uuid.UUID) -> Iterator[Happening]:
    for tag, at in people.tagging_of(person_id):
        yield Happening(at, Kind.TAGGED, tag.name)


def _listing(person_id: uuid.UUID) -> Iterator[Happening]:
    rows = db.session.execute(
        select(List.id, List.name, ListMember.created_at)
        .join(ListMember, ListMember.list_id == List.id)
        .where(ListMember.person_id == person_id)
    )
    for list_id, name, at in rows:
        yield Happening(at, Kind.LISTED, name, link_id=list_id)


def _exporting(person_id: uuid.UUID) -> Iterator[Happening]:
    rows = db.session.execute(
        select(Export, Organization.name)
        .join(ExportedPerson, ExportedPerson.export_id == Export.id)
        .join(Organization, Organization.id == Export.organization_id)
        .where(ExportedPerson.person_id == person_id)
    )
    for export, name in rows:
        yield Happening(
            export.ready_at or export.created_at,
            Kind.EXPORTED,
            name,
            export.reason,
            state=export.state,
        )
