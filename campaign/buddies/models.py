"""Wishes for company, introductions, blocks."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from campaign.db import Key, Model, Owned, Timestamped
from campaign.errors import Conflict
from campaign.events.models import Occurrence, Rsvp


class WishState(StrEnum):
    OPEN = "open"
    MATCHED = "matched"  # an introduction waits or is agreed
    ENDED = "ended"  # taken back, or the date is over


class IntroductionState(StrEnum):
    PROPOSED = "proposed"
    AGREED = "agreed"
    DECLINED = "declined"
    ENDED = "ended"


class Wish(Owned, Timestamped, Model):
    """Somebody asks for company on the way, or offers it: made from their answer to a date."""

    __tablename__ = "buddy_wishes"
    __table_args__ = (
        UniqueConstraint("rsvp_id"),
        Index("ix_buddy_wishes_open", "occurrence_id", "state", "kind"),
    )

    id: Mapped[Key]
    rsvp_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("rsvps.id", ondelete="CASCADE"))
    occurrence_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("event_occurrences.id"))
    kind: Mapped[str] = mapped_column(String(8))  # ask or offer
    state: Mapped[str] = mapped_column(String(12), default=WishState.OPEN)
    language: Mapped[str] = mapped_column(String(8))
    postal_code: Mapped[str] = mapped_column(String(12), default="")
    district_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("districts.id"))
    wish: Mapped[str] = mapped_column(String(300), default="")
    address_hash: Mapped[str | None] = mapped_column(String(64))

    rsvp: Mapped[Rsvp] = relationship()
    occurrence: Mapped[Occurrence] = relationship()

    @property
    def area(self) -> str:
        """The first three signs of a postal code: a part of town, not a street."""
        return self.postal_code[:3]


class Introduction(Owned, Timestamped, Model):
    """Two people who may go together. Contacts are shown when both have agreed, not before."""

    __tablename__ = "buddy_introductions"
    __table_args__ = (
        UniqueConstraint("asker_id", "offerer_id"),
        Index("ix_buddy_introductions_occurrence", "occurrence_id", "state"),
        Index("ix_buddy_introductions_offerer", "offerer_id"),
    )

    id: Mapped[Key]
    occurrence_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("event_occurrences.id"))
    asker_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("buddy_wishes.id", ondelete="CASCADE"))
    offerer_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("buddy_wishes.id", ondelete="CASCADE"))
    state: Mapped[str] = mapped_column(String(12), default=IntroductionState.PROPOSED)
    asker_agreed_at: Mapped[datetime | None]
    offerer_agreed_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]

    asker: Mapped[Wish] = relationship(foreign_keys=[asker_id])
    offerer: Mapped[Wish] = relationship(foreign_keys=[offerer_id])

    @property
    def is_live(self) -> bool:
        return self.state in {IntroductionState.PROPOSED, IntroductionState.AGREED}

    def occurrence_is_ahead(self, now: datetime) -> bool:
        return self.asker.occurrence.starts_at > now

    def other(self, wish: Wish) -> Wish:
        """The one that is not `wish`."""
        return self.offerer if wish.id == self.asker_id else self.asker

    def has_agreed(self, wish: Wish) -> bool:
        is_asker = wish.id == self.asker_id
        return (self.asker_agreed_at if is_asker else self.offerer_agreed_at) is not None

    def agree(self, wish: Wish, now: datetime) -> bool:
        """One of the two agrees; again is once. Returns whether both have now.

        Raises Conflict once it was declined or has ended.
        """
        if not self.is_live:
            raise Conflict
        if not self.has_agreed(wish):
            if wish.id == self.asker_id:
                self.asker_agreed_at = now
            else:
                self.offerer_agreed_at = now
        if self.asker_agreed_at is not None and self.offerer_agreed_at is not None:
            self.state = IntroductionState.AGREED
        return self.state == IntroductionState.AGREED

    def end(self, now: datetime) -> None:
        """proposed → declined, agreed → ended. Raises Conflict when it is over already."""
        if not self.is_live:
            raise Conflict
        is_agreed = self.state == IntroductionState.AGREED
        self.state = IntroductionState.ENDED if is_agreed else IntroductionState.DECLINED
        self.ended_at = now


class Block(Model):
    """Never introduce these two again, at any event: hashes of addresses, both ways."""

    __tablename__ = "buddy_blocks"
    __table_args__ = (Index("ix_buddy_blocks_blocked", "blocked_hash"),)

    by_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    blocked_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    created_at: Mapped[datetime]
