"""All that is held about somebody, gathered from every slice."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from campaign import clock
from campaign.buddies import queries as buddies
from campaign.campaigns import boxes
from campaign.campaigns import queries as campaigns
from campaign.checkin import queries as checkin
from campaign.checkin.models import CameAnswer, SignIn
from campaign.db import db
from campaign.errors import Gone, NotFound
from campaign.events import queries as events
from campaign.events.models import Event, Occurrence, Rsvp
from campaign.events.rules import day_of
from campaign.exports import queries as exports
from campaign.fields import queries as fields
from campaign.hearings import queries as hearings
from campaign.hearings.models import Testimony
from campaign.ladders import queries as ladders
from campaign.ladders.models import FollowUp, Ladder, LadderRun
from campaign.lists.models import List
from campaign.lists.queries import lists_with
from campaign.mail import queries as mail
from campaign.mail.addresses import address_hash
from campaign.mail.models import Scope, Suppression
from campaign.mail.queries import SentLetter
from campaign.organizations.models import Organization
from campaign.people import names
from campaign.people import queries as people
from campaign.people.models import Consent, Note, Person, PersonChange, Purpose, Tag
from campaign.petitions import queries as petitions
from campaign.petitions.models import Petition, Signature
from campaign.places.models import District
from campaign.sit_ins import queries as sit_ins
from campaign.sit_ins.models import Acknowledgement, ArrestRisk
from campaign.sit_ins.queries import Confided

PERSON, SIGNATURE, RSVP = "person", "signature", "rsvp"


def holder_of(value: Any) -> Person | Signature | Rsvp:
    """Who a preferences token speaks of: a person, a signature nobody has confirmed yet, or an
    answer to an event whose person is not found yet.

    A signature or an answer that has its person by now leads to them. Raises NotFound for a value
    that is none of ours, Gone when there is nothing left.
    """
    try:
        kind, row_id = value[0], uuid.UUID(value[1])
    except (TypeError, ValueError, IndexError, KeyError, AttributeError) as error:
        raise NotFound from error
    if kind == PERSON:
        return _present(people.person_by_id(row_id))
    if kind == RSVP:
        rsvp = events.rsvp_by_id(row_id)
        if rsvp is None or rsvp.address_hash is None:
            raise Gone
        return rsvp if rsvp.person_id is None else _present(people.person_by_id(rsvp.person_id))
    if kind != SIGNATURE:
        raise NotFound
    signature = petitions.signature_by_id(row_id)
    if signature is None or signature.email is None:
        raise Gone
    if signature.person_id is not None:
        return _present(people.person_by_id(signature.person_id))
    return signature


def _present(person: Person | None) -> Person:
    if person is None or person.erased_at is not None:
        raise Gone
    return person


# --- what is held ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature with the petition it stands under."""

    signature: Signature
    petition: Petition
    district: District | None


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer with the event and the date it was given to."""

    rsvp: Rsvp
    occurrence: Occurrence
    event: Event
    day: str
    shift: str


@dataclass(frozen=True, slots=True)
class HeldFile:
    """A file made for an organization that this person was in."""

    organization: str
    made_at: datetime
    is_there: bool
    download_count: int


@dataclass(frozen=True, slots=True)
class Holding:
    """What one organization holds about one person."""

    person: Person
    organization: Organization
    consents: Sequence[Consent]
    ledger: Sequence[Consent]
    signed: Sequence[Signed]
    answered: Sequence[Answered]
    testimonies: Sequence[Testimony]
    came: Sequence[SignIn]
    told: Sequence[CameAnswer]
    briefings: Sequence[Acknowledgement]
    risks: Sequence[tuple[ArrestRisk, Confided | None]]
    letters: Sequence[SentLetter]
    tags: Sequence[Tag]
    lists: Sequence[List]
    ladders: Sequence[tuple[LadderRun, Ladder]]
    follow_ups: Sequence[FollowUp]
    notes: Sequence[Note]
    changes: Sequence[PersonChange]
    files: Sequence[HeldFile]
    suppressions: Sequence[Suppression]
    fields: Sequence[tuple[str, str]]


def holding_of(person: Person) -> Holding:
    """All of it. Nothing that the organization holds about a person may be missing here."""
    ledger, rsvps = people.consents_of(person.id), rsvps_by(person)
    rsvp_ids = [rsvp.id for rsvp in rsvps]
    return Holding(
        person=person,
        organization=db.session.get_one(Organization, person.organization_id),
        consents=people.consents_in_force(person.id),
        ledger=ledger,
        signed=signed_by(person),
        answered=[answered(rsvp, person.language) for rsvp in rsvps],
        testimonies=hearings.of_rsvps(rsvp_ids),
        came=checkin.sign_ins_of(person, rsvp_ids),
        told=checkin.came_answers(rsvp_ids),
        briefings=sit_ins.acknowledgements_of(rsvp_ids),
        risks=[(risk, sit_ins.open_seal(risk)) for risk in sit_ins.risks_of(rsvp_ids)],
        letters=mail.letters_to(person.organization_id, person.id, person.address_hash),
        tags=people.tags_of(person.id),
        lists=lists_with(person.id),
        ladders=ladders.runs_of(person.id),
        follow_ups=ladders.follow_ups_of(person.id),
        notes=people.notes_of(person.id),
        changes=people.changes_of(person.id),
        files=files_with(person.id),
        suppressions=suppressions_of(person),
        fields=fields.known_of(person.organization_id, person.id, person.language),
    )


def signed_by(person: Person) -> list[Signed]:
    """A person's signatures, and those under their address and name that wait for confirming."""
    return [_signed(signature) for signature in signatures_by(person)]


def signatures_by(person: Person) -> list[Signature]:
    """The signatures that are this person's: theirs by row, or by address and name.

    Somebody of the household who shares the address and has another name keeps their own.
    """
    mine = {signature.id: signature for signature in petitions.signatures_of(person.id)}
    if person.address_hash:
        for signature in petitions.signatures_by_address(person.address_hash):
            if (
                signature.organization_id == person.organization_id
                and signature.person_id is None
                and names.agree(signature.first_name, person.first_name)
                and names.agree(signature.last_name, person.last_name)
            ):
                mine.setdefault(signature.id, signature)
    return list(mine.values())


def _signed(signature: Signature) -> Signed:
    district = db.session.get(District, signature.district_id) if signature.district_id else None
    return Signed(signature, db.session.get_one(Petition, signature.petition_id), district)


def signed(signature: Signature) -> Signed:
    """A signature with its petition."""
    return _signed(signature)


def rsvps_by(person: Person) -> list[Rsvp]:
    """The answers that are this person's: theirs by row, or by address and name."""
    mine = {rsvp.id: rsvp for rsvp in events.rsvps_of(person.id)}
    if person.address_hash:
        for rsvp in events.rsvps_by_address(person.address_hash):
            if (
                rsvp.organization_id == person.organization_id
                and rsvp.person_id is None
                and names.agree(rsvp.first_name, person.first_name)
                and names.agree(rsvp.last_name, person.last_name)
            ):
                mine.setdefault(rsvp.id, rsvp)
    return list(mine.values())


def answered(rsvp: Rsvp, language: str) -> Answered:
    """An answer with its event, its day in words and what was signed up for."""
    occurrence, event = rsvp.occurrence, rsvp.occurrence.event
    day = day_of(occurrence.starts_at, event.zone, language)
    shift = rsvp.shift.name.get_for(language) or rsvp.shift.role if rsvp.shift else ""
    return Answered(rsvp, occurrence, event, day, shift)


def is_known_otherwise(person: Person) -> bool:
    """Whether anything but answers to events made this person known to the organization."""
    return bool(
        people.consents_of(person.id)
        or people.notes_of(person.id)
        or people.tags_of(person.id)
        or people.changes_of(person.id)
        or lists_with(person.id)
        or signatures_by(person)
        or rsvps_by(person)
    )


def files_with(person_id: uuid.UUID) -> list[HeldFile]:
    """The exports that held a person, the latest first."""
    now = clock.now()
    return [
        HeldFile(
            organization=db.session.get_one(Organization, export.organization_id).name,
            made_at=export.ready_at or export.created_at,
            is_there=export.can_be_fetched(now),
            download_count=export.download_count,
        )
        for export in reversed(exports.exports_holding(person_id))
    ]


def suppressions_of(person: Person) -> list[Suppression]:
    """What stops bulk mail of this organization to the person."""
    if not person.address_hash:
        return []
    reach = {person.organization_id.hex, ""}
    return [
        one
        for one in mail.suppressions_of(person.address_hash)
        if one.scope == Scope.LIST or one.scope_id in reach
    ]


# --- what may be agreed to ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Choice:
    """One consent box on somebody's own page: as it stands, or as it may be granted."""

    field: str
    grantee: Organization
    purpose: str
    text: str
    mark: str
    campaign_id: uuid.UUID | None
    line: Consent | None

    @property
    def is_granted(self) -> bool:
        return self.line is not None and self.line.is_granted


def choices_for(person: Person, language: str) -> list[Choice]:
    """The boxes of a person's own page: the organization itself first, then its partners in the
    campaigns they signed or came for, then whoever else the ledger speaks of."""
    own = db.session.get_one(Organization, person.organization_id)
    lines = {(line.grantee_id, line.purpose): line for line in people.consents_in_force(person.id)}
    texts: dict[uuid.UUID, tuple[Organization, str, uuid.UUID | None]] = {
        own.id: (own, boxes.own_words(own).get_for(language), None)
    }
    for one in signed_by(person):
        for box in petitions.boxes_of(one.petition):
            grantee = db.session.get_one(Organization, box.grantee_id)
            words = box.wording.get_for(language)
            if box.grantee_id == own.id or box.grantee_id not in texts:
                texts[box.grantee_id] = (grantee, words, one.petition.campaign_id)
    for rsvp in rsvps_by(person):
        event = rsvp.occurrence.event
        for box in events.boxes_of(event):
            if box.grantee_id not in texts:
                grantee = db.session.get_one(Organization, box.grantee_id)
                texts[box.grantee_id] = (
                    grantee,
                    box.wording.get_for(language),
                    event.campaign_id,
                )
    for line in lines.values():
        if line.grantee_id not in texts:
            texts[line.grantee_id] = (
                line.grantee,
                boxes.own_words(line.grantee).get_for(language),
                line.campaign_id,
            )
    return [
        _choice(grantee, Purpose.EMAIL, words, campaign_id, lines.get((grantee.id, Purpose.EMAIL)))
        for grantee, words, campaign_id in texts.values()
    ] + [
        _choice(line.grantee, line.purpose, "", line.campaign_id, line)
        for (_grantee_id, purpose), line in lines.items()
        if purpose != Purpose.EMAIL
    ]


def _choice(
    grantee: Organization,
    purpose: str,
    words: str,
    campaign_id: uuid.UUID | None,
    line: Consent | None,
) -> Choice:
    in_force = line.wording.text if line and line.is_granted and line.wording else ""
    text = in_force or words or (line.wording.text if line and line.wording else "")
    suffix = "" if purpose == Purpose.EMAIL else f"-{purpose.replace(' ', '-')}"
    return Choice(
        field=f"consent-{grantee.slug}{suffix}",
        grantee=grantee,
        purpose=purpose,
        text=text,
        mark=boxes.mark_of(text),
        campaign_id=campaign_id,
        line=line,
    )


# --- whom an erasure means ---------------------------------------------------------------------


def same_person_elsewhere(person: Person) -> list[Person]:
    """The same address and name at other organizations of this installation."""
    if not person.email_key:
        return []
    return [
        other
        for other in people.people_by_address(person.email_key)
        if other.organization_id != person.organization_id
        and names.agree(other.first_name, person.first_name)
        and names.agree(other.last_name, person.last_name)
    ]


def organizations_named(ids: Sequence[uuid.UUID]) -> list[str]:
    """The names of organizations, in order."""
    rows = db.session.scalars(select(Organization.name).where(Organization.id.in_(ids)))
    return sorted(rows, key=str.casefold)


def is_address_held(hashed: str, organization_id: uuid.UUID | None = None) -> bool:
    """Whether anybody still has this address: a person, a signature, or an answer."""
    theirs = [Person.address_hash == hashed]
    signatures = [Signature.address_hash == hashed]
    answers = [Rsvp.address_hash == hashed]
    if organization_id is not None:
        theirs.append(Person.organization_id == organization_id)
        signatures.append(Signature.organization_id == organization_id)
        answers.append(Rsvp.organization_id == organization_id)
    return bool(
        db.session.scalar(select(Person.id).where(*theirs).limit(1))
        or db.session.scalar(select(Signature.id).where(*signatures).limit(1))
        or db.session.scalar(select(Rsvp.id).where(*answers).limit(1))
    )


def loose_signatures(address: str, organization_id: uuid.UUID | None = None) -> list[Signature]:
    """Signatures under an address that belong to no person yet."""
    return [
        signature
        for signature in petitions.signatures_by_address(address_hash(address))
        if signature.person_id is None and organization_id in {None, signature.organization_id}
    ]


def loose_rsvps(address: str, organization_id: uuid.UUID | None = None) -> list[Rsvp]:
    """Answers under an address that belong to no person yet."""
    return [
        rsvp
        for rsvp in events.rsvps_by_address(address_hash(address))
        if rsvp.person_id is None and organization_id in {None, rsvp.organization_id}
    ]


def partners_of_signed(signature: Signature) -> list[str]:
    """Who else was ticked under a signature that waits for confirming."""
    petition = db.session.get_one(Petition, signature.petition_id)
    lead = petition.organization_id
    known = {lead: db.session.get_one(Organization, lead).name} | {
        row.partner_id: row.partner.name for row in campaigns.partners_of(petition.campaign_id)
    }
    ticked = (uuid.UUID(grantee) for grantee in signature.wordings)
    return [known[grantee] for grantee in ticked if grantee in known]


def count_address(address: str, organization_id: uuid.UUID | None = None) -> tuple[int, int]:
    """How many people have an address, and how many signatures and answers under it belong to
    nobody yet."""
    return (
        len(people.people_by_address(address, organization_id)),
        len(loose_signatures(address, organization_id))
        + len(loose_rsvps(address, organization_id)),
    )


# --- to take away ------------------------------------------------------------------------------


def as_plain(holding: Holding) -> dict[str, Any]:
    """All that is held, as plain values under names that a person understands."""
    person = holding.person
    return {
        "Held by": holding.organization.name,
        "About you": {
            "First name": person.first_name,
            "Last name": person.last_name,
            "Email": person.email,
            "Phone": person.phone,
            "ZIP code": person.postal_code,
            "Ward": person.district.name if person.district else None,
            "How sure the ward is": person.district_share,
            "Language": person.language,
            "How you came to us": person.source,
            "Known since": _moment(person.created_at),
        },
        "More about you": dict(holding.fields),
        "What you agreed to": [_line(line) for line in holding.consents if line.is_granted],
        "Everything you agreed to or withdrew": [_line(line) for line in holding.ledger],
        "What you signed": [
            {
                "Petition": one.petition.title.get_for(person.language),
                "State": one.signature.state,
                "Signed": _moment(one.signature.created_at),
                "Confirmed": _moment(one.signature.confirmed_at),
                "Taken back": _moment(one.signature.withdrawn_at),
                "First name": one.signature.first_name,
                "Last name": one.signature.last_name,
                "Email": one.signature.email,
                "Phone": one.signature.phone,
                "ZIP code": one.signature.postal_code,
                "Ward": one.district.name if one.district else None,
                "Your words": one.signature.comment,
                "What you answered besides": dict(
                    petitions.answers_of(one.signature, person.language)
                ),
                "Shown in public": one.signature.display,
                "Internet address you signed from": one.signature.ip,
                "How you came to the page": one.signature.source,
            }
            for one in holding.signed
        ],
        "What you answered": [
            {
                "Event": one.event.title.get_for(person.language),
                "Day": one.day,
                "Answer": one.rsvp.state,
                "Guests": one.rsvp.guests,
                "What would help you": one.rsvp.needs,
                "Your words": one.rsvp.needs_note,
                "What you answered besides": dict(events.answers_of(one.rsvp, person.language)),
                "Shift": one.shift,
                "Company": one.rsvp.company,
                "Your wish for company": one.rsvp.company_wish,
                "First name": one.rsvp.first_name,
                "Last name": one.rsvp.last_name,
                "Email": one.rsvp.email,
                "Phone": one.rsvp.phone,
                "ZIP code": one.rsvp.postal_code,
                "Answered": _moment(one.rsvp.created_at),
                "Confirmed": _moment(one.rsvp.confirmed_at),
                "In line since": _moment(one.rsvp.waiting_since),
                "Taken back": _moment(one.rsvp.cancelled_at),
                "Internet address you answered from": one.rsvp.ip,
                "How you came to the page": one.rsvp.source,
            }
            for one in holding.answered
        ],
        "Whom you go with": [
            {"You": wish.kind, "What you wished": wish.wish, "How it stands": wish.state}
            for wish in buddies.wishes_of_person(person.id)
        ],
        "What you say at hearings": [
            {
                "Event": one.occurrence.event.title.get_for(person.language),
                "How it stands": one.state,
                "Way": one.way,
                "Language": one.language,
                "About": one.topic,
                "Your words": one.draft,
                "May be read by another": one.wants_reader,
                "Reads for others": one.offers_to_read,
                "What became of it": one.outcome,
                "Asked": _moment(one.created_at),
            }
            for one in holding.testimonies
        ],
        "Where you signed in": [
            {
                "Event": row.occurrence.event.title.get_for(person.language),
                "When": _moment(row.at),
                "How": row.way,
                "Guests": row.guests,
                "First name": row.first_name or None,
                "Last name": row.last_name or None,
                "Email": row.email,
                "ZIP code": row.postal_code or None,
                "Line of the paper sheet": row.sheet_line or None,
                "Undone": _moment(row.undone_at),
            }
            for row in holding.came
        ],
        "What you told us afterwards": [
            {"You came": row.has_come, "Your words": row.feedback, "When": _moment(row.at)}
            for row in holding.told
        ],
        "Briefings you read": [
            {"Version": row.version, "When": _moment(row.at)} for row in holding.briefings
        ],
        "What you told the legal team": [
            {
                "Event": risk.occurrence.event.title.get_for(person.language),
                "Name as on your ID": told.legal_name if told else None,
                "Date of birth": told.born_on if told else None,
                "Who should be called": told.emergency_contact if told else None,
                "Health": told.medical if told else None,
                "What they noted": told.note if told else None,
                "How it stands": risk.status,
                "Since": _moment(risk.created_at),
                "Deleted on": _moment(risk.purge_at),
            }
            for risk, told in holding.risks
        ],
        "Email we sent you": [
            {
                "Subject": letter.subject,
                "When": _moment(letter.created_at),
                "What became of it": letter.state,
                "Why": letter.reason,
            }
            for letter in holding.letters
        ],
        "Email you stopped": [
            {"How far": one.scope, "Since": _moment(one.since), "Why": one.reason}
            for one in holding.suppressions
        ],
        "Tags": [tag.name for tag in holding.tags],
        "Lists": [one.name for one in holding.lists],
        "Series of steps you are in or went through": [
            {
                "Name": ladder.name,
                "Since": _moment(run.entered_at),
                "How it stands": run.state,
                "Ended": _moment(run.ended_at),
            }
            for run, ladder in holding.ladders
        ],
        "What somebody of the team was asked to do": [
            {"What": one.text, "Since": _moment(one.created_at), "Done": _moment(one.done_at)}
            for one in holding.follow_ups
        ],
        "Notes about you": [
            {"When": _moment(note.created_at), "Text": note.text} for note in holding.notes
        ],
        "Changes": [
            {"When": _moment(change.at), "From and to": change.fields} for change in holding.changes
        ],
        "Files you were in": [
            {"Made for": file.organization, "When": _moment(file.made_at)} for file in holding.files
        ],
    }


def _line(line: Consent) -> dict[str, Any]:
    return {
        "With": line.grantee.name,
        "For": line.purpose,
        "What": "agreed" if line.is_granted else "withdrawn",
        "In these words": line.wording.text if line.wording else None,
        "Version of the words": line.wording.version if line.wording else None,
        "When": _moment(line.at),
        "How": line.source,
        "More": line.source_detail,
    }


def _moment(at: datetime | None) -> str | None:
    return at.isoformat(timespec="seconds") if at else None
