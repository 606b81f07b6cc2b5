"""What somebody does about what is held of them: choose, correct, stop mail, withdraw, erase.

Each step is a service of the slice that owns the rows; this slice only knows them all.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from flask_babel import lazy_gettext as _l

from campaign.buddies import services as buddies
from campaign.campaigns.boxes import is_mark
from campaign.checkin import queries as checkin_queries
from campaign.checkin import services as checkin
from campaign.errors import Conflict, NotFound
from campaign.events import services as events
from campaign.events.models import Rsvp
from campaign.exports import services as exports
from campaign.fields import services as fields
from campaign.hearings import services as hearings
from campaign.ladders import services as ladders
from campaign.lists import services as lists
from campaign.mail import services as mail
from campaign.mail.addresses import address_hash
from campaign.mail.models import Scope
from campaign.organizations.services import record
from campaign.people import queries as people_queries
from campaign.people import services as people
from campaign.people.models import Person, Purpose
from campaign.people.services import PersonDetails
from campaign.petitions import services as petitions
from campaign.petitions.models import Signature
from campaign.privacy import queries
from campaign.privacy.queries import Choice
from campaign.sit_ins import services as sit_ins

OWN_PAGE = "preferences"


# --- consents ----------------------------------------------------------------------------------


def change_choices(
    person: Person, choices: Iterable[Choice], ticked: Mapping[str, str], *, language: str
) -> int:
    """Make the ledger say what the page says: a line for each box that differs; returns how many.

    `ticked` maps the fields of ticked boxes to their value: the mark of the words that stood
    beside them, or anything else for the present words.
    Raises Conflict when those words have changed since: nobody agrees to what they did not read.
    """
    changed = 0
    for choice in choices:
        if choice.field in ticked and not choice.is_granted:
            if is_mark(ticked[choice.field]) and ticked[choice.field] != choice.mark:
                raise Conflict(_l("These words have changed. Please read them again."))
            _grant(person, choice, language)
            changed += 1
        elif choice.field not in ticked and choice.is_granted:
            people.withdraw_consent(
                person, grantee_id=choice.grantee.id, purpose=choice.purpose, source=OWN_PAGE
            )
            changed += 1
    return changed


def _grant(person: Person, choice: Choice, language: str) -> None:
    wording = people.wording_for(
        choice.grantee.id, purpose=choice.purpose, language=language, text=choice.text
    )
    people.grant_consent(
        person,
        grantee_id=choice.grantee.id,
        purpose=choice.purpose,
        wording_id=wording.id,
        source=OWN_PAGE,
        campaign_id=choice.campaign_id,
    )
    if choice.purpose == Purpose.EMAIL and person.address_hash:
        mail.lift(person.address_hash, scope=Scope.ORGANIZATION, scope_id=choice.grantee.id)


def correct(person: Person, details: PersonDetails) -> bool:
    """The person's own correction of what we hold; kept as history without a user."""
    return people.change_person(person, details, user_id=None)


def send_links(address: str) -> int:
    """Send everybody who has this address the link to their own page; returns how many.

    One e-mail for each organization that knows them: each page shows what that one holds.
    """
    found = people_queries.people_by_address(address)
    return sum(people.send_own_page(person) is not None for person in found)


# --- mail --------------------------------------------------------------------------------------


def stop_mail(person: Person, scope: Scope) -> None:
    """No more bulk mail of this organization, or of anybody here; consents end with it.

    What is queued and not yet being sent is cancelled.
    """
    if not person.address_hash:
        raise NotFound
    own = person.organization_id if scope == Scope.ORGANIZATION else ""
    mail.suppress(person.address_hash, scope=scope, scope_id=own, reason="unsubscribed")
    for line in people_queries.consents_in_force(person.id):
        is_meant = scope == Scope.EVERYTHING or line.grantee_id == person.organization_id
        if is_meant and line.is_granted and line.purpose == Purpose.EMAIL:
            people.withdraw_consent(
                person, grantee_id=line.grantee_id, purpose=line.purpose, source=OWN_PAGE
            )


def start_mail(person: Person, choice: Choice, *, language: str) -> None:
    """Take back what stopped this organization's mail, with a new consent to it."""
    if not person.address_hash:
        raise NotFound
    mail.lift(person.address_hash, scope=Scope.EVERYTHING)
    _grant(person, choice, language)


# --- signatures --------------------------------------------------------------------------------


def withdraw_signature(person: Person, signature_id: uuid.UUID) -> None:
    """Take one of the person's names off; raises NotFound when it is not theirs."""
    for signature in queries.signatures_by(person):
        if signature.id == signature_id:
            petitions.withdraw_signature(signature)
            return
    raise NotFound


def drop_signature(signature: Signature) -> None:
    """Delete a signature that belongs to no person, and the mail about it.

    Raises Conflict for one that was confirmed meanwhile: that is its person's to erase.
    """
    if signature.person_id is not None:
        raise Conflict
    _drop(signature)


def _drop(signature: Signature) -> None:
    hashed, organization_id = signature.address_hash, signature.organization_id
    petitions.erase_signature(signature)
    if hashed:
        people.journal_erasure(organization_id, hashed, None)
        _forget_mail(None, hashed, organization_id)


# --- answers to events -------------------------------------------------------------------------


def not_me(rsvp: Rsvp) -> Erased:
    """ "This was not me": the answer is taken back and erased, with the person who was made from
    it when nothing else is known of them. Whoever was known before keeps everything else."""
    person = people_queries.person_by_id(rsvp.person_id) if rsvp.person_id else None
    was_known = person is None or person.created_at < rsvp.created_at
    drop_rsvp(rsvp)
    if person is None or was_known or queries.is_known_otherwise(person):
        return Erased()
    return erase_person(person)


def drop_rsvp(rsvp: Rsvp) -> None:
    """Erase an answer, and the mail about it to whoever is not known otherwise."""
    hashed, organization_id = rsvp.address_hash, rsvp.organization_id
    _erase_what_stands_on([rsvp.id])
    checkin.erase_sign_ins(checkin_queries.sign_ins_by_rsvps([rsvp.id]))
    events.erase_rsvp(rsvp)
    if hashed and not queries.is_address_held(hashed, organization_id):
        people.journal_erasure(organization_id, hashed, None)
        _forget_mail(None, hashed, organization_id)


def cancel_rsvp(person: Person, rsvp_id: uuid.UUID) -> None:
    """Take one of the person's answers back; raises NotFound when it is not theirs."""
    for rsvp in queries.rsvps_by(person):
        if rsvp.id == rsvp_id:
            events.cancel_rsvp(rsvp)
            return
    raise NotFound


# --- erasing -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure reached, in numbers: all that may be told afterwards.

    Whoever commits calls `delete_files` then; files left over are strays that the beat deletes.
    """

    people: int = 0
    signatures: int = 0
    answers: int = 0
    files: tuple[Path, ...] = ()

    def delete_files(self) -> None:
        """After the commit: delete the files that held somebody who is erased."""
        for path in self.files:
            path.unlink(missing_ok=True)


def erase_person(person: Person, *, user_id: uuid.UUID | None = None) -> Erased:
    """Take somebody's identity out of everything one organization holds.

    What stays: the count of the petition with the ward, answers to events as numbers, the ledger
    and the audit log with ids alone, and the hash that keeps an unsubscribed address unsubscribed.
    `user_id` is who of the team did it, None for the person themself or the command line.
    """
    organization_id, hashed = person.organization_id, person.address_hash
    ladders.forget_person(person.id)
    signatures = queries.signatures_by(person)
    for signature in signatures:
        petitions.erase_signature(signature)
    rsvps = sorted(queries.rsvps_by(person), key=lambda rsvp: rsvp.occurrence_id)
    rsvp_ids = [rsvp.id for rsvp in rsvps]
    _erase_what_stands_on(rsvp_ids)
    checkin.erase_sign_ins(checkin_queries.sign_ins_of(person, rsvp_ids))
    for rsvp in rsvps:
        events.erase_rsvp(rsvp)
    files = exports.forget_person(person.id)
    lists.forget_person(person.id)
    fields.forget_person(person.id)
    people.erase(person)
    _forget_mail(person.id, hashed or "", organization_id)
    if hashed and not queries.is_address_held(hashed):
        buddies.forget_blocks(hashed)
    record(
        "person.erased",
        organization_id=organization_id,
        user_id=user_id,
        subject_kind="person",
        subject_id=person.id,
        details={"signatures": len(signatures), "answers": len(rsvps), "files": len(files)},
    )
    return Erased(people=1, signatures=len(signatures), answers=len(rsvps), files=tuple(files))


def _erase_what_stands_on(rsvp_ids: Sequence[uuid.UUID]) -> None:
    """What the slices above events hold about the owner of these answers."""
    buddies.erase_wishes(rsvp_ids)
    hearings.erase_testimonies(rsvp_ids)
    checkin.erase_feedback(rsvp_ids)
    sit_ins.forget_answers(rsvp_ids)


def _forget_mail(person_id: uuid.UUID | None, hashed: str, organization_id: uuid.UUID) -> None:
    """Blank the mail of somebody who is gone. Somebody else with the same address keeps theirs:
    the other one of the household, or the same person at another organization."""
    if hashed and queries.is_address_held(hashed, organization_id):
        mail.forget_person(person_id, "")
    elif hashed and queries.is_address_held(hashed):
        mail.forget_person(person_id, hashed, organization_id=organization_id)
    else:
        mail.forget_person(person_id, hashed)
        petitions.erase_signatures(address_hash=hashed or None)
        events.erase_rsvps(address_hash=hashed or None)


def erase_everywhere(person: Person) -> Erased:
    """Erase a person here and at every organization that knows the same address and name."""
    return _sum([erase_person(one) for one in [person, *queries.same_person_elsewhere(person)]])


def erase_address(address: str, organization_id: uuid.UUID | None = None) -> Erased:
    """Erase everybody who has an address, in one organization or in all, and what was typed
    under it and never confirmed."""
    found = people_queries.people_by_address(address, organization_id)
    total = _sum([erase_person(person) for person in found])
    loose = queries.loose_signatures(address, organization_id)
    for signature in loose:
        _drop(signature)
    answers = queries.loose_rsvps(address, organization_id)
    for rsvp in answers:
        drop_rsvp(rsvp)
    checkin.erase_sign_ins(checkin_queries.loose_sign_ins(address_hash(address), organization_id))
    return _sum([total, Erased(signatures=len(loose), answers=len(answers))])


def _sum(parts: Iterable[Erased]) -> Erased:
    parts = list(parts)
    return Erased(
        people=sum(part.people for part in parts),
        signatures=sum(part.signatures for part in parts),
        answers=sum(part.answers for part in parts),
        files=tuple(path for part in parts for path in part.files),
    )
