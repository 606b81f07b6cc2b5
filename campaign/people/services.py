"""Changing people and the ledger. Nothing here commits; the ledger is only ever added to."""

from __future__ import annotations

import hashlib
import unicodedata
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Protocol, TypeVar, cast

from flask_babel import lazy_gettext as _l
from sqlalchemy import Table, delete, func, literal, select, update

from campaign import clock
from campaign.db import Instant, among, db, insert, is_postgres, put_many, uuid7, weighed
from campaign.errors import Conflict, Invalid
from campaign.mail.addresses import canonical, hash_key
from campaign.mail.services import cancel_bulk_to
from campaign.organizations.services import record
from campaign.people import emails, names, queries
from campaign.people.models import (
    Consent,
    ConsentWording,
    Erasure,
    Note,
    Person,
    PersonChange,
    PersonTag,
    PersonWord,
    Purpose,
    Tag,
)

ADD_TRIES = 5
EDITABLE = ("first_name", "last_name", "email", "phone", "postal_code", "language")


@dataclass(frozen=True, slots=True)
class PersonDetails:
    """What is known of somebody when they are added. Blank means unknown, never "delete"."""

    email: str = ""
    first_name: str = ""
    last_name: str = ""
    postal_code: str = ""
    phone: str = ""
    language: str = "en"
    source: str = ""
    district_id: uuid.UUID | None = None
    district_share: float | None = None
    is_district_stated: bool = False  # as such, and not by the postal code alone


# --- people ------------------------------------------------------------------------------------


def get_or_add_person(
    organization_id: uuid.UUID, details: PersonDetails, *, fills_blanks: bool = True
) -> Person:
    """The person of this address in this organization, made when new; blanks are filled in,
    unless the owner of the address has not spoken yet.

    The household rule: two people may share an address when their names differ and their postal
    code is the same; they hold slots 1 and 2. A third goes to whoever fits best. Without an
    address everybody is new. Safe in parallel: the unique (organization, address, slot) decides
    a race, and the loser looks again.
    """
    key = canonical(details.email) if details.email else None
    for _try in range(ADD_TRIES):
        sharing = list(
            db.session.scalars(
                select(Person)
                .where(Person.organization_id == organization_id, Person.email_key == key)
                .order_by(Person.slot)
            )
            if key
            else ()
        )
        found = _member_of(sharing, details)
        if found is not None:
            if fills_blanks:
                _fill_blanks(found, details)
            return found
        slot = 2 if any(person.slot == 1 for person in sharing) else 1
        added = _add(organization_id, details, slot=slot, email_key=key)
        if added is not None:
            return added
    raise Conflict  # pragma: no cover - five lost races in a row for two slots cannot happen


class _Somebody(Protocol):
    """What the household rule looks at, of a stored person and of one in a file alike."""

    slot: Any
    first_name: Any
    last_name: Any
    postal_code: Any


Member = TypeVar("Member", bound=_Somebody)


def _member_of(sharing: Sequence[Member], details: PersonDetails) -> Member | None:
    """Who of a household `details` speak of; None: somebody new, for whom there is a place."""
    for person in sharing:
        if _has_name(person, details):
            return person
    if not sharing:
        return None
    home = _code(details.postal_code)
    if len(sharing) < 2 and home and _code(sharing[0].postal_code) == home:
        return None
    return max(sharing, key=lambda person: (_likeness(person, details), -person.slot))


def _has_name(person: _Somebody, details: PersonDetails) -> bool:
    return names.agree(person.first_name, details.first_name) and names.agree(
        person.last_name, details.last_name
    )


def _likeness(person: _Somebody, details: PersonDetails) -> int:
    return (
        2 * (names.fold(person.first_name) == names.fold(details.first_name))
        + (names.fold(person.last_name) == names.fold(details.last_name))
        + (_code(person.postal_code) == _code(details.postal_code))
    )


def _code(postal_code: str) -> str:
    """A postal code for comparing households: five digits of a nine-digit one are enough."""
    plain = "".join(postal_code.split()).upper()
    return plain.split("-")[0][:5] if plain[:5].isdigit() else plain


def _add(
    organization_id: uuid.UUID, details: PersonDetails, *, slot: int, email_key: str | None
) -> Person | None:
    """Insert a person; None when the slot was taken in this very moment."""
    row = _row_of(organization_id, details, slot=slot, email_key=email_key)
    statement = insert(Person).values(row).on_conflict_do_nothing().returning(Person.id)
    if db.session.execute(statement).scalar() is None:
        return None
    _index_names(organization_id, {row["id"]: row["search_key"]})
    return db.session.get_one(Person, row["id"])


def _row_of(
    organization_id: uuid.UUID, details: PersonDetails, *, slot: int, email_key: str | None
) -> dict[str, Any]:
    now = clock.now()
    return {
        "id": uuid7(),
        "organization_id": organization_id,
        "email": details.email or None,
        "email_key": email_key,
        "address_hash": hash_key(email_key) if email_key else None,
        "slot": slot,
        "first_name": details.first_name,
        "last_name": details.last_name,
        "search_key": names.search_key(details.first_name, details.last_name),
        "phone": details.phone,
        "phone_key": names.phone_key(details.phone),
        "postal_code": details.postal_code,
        "district_id": details.district_id,
        "district_share": details.district_share,
        "language": details.language,
        "source": details.source,
        "created_at": now,
        "updated_at": now,
    }


def _fill_blanks(person: Person, details: PersonDetails) -> list[str]:
    """Add what was not known yet; what is known is only changed by somebody on purpose.

    Another name under this address may be somebody else: what they wrote is not mixed in.
    """
    if not _has_name(person, details):
        return []
    filled = [
        name
        for name in ("first_name", "last_name", "postal_code", "phone")
        if getattr(details, name) and not getattr(person, name)
    ]
    for name in filled:
        setattr(person, name, getattr(details, name))
    is_located = details.district_id and person.postal_code == details.postal_code
    if is_located and person.district_id is None:
        person.district_id, person.district_share = details.district_id, details.district_share
        filled.append("district_id")
    if filled:
        _renew_keys(person)
    return filled


class Verdict(StrEnum):
    """What became of one row of many."""

    ADDED = "added"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


@dataclass(slots=True)
class _Known:
    """A person of the rows at hand: already stored, or new among them."""

    id: uuid.UUID
    email_key: str | None
    slot: int
    first_name: str
    last_name: str
    postal_code: str
    phone: str
    language: str
    district_id: uuid.UUID | None
    district_share: float | None
    details: PersonDetails | None = None  # of a new one
    before: dict[str, Any] | None = None  # of a changed one


@dataclass(frozen=True, slots=True)
class Merged:
    """Where one row of `merge_people` went."""

    person_id: uuid.UUID
    verdict: Verdict


def merge_people(
    organization_id: uuid.UUID,
    rows: Sequence[PersonDetails],
    *,
    is_overwriting: bool = False,
    language: str = "en",
    user_id: uuid.UUID | None = None,
    is_trial: bool = False,
) -> list[Merged]:
    """`get_or_add_person` for many rows in a handful of statements; the answer is in their order.

    For up to a few thousand rows at a time. `is_overwriting` also replaces a known postal code,
    phone and language by what a row says, and keeps what they were as history; a name is only
    ever respelled (case, accents), for another name is another person. New people whose row names
    no language are written to in `language`. A trial tells what would come of the rows, and saves
    nothing.
    """
    keys = [canonical(row.email) if row.email else None for row in rows]
    known = _known(organization_id, {key for key in keys if key})
    members: list[_Known] = []
    added: list[_Known] = []
    changed: dict[uuid.UUID, _Known] = {}
    for key, row in zip(keys, rows, strict=True):
        sharing = known.setdefault(key, []) if key else []
        if len(sharing) == 1 and _says_nothing_new(sharing[0], row):
            members.append(sharing[0])
            continue
        found = _member_of(sharing, row)
        if found is None:
            slot = 2 if any(person.slot == 1 for person in sharing) else 1
            found = _new(key, slot, row, language)
            sharing.append(found)
            added.append(found)
        elif _merge(found, row, is_overwriting) and found.details is None:
            changed[found.id] = found
        members.append(found)
    for person in changed.values():  # two rows of one person may take each other's change back
        person.before = {
            name: old for name, old in (person.before or {}).items() if getattr(person, name) != old
        }
    lost: set[uuid.UUID] = set()
    if not is_trial:
        lost = _add_many(organization_id, added)
        _change_many(organization_id, [p for p in changed.values() if p.before], user_id=user_id)
    seen: set[uuid.UUID] = set()
    merged: list[Merged] = []
    for person, row in zip(members, rows, strict=True):
        if person.id in lost:  # somebody added this address meanwhile: ask again, one by one
            spoken = replace(row, language=row.language or language)
            person_id = get_or_add_person(organization_id, spoken).id
            merged.append(Merged(person_id, Verdict.UNCHANGED))
            continue
        verdict = Verdict.UNCHANGED
        if person.id not in seen:
            seen.add(person.id)
            if person.details is not None:
                verdict = Verdict.ADDED
            elif person.before:
                verdict = Verdict.UPDATED
        merged.append(Merged(person.id, verdict))
    db.session.expire_all()
    return merged


_MERGED_FIELDS = ("first_name", "last_name", "postal_code", "phone", "language")


def _says_nothing_new(person: _Known, row: PersonDetails) -> bool:
    """Most rows of a file that comes again: spelled as they are, or left out."""
    return (
        (row.first_name == person.first_name or not row.first_name)
        and (row.last_name == person.last_name or not row.last_name)
        and (row.postal_code == person.postal_code or not row.postal_code)
        and (row.phone == person.phone or not row.phone)
        and (row.language == person.language or not row.language)
        and (row.district_id == person.district_id or not row.is_district_stated)
    )


def _known(organization_id: uuid.UUID, keys: set[str]) -> dict[str | None, list[_Known]]:
    found: dict[str | None, list[_Known]] = {}
    rows = db.session.execute(
        select(
            Person.id,
            Person.email_key,
            Person.slot,
            Person.first_name,
            Person.last_name,
            Person.postal_code,
            Person.phone,
            Person.language,
            Person.district_id,
            Person.district_share,
        )
        .where(
            among(Person.address_hash, [hash_key(key) for key in keys]),
            weighed(Person.organization_id) == organization_id,
        )
        .order_by(Person.slot)
    )
    for row in rows:
        found.setdefault(row[1], []).append(_Known(*row))
    return found


def _new(key: str | None, slot: int, row: PersonDetails, language: str) -> _Known:
    return _Known(
        uuid7(),
        key,
        slot,
        row.first_name,
        row.last_name,
        row.postal_code,
        row.phone,
        row.language or language,
        row.district_id,
        row.district_share,
        row,
    )


def _merge(person: _Known, row: PersonDetails, is_overwriting: bool) -> bool:
    """Take over what a row says besides; whether that was anything."""
    if not _has_name(person, row):
        return False
    is_changed = False
    for name in _MERGED_FIELDS:
        old, new = getattr(person, name), getattr(row, name)
        if not new or new == old:
            continue
        is_name = name in {"first_name", "last_name"}
        may_replace = is_overwriting and (not is_name or names.fold(old) == names.fold(new))
        if old and not may_replace:
            continue
        person.before = person.before or {}
        person.before.setdefault(name, old)
        setattr(person, name, new)
        is_changed = True
        if name == "postal_code":
            person.before.setdefault("district_id", person.district_id)
            person.district_id, person.district_share = row.district_id, row.district_share
    is_moved = row.is_district_stated and row.district_id != person.district_id
    if is_moved and (is_overwriting or person.district_id is None):
        person.before = person.before or {}
        person.before.setdefault("district_id", person.district_id)
        person.district_id, person.district_share = row.district_id, row.district_share
        is_changed = True
    return is_changed


_ADDED_COLUMNS = (
    *("id", "organization_id", "email", "email_key", "address_hash", "slot"),
    *("first_name", "last_name", "search_key", "phone", "phone_key", "postal_code"),
    *("district_id", "district_share", "language", "source", "created_at", "updated_at"),
)


def _add_many(organization_id: uuid.UUID, people: Sequence[_Known]) -> set[uuid.UUID]:
    """Insert new people; returns those whose place somebody else took in this moment."""
    if not people:
        return set()
    now = clock.now()
    keys = {one.id: names.search_key(one.first_name, one.last_name) for one in people}
    rows = [
        (
            one.id,
            organization_id,
            one.details.email or None,
            one.email_key,
            hash_key(one.email_key) if one.email_key else None,
            one.slot,
            one.first_name,
            one.last_name,
            keys[one.id],
            one.phone,
            names.phone_key(one.phone),
            one.postal_code,
            one.district_id,
            one.district_share,
            one.language,
            one.details.source,
            now,
            now,
        )
        for one in sorted(people, key=lambda one: (one.email_key or "", one.slot))
        if one.details is not None  # in an order, so that no two wait for each other
    ]
    lost: set[uuid.UUID] = set()
    if put_many(cast("Table", Person.__table__), _ADDED_COLUMNS, rows) != len(rows):
        stored = set(db.session.scalars(select(Person.id).where(among(Person.id, list(keys)))))
        lost = keys.keys() - stored
    _index_many(organization_id, {one: key for one, key in keys.items() if one not in lost})
    return lost


def _index_many(organization_id: uuid.UUID, keys: Mapping[uuid.UUID, str]) -> None:
    """`_index_names` for thousands."""
    put_many(
        cast("Table", PersonWord.__table__),
        ("organization_id", "word", "person_id"),
        [
            (organization_id, word, person_id)
            for person_id, key in keys.items()
            for word in names.words(key)
        ],
    )


def _change_many(
    organization_id: uuid.UUID, people: Sequence[_Known], *, user_id: uuid.UUID | None
) -> None:
    if not people:
        return
    now = clock.now()
    keys = {person.id: names.search_key(person.first_name, person.last_name) for person in people}
    renamed = [p.id for p in people if {"first_name", "last_name"} & (p.before or {}).keys()]
    db.session.execute(
        update(Person),
        [
            {
                "id": person.id,
                **{name: getattr(person, name) for name in _MERGED_FIELDS},
                "district_id": person.district_id,
                "district_share": person.district_share,
                "search_key": keys[person.id],
                "phone_key": names.phone_key(person.phone),
                "updated_at": now,
            }
            for person in sorted(people, key=lambda person: person.id)
        ],
    )
    if renamed:
        db.session.execute(delete(PersonWord).where(PersonWord.person_id.in_(renamed)))
        _index_many(organization_id, {person_id: keys[person_id] for person_id in renamed})
    history = [
        {
            "id": uuid7(),
            "organization_id": organization_id,
            "person_id": person.id,
            "user_id": user_id,
            "fields": {
                name: [old, getattr(person, name)]
                for name, old in (person.before or {}).items()
                if name != "district_id"
            },
            "at": now,
        }
        for person in people
        if (person.before or {}).keys() != {"district_id"}
    ]
    if history:
        db.session.execute(insert(PersonChange), history)


def _renew_keys(person: Person) -> None:
    """Make the keys that searching compares follow the fields they come from."""
    person.phone_key = names.phone_key(person.phone)
    key = names.search_key(person.first_name, person.last_name)
    if key != person.search_key:
        person.search_key = key
        db.session.execute(delete(PersonWord).where(PersonWord.person_id == person.id))
        _index_names(person.organization_id, {person.id: key})


def _index_names(organization_id: uuid.UUID, keys: Mapping[uuid.UUID, str]) -> None:
    rows = [
        {"organization_id": organization_id, "word": word, "person_id": person_id}
        for person_id, key in keys.items()
        for word in names.words(key)
    ]
    if rows:
        db.session.execute(insert(PersonWord).on_conflict_do_nothing(), rows)


def add_by_hand(
    organization_id: uuid.UUID, details: PersonDetails, *, basis: str, user_id: uuid.UUID | None
) -> tuple[Person, bool]:
    """Somebody typed in by the team, and whether they are new.

    With a stated basis the organization's consent becomes a line of the ledger. It lifts no
    suppression: who unsubscribed comes back only by themself.
    """
    before = clock.now()
    person = get_or_add_person(organization_id, details)
    if basis:
        grant_consent(
            person,
            grantee_id=organization_id,
            source=details.source,
            source_detail=basis,
            user_id=user_id,
        )
    return person, person.created_at >= before


def record_listing(organization_id: uuid.UUID, user_id: uuid.UUID) -> None:
    """Note in the audit log that somebody looked at the list of people."""
    record(queries.LISTED, organization_id=organization_id, user_id=user_id)


def send_own_page(person: Person) -> uuid.UUID | None:
    """E-mail somebody the link to what we hold about them; None when mail to them bounces."""
    return emails.send_preferences_link(person)


# --- the ledger --------------------------------------------------------------------------------


def wording_for(
    grantee_id: uuid.UUID, *, purpose: str = Purpose.EMAIL, language: str, text: str
) -> ConsentWording:
    """The wording with exactly this text, as a new version when these words are new.

    White space and Unicode spelling do not make a new version; a changed letter does.
    """
    text = " ".join(unicodedata.normalize("NFC", text).split())
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
    key = (
        ConsentWording.grantee_id == grantee_id,
        ConsentWording.purpose == purpose,
        ConsentWording.language == language,
    )
    same = select(ConsentWording).where(*key, ConsentWording.text_hash == digest)
    found = db.session.scalar(same)
    if found is None:
        latest = db.session.scalar(select(func.max(ConsentWording.version)).where(*key)) or 0
        db.session.execute(
            insert(ConsentWording)
            .values(
                id=uuid7(),
                grantee_id=grantee_id,
                purpose=purpose,
                language=language,
                version=latest + 1,
                text=text,
                text_hash=digest,
                created_at=clock.now(),
            )
            .on_conflict_do_nothing()
        )
        found = db.session.scalars(same).one()
    return found


def grant_consent(
    person: Person,
    *,
    grantee_id: uuid.UUID,
    purpose: str = Purpose.EMAIL,
    wording_id: uuid.UUID | None = None,
    source: str,
    source_detail: str = "",
    campaign_id: uuid.UUID | None = None,
    user_id: uuid.UUID | None = None,
) -> Consent:
    """Add a grant to the ledger.

    Granting again what is in force, in the same words, adds nothing: the first line already
    says since when. Other words are a new line.
    """
    last = _lock_ledger(person, grantee_id, purpose)
    if last is not None and last.is_granted and wording_id in {None, last.wording_id}:
        return last
    return _append(
        person,
        last,
        grantee_id=grantee_id,
        purpose=purpose,
        is_granted=True,
        wording_id=wording_id,
        source=source,
        source_detail=source_detail[:300],
        campaign_id=campaign_id,
        user_id=user_id,
    )


def withdraw_consent(
    person: Person,
    *,
    grantee_id: uuid.UUID,
    purpose: str = Purpose.EMAIL,
    source: str,
    source_detail: str = "",
    campaign_id: uuid.UUID | None = None,
    user_id: uuid.UUID | None = None,
) -> Consent | None:
    """Add a withdrawal to the ledger; None when no consent is in force (nothing is added).

    Bulk mail that waits for the person goes with the consent it was queued on; what is being
    sent at this moment may still arrive.
    """
    last = _lock_ledger(person, grantee_id, purpose)
    if last is None or not last.is_granted:
        return None
    if purpose == Purpose.EMAIL and grantee_id == person.organization_id:
        cancel_bulk_to(person.id, reason="consent withdrawn")
    return _append(
        person,
        last,
        grantee_id=grantee_id,
        purpose=purpose,
        is_granted=False,
        wording_id=last.wording_id,
        source=source,
        source_detail=source_detail[:300],
        campaign_id=campaign_id or last.campaign_id,
        user_id=user_id,
    )


def withdraw_on_request(person: Person, line: Consent, *, user_id: uuid.UUID) -> Consent | None:
    """Withdraw what `line` granted because the person asked the team; says who entered it."""
    withdrawal = withdraw_consent(
        person, grantee_id=line.grantee_id, purpose=line.purpose, source="request", user_id=user_id
    )
    if withdrawal is not None:
        record(
            "consent.withdrawn",
            organization_id=person.organization_id,
            user_id=user_id,
            subject_kind="person",
            subject_id=person.id,
            details={"grantee": line.grantee_id, "purpose": line.purpose},
        )
    return withdrawal


def _lock_ledger(person: Person, grantee_id: uuid.UUID, purpose: str) -> Consent | None:
    """The line in force, with the person locked: lines of one person come one after another."""
    if is_postgres():
        db.session.execute(select(Person.id).where(Person.id == person.id).with_for_update())
    return queries.last_consent(person.id, grantee_id, purpose)


def _append(person: Person, last: Consent | None, **values: Any) -> Consent:
    line_id = uuid7()
    if last is not None and line_id <= last.id:  # another machine's clock was ahead of ours
        line_id = uuid.UUID(int=last.id.int + 1)
    line = Consent(
        id=line_id,
        organization_id=person.organization_id,
        person_id=person.id,
        at=clock.now(),
        **values,
    )
    db.session.add(line)
    db.session.flush()
    return line


# --- tags and notes ----------------------------------------------------------------------------


def tag_named(organization_id: uuid.UUID, name: str) -> Tag:
    """The tag of this name (case and accents do not matter), made when new. Raises Invalid."""
    name = " ".join(name.split())
    key = names.tag_key(name)
    if not key:
        raise Invalid(_l("A tag needs a name."), field="tag")
    if len(name) > 80:
        raise Invalid(_l("Please keep a tag under 80 characters."), field="tag")
    db.session.execute(
        insert(Tag)
        .values(
            id=uuid7(),
            organization_id=organization_id,
            name=name,
            name_key=key,
            created_at=clock.now(),
        )
        .on_conflict_do_nothing()
    )
    return db.session.scalars(
        select(Tag).where(Tag.organization_id == organization_id, Tag.name_key == key)
    ).one()


def add_tag(person: Person, name: str) -> Tag:
    """Put a tag on a person; twice is once."""
    tag = tag_named(person.organization_id, name)
    add_tag_to(tag, [person.id])
    return tag


def add_tag_to(tag: Tag, person_ids: Sequence[uuid.UUID]) -> list[uuid.UUID]:
    """Put a tag on people of its own organization; returns whom it is new to, for undoing."""
    wanted = select(Person.id, literal(tag.id), literal(clock.now(), Instant())).where(
        Person.organization_id == tag.organization_id,
        Person.id.in_(person_ids),
        Person.erased_at.is_(None),
    )
    return list(
        db.session.scalars(
            insert(PersonTag)
            .from_select(["person_id", "tag_id", "created_at"], wanted)
            .on_conflict_do_nothing()
            .returning(PersonTag.person_id)
        )
    )


def remove_tag(person: Person, name: str) -> None:
    """Take a tag off a person; nothing happens when they do not carry it."""
    tag = queries.tag_by_name(person.organization_id, name)
    if tag is not None:
        remove_tag_from(tag, [person.id])


def remove_tag_from(tag: Tag, person_ids: Sequence[uuid.UUID]) -> list[uuid.UUID]:
    """Take a tag off people; returns who had carried it, for undoing."""
    return list(
        db.session.scalars(
            delete(PersonTag)
            .where(PersonTag.tag_id == tag.id, PersonTag.person_id.in_(person_ids))
            .returning(PersonTag.person_id)
            .execution_options(synchronize_session=False)
        )
    )


def add_note(person: Person, text: str, *, author_id: uuid.UUID | None) -> Note:
    """Write a note about a person, who may read it on download. Raises Invalid when empty."""
    if not text.strip():
        raise Invalid(_l("Please write something."), field="text")
    note = Note(
        organization_id=person.organization_id,
        person_id=person.id,
        author_id=author_id,
        text=text.strip(),
        created_at=clock.now(),
    )
    db.session.add(note)
    db.session.flush()
    return note


# --- change and erase --------------------------------------------------------------------------


def change_person(person: Person, details: PersonDetails, *, user_id: uuid.UUID | None) -> bool:
    """Set the editable fields, with what they were kept as history; False: nothing differed.

    Here a blank does mean "take it away".

    Raises Conflict at `email` when two other people have that address already.
    """
    before = {name: getattr(person, name) or "" for name in EDITABLE}
    changed = {
        name: [before[name], getattr(details, name)]
        for name in EDITABLE
        if before[name] != getattr(details, name)
    }
    if not changed:
        return False
    if "email" in changed:
        _move_to_address(person, details.email)
    for name in changed:
        setattr(person, name, getattr(details, name) or (None if name == "email" else ""))
    if "postal_code" in changed:
        person.district_id, person.district_share = details.district_id, details.district_share
    _renew_keys(person)
    db.session.add(
        PersonChange(
            organization_id=person.organization_id,
            person_id=person.id,
            user_id=user_id,
            fields=changed,
            at=clock.now(),
        )
    )
    db.session.flush()
    return True


def _move_to_address(person: Person, email: str) -> None:
    key = canonical(email) if email else None
    if key == person.email_key:
        return
    taken = set(
        db.session.scalars(
            select(Person.slot).where(
                Person.organization_id == person.organization_id,
                Person.email_key == key,
                Person.id != person.id,
            )
        )
        if key
        else ()
    )
    if len(taken) >= 2:
        raise Conflict(_l("Two other people have this email address already."), field="email")
    person.slot = 2 if 1 in taken else 1
    person.email_key = key
    person.address_hash = hash_key(key) if key else None


def erase(person: Person, *, source: str = "erasure") -> None:
    """Take the identity out of this slice's rows; the id stays as a tombstone.

    Consents in force end by a line of their own, so that partners are told to delete; the
    ledger keeps who-id, to whom, what and when, without any detail that could name somebody.
    Other slices' rows are `privacy.services.erase_person`'s, which calls this.
    """
    for line in queries.consents_in_force(person.id):
        withdraw_consent(person, grantee_id=line.grantee_id, purpose=line.purpose, source=source)
    journal_erasure(person.organization_id, person.address_hash, person.id)
    for table in (PersonWord, PersonTag, Note, PersonChange):
        db.session.execute(delete(table).where(table.person_id == person.id))
    db.session.execute(
        update(Consent).where(Consent.person_id == person.id).values(source_detail=""),
        execution_options={"is_erasure": True, "synchronize_session": "fetch"},
    )
    for name in ("first_name", "last_name", "search_key", "phone", "phone_key", "postal_code"):
        setattr(person, name, "")
    person.email = person.email_key = person.address_hash = None
    person.district_id = person.district_share = None
    person.source = ""
    person.erased_at = clock.now()
    db.session.flush()


def journal_erasure(
    organization_id: uuid.UUID | None, address_hash: str | None, person_id: uuid.UUID | None
) -> Erasure:
    """Note that somebody was erased, so that a restored backup erases them again."""
    row = Erasure(
        organization_id=organization_id,
        address_hash=address_hash,
        person_id=person_id,
        at=clock.now(),
    )
    db.session.add(row)
    db.session.flush()
    return row
