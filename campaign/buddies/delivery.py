"""What runs by the clock: answers become wishes, wishes become introductions, past ones go."""

from __future__ import annotations

import uuid
from datetime import timedelta

from sqlalchemy import delete, or_, select

from campaign import clock
from campaign.buddies import emails, queries
from campaign.buddies.models import Introduction, IntroductionState, Wish, WishState
from campaign.db import db, uuid7
from campaign.events.models import Company, Occurrence, Rsvp
from campaign.people.names import fold

ROWS_AT_ONCE = 200
FORGET_AFTER = timedelta(days=30)
"""So long after a date nobody needs to know any more who went with whom."""
SHORTEST_WORD = 4


def take_wishes() -> int:
    """Make wishes of answers that ask or offer; returns how many."""
    found = queries.answers_without_a_wish(clock.now(), ROWS_AT_ONCE)
    for rsvp in found:
        db.session.add(wish_from(rsvp))
    db.session.flush()
    return len(found)


def wish_from(rsvp: Rsvp) -> Wish:
    """The wish that an answer holds."""
    return Wish(
        id=uuid7(),
        organization_id=rsvp.organization_id,
        rsvp_id=rsvp.id,
        occurrence_id=rsvp.occurrence_id,
        kind=rsvp.company,
        state=WishState.OPEN,
        language=rsvp.language,
        postal_code=rsvp.postal_code,
        district_id=rsvp.district_id,
        wish=rsvp.company_wish,
        address_hash=rsvp.address_hash,
    )


def end_useless() -> int:
    """End the wishes of those who do not come; whoever was introduced is told, and looked for."""
    found = queries.wishes_of_no_use(clock.now(), ROWS_AT_ONCE)
    for wish in found:
        end_wish(wish)
    return len(found)


def end_wish(wish: Wish) -> None:
    """Nobody is looked for any more; an introduction that is live ends with it."""
    introduction = queries.introduction_of(wish)
    wish.state = WishState.ENDED
    if introduction is not None:
        end_introduction(introduction, told=introduction.other(wish))
    db.session.flush()


def end_introduction(introduction: Introduction, *, told: Wish | None = None) -> None:
    """End it; both look on, where they still come, and `told` gets a letter about it."""
    introduction.end(clock.now())
    for wish in (introduction.asker, introduction.offerer):
        if wish.state == WishState.MATCHED:
            wish.state = WishState.OPEN
    if told is not None and introduction.occurrence_is_ahead(clock.now()):
        emails.send_ended(told, introduction)
    db.session.flush()


def match(occurrence_id: uuid.UUID) -> int:
    """Introduce those who fit best at a date; returns how many pairs.

    The row of the date is locked: two workers never introduce one person twice. Whoever has
    asked longest chooses first.
    """
    occurrence = db.session.scalar(
        select(Occurrence)
        .where(Occurrence.id == occurrence_id)
        .with_for_update(of=Occurrence)
        .execution_options(populate_existing=True)
    )
    if occurrence is None or occurrence.starts_at <= clock.now():
        return 0
    wishes = queries.open_wishes(occurrence_id)
    before = queries.introduced_before(occurrence_id)
    blocked = queries.blocked_among([wish.address_hash for wish in wishes if wish.address_hash])
    offers = [wish for wish in wishes if wish.kind == Company.OFFER]
    count = 0
    for asker in (wish for wish in wishes if wish.kind == Company.ASK):
        fitting = [
            offer
            for offer in offers
            if may_meet(asker, offer)
            and (asker.id, offer.id) not in before
            and frozenset((asker.address_hash, offer.address_hash)) not in blocked
        ]
        if not fitting:
            continue
        best = max(fitting, key=lambda offer: closeness(asker, offer))
        offers.remove(best)
        _introduce(asker, best)
        count += 1
    return count


def may_meet(one: Wish, other: Wish) -> bool:
    """Whether they can talk with each other, and are two."""
    return one.language == other.language and one.address_hash != other.address_hash


def closeness(one: Wish, other: Wish) -> tuple[int, int]:
    """How well two fit: near each other first, then words they share in what they wish."""
    near = 0
    if one.postal_code and one.postal_code == other.postal_code:
        near = 3
    elif one.district_id is not None and one.district_id == other.district_id:
        near = 2
    elif one.area and one.area == other.area:
        near = 1
    return near, len(_words(one.wish) & _words(other.wish))


def _words(text: str) -> set[str]:
    return {word for word in fold(text).split() if len(word) >= SHORTEST_WORD}


def _introduce(asker: Wish, offerer: Wish) -> None:
    db.session.add(
        Introduction(
            id=uuid7(),
            organization_id=asker.organization_id,
            occurrence_id=asker.occurrence_id,
            asker_id=asker.id,
            offerer_id=offerer.id,
            state=IntroductionState.PROPOSED,
        )
    )
    asker.state = offerer.state = WishState.MATCHED
    db.session.flush()
    emails.send_suggested(asker, offerer)
    emails.send_suggested(offerer, asker)


def forget_past() -> int:
    """Delete wishes and introductions of dates long over; returns how many wishes."""
    over = select(Occurrence.id).where(Occurrence.ends_at < clock.now() - FORGET_AFTER)
    ids = list(
        db.session.scalars(select(Wish.id).where(Wish.occurrence_id.in_(over)).limit(ROWS_AT_ONCE))
    )
    forget(ids)
    return len(ids)


def forget(wish_ids: list[uuid.UUID]) -> None:
    """Delete wishes and the introductions they are part of."""
    if not wish_ids:
        return
    db.session.execute(
        delete(Introduction)
        .where(or_(Introduction.asker_id.in_(wish_ids), Introduction.offerer_id.in_(wish_ids)))
        .execution_options(synchronize_session=False)
    )
    db.session.execute(
        delete(Wish).where(Wish.id.in_(wish_ids)).execution_options(synchronize_session=False)
    )
    db.session.expire_all()
