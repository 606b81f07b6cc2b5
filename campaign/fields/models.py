"""An organization's own fields, and their values."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, Numeric, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import JSON

from campaign.db import Key, Model, Owned, Timestamped, Words
from campaign.people.models import ordered

LONGEST = 500
"""Characters of a value: as many as an index holds in any script."""


class FieldKind(StrEnum):
    """What values a field has; it never changes, for the values would lose their meaning."""

    TEXT = "text"
    NUMBER = "number"
    DATE = "date"
    CHOICE = "choice"
    YES_NO = "yes_no"


@dataclass(frozen=True, slots=True)
class Option:
    """One of the answers to a choice: `value` is stored and never changes, `words` are shown."""

    value: str
    words: Words


@dataclass(frozen=True, slots=True)
class Question:
    """A field as a public form asks it: plain values, which may be kept between requests."""

    id: uuid.UUID
    key: str
    name: Words
    hint: Words
    kind: str
    options: tuple[Option, ...]
    is_sensitive: bool


class CustomField(Owned, Timestamped, Model):
    """A question of an organization's own about each person.

    `key` names it in files and never changes. What is sensitive (health, a story, the clinic that
    somebody uses) is seen by those with `sensitive.view` alone and is never required of anybody.
    """

    __tablename__ = "custom_fields"
    __table_args__ = (UniqueConstraint("organization_id", "key"),)

    id: Mapped[Key]
    key: Mapped[str] = mapped_column(String(60))
    name: Mapped[Words]
    hint: Mapped[Words]
    kind: Mapped[str] = mapped_column(String(10))
    choices: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list)
    is_sensitive: Mapped[bool] = mapped_column(default=False)
    position: Mapped[int] = mapped_column(default=0)
    deleted_at: Mapped[datetime | None]

    @property
    def options(self) -> list[Option]:
        return [Option(row["value"], Words(row["words"])) for row in self.choices]

    @property
    def question(self) -> Question:
        return Question(
            id=self.id,
            key=self.key,
            name=self.name,
            hint=self.hint,
            kind=self.kind,
            options=tuple(self.options),
            is_sensitive=self.is_sensitive,
        )


class FieldValue(Model):
    """What is known of a person under a field.

    `text` is what was written (a choice's stable value, "yes" or "no"), `text_key` its comparing
    form; numbers and days are there once more as what they are, to be compared by size.
    """

    __tablename__ = "person_fields"
    __table_args__ = (
        Index("ix_person_fields_text", "field_id", "text_key", "person_id"),
        Index(
            "ix_person_fields_number",
            "field_id",
            "number",
            "person_id",
            postgresql_where=text("number IS NOT NULL"),
            sqlite_where=text("number IS NOT NULL"),
        ),
        Index(
            "ix_person_fields_day",
            "field_id",
            "day",
            "person_id",
            postgresql_where=text("day IS NOT NULL"),
            sqlite_where=text("day IS NOT NULL"),
        ),
    )

    person_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("people.id", ondelete="CASCADE"), primary_key=True
    )
    field_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("custom_fields.id", ondelete="CASCADE"), primary_key=True
    )
    text: Mapped[str] = mapped_column(String(LONGEST))
    text_key: Mapped[str] = mapped_column(ordered(LONGEST))
    number: Mapped[Decimal | None] = mapped_column(Numeric(18, 4))
    day: Mapped[date | None]
    updated_at: Mapped[datetime]
