"""Reading people and the ledger. Every query names the organization that asks."""

from __future__ import annotations

import re
import unicodedata
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, func, select
from sqlalchemy.orm import aliased, joinedload

from campaign.db import db
from campaign.errors import NotFound
from campaign.mail.addresses import canonical
from campaign.organizations.models import AuditEntry
from campaign.people import names
from campaign.people.models import (
    Consent,
    Erasure,
    Note,
    Person,
    PersonChange,
    PersonTag,
    PersonWord,
    Purpose,
    Tag,
)

_PHONE = re.compile(r"\+?[\d\s().\-/]{7,}")
_DIGITS = re.compile(r"\d{3,9}(-\d{4})?")
SEARCH_WORDS = 6
LISTED = "people.listed"


def find_person(organization_id: uuid.UUID, person_id: uuid.UUID) -> Person:
    """A person of this organization. Raises NotFound for another's, unknown and erased ones."""
    person = db.session.scalar(
        select(Person).where(
            Person.id == person_id,
            Person.organization_id == organization_id,
            Person.erased_at.is_(None),
        )
    )
    if person is None:
        raise NotFound
    return person


def person_by_id(person_id: uuid.UUID) -> Person | None:
    """A person whoever asks, erased ones included: for links that carry the permission."""
    return db.session.get(Person, person_id)


def people_by_address(address: str, organization_id: uuid.UUID | None = None) -> list[Person]:
    """Everybody who has this address (spelled any way), in one organization or in all."""
    statement = select(Person).where(Person.email_key == canonical(address))
    if organization_id is not None:
        statement = statement.where(Person.organization_id == organization_id)
    return list(db.session.scalars(statement.order_by(Person.organization_id, Person.slot)))


def is_erased(person_id: uuid.UUID) -> bool:
    """Whether this person was here and has been erased."""
    return bool(db.session.scalar(select(exists().where(Erasure.person_id == person_id)).limit(1)))


def has_listed(organization_id: uuid.UUID, user_id: uuid.UUID, since: datetime) -> bool:
    """Whether the audit log says that this user looked at the list of people since then."""
    return bool(
        db.session.scalar(
            select(
                exists().where(
                    AuditEntry.organization_id == organization_id,
                    AuditEntry.user_id == user_id,
                    AuditEntry.action == LISTED,
                    AuditEntry.at > since,
                )
            )
        )
    )


# --- search ------------------------------------------------------------------------------------


def people_of(organization_id: uuid.UUID) -> Select[Any]:
    """Everybody of an organization, without the erased."""
    return select(Person).where(
        Person.organization_id == organization_id, Person.erased_at.is_(None)
    )


def search_people(
    organization_id: uuid.UUID,
    text: str = "",
    *,
    tag_id: uuid.UUID | None = None,
    source: str = "",
    consent: str = "",
    purpose: str = Purpose.EMAIL,
    district_id: uuid.UUID | None = None,
) -> Select[Any]:
    """People found by what somebody typed, and by filters; for a keyset page by `Person.id`.

    `text` may hold words of a name in any order, without accents, and their beginnings; an
    e-mail address or its beginning; a postal code; the last digits of a phone number. `consent`
    is "yes", "no" or "withdrawn" (was granted once) to this organization for `purpose`.
    """
    statement = people_of(organization_id).where(*_clauses_for(organization_id, text))
    if tag_id is not None:
        statement = statement.where(
            Person.id.in_(select(PersonTag.person_id).where(PersonTag.tag_id == tag_id))
        )
    if source:
        statement = statement.where(Person.source == source)
    if district_id is not None:
        statement = statement.where(Person.district_id == district_id)
    if consent == "yes":
        statement = statement.where(live_consent(organization_id, purpose))
    elif consent == "no":
        statement = statement.where(~live_consent(organization_id, purpose))
    elif consent == "withdrawn":
        statement = statement.where(
            Person.id.in_(
                select(Consent.person_id).where(
                    Consent.grantee_id == organization_id,
                    Consent.purpose == purpose,
                    ~Consent.is_granted,
                )
            ),
            ~live_consent(organization_id, purpose),
        )
    return statement


def _clauses_for(organization_id: uuid.UUID, text: str) -> list[ColumnElement[bool]]:
    asked = unicodedata.normalize("NFKC", text).strip()[:254]
    if not asked:
        return []
    if _PHONE.fullmatch(asked) and not _DIGITS.fullmatch(asked):
        key = names.phone_key(asked).removesuffix("1")
        return [_keyed(organization_id, _begins(_Key.phone_key, key))]
    clauses: list[ColumnElement[bool]] = []
    words: list[str] = []
    for part in asked.split()[:SEARCH_WORDS]:
        if "@" in part:
            clauses.append(_begins(Person.email_key, _address_beginning(part)))
        elif _DIGITS.fullmatch(part):
            either = _begins(_Key.postal_code, part)
            if len(part) >= 7:
                either |= _begins(_Key.phone_key, names.phone_key(part))
            clauses.append(_keyed(organization_id, either))
        else:
            words += names.words(names.fold(part))
    clauses += _named(organization_id, words)
    return clauses or [Person.id.is_(None)]


_Key = aliased(Person)


def _keyed(organization_id: uuid.UUID, clause: ColumnElement[bool]) -> ColumnElement[bool]:
    """Found by a key of their own first: neither database then walks everybody in order of ids."""
    mine = and_(_Key.organization_id == organization_id, _Key.erased_at.is_(None))
    return Person.id.in_(select(_Key.id).where(mine, clause))


def _named(organization_id: uuid.UUID, words: list[str]) -> list[ColumnElement[bool]]:
    """All words begin words of the name: the longest, being the rarest, finds; others are looked
    up for each one found."""
    clauses: list[ColumnElement[bool]] = []
    for word in sorted(words, key=len, reverse=True):
        row = aliased(PersonWord)
        begins = (row.organization_id == organization_id, _begins(row.word, word))
        if not clauses:
            clauses.append(Person.id.in_(select(row.person_id).where(*begins)))
        else:
            clauses.append(exists().where(row.person_id == Person.id, *begins))
    return clauses


def _address_beginning(part: str) -> str:
    """The canonical form of a whole address; of half an address only what is sure already."""
    local, _, domain = part.rpartition("@")
    if "." in domain:
        return canonical(part)
    return f"{canonical(f'{local}@x.example').rpartition('@')[0]}@{domain.lower()}"


def _begins(column: Any, beginning: str) -> ColumnElement[bool]:
    """`column` begins with `beginning`, as a range that its index answers."""
    return and_(column >= beginning, column < beginning + names.HIGHEST)


def sources_of(organization_id: uuid.UUID, limit: int = 50) -> list[str]:
    """The different sources of an organization's people, by hopping along the index."""
    here = aliased(Person)

    def nearest(after: Any) -> Any:
        return select(func.min(here.source)).where(
            here.organization_id == organization_id, here.erased_at.is_(None), here.source > after
        )

    hops = select(nearest("").scalar_subquery().label("source")).cte("hops", recursive=True)
    hops = hops.union_all(
        select(nearest(hops.c.source).scalar_subquery()).where(hops.c.source.is_not(None))
    )
    found = db.session.scalars(select(hops.c.source).limit(limit))
    return [source for source in found if source is not None]


# --- consents ----------------------------------------------------------------------------------


def live_consent(
    grantee_id: uuid.UUID, purpose: str = Purpose.EMAIL, person_id: Any = Person.id
) -> ColumnElement[bool]:
    """An EXISTS clause over `Person.id`: the last ledger line is a grant.

    That is: there is a grant that no withdrawal follows. Withdrawals are few, so both databases
    answer from two partial indexes, at a million people too.
    """
    granted, withdrawn = aliased(Consent), aliased(Consent)
    followed = exists().where(
        withdrawn.grantee_id == grantee_id,
        withdrawn.purpose == purpose,
        ~withdrawn.is_granted,
        withdrawn.person_id == granted.person_id,
        withdrawn.id > granted.id,
    )
    return exists().where(
        granted.grantee_id == grantee_id,
        granted.purpose == purpose,
        granted.is_granted,
        granted.person_id == person_id,
        ~followed,
    )


def consents_of(person_id: uuid.UUID) -> list[Consent]:
    """The whole ledger of a person, oldest first, with wording and grantee."""
    return list(
        db.session.scalars(
            select(Consent)
            .where(Consent.person_id == person_id)
            .options(joinedload(Consent.grantee), joinedload(Consent.wording))
            .order_by(Consent.id)
        )
    )


def last_consent(person_id: uuid.UUID, grantee_id: uuid.UUID, purpose: str) -> Consent | None:
    """The line in force of one (person, grantee, purpose), granted or withdrawn; None: never."""
    return db.session.scalar(
        select(Consent)
        .where(
            Consent.person_id == person_id,
            Consent.grantee_id == grantee_id,
            Consent.purpose == purpose,
        )
        .order_by(Consent.id.desc())
        .limit(1)
    )


def find_consent(person: Person, consent_id: str) -> Consent:
    """A line of this person's ledger; raises NotFound."""
    try:
        line = db.session.get(Consent, uuid.UUID(consent_id))
    except ValueError:
        line = None
    if line is None or line.person_id != person.id:
        raise NotFound
    return line


def has_consent(person_id: uuid.UUID, grantee_id: uuid.UUID, purpose: str = Purpose.EMAIL) -> bool:
    """Whether the grantee may use this person's data for `purpose` at this moment."""
    last = last_consent(person_id, grantee_id, purpose)
    return last is not None and last.is_granted


def consents_in_force(person_id: uuid.UUID) -> list[Consent]:
    """The last line of every (grantee, purpose), by the grantee's name."""
    last = {(line.grantee_id, line.purpose): line for line in consents_of(person_id)}
    return sorted(last.values(), key=lambda line: (line.grantee.name.casefold(), line.purpose))


@dataclass(frozen=True, slots=True)
class ConsentMark:
    """One consent in force, for a list page: to whom, for what."""

    grantee_id: uuid.UUID
    grantee: str
    purpose: str


def consents_of_many(person_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[ConsentMark]]:
    """The grants in force of each of these people, in one query."""
    found: dict[uuid.UUID, dict[tuple[uuid.UUID, str], Consent]] = {}
    if person_ids:
        for line in db.session.scalars(
            select(Consent)
            .where(Consent.person_id.in_(person_ids))
            .options(joinedload(Consent.grantee))
            .order_by(Consent.id)
        ):
            found.setdefault(line.person_id, {})[line.grantee_id, line.purpose] = line
    return {
        person_id: [
            ConsentMark(line.grantee_id, line.grantee.name, line.purpose)
            for line in lines.values()
            if line.is_granted
        ]
        for person_id, lines in found.items()
    }


def count_people(organization_id: uuid.UUID) -> tuple[int, int]:
    """How many people an organization has, and how many of them agreed to its e-mail."""
    everybody = select(func.count()).select_from(people_of(organization_id).subquery())
    agreed = select(func.count()).select_from(
        search_people(organization_id, consent="yes").subquery()
    )
    return db.session.scalar(everybody) or 0, db.session.scalar(agreed) or 0


# --- tags, notes, history ----------------------------------------------------------------------


def tags_in(organization_id: uuid.UUID) -> list[Tag]:
    """All tags of an organization, by name."""
    return list(
        db.session.scalars(
            select(Tag).where(Tag.organization_id == organization_id).order_by(Tag.name_key)
        )
    )


def find_tag(organization_id: uuid.UUID, tag_id: uuid.UUID) -> Tag:
    """A tag of this organization; raises NotFound."""
    tag = db.session.scalar(
        select(Tag).where(Tag.id == tag_id, Tag.organization_id == organization_id)
    )
    if tag is None:
        raise NotFound
    return tag


def tag_by_name(organization_id: uuid.UUID, name: str) -> Tag | None:
    """The tag of this name, however it is spelled."""
    return db.session.scalar(
        select(Tag).where(
            Tag.organization_id == organization_id, Tag.name_key == names.tag_key(name)
        )
    )


def tags_of(person_id: uuid.UUID) -> list[Tag]:
    """The tags a person carries, by name."""
    return list(
        db.session.scalars(
            select(Tag)
            .join(PersonTag, PersonTag.tag_id == Tag.id)
            .where(PersonTag.person_id == person_id)
            .order_by(Tag.name_key)
        )
    )


def tagging_of(person_id: uuid.UUID) -> list[tuple[Tag, datetime]]:
    """The tags a person carries, and since when."""
    rows = db.session.execute(
        select(Tag, PersonTag.created_at)
        .join(PersonTag, PersonTag.tag_id == Tag.id)
        .where(PersonTag.person_id == person_id)
    )
    return [(tag, at) for tag, at in rows]


def tags_of_many(person_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[Tag]]:
    """The tags of each of these people, in one query."""
    found: dict[uuid.UUID, list[Tag]] = {}
    if person_ids:
        rows = db.session.execute(
            select(PersonTag.person_id, Tag)
            .join(Tag, PersonTag.tag_id == Tag.id)
            .where(PersonTag.person_id.in_(person_ids))
            .order_by(Tag.name_key)
        )
        for person_id, tag in rows:
            found.setdefault(person_id, []).append(tag)
    return found


def notes_of(person_id: uuid.UUID) -> list[Note]:
    """The team's notes about a person, newest first."""
    return list(
        db.session.scalars(select(Note).where(Note.person_id == person_id).order_by(Note.id.desc()))
    )


def changes_of(person_id: uuid.UUID) -> list[PersonChange]:
    """What was changed about a person, newest first."""
    return list(
        db.session.scalars(
            select(PersonChange)
            .where(PersonChange.person_id == person_id)
            .order_by(PersonChange.id.desc())
        )
    )
