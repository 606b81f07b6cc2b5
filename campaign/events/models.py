"""Events, their dates, answers, shifts, hosts and reminders.

An event says what and where; an `Occurrence` is one date of it. A single event has one, a series
one for each date. Local time is the truth: wall time and IANA zone are stored, the instant (UTC)
is computed from them, so "every Tuesday at 18:00" stays 18:00 when the clocks change.
"""

from __future__ import annotations

import uuid
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship
from sqlalchemy.types import JSON

from campaign.campaigns.models import Campaign, Clinic, missing_in
from campaign.db import Key, Model, Owned, Short, Timestamped, Words
from campaign.errors import Conflict
from campaign.organizations.models import Organization

DEFAULT_REMINDERS = ("1d@11:00", "180m")
MOST_GUESTS = 20


class EventKind(StrEnum):
    VIGIL = "vigil"
    HEARING = "hearing"
    TOWN_HALL = "town-hall"
    PROTEST = "protest"
    SIT_IN = "sit-in"
    MEETING = "meeting"
    TRAINING = "training"
    PHONE_BANK = "phone-bank"
    OUTREACH = "outreach"
    PRESS_CONFERENCE = "press-conference"


class EventState(StrEnum):
    """Whether it is "over" is not a state: its last date says so."""

    PROPOSED = "proposed"  # by a volunteer host, waits for an organizer
    DRAFT = "draft"
    PUBLISHED = "published"
    CANCELLED = "cancelled"


class OccurrenceState(StrEnum):
    SCHEDULED = "scheduled"
    CANCELLED = "cancelled"  # people were told: it stays in calendars, struck out
    REMOVED = "removed"  # an exception of the series: it never took place


class RsvpState(StrEnum):
    """OSDI's words, and `waiting`. Only `accepted` takes seats; maybe and no take none."""

    ACCEPTED = "accepted"
    TENTATIVE = "tentative"
    DECLINED = "declined"
    WAITING = "waiting"
    CANCELLED = "cancelled"


COMING = (RsvpState.ACCEPTED, RsvpState.TENTATIVE)
"""Who is reminded."""
TOLD = (RsvpState.ACCEPTED, RsvpState.TENTATIVE, RsvpState.WAITING)
"""Who is told of a change or a cancellation."""


class AddressVisibility(StrEnum):
    ALL = "all"
    COMING = "coming"  # the street and the link are in the e-mail of those who come


class Access(StrEnum):
    """Facts about getting in and following along."""

    STEP_FREE = "step-free"
    ACCESSIBLE_RESTROOM = "accessible-restroom"
    SIGN_LANGUAGE = "sign-language"
    CAPTIONS = "captions"
    INTERPRETATION = "interpretation"
    QUIET_ROOM = "quiet-room"
    SCENT_FREE = "scent-free"
    CHILD_CARE = "child-care"
    FOOD = "food"
    TRANSIT = "transit"
    PARKING = "parking"


class Need(StrEnum):
    """What somebody asks for with their answer."""

    RIDE = "ride"
    INTERPRETATION = "interpretation"
    SIGN_LANGUAGE = "sign-language"
    WHEELCHAIR = "wheelchair"
    CHILD_CARE = "child-care"
    OTHER = "other"


class ShiftRole(StrEnum):
    ANYBODY = "anybody"
    MARSHAL = "marshal"
    DRIVER = "driver"
    INTERPRETER = "interpreter"
    LEGAL_OBSERVER = "legal-observer"
    PEER_SUPPORTER = "peer-supporter"
    GREETER = "greeter"


class Company(StrEnum):
    """Whether somebody wants a buddy, or offers to be one."""

    NONE = "none"
    ASK = "ask"
    OFFER = "offer"


class HostState(StrEnum):
    INVITED = "invited"
    ACTIVE = "active"
    DECLINED = "declined"  # they said no, or an organizer to their proposal
    REMOVED = "removed"  # taken off by an organizer: no link brings them back


class ReminderState(StrEnum):
    PLANNED = "planned"
    QUEUED = "queued"  # its recipients are rows of the outbox
    CANCELLED = "cancelled"  # the date moved, or is cancelled
    DROPPED = "dropped"  # too late to be of use


class Event(Owned, Timestamped, Model):
    """What people come to. Its public address is `/e/<slug>`.

    `starts_wall` is the local time of the first date ("2026-12-01T18:00"), `zone` its IANA zone.
    `recurrence` is the JSON of `recurrence.Rule`, None for a single date.
    `reminders` are offsets before the start: "1d@11:00" (the day before at 11:00 local time) or
    "180m" (minutes before the start).
    """

    __tablename__ = "events"
    __table_args__ = (
        Index("ix_events_campaign", "campaign_id", "state"),
        CheckConstraint("capacity IS NULL OR capacity >= 0", name="capacity_not_negative"),
        CheckConstraint("duration_minutes > 0", name="ends_after_start"),
    )

    id: Mapped[Key]
    campaign_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("campaigns.id"))
    clinic_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("clinics.id"))
    slug: Mapped[str] = mapped_column(String(80), unique=True)
    kind: Mapped[str] = mapped_column(String(20))
    state: Mapped[str] = mapped_column(String(20), default=EventState.DRAFT)
    title: Mapped[Words]
    summary: Mapped[Words] = mapped_column(default=Words)
    text: Mapped[Words] = mapped_column(default=Words)  # Markdown
    thanks: Mapped[Words] = mapped_column(default=Words)
    own_wording: Mapped[Words] = mapped_column(default=Words)  # the lead's own consent box

    # When: wall time in a zone.
    zone: Mapped[str] = mapped_column(String(64))
    starts_wall: Mapped[str] = mapped_column(String(16))
    duration_minutes: Mapped[int]
    is_all_day: Mapped[bool] = mapped_column(default=False)
    recurrence: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    sequence: Mapped[int] = mapped_column(default=0)  # iCalendar's SEQUENCE: up with each change

    # Where.
    is_online: Mapped[bool] = mapped_column(default=False)
    online_url: Mapped[str] = mapped_column(String(300), default="")  # shown as the address is
    venue: Mapped[Short]
    address: Mapped[Short]
    city: Mapped[Short]
    postal_code: Mapped[str] = mapped_column(String(12), default="")
    district_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("districts.id"))
    latitude: Mapped[float | None]
    longitude: Mapped[float | None]
    address_visibility: Mapped[str] = mapped_column(String(10), default=AddressVisibility.ALL)
    directions: Mapped[Words] = mapped_column(default=Words)

    # Who can come, and how.
    languages: Mapped[list[str]] = mapped_column(JSON, default=list)  # spoken there
    access: Mapped[list[str]] = mapped_column(JSON, default=list)  # of Access
    access_note: Mapped[Words] = mapped_column(default=Words)
    capacity: Mapped[int | None]
    has_waiting_list: Mapped[bool] = mapped_column(default=True)
    most_guests: Mapped[int] = mapped_column(default=5)
    needs_asked: Mapped[list[str]] = mapped_column(JSON, default=list)  # of Need
    asks_company: Mapped[bool] = mapped_column(default=False)
    asks_phone: Mapped[bool] = mapped_column(default=False)
    field_ids: Mapped[list[str]] = mapped_column(JSON, default=list)  # custom fields it asks
    shows_count: Mapped[bool] = mapped_column(default=True)
    reminders: Mapped[list[str]] = mapped_column(JSON, default=lambda: list(DEFAULT_REMINDERS))
    asks_after: Mapped[bool] = mapped_column(default=True)  # "did you come?"
    contact_name: Mapped[Short]
    contact_email: Mapped[str] = mapped_column(String(254), default="")
    contact_phone: Mapped[str] = mapped_column(String(40), default="")

    # A sit-in's briefing (Markdown); its version goes up with each change.
    briefing: Mapped[Words] = mapped_column(default=Words)
    briefing_version: Mapped[int] = mapped_column(default=1)

    cancel_note: Mapped[Words] = mapped_column(default=Words)
    published_at: Mapped[datetime | None]
    cancelled_at: Mapped[datetime | None]

    campaign: Mapped[Campaign] = relationship(lazy="joined")
    clinic: Mapped[Clinic | None] = relationship()

    def publish(self, now: datetime) -> None:
        """proposed or draft → published. Raises Conflict otherwise."""
        if self.state not in {EventState.DRAFT, EventState.PROPOSED}:
            raise Conflict
        self.state = EventState.PUBLISHED
        self.published_at = self.published_at or now

    def withdraw(self) -> None:
        """published → draft: out of sight again. The service asks that nobody has answered."""
        if self.state != EventState.PUBLISHED:
            raise Conflict
        self.state = EventState.DRAFT

    def cancel(self, now: datetime) -> None:
        """published → cancelled. Raises Conflict otherwise."""
        if self.state != EventState.PUBLISHED:
            raise Conflict
        self.state = EventState.CANCELLED
        self.cancelled_at = now

    @property
    def is_public(self) -> bool:
        """Whether its page is there for everybody: a cancelled one stays, and says so."""
        return self.state in {EventState.PUBLISHED, EventState.CANCELLED}

    @property
    def is_series(self) -> bool:
        return self.recurrence is not None

    @property
    def hides_address(self) -> bool:
        return self.address_visibility == AddressVisibility.COMING

    @property
    def missing_languages(self) -> list[str]:
        """Languages some text of which is there in another one only, so that it falls back."""
        texts = (self.title, self.summary, self.text, self.thanks, self.own_wording)
        return missing_in(*texts, self.directions, self.access_note, self.briefing)


class Occurrence(Owned, Model):
    """One date of an event.

    `original_wall` is the local start the series gave it: its name for ever (iCalendar's
    RECURRENCE-ID), also after it has moved. `time_version` goes up when the start moves by more
    than 15 minutes: reminders are one for each person, offset and version. `taken_count` and
    `waiting_count` are the seats taken and the people in line; whoever changes them holds the
    row's lock, so that they never pass the capacity. `line_count` numbers those who get in line.
    """

    __tablename__ = "event_occurrences"
    __table_args__ = (
        UniqueConstraint("event_id", "original_wall"),
        Index("ix_event_occurrences_start", "state", "starts_at"),
        CheckConstraint("taken_count >= 0", name="taken_not_negative"),
        CheckConstraint("waiting_count >= 0", name="waiting_not_negative"),
    )

    id: Mapped[Key]
    event_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("events.id", ondelete="CASCADE"))
    original_wall: Mapped[str] = mapped_column(String(16))
    starts_wall: Mapped[str] = mapped_column(String(16))
    duration_minutes: Mapped[int]
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(String(12), default=OccurrenceState.SCHEDULED)
    time_version: Mapped[int] = mapped_column(default=1)
    sequence: Mapped[int] = mapped_column(default=0)
    is_changed: Mapped[bool] = mapped_column(default=False)  # differs from its series
    venue: Mapped[str | None] = mapped_column(String(200))  # None: the event's own
    address: Mapped[str | None] = mapped_column(String(200))
    online_url: Mapped[str | None] = mapped_column(String(300))
    note: Mapped[Words] = mapped_column(default=Words)
    capacity: Mapped[int | None]  # the event's, or its own
    taken_count: Mapped[int] = mapped_column(default=0)
    waiting_count: Mapped[int] = mapped_column(default=0)
    line_count: Mapped[int] = mapped_column(default=0)
    expected_count: Mapped[int | None]  # a forecast an organizer wrote over ours
    cancel_note: Mapped[Words] = mapped_column(default=Words)
    cancelled_at: Mapped[datetime | None]

    event: Mapped[Event] = relationship(lazy="joined")

    def is_open(self, now: datetime) -> bool:
        """Whether answers are taken: published, not cancelled, not over."""
        return (
            self.event.state == EventState.PUBLISHED
            and self.state == OccurrenceState.SCHEDULED
            and now < self.ends_at
        )

    def is_over(self, now: datetime) -> bool:
        return now >= self.ends_at

    @property
    def is_cancelled(self) -> bool:
        return self.state == OccurrenceState.CANCELLED or self.event.state == EventState.CANCELLED

    @property
    def seats_left(self) -> int | None:
        """Free seats; None where there is no limit; 0 while somebody waits."""
        if self.capacity is None:
            return None
        return 0 if self.waiting_count else max(self.capacity - self.taken_count, 0)


class Shift(Owned, Model):
    """A part of an event that people sign up for: a time, a role, or both.

    Minutes are from the start of the date, so that a shift moves along with it.
    """

    __tablename__ = "event_shifts"
    __table_args__ = (Index("ix_event_shifts_event", "event_id", "position"),)

    id: Mapped[Key]
    event_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("events.id", ondelete="CASCADE"))
    role: Mapped[str] = mapped_column(String(20), default=ShiftRole.ANYBODY)
    name: Mapped[Words] = mapped_column(default=Words)
    starts_after_minutes: Mapped[int] = mapped_column(default=0)
    duration_minutes: Mapped[int | None]
    capacity: Mapped[int | None]
    position: Mapped[int] = mapped_column(default=0)
    is_removed: Mapped[bool] = mapped_column(default=False)


class Host(Owned, Model):
    """Who invites: another organization (`partner_id`), or a volunteer (`email`).

    A volunteer who proposes an event is its host; the event stays `proposed` until an organizer
    approves it. An invited host says yes or no by their link.
    """

    __tablename__ = "event_hosts"
    __table_args__ = (Index("ix_event_hosts_event", "event_id"),)

    id: Mapped[Key]
    event_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("events.id", ondelete="CASCADE"))
    state: Mapped[str] = mapped_column(String(12), default=HostState.INVITED)
    partner_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("organizations.id"))
    person_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("people.id"), index=True)
    name: Mapped[Short]
    email: Mapped[str | None] = mapped_column(String(254))
    address_hash: Mapped[str | None] = mapped_column(String(64), index=True)
    phone: Mapped[str] = mapped_column(String(40), default="")
    language: Mapped[str] = mapped_column(String(8), default="en")
    is_public: Mapped[bool] = mapped_column(default=False)  # a volunteer's name: by choice only
    is_proposer: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]
    answered_at: Mapped[datetime | None]

    partner: Mapped[Organization | None] = relationship()


class Rsvp(Owned, Timestamped, Model):
    """One answer to one date.

    It stands at once: the seat is taken in the transaction that accepts. The person is found or
    made right after (`person_id`); the boxes ticked (`wordings`) enter the ledger only when
    whoever owns the address has pressed a button behind the link (`confirmed_at`): anybody can
    type anybody's address. Its link carries its id, signed (`links`). After erasure only state,
    guests and times remain, so that numbers stand.
    """

    __tablename__ = "rsvps"
    __table_args__ = (
        UniqueConstraint("occurrence_id", "address_hash", "slot"),
        CheckConstraint("guests >= 0", name="guests_not_negative"),
        Index("ix_rsvps_occurrence", "occurrence_id", "state", "line_number"),
        Index("ix_rsvps_event", "event_id", "state"),
        Index(
            "ix_rsvps_person",
            "person_id",
            postgresql_where=text("person_id IS NOT NULL"),
            sqlite_where=text("person_id IS NOT NULL"),
        ),
        Index(
            "ix_rsvps_unsettled",
            "created_at",
            postgresql_where=text("settled_at IS NULL"),
            sqlite_where=text("settled_at IS NULL"),
        ),
        Index("ix_rsvps_address", "address_hash"),
    )

    id: Mapped[Key]
    organization_id: Mapped[uuid.UUID] = mapped_column()  # found by event, person or address
    event_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("events.id"))
    occurrence_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("event_occurrences.id"))
    person_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("people.id"))
    state: Mapped[str] = mapped_column(String(12))
    address_hash: Mapped[str | None] = mapped_column(String(64))
    slot: Mapped[int] = mapped_column(default=1)
    email: Mapped[str | None] = mapped_column(String(254))
    first_name: Mapped[Short]
    last_name: Mapped[Short]
    postal_code: Mapped[str] = mapped_column(String(12), default="")
    phone: Mapped[str] = mapped_column(String(40), default="")
    district_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("districts.id"))
    district_share: Mapped[float | None]
    guests: Mapped[int] = mapped_column(default=0)
    needs: Mapped[list[str]] = mapped_column(JSON, default=list)  # of Need
    needs_note: Mapped[str] = mapped_column(String(500), default="")
    needs_met_at: Mapped[datetime | None]
    shift_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("event_shifts.id"))
    company: Mapped[str] = mapped_column(String(8), default=Company.NONE)
    company_wish: Mapped[str] = mapped_column(String(300), default="")
    language: Mapped[str] = mapped_column(String(8), default="en")
    source: Mapped[str] = mapped_column(String(80), default="")
    channel: Mapped[str] = mapped_column(String(10), default="web")
    wordings: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)  # grantee id → wording id
    answers: Mapped[dict[str, str]] = mapped_column(JSON, default=dict)  # field id → text
    ip: Mapped[str] = mapped_column(String(64), default="")
    review_reason: Mapped[str] = mapped_column(String(120), default="")
    line_number: Mapped[int | None]  # their place in the line, given under the date's lock
    waiting_since: Mapped[datetime | None]
    offered_at: Mapped[datetime | None]  # when a freed place came to them
    confirmed_at: Mapped[datetime | None]
    settled_at: Mapped[datetime | None]  # when the person was found or made
    cancelled_at: Mapped[datetime | None]

    occurrence: Mapped[Occurrence] = relationship()
    shift: Mapped[Shift | None] = relationship()

    @property
    def party(self) -> int:
        """How many seats: the person and their guests."""
        return 1 + self.guests

    @property
    def seats(self) -> int:
        """Seats taken at present."""
        return self.party if self.state == RsvpState.ACCEPTED else 0


class RsvpRepeat(Model):
    """A second post from an address that has answered this date already, as it was typed.

    Worked off right after the answer: the e-mail says what we have and how to change it. Neither
    the page nor the time it takes tells that somebody has answered before.
    """

    __tablename__ = "rsvp_repeats"

    id: Mapped[Key]
    occurrence_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("event_occurrences.id", ondelete="CASCADE")
    )
    address_hash: Mapped[str] = mapped_column(String(64), index=True)
    typed: Mapped[dict[str, Any]] = mapped_column(JSON)
    is_held: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]


class RsvpMail(Model):
    """How many e-mails strangers' answers brought to an address on a day (UTC), over all events."""

    __tablename__ = "rsvp_mails"

    address_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    count: Mapped[int] = mapped_column(default=0)


class Reminder(Owned, Model):
    """One round of e-mails to all who come to a date: planned, then rows of the outbox.

    `offset` is one of the event's `reminders`, or "after" ("did you come?"). Unique by version:
    a date that moved is reminded of anew, one that did not is never reminded of twice.
    """

    __tablename__ = "event_reminders"
    __table_args__ = (
        UniqueConstraint("occurrence_id", "offset", "time_version"),
        Index("ix_event_reminders_due", "state", "due_at"),
    )

    id: Mapped[Key]
    occurrence_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("event_occurrences.id", ondelete="CASCADE")
    )
    offset: Mapped[str] = mapped_column(String(20))
    time_version: Mapped[int]
    due_at: Mapped[datetime]
    expires_at: Mapped[datetime]  # of no use any more
    state: Mapped[str] = mapped_column(String(12), default=ReminderState.PLANNED)
    reason: Mapped[str] = mapped_column(String(80), default="")
    recipient_count: Mapped[int] = mapped_column(default=0)
    settled_at: Mapped[datetime | None]

    occurrence: Mapped[Occurrence] = relationship()


class Notice(Owned, Model):
    """A change or a cancellation that people of a date are told at once.

    Unique by SEQUENCE: saving twice tells nobody twice. `what` names what changed (time, place,
    online), `before` holds the former local start for the letter.
    """

    __tablename__ = "event_notices"
    __table_args__ = (UniqueConstraint("occurrence_id", "kind", "sequence"),)

    id: Mapped[Key]
    occurrence_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("event_occurrences.id", ondelete="CASCADE")
    )
    kind: Mapped[str] = mapped_column(String(12))  # changed or cancelled
    sequence: Mapped[int]
    what: Mapped[list[str]] = mapped_column(JSON, default=list)
    before: Mapped[str] = mapped_column(String(40), default="")
    note: Mapped[str] = mapped_column(Text, default="")
    state: Mapped[str] = mapped_column(String(12), default=ReminderState.PLANNED)
    recipient_count: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    settled_at: Mapped[datetime | None]

    occurrence: Mapped[Occurrence] = relationship()
