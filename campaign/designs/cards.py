"""What the names in blocks stand for: an organization's own events, petitions and pictures."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field

from flask_babel import force_locale, ngettext
from flask_babel import gettext as _
from sqlalchemy import select

from campaign import clock
from campaign.db import db
from campaign.designs import blocks, queries
from campaign.designs.blocks import (
    Block,
    EventFact,
    Fact,
    Flaw,
    Kind,
    PetitionFact,
    PictureFact,
    Problem,
)
from campaign.designs.models import Picture
from campaign.events import queries as events
from campaign.events.models import Event, EventState, Occurrence
from campaign.events.notices import where
from campaign.petitions import queries as petitions
from campaign.petitions.models import Petition, PetitionState
from campaign.web.filters import day, moment, number
from campaign.web.links import external

MENU = 12


@dataclass(frozen=True, slots=True)
class Missing:
    """Why a block shows nothing. `is_known`: it is, or was, the organization's own, so that the
    text may be kept as it is."""

    reason: str
    is_known: bool = True


@dataclass(frozen=True, slots=True)
class Cards:
    """What is known about the blocks of some texts: facts, or why there are none."""

    facts: Mapping[tuple[str, str], Fact | Missing] = field(default_factory=dict)
    strangers: frozenset[str] = frozenset()  # tokens of pictures that are not the organization's

    def fact(self, block: Block) -> Fact | None:
        found = self.facts.get(block.key)
        return None if isinstance(found, Missing) else found

    def missing(self, block: Block) -> Missing | None:
        found = self.facts.get(block.key)
        return found if isinstance(found, Missing) else None

    @property
    def seen(self) -> list[object]:
        """All that readers see of it, but for the count of names, which is new every minute."""
        return [
            [*key, _seen(fact)]
            for key, fact in sorted(self.facts.items(), key=lambda pair: pair[0])
        ]


NOTHING = Cards()


def _seen(fact: Fact | Missing) -> object:
    values = asdict(fact)
    if isinstance(fact, PetitionFact):
        values.pop("percent")
        values.pop("said")
    return values


def look_up(organization_id: uuid.UUID, texts: Iterable[str], language: str) -> Cards:
    """What the blocks in these texts stand for, in the language of the letter."""
    facts: dict[tuple[str, str], Fact | Missing] = {}
    tokens: set[str] = set()
    with force_locale(language):
        for text in texts:
            tokens |= queries.tokens_in(text)
            for block in blocks.parse(text).blocks:
                if block.name and block.key not in facts:
                    facts[block.key] = _look_up(organization_id, block, language)
    strangers = {
        picture.token
        for picture in queries.pictures_at(tokens)
        if picture.organization_id != organization_id
    }
    return Cards(facts, frozenset(strangers))


def _look_up(organization_id: uuid.UUID, block: Block, language: str) -> Fact | Missing:
    if block.kind is Kind.EVENT:
        return _event(organization_id, block.name, language)
    if block.kind is Kind.PETITION:
        return _petition(organization_id, block.name, language)
    return _picture(organization_id, block.name)


def _event(organization_id: uuid.UUID, slug: str, language: str) -> Fact | Missing:
    event = db.session.scalar(
        select(Event).where(Event.slug == slug, Event.organization_id == organization_id)
    )
    if event is None:
        return Missing("no event", is_known=False)
    if event.state == EventState.CANCELLED:
        return Missing("event cancelled")
    if event.state != EventState.PUBLISHED:
        return Missing("event not public")
    occurrence = next(iter(events.open_occurrences(event, clock.now(), 1)), None)
    if occurrence is None:
        return Missing("event over")
    return EventFact(
        title=event.title.get_for(language),
        when=_when(event, occurrence),
        where=_("Online") if event.is_online and not event.venue else _where(occurrence),
        url=external("events.event", event=event.slug),
        button=_("I will come"),
    )


def _when(event: Event, occurrence: Occurrence) -> str:
    if event.is_all_day:
        at = occurrence.starts_at.astimezone(clock.zone(event.zone))
        return day(at.date(), "full")
    return moment(occurrence.starts_at, "event", event.zone)


def _where(occurrence: Occurrence) -> str:
    """A street that only those who come may know is in no mass e-mail."""
    return where(occurrence, shows_street=not occurrence.event.hides_address)


def _petition(organization_id: uuid.UUID, slug: str, language: str) -> Fact | Missing:
    petition = db.session.scalar(
        select(Petition).where(Petition.slug == slug, Petition.organization_id == organization_id)
    )
    if petition is None:
        return Missing("no petition", is_known=False)
    if petition.state == PetitionState.DRAFT:
        return Missing("petition not public")
    is_open = petition.is_open(clock.now())
    count = petitions.count(petition.id).confirmed
    goal = max(petition.goal, 1)
    said = (
        ngettext(
            "%(count)s person has signed. Our goal is %(goal)s.",
            "%(count)s people have signed. Our goal is %(goal)s.",
            count,
            count=number(count),
            goal=number(goal),
        )
        if count < goal
        else ngettext(
            "%(count)s person has signed.",
            "%(count)s people have signed.",
            count,
            count=number(count),
        )
    )
    return PetitionFact(
        title=petition.title.get_for(language),
        url=external("petitions.petition", petition=petition.slug),
        button=_("Sign now") if is_open else _("See what came of it"),
        is_open=is_open,
        percent=min(100, count * 100 // goal),
        said=said,
    )


def _picture(organization_id: uuid.UUID, name: str) -> Fact | Missing:
    picture = db.session.scalar(
        select(Picture).where(Picture.organization_id == organization_id, Picture.name == name)
    )
    if picture is None:
        return Missing("no picture", is_known=False)
    if picture.deleted_at is not None:
        return Missing("picture deleted")
    return PictureFact(
        queries.picture_url(picture), picture.alt, picture.shown_width, picture.shown_height
    )


# --- in words ------------------------------------------------------------------------------------


def missing_words(block: Block, missing: Missing) -> str:
    """Why a block shows nothing, for whoever writes."""
    texts = {
        "no event": _("Your organization has no event “%(name)s”.", name=block.name),
        "event cancelled": _("The event “%(name)s” is cancelled.", name=block.name),
        "event not public": _("The event “%(name)s” is not published.", name=block.name),
        "event over": _("The event “%(name)s” has no date that is still to come.", name=block.name),
        "no petition": _("Your organization has no petition “%(name)s”.", name=block.name),
        "petition not public": _("The petition “%(name)s” is not published.", name=block.name),
        "no picture": _("Your library has no picture “%(name)s”.", name=block.name),
        "picture deleted": _("The picture “%(name)s” was deleted.", name=block.name),
    }
    return str(texts[missing.reason])


def problem_words(problem: Problem) -> str:
    """What is wrong with a block, for whoever writes."""
    detail, kind = problem.detail, problem.kind
    known = ", ".join(Kind)
    keys = ""
    if kind:
        shape = blocks.SHAPES[Kind(kind)]
        keys = ", ".join((*shape.required, *shape.optional))
    texts = {
        Flaw.UNREADABLE: _(
            "A block begins like this: ::: petition its-name. We cannot read: %(detail)s",
            detail=detail,
        ),
        Flaw.UNKNOWN: _(
            "There is no block “%(detail)s”. There are: %(known)s.", detail=detail, known=known
        ),
        Flaw.NO_NAME: _("The block “%(kind)s” lacks a name behind it.", kind=kind),
        Flaw.NAME: _("The block “%(kind)s” takes no name: %(detail)s", kind=kind, detail=detail),
        Flaw.NOT_CLOSED: _("The block “%(kind)s” is not closed. Its last line is :::", kind=kind),
        Flaw.STRAY_END: _("This ::: closes no block."),
        Flaw.LINE: _(
            "In a block each line is like “button: Sign now”. We cannot read: %(detail)s",
            detail=detail,
        ),
        Flaw.KEY: _(
            "The block “%(kind)s” knows no “%(detail)s”. It knows: %(keys)s.",
            kind=kind,
            detail=detail,
            keys=keys,
        ),
        Flaw.TWICE: _("“%(detail)s” stands twice in one block.", detail=detail),
        Flaw.LACKS: _(
            "The block “%(kind)s” lacks the line “%(detail)s:”.", kind=kind, detail=detail
        ),
        Flaw.ADDRESS: _(
            "This is no address that a link can lead to. It begins with https:// or is an email address: %(detail)s",
            detail=detail,
        ),
        Flaw.TOO_MANY: _("A letter holds up to %(detail)s blocks.", detail=detail),
        Flaw.TOO_LONG: _("This line has more than %(detail)s characters.", detail=detail),
    }
    return str(texts[problem.flaw])


# --- to insert -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Choice:
    """A block that can be put into a text."""

    group: str
    label: str
    text: str


def choices(organization_id: uuid.UUID, language: str) -> list[Choice]:
    """The blocks that an organization can put into a letter: its dates and petitions that are
    open, its newest pictures, and those that need no name."""
    now = clock.now()
    plain, own = _("To write yourself"), _("Yours")
    found = [
        Choice(plain, _("Text with a heading"), f"## {_('Heading')}\n\n{_('Text')}"),
        Choice(
            plain,
            _("Button"),
            blocks.write(Kind.BUTTON, words=_("Words on the button"), to="https://"),
        ),
        Choice(
            plain,
            _("Quote"),
            blocks.write(Kind.QUOTE, words=_("What somebody said"), who=_("Their name")),
        ),
        Choice(
            plain,
            _("Ask for a letter"),
            blocks.write(
                Kind.LETTER,
                title=_("Write to your alderperson"),
                words=_("Two sentences in your own words count more than any form letter."),
                to="name@example.org",
                subject=_("Please keep the clinic open"),
                text=_("I live in your ward and I ask you to vote for the clinic."),
                button=_("Write now"),
            ),
        ),
        Choice(plain, _("Line between two parts"), "---"),
    ]
    petition_rows = db.session.scalars(
        select(Petition)
        .where(
            Petition.organization_id == organization_id, Petition.state == PetitionState.PUBLISHED
        )
        .order_by(Petition.id.desc())
        .limit(MENU)
    )
    for petition in petition_rows:
        if petition.is_open(now):
            label = _("Petition: %(title)s", title=petition.title.get_for(language))
            text = blocks.write(Kind.PETITION, petition.slug, button=_("Sign now"))
            found.append(Choice(own, label, text))
    event_rows = db.session.scalars(
        select(Event)
        .join(Occurrence, Occurrence.event_id == Event.id)
        .where(
            Event.organization_id == organization_id,
            Event.state == EventState.PUBLISHED,
            Occurrence.ends_at > now,
        )
        .order_by(Occurrence.starts_at)
        .limit(MENU * 4)
    )
    for event in list(dict.fromkeys(event_rows.unique()))[:MENU]:
        label = _("Event: %(title)s", title=event.title.get_for(language))
        text = blocks.write(Kind.EVENT, event.slug, button=_("I will come"))
        found.append(Choice(own, label, text))
    for picture in queries.pictures_of(organization_id, MENU):
        label = _("Picture: %(name)s", name=picture.name)
        found.append(Choice(own, label, blocks.write(Kind.IMAGE, picture.name, alt=picture.alt)))
    return found
