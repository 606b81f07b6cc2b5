"""Going together: who is introduced to whom, what each learns and when, and what stays unsaid."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from sqlalchemy import func, select

from campaign import clock
from campaign.buddies import delivery, queries, services, tasks
from campaign.buddies.models import Block, Introduction, IntroductionState, Wish, WishState
from campaign.db import db
from campaign.errors import Conflict, Gone, Invalid
from campaign.events.models import Company, Event, OccurrenceState, Rsvp, RsvpState
from tests.factories.events import make_event, make_rsvp, occurrence_of
from tests.factories.organizations import make_user
from tests.factories.outbox import outbox

pytestmark = pytest.mark.usefixtures("app")


@pytest.fixture
def event() -> Event:
    return make_event(asks_company=True)


def asks(event: Event, **values: Any) -> Rsvp:
    return make_rsvp(event, company=Company.ASK, **values)


def offers(event: Event, **values: Any) -> Rsvp:
    return make_rsvp(event, company=Company.OFFER, **values)


def wish(rsvp: Rsvp) -> Wish:
    found = queries.wish_of(rsvp.id)
    assert found is not None
    return found


def pairs() -> set[tuple[str | None, str | None]]:
    """The live introductions, by address."""
    rows = db.session.scalars(select(Introduction).where(Introduction.state.in_(queries.LIVE)))
    return {(row.asker.rsvp.email, row.offerer.rsvp.email) for row in rows}


def mails() -> list[tuple[str, str]]:
    return [(mail.to, mail.subject.split(" on ")[0]) for mail in outbox()]


class TestMatching:
    def test_two_who_fit_are_introduced_and_nobody_is_named(self, event: Event) -> None:
        asker = asks(event, first_name="Rosa", company_wish="by the 63rd Street bus")
        offerer = offers(event, first_name="Ike", phone="312 555 0199")
        tasks.find_company()
        assert pairs() == {(asker.email, offerer.email)}
        assert sorted(mails()) == sorted(
            [(asker.email, "Going together"), (offerer.email, "Going together")]
        )
        to_offerer = next(mail for mail in outbox() if mail.to == offerer.email)
        assert "by the 63rd Street bus" in to_offerer.text
        for mail in outbox():
            other = "Ike" if mail.to == asker.email else "Rosa"
            for secret in (other, "Reyes", "555-0199", str(asker.email), str(offerer.email)):
                assert secret not in mail.text
                assert secret not in mail.html

    def test_again_does_nothing_more(self, event: Event) -> None:
        asks(event)
        offers(event)
        for _time in range(3):
            tasks.find_company()
        assert db.session.scalar(select(func.count()).select_from(Introduction)) == 1
        assert len(mails()) == 2

    def test_who_does_not_speak_the_same_language_is_not_introduced(self, event: Event) -> None:
        asks(event, language="es")
        offers(event, language="en")
        tasks.find_company()
        assert pairs() == set()

    def test_the_nearest_comes_first_then_words_in_common(self, event: Event) -> None:
        asker = asks(event, postal_code="60637", company_wish="I take the Woodlawn bus")
        offers(event, postal_code="60626")
        offers(event, postal_code="60637", company_wish="by car")
        best = offers(event, postal_code="60637", company_wish="Same bus from Woodlawn")
        tasks.find_company()
        assert pairs() == {(asker.email, best.email)}

    def test_who_has_asked_longest_chooses_first(self, event: Event) -> None:
        first = asks(event, postal_code="60626")
        tasks.find_company()
        with time_machine.travel(clock.now() + timedelta(hours=1)):
            asks(event, postal_code="60637")
            only = offers(event, postal_code="60637")
            tasks.find_company()
        assert pairs() == {(first.email, only.email)}

    def test_nobody_is_introduced_to_themself_or_at_another_date(self, event: Event) -> None:
        asks(event, email="home@example.org")
        offers(event, email="home@example.org", slot=2, first_name="Ike")
        offers(make_event(event.campaign, asks_company=True))
        tasks.find_company()
        assert pairs() == set()

    @pytest.mark.parametrize(
        "values",
        [
            {"state": RsvpState.DECLINED},
            {"state": RsvpState.WAITING},
            {"state": RsvpState.CANCELLED},
            {"email": None},
            {"review_reason": "honeypot"},
        ],
    )
    def test_only_who_comes_and_can_be_written_to(
        self, event: Event, values: dict[str, Any]
    ) -> None:
        asks(event, **values)
        offers(event)
        tasks.find_company()
        assert pairs() == set()

    def test_a_date_that_is_cancelled_or_over_introduces_nobody(self, event: Event) -> None:
        asks(event)
        offers(event)
        occurrence_of(event).state = OccurrenceState.CANCELLED
        db.session.commit()
        tasks.find_company()
        assert pairs() == set()
        occurrence_of(event).state = OccurrenceState.SCHEDULED
        db.session.commit()
        with time_machine.travel(clock.now() + timedelta(days=8)):
            tasks.find_company()
        assert pairs() == set()


class TestAgreeing:
    @pytest.fixture
    def two(self, event: Event) -> tuple[Wish, Wish]:
        asker = asks(event, first_name="Rosa", phone="312 555 0101")
        offerer = offers(event, first_name="Ike", phone="")
        tasks.find_company()
        return wish(asker), wish(offerer)

    def test_contacts_are_told_when_both_have_agreed_and_not_before(
        self, two: tuple[Wish, Wish]
    ) -> None:
        asker, offerer = two
        services.agree(offerer)
        db.session.commit()
        assert len(mails()) == 2
        services.agree(asker)
        services.agree(asker)
        db.session.commit()
        assert len(mails()) == 4
        last = {mail.to: mail.text for mail in outbox() if mail.subject.startswith("You go")}
        assert "Ike" in last[str(asker.rsvp.email)]
        assert str(offerer.rsvp.email) in last[str(asker.rsvp.email)]
        assert "Rosa" in last[str(offerer.rsvp.email)]
        assert "(312) 555-0101" in last[str(offerer.rsvp.email)]

    def test_no_opens_the_way_for_somebody_else_and_never_for_the_same(
        self, event: Event, two: tuple[Wish, Wish]
    ) -> None:
        asker, offerer = two
        services.say_no(asker)
        db.session.commit()
        tasks.find_company()
        assert pairs() == set()
        assert (str(offerer.rsvp.email), "About going together") in mails()
        assert (str(asker.rsvp.email), "About going together") not in mails()
        other = offers(event)
        tasks.find_company()
        assert pairs() == {(asker.rsvp.email, other.email)}

    def test_blocked_is_never_introduced_again_at_any_event(
        self, event: Event, two: tuple[Wish, Wish]
    ) -> None:
        asker, offerer = two
        services.agree(asker)
        services.agree(offerer)
        services.block(asker)
        db.session.commit()
        ended = [mail for mail in outbox() if mail.subject.startswith("About")]
        assert [mail.to for mail in ended] == [offerer.rsvp.email]
        assert "block" not in ended[0].text.lower()
        later = make_event(event.campaign, asks_company=True)
        asks(later, email=offerer.rsvp.email)  # the roles turned round
        offers(later, email=asker.rsvp.email)
        tasks.find_company()
        assert pairs() == set()

    def test_what_is_over_cannot_be_agreed(self, two: tuple[Wish, Wish]) -> None:
        asker, offerer = two
        services.say_no(asker)
        db.session.commit()
        for action in (services.agree, services.say_no, services.block):
            with pytest.raises(Conflict):
                action(offerer)

    def test_who_takes_the_answer_back_leaves_the_other_to_be_found_anew(
        self, event: Event, two: tuple[Wish, Wish]
    ) -> None:
        asker, offerer = two
        services.agree(asker)
        services.agree(offerer)
        asker.rsvp.state = RsvpState.CANCELLED
        db.session.commit()
        tasks.find_company()
        assert asker.state == WishState.ENDED
        assert (str(offerer.rsvp.email), "About going together") in mails()
        other = asks(event)
        tasks.find_company()
        assert pairs() == {(other.email, offerer.rsvp.email)}

    def test_an_organizer_ends_it_and_both_are_told(self, two: tuple[Wish, Wish]) -> None:
        introduction = db.session.scalars(select(Introduction)).one()
        services.end_for(introduction, user_id=make_user().id)
        db.session.commit()
        told = {to for to, subject in mails() if subject == "About going together"}
        assert told == {one.rsvp.email for one in two}
        assert introduction.state == IntroductionState.DECLINED


class TestWishing:
    def test_asking_later_is_as_asking_at_once(
        self, event: Event, run_tasks: Callable[[], int]
    ) -> None:
        rsvp, offerer = make_rsvp(event), offers(event)
        services.change_wish(rsvp, kind="ask", wish="from the clinic")
        db.session.commit()
        run_tasks()
        assert pairs() == {(rsvp.email, offerer.email)}

    def test_turning_round_or_giving_up_ends_what_was_found(
        self, event: Event, run_tasks: Callable[[], int]
    ) -> None:
        rsvp, offerer = asks(event), offers(event)
        tasks.find_company()
        services.change_wish(rsvp, kind="offer", wish="")
        db.session.commit()
        run_tasks()
        assert pairs() == set()
        asker = asks(event)
        tasks.find_company()
        assert pairs() <= {(asker.email, offerer.email), (asker.email, rsvp.email)}
        assert len(pairs()) == 1
        services.change_wish(asker, kind="none", wish="")
        db.session.commit()
        assert wish(asker).state == WishState.ENDED
        assert pairs() == set()

    def test_neither_after_it_began_nor_without_coming(self, event: Event) -> None:
        rsvp = make_rsvp(event, state=RsvpState.DECLINED)
        with pytest.raises(Gone):
            services.change_wish(rsvp, kind="ask", wish="")
        with time_machine.travel(clock.now() + timedelta(days=9)), pytest.raises(Gone):
            services.change_wish(make_rsvp(event), kind="ask", wish="")
        with pytest.raises(Invalid):
            services.change_wish(make_rsvp(event), kind="marry", wish="")


class TestForgetting:
    def test_a_month_after_nobody_knows(self, event: Event) -> None:
        asks(event)
        offers(event)
        tasks.find_company()
        with time_machine.travel(clock.now() + timedelta(days=7 + 29)):
            tasks.forget_company()
            assert db.session.scalar(select(func.count()).select_from(Wish)) == 2
        with time_machine.travel(clock.now() + timedelta(days=7 + 32)):
            tasks.forget_company()
        for table in (Wish, Introduction):
            assert db.session.scalar(select(func.count()).select_from(table)) == 0

    def test_erasing_one_tells_the_other_and_leaves_no_trace(self, event: Event) -> None:
        asker, offerer = asks(event), offers(event)
        tasks.find_company()
        hashed = asker.address_hash
        services.block(wish(asker))
        db.session.commit()
        assert services.erase_wishes([asker.id]) == 1
        services.forget_blocks(str(hashed))
        db.session.commit()
        assert queries.wish_of(asker.id) is None
        assert db.session.scalars(select(Introduction)).all() == []
        assert db.session.scalars(select(Block).where(Block.by_hash == hashed)).all() == []
        assert wish(offerer).state == WishState.OPEN
        assert services.erase_wishes([]) == 0


def test_the_numbers_of_an_organizer(event: Event) -> None:
    for _number in range(3):
        asks(event)
    offers(event)
    tasks.find_company()
    (numbers,) = queries.numbers_of(event)
    assert (numbers.asked, numbers.offered, numbers.proposed, numbers.agreed, numbers.alone) == (
        3,
        1,
        1,
        0,
        2,
    )
    assert delivery.closeness(wish(asks_now(event)), wish(asks_now(event))) >= (1, 0)


def asks_now(event: Event) -> Rsvp:
    rsvp = asks(event)
    tasks.find_company()
    return rsvp
