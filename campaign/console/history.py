"""Everything that happened with one person, from every slice, as one line after another."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from sqlalchemy import select

from campaign.accounts.models import User
from campaign.checkin.models import SignIn
from campaign.db import db
from campaign.events.models import Event, Host, HostState, Occurrence, Rsvp
from campaign.exports import queries as exports
from campaign.hearings.models import Outcome, Testimony
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
    ANSWERED = "answered"
    ANSWER_CANCELLED = "answer cancelled"
    SIGNED_IN = "signed in"
    HOSTED = "hosted"
    TESTIFIED = "testified"


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
        return self.kind in {Kind.CONFIRMED, Kind.GRANTED, Kind.SIGNED_IN}


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
        *_at_events(person.id, language),
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
    for export in exports.exports_holding(person_id):
        yield Happening(
            export.ready_at or export.created_at,
            Kind.EXPORTED,
            db.session.get_one(Organization, export.organization_id).name,
            export.reason,
            state=export.state,
        )


def _at_events(person_id: uuid.UUID, language: str) -> Iterator[Happening]:
    """What they answered to events, where they signed in, hosted and spoke.

    Their needs, whom they went with and what they risked is not here: that is for those who
    help them with it.
    """
    answers = db.session.execute(
        select(Rsvp, Event, Occurrence, Testimony.outcome)
        .join(Event, Event.id == Rsvp.event_id)
        .join(Occurrence, Occurrence.id == Rsvp.occurrence_id)
        .outerjoin(Testimony, Testimony.rsvp_id == Rsvp.id)
        .where(Rsvp.person_id == person_id)
    )
    for rsvp, event, occurrence, outcome in answers:
        title = event.title.get_for(language)
        if rsvp.cancelled_at is not None:
            yield Happening(rsvp.cancelled_at, Kind.ANSWER_CANCELLED, title, link_id=event.id)
        yield Happening(
            rsvp.created_at,
            Kind.ANSWERED,
            title,
            state=rsvp.state,
            source=rsvp.source,
            link_id=event.id,
        )
        if outcome == Outcome.SPOKE:
            yield Happening(occurrence.starts_at, Kind.TESTIFIED, title, link_id=event.id)
    came = db.session.execute(
        select(SignIn.at, Event.id, Event.title)
        .join(Event, Event.id == SignIn.event_id)
        .where(SignIn.person_id == person_id, SignIn.undone_at.is_(None))
    )
    for at, event_id, words in came:
        yield Happening(at, Kind.SIGNED_IN, words.get_for(language), link_id=event_id)
    hosted = db.session.execute(
        select(Host.answered_at, Host.created_at, Event.id, Event.title)
        .join(Event, Event.id == Host.event_id)
        .where(Host.person_id == person_id, Host.state == HostState.ACTIVE)
    )
    for answered_at, created_at, event_id, words in hosted:
        at = answered_at or created_at
        yield Happening(at, Kind.HOSTED, words.get_for(language), link_id=event_id)
