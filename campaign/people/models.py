"""People and the consent ledger."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship
from sqlalchemy.types import JSON

from campaign.db import Key, Long, Model, Owned, Short, Timestamped
from campaign.organizations.models import Organization
from campaign.places.models import District


class Purpose(StrEnum):
    """What a consent is for."""

    EMAIL = "email"
    TEXT = "text"
    PHONE = "phone"
    POSTAL = "postal"
    PUBLIC_NAME = "public name"
    STORY = "story"


class Person(Owned, Timestamped, Model):
    """A supporter as one organization knows them.

    `email` is as written and what mail goes to; `email_key` is canonical, for comparing; two
    people of one household may share it in slots 1 and 2. An erased person keeps only the id.
    """

    __tablename__ = "people"
    __table_args__ = (
        UniqueConstraint("organization_id", "email_key", "slot"),
        CheckConstraint("slot in (1, 2)", name="slot_is_1_or_2"),
        Index("ix_people_organization_id_id", "organization_id", "id"),
        Index("ix_people_organization_id_search", "organization_id", "search_key"),
        Index("ix_people_organization_id_postal_code", "organization_id", "postal_code"),
        Index("ix_people_organization_id_district_id", "organization_id", "district_id"),
    )

    id: Mapped[Key]
    email: Mapped[str | None] = mapped_column(String(254))
    email_key: Mapped[str | None] = mapped_column(String(254))
    address_hash: Mapped[str | None] = mapped_column(String(64), index=True)
    slot: Mapped[int] = mapped_column(default=1)
    first_name: Mapped[Short]
    last_name: Mapped[Short]
    search_key: Mapped[str] = mapped_column(String(420), default="")  # folded "last first"
    phone: Mapped[str] = mapped_column(String(40), default="")
    postal_code: Mapped[str] = mapped_column(String(12), default="")
    district_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("districts.id"))
    district_share: Mapped[float | None]
    language: Mapped[str] = mapped_column(String(8), default="en")
    source: Mapped[str] = mapped_column(String(80), default="")
    erased_at: Mapped[datetime | None]

    district: Mapped[District | None] = relationship()

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}".strip()


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
    """One line of the ledger: granted or withdrawn. Append-only; the last line is in force."""

    __tablename__ = "consents"
    __table_args__ = (
        Index("ix_consents_live", "grantee_id", "purpose", "person_id", "id"),
        Index("ix_consents_person", "person_id", "id"),
    )

    id: Mapped[Key]
    person_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"))
    grantee_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organizations.id"))
    purpose: Mapped[str] = mapped_column(String(20), default=Purpose.EMAIL)
    is_granted: Mapped[bool]
    wording_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("consent_wordings.id"))
    source: Mapped[str] = mapped_column(String(40))  # page, paper, phone, import, preferences
    source_detail: Mapped[str] = mapped_column(String(300), default="")
    campaign_id: Mapped[uuid.UUID | None]
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

    person_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("people.id", ondelete="CASCADE"), primary_key=True
    )
    tag_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("tags.id", ondelete="CASCADE"), primary_key=True, index=True
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
    """The journal that a restored backup replays: hashes and ids, no identity."""

    __tablename__ = "erasures"

    id: Mapped[Key]
    address_hash: Mapped[str | None] = mapped_column(String(64), index=True)
    person_id: Mapped[uuid.UUID | None]
    at: Mapped[datetime]
