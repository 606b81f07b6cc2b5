"""Who has read the briefing, and who risks arrest."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from campaign.db import Key, Model, Owned
from campaign.events.models import Occurrence, Rsvp


class Acknowledgement(Owned, Model):
    """Somebody has read the briefing in a version. A new version asks again."""

    __tablename__ = "briefing_acknowledgements"
    __table_args__ = (UniqueConstraint("rsvp_id", "version"),)

    id: Mapped[Key]
    occurrence_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("event_occurrences.id"), index=True)
    rsvp_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("rsvps.id", ondelete="CASCADE"))
    version: Mapped[int]
    at: Mapped[datetime]


class ArrestRisk(Owned, Model):
    """Somebody who risks arrest, and whom the legal team should call.

    Seen by the legal role alone, each look in the audit log; gone `purge_at`, days after the
    event. `sealed` holds what they wrote and what the team noted, encrypted: a stolen database
    says neither their legal name nor whom they would call.
    """

    __tablename__ = "arrest_risks"
    __table_args__ = (
        UniqueConstraint("rsvp_id"),
        Index("ix_arrest_risks_purge", "purge_at"),
        Index("ix_arrest_risks_occurrence", "occurrence_id"),
    )

    id: Mapped[Key]
    occurrence_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("event_occurrences.id"))
    rsvp_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("rsvps.id", ondelete="CASCADE"))
    sealed: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(String(12), default="")  # "", arrested, released
    created_at: Mapped[datetime]
    purge_at: Mapped[datetime]

    rsvp: Mapped[Rsvp] = relationship()
    occurrence: Mapped[Occurrence] = relationship()
