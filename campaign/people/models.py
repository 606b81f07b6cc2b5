"""People and the consent ledger."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    String,
    Text,
    UniqueConstraint,
    event,
    text,
)
from sqlalchemy.orm import Mapped, ORMExecuteState, Session, mapped_column, relationship
from sqlalchemy.types import JSON

from campaign.db import Key, Long, Model, Owned, Short, Timestamped
from campaign.organizations.models import Organization
from campaign.places.models import District


def ordered(length: int) -> String:
    """Text ordered by its bytes on every database, so that an index finds by beginnings."""
    return String(length).with_variant(String(length, collation="C"), "postgresql")


class Purpose(StrEnum):
    """What a consent is for."""

    EMAIL = "email"
    TEXT = "text"
    PHONE = "phone"
    POSTAL = "postal"
    PUBLIC_NAME = "public name"
    STORY = "story"


BESIDE = ("language", "source", "postal_code", "district_id", "created_at")


def _living(name: str, *columns: str, beside: tuple[str, ...] = ()) -> Index:
    where = text("erased_at IS NULL")
    return Index(
        name,
        "organization_id",
        *columns,
        postgresql_where=where,
        sqlite_where=where,
        postgresql_include=beside,
    )


class Person(Owned, Timestamped, Model):
    """A supporter as one organization knows them.

    `email` is as written and what mail goes to; `email_key` is canonical, for comparing; two
    people of one household may share it in slots 1 and 2. An erased person keeps only the id.
    """

    __tablename__ = "people"
    __table_args__ = (
        UniqueConstraint("organization_id", "email_key", "slot"),
        CheckConstraint("slot in (1, 2)", name="slot_is_1_or_2"),
        Index("ix_people_organization_id_phone_key", "organization_id", "phone_key"),
        # Without the erased, as people are asked for: then an index alone answers who lives there.
        # The first brings along what segments ask of a person, in the order in which tags, lists
        # and signatures are kept: PostgreSQL then merges them without looking at any person.
        _living("ix_people_organization_id_id", "id", beside=BESIDE),
        _living("ix_people_organization_id_search", "search_key", "id"),
        _living("ix_people_organization_id_postal_code", "postal_code", "id"),
        _living("ix_people_organization_id_district_id", "district_id", "id"),
        _living("ix_people_organization_id_source", "source", "id"),
        Index(
            "ix_people_without_email",
            "organization_id",
            "id",
            postgresql_where=text("email_key IS NULL"),
            sqlite_where=text("email_key IS NULL"),
        ),
    )

    id: Mapped[Key]
    email: Mapped[str | None] = mapped_column(String(254))
    email_key: Mapped[str | None] = mapped_column(ordered(254))
    address_hash: Mapped[str | None] = mapped_column(String(64), index=True)
    slot: Mapped[int] = mapped_column(default=1)
    first_name: Mapped[Short]
    last_name: Mapped[Short]
    search_key: Mapped[str] = mapped_column(ordered(420), default="")  # folded "last first"
    phone: Mapped[str] = mapped_column(String(40), default="")
    phone_key: Mapped[str] = mapped_column(ordered(20), default="")  # its digits, backwards
    postal_code: Mapped[str] = mapped_column(ordered(12), default="")
    district_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("districts.id"))
    district_share: Mapped[float | None]
    language: Mapped[str] = mapped_column(String(8), default="en")
    source: Mapped[str] = mapped_column(String(80), default="")
    erased_at: Mapped[datetime | None]

    district: Mapped[District | None] = relationship()

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}".strip()


class PersonWord(Model):
    """One word of a person's name, folded: names are found in any order by an index alone."""

    __tablename__ = "person_words"
    __table_args__ = (Index("ix_person_words_person", "person_id", "organization_id", "word"),)

    organization_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    word: Mapped[str] = mapped_column(ordered(40), primary_key=True)
    person_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("people.id", ondelete="CASCADE"), primary_key=True
    )


class ConsentWording(Model):
    """The exact words somebody agreed to, once per text: never changed, only followed."""

    __tablename__ = "consent_wordings"
    __table_args__ = (UniqueConstraint("grantee_id", "purpose", "language", "text_hash"),)

    id: Mapped[Key]
    grantee_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organizations.id"))
    purpose: Mapped[str] = mapped_column(String(20))
    language: Mapped[str] = mapped_column(String(8))
    version: Mapped[int]
    text: Mapped[str] = mapped_column(Text)
    text_hash: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]


class Consent(Owned, Model):
    """One line of the ledger: granted or withdrawn. Append-only; the last line is in force.

    Lines of one person are ordered by `id`. `source`: page, paper, phone, import, by hand,
    preferences, unsubscribe, request, erasure. A live consent is a grant that no withdrawal
    follows; the two partial indexes answer that for a million people.
    """

    __tablename__ = "consents"
    __table_args__ = (
        Index(
            "ix_consents_granted",
            "grantee_id",
            "purpose",
            "person_id",
            "id",
            postgresql_where=text("is_granted"),
            sqlite_where=text("is_granted = 1"),
        ),
        Index(
            "ix_consents_withdrawn",
            "grantee_id",
            "purpose",
            "person_id",
            "id",
            postgresql_where=text("NOT is_granted"),
            sqlite_where=text("is_granted = 0"),
        ),
        Index("ix_consents_person", "person_id", "id"),
    )

    id: Mapped[Key]
    person_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"))
    grantee_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organizations.id"))
    purpose: Mapped[str] = mapped_column(String(20), default=Purpose.EMAIL)
    is_granted: Mapped[bool]
    wording_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("consent_wordings.id"))
    source: Mapped[str] = mapped_column(String(40))
    source_detail: Mapped[str] = mapped_column(String(300), default="")
    campaign_id: Mapped[uuid.UUID | None]
    user_id: Mapped[uuid.UUID | None]  # who of the team entered it; None: the person themself
    at: Mapped[datetime]

    grantee: Mapped[Organization] = relationship()
    wording: Mapped[ConsentWording | None] = relationship()


class Tag(Owned, Model):
    """A label of one organization."""

    __tablename__ = "tags"
    __table_args__ = (UniqueConstraint("organization_id", "name_key"),)

    id: Mapped[Key]
    name: Mapped[str] = mapped_column(String(80))
    name_key: Mapped[str] = mapped_column(String(80))
    created_at: Mapped[datetime]


class PersonTag(Model):
    """Which person carries which tag."""

    __tablename__ = "person_tags"
    __table_args__ = (Index("ix_person_tags_tag", "tag_id", "person_id"),)

    person_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("people.id", ondelete="CASCADE"), primary_key=True
    )
    tag_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("tags.id", ondelete="CASCADE"), primary_key=True
    )
    created_at: Mapped[datetime]


class Note(Owned, Model):
    """What somebody of the team wrote about a person; the person can read it on download."""

    __tablename__ = "notes"

    id: Mapped[Key]
    person_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("people.id", ondelete="CASCADE"), index=True
    )
    author_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id"))
    text: Mapped[Long]
    created_at: Mapped[datetime]


class PersonChange(Owned, Model):
    """A field of a person that was changed, by whom: the page's history."""

    __tablename__ = "person_changes"

    id: Mapped[Key]
    person_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("people.id", ondelete="CASCADE"), index=True
    )
    user_id: Mapped[uuid.UUID | None]
    fields: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    at: Mapped[datetime]


class Erasure(Model):
    """The journal that a restored backup replays: hashes and ids, no identity.

    With `person_id` it was that person; without, an address whose signature never was confirmed.
    """

    __tablename__ = "erasures"

    id: Mapped[Key]
    organization_id: Mapped[uuid.UUID | None]
    address_hash: Mapped[str | None] = mapped_column(String(64), index=True)
    person_id: Mapped[uuid.UUID | None] = mapped_column(index=True)
    at: Mapped[datetime]


class AppendOnlyError(RuntimeError):
    """Somebody tried to change or delete a line of the ledger: a programming error."""


def _refuse(_mapper: Any, _connection: Any, target: Any) -> None:
    raise AppendOnlyError(f"{type(target).__name__} is append-only: add a line instead")


for _ledger in (Consent, ConsentWording):
    event.listen(_ledger, "before_update", _refuse)
    event.listen(_ledger, "before_delete", _refuse)


@event.listens_for(Session, "do_orm_execute")
def _refuse_statements(state: ORMExecuteState) -> None:
    """UPDATE and DELETE statements on the ledger, but for the one that erasing needs."""
    if not (state.is_update or state.is_delete) or state.execution_options.get("is_erasure"):
        return
    mapper = state.bind_mapper
    if mapper is not None and mapper.class_ in {Consent, ConsentWording}:
        raise AppendOnlyError(f"{mapper.class_.__name__} is append-only: add a line instead")
