"""The demo's events: a vigil, a hearing, a full town hall, weekly meetings, a march that was.

The places are real, everybody who answers is one of the demo's invented signers. Dates are
counted from the day it is loaded.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from random import Random
from typing import Any

from sqlalchemy import select

from campaign import clock
from campaign.campaigns.models import Campaign, Clinic
from campaign.checkin.models import CountWay, HeadCount, SignIn, SignInWay
from campaign.db import Words, db, uuid7
from campaign.events import scheduling
from campaign.events.models import (
    Access,
    Company,
    Event,
    EventKind,
    EventState,
    Need,
    Occurrence,
    Rsvp,
    RsvpState,
    ShiftRole,
)
from campaign.events.recurrence import Frequency, Rule
from campaign.events.scheduling import EventDetails, ShiftDetails
from campaign.hearings import services as hearings
from campaign.hearings.models import SpeakerState, Testimony, Way
from campaign.hearings.services import HearingDetails
from campaign.people.models import Person

VIGIL, HEARING, TOWN_HALL = "vigil-at-woodlawn", "council-hearing", "town-hall"
MEETINGS, MARCH = "planning-meetings", "march-to-city-hall"
TUESDAY = 1
INVENTED = Words(
    en="This is a demo: the people who answered are invented.",
    es="Esto es una demostración: quienes respondieron son personas inventadas.",
)


@dataclass(slots=True)
class DemoEvents:
    """Loads them. `decision` is the day of the council's vote."""

    campaign: Campaign
    decision: date
    organizer_id: uuid.UUID | None
    zone: str
    now: datetime
    random: Random

    def load(self) -> None:
        people = list(
            db.session.scalars(
                select(Person)
                .where(Person.organization_id == self.campaign.organization_id)
                .where(Person.email.is_not(None))
                .order_by(Person.id)
                .limit(220)
            )
        )
        self.random.shuffle(people)
        self._vigil(people[:58])
        self._hearing(people[40:80])
        self._town_hall(people[80:150])
        self._meetings(people[60:74])
        self._march(people[120:194])
        db.session.flush()

    @property
    def today(self) -> date:
        return self.now.astimezone(clock.zone(self.zone)).date()

    def _clinic(self, name: str) -> uuid.UUID | None:
        return db.session.scalar(
            select(Clinic.id).where(
                Clinic.campaign_id == self.campaign.id, Clinic.name.contains(name)
            )
        )

    def _event(self, slug: str, starts: datetime, **values: Any) -> Event:
        values["text"] = Words(
            {code: f"{text}\n\n*{INVENTED[code]}*" for code, text in values["text"].items()}
        )
        event = scheduling.create_event(
            self.campaign.organization_id,
            EventDetails(
                campaign_id=self.campaign.id, slug=slug, zone=self.zone, starts=starts, **values
            ),
            user_id=self.organizer_id,
        )
        if starts > self.now.astimezone(clock.zone(self.zone)).replace(tzinfo=None):
            scheduling.publish_event(event, user_id=self.organizer_id)
        return event

    def _at(self, day: date, hour: int, minute: int = 0) -> datetime:
        return datetime.combine(day, time(hour, minute))

    def _dates(self, event: Event) -> list[Occurrence]:
        found = select(Occurrence).where(Occurrence.event_id == event.id)
        return list(db.session.scalars(found.order_by(Occurrence.starts_at)))

    # --- answers ---------------------------------------------------------------------------------

    def _answer(self, date_: Occurrence, person: Person, **values: Any) -> Rsvp:
        """One answer, as the page would have made it some days ago, and without its e-mail."""
        answered_at = self.now - timedelta(minutes=self.random.randint(60, 6 * 24 * 60))
        state = values.pop("state", RsvpState.ACCEPTED)
        rsvp = Rsvp(
            id=uuid7(),
            organization_id=date_.organization_id,
            event_id=date_.event_id,
            occurrence_id=date_.id,
            person_id=person.id,
            email=person.email,
            address_hash=person.address_hash,
            slot=person.slot,
            first_name=person.first_name,
            last_name=person.last_name,
            postal_code=person.postal_code,
            district_id=person.district_id,
            district_share=person.district_share,
            language=person.language,
            state=state,
            guests=values.pop("guests", 0),
            source=self.random.choice(("", "", "flyer", "email", "facebook")),
            created_at=answered_at,
            settled_at=answered_at,
            confirmed_at=answered_at,
            **values,
        )
        if state == RsvpState.WAITING:
            date_.waiting_count += 1
            date_.line_count += 1
            rsvp.waiting_since, rsvp.line_number = answered_at, date_.line_count
        date_.taken_count += rsvp.seats
        db.session.add(rsvp)
        return rsvp

    def _guests(self) -> int:
        return self.random.choice((0, 0, 0, 1, 1, 2))

    # --- the events ------------------------------------------------------------------------------

    def _vigil(self, people: Sequence[Person]) -> None:
        event = self._event(
            VIGIL,
            self._at(self.today + timedelta(days=3), 18),
            kind=EventKind.VIGIL,
            clinic_id=self._clinic("Woodlawn"),
            title=Words(en="Vigil at Woodlawn", es="Vigilia en Woodlawn"),
            summary=Words(
                en="Bring a candle and somebody you like. We stand in front of the clinic together.",
                es="Traiga una vela y a alguien querido. Estaremos juntos frente a la clínica.",
            ),
            text=Words(
                en="We light candles, some of us speak, nobody has to. It is over by half past "
                "seven, and there is tea.",
                es="Encendemos velas; quien quiera habla, nadie tiene que hacerlo. Termina a las "
                "siete y media, y hay té.",
            ),
            duration_minutes=90,
            venue="Woodlawn Clinic",
            address="6337 S Woodlawn Ave",
            city="Chicago",
            postal_code="60637",
            languages=("en", "es"),
            access=(Access.STEP_FREE, Access.TRANSIT, Access.INTERPRETATION),
            needs_asked=(Need.RIDE, Need.INTERPRETATION, Need.WHEELCHAIR),
            asks_company=True,
            directions=Words(
                en="The 63rd Street bus stops at the corner.",
                es="El autobús de la calle 63 para en la esquina.",
            ),
        )
        marshals = scheduling.add_shift(
            event,
            ShiftDetails(
                name=Words(en="Marshals", es="Orden"),
                role=ShiftRole.MARSHAL,
                capacity=6,
            ),
            user_id=self.organizer_id,
        )
        (day,) = self._dates(event)
        for n, person in enumerate(people):
            state = RsvpState.TENTATIVE if n % 9 == 4 else RsvpState.ACCEPTED
            self._answer(
                day,
                person,
                state=state,
                guests=self._guests() if state == RsvpState.ACCEPTED else 0,
                needs=[Need.RIDE] if n % 11 == 3 else [Need.INTERPRETATION] if n % 17 == 5 else [],
                shift_id=marshals.id if n in {2, 20, 34} else None,
                company=Company.ASK if n in {6, 13} else Company.OFFER if n in {8} else "none",
                company_wish={6: "I come by the 63rd Street bus."}.get(n, ""),
            )

    def _hearing(self, people: Sequence[Person]) -> None:
        event = self._event(
            HEARING,
            self._at(self.decision, 10),
            kind=EventKind.HEARING,
            title=Words(en="City Council hearing", es="Audiencia del Concejo Municipal"),
            summary=Words(
                en="The council hears the public before it votes. Fill the seats, or speak.",
                es="El concejo escucha al público antes de votar. Llene las sillas, o hable.",
            ),
            text=Words(
                en="Wear something green. Whoever speaks has three minutes; we help you write "
                "and practice them.",
                es="Vista algo verde. Quien habla tiene tres minutos; le ayudamos a escribirlos "
                "y a practicar.",
            ),
            duration_minutes=180,
            venue="City Hall, Council Chambers",
            address="121 N LaSalle St",
            city="Chicago",
            postal_code="60602",
            languages=("en", "es"),
            access=(Access.STEP_FREE, Access.SIGN_LANGUAGE, Access.TRANSIT),
            needs_asked=(Need.RIDE, Need.INTERPRETATION, Need.SIGN_LANGUAGE),
        )
        practice = self._event(
            "practice-to-speak",
            self._at(self.decision - timedelta(days=4), 18, 30),
            kind=EventKind.TRAINING,
            title=Words(en="Practice to speak", es="Practicar para hablar"),
            summary=Words(
                en="Read your three minutes to people who listen kindly.",
                es="Lea sus tres minutos ante gente que escucha con cariño.",
            ),
            text=Words(
                en="Bring your draft, or only an idea.", es="Traiga su borrador, o una idea."
            ),
            duration_minutes=90,
            is_online=True,
            online_url="https://meet.example.org/practice",
            languages=("en", "es"),
        )
        hearings.set_up_hearing(
            event,
            HearingDetails(
                body=Words(en="Chicago City Council", es="Concejo Municipal de Chicago"),
                slot_count=6,
                practice_event_id=practice.id,
            ),
            template="chicago",
            user_id=self.organizer_id,
        )
        (day,) = self._dates(event)
        answers = [self._answer(day, person, guests=self._guests()) for person in people]
        db.session.flush()
        topics = (
            "My counselor knows me since 2001",
            "The bus ride to the next clinic",
            "My son's Tuesdays",
            "What the hospital costs instead",
            "Twenty years in this building",
            "Las citas en español",
            "Peer support saved my job",
            "A nurse's view",
        )
        for n, (rsvp, topic) in enumerate(zip(answers, topics, strict=False)):
            is_speaking = n < 6
            db.session.add(
                Testimony(
                    organization_id=event.organization_id,
                    event_id=event.id,
                    occurrence_id=day.id,
                    rsvp_id=rsvp.id,
                    state=SpeakerState.SPEAKING if is_speaking else SpeakerState.WAITING,
                    position=n + 1 if is_speaking else None,
                    waiting_since=None if is_speaking else rsvp.created_at,
                    language="es" if n == 5 else rsvp.language,
                    way=Way.REMOTE if n == 4 else Way.IN_PERSON,
                    topic=topic,
                    offers_to_read=n in {1, 3},
                    wants_reader=n == 2,
                )
            )

    def _town_hall(self, people: Sequence[Person]) -> None:
        event = self._event(
            TOWN_HALL,
            self._at(self.today + timedelta(days=9), 18, 30),
            kind=EventKind.TOWN_HALL,
            title=Words(en="Town hall with the alderman", es="Asamblea con el concejal"),
            summary=Words(
                en="Sixty seats, one question: will you vote to keep the clinics open?",
                es="Sesenta sillas, una pregunta: ¿votará por mantener abiertas las clínicas?",
            ),
            text=Words(
                en="The alderman has said yes to coming. Questions are drawn by lot, so that "
                "everybody has the same chance.",
                es="El concejal dijo que viene. Las preguntas se sortean, para que todos tengan "
                "la misma oportunidad.",
            ),
            duration_minutes=120,
            venue="Trinity Church Hall",
            address="6300 S Kimbark Ave",
            city="Chicago",
            postal_code="60637",
            languages=("en", "es"),
            access=(Access.STEP_FREE, Access.CHILD_CARE, Access.FOOD, Access.SIGN_LANGUAGE),
            needs_asked=(Need.RIDE, Need.CHILD_CARE, Need.INTERPRETATION),
            capacity=60,
            asks_company=True,
        )
        (day,) = self._dates(event)
        rest = list(people)
        while rest and day.taken_count < 60:
            room = 60 - day.taken_count
            needs = [Need.CHILD_CARE] if len(rest) % 8 == 0 else []
            self._answer(day, rest.pop(), guests=min(self._guests(), room - 1), needs=needs)
        for person in rest[:7]:
            self._answer(day, person, state=RsvpState.WAITING)

    def _meetings(self, people: Sequence[Person]) -> None:
        ahead = (TUESDAY - self.today.weekday()) % 7 or 7
        event = self._event(
            MEETINGS,
            self._at(self.today + timedelta(days=ahead), 18),
            kind=EventKind.MEETING,
            title=Words(en="Planning meeting", es="Reunión de planificación"),
            summary=Words(
                en="Every Tuesday at six. New people are welcome; there is always a task that fits.",
                es="Cada martes a las seis. Gente nueva es bienvenida; siempre hay algo que hacer.",
            ),
            text=Words(
                en="We decide together what to do next week, and who does it.",
                es="Decidimos juntos qué hacer la próxima semana y quién lo hace.",
            ),
            duration_minutes=90,
            rule=Rule(frequency=Frequency.WEEKLY, weekdays=(TUESDAY,), count=12),
            venue="Southside Together, back room",
            address="61 Example Street",
            city="Chicago",
            postal_code="60637",
            languages=("en", "es"),
            access=(Access.STEP_FREE, Access.FOOD),
        )
        dates = self._dates(event)
        for n, person in enumerate(people):
            self._answer(dates[n % 2], person)
        scheduling.change_occurrence(
            dates[3],
            scheduling.OccurrenceDetails(
                starts=datetime.fromisoformat(dates[3].starts_wall) + timedelta(hours=1),
                duration_minutes=90,
                note=Words(en="An hour later this once.", es="Una hora más tarde solo esta vez."),
            ),
            user_id=self.organizer_id,
        )

    def _march(self, people: Sequence[Person]) -> None:
        """One that was: said they come, signed in and counted are three numbers."""
        starts = self._at(self.today - timedelta(days=12), 12)
        event = self._event(
            MARCH,
            starts,
            kind=EventKind.PROTEST,
            title=Words(en="March to City Hall", es="Marcha al ayuntamiento"),
            summary=Words(
                en="From the clinic's door to the mayor's, with drums.",
                es="De la puerta de la clínica a la de la alcaldía, con tambores.",
            ),
            text=Words(
                en="We walked the last mile together.", es="Caminamos juntos la última milla."
            ),
            duration_minutes=120,
            venue="Daley Plaza",
            address="50 W Washington St",
            city="Chicago",
            postal_code="60602",
            languages=("en", "es"),
        )
        event.state = EventState.PUBLISHED
        event.published_at = self.now - timedelta(days=25)
        (day,) = self._dates(event)
        answered, walked_in = people[:-4], people[-4:]
        for n, person in enumerate(answered):
            rsvp = self._answer(day, person, guests=self._guests())
            rsvp.created_at = rsvp.settled_at = day.starts_at - timedelta(days=3, minutes=n)
            if n % 10 < 7:
                self._came(day, person, rsvp, n)
        for person in walked_in:
            self._came(day, person, None, 0)
        for minutes, count in ((20, 96), (70, 131)):
            db.session.add(
                HeadCount(
                    organization_id=event.organization_id,
                    occurrence_id=day.id,
                    count=count,
                    way=CountWay.CLICKER,
                    at=day.starts_at + timedelta(minutes=minutes),
                    user_id=self.organizer_id,
                )
            )

    def _came(self, day: Occurrence, person: Person, rsvp: Rsvp | None, minute: int) -> None:
        at = day.starts_at + timedelta(minutes=minute % 40 - 15)
        db.session.add(
            SignIn(
                organization_id=day.organization_id,
                event_id=day.event_id,
                occurrence_id=day.id,
                rsvp_id=rsvp.id if rsvp else None,
                person_id=person.id,
                client_key=uuid7().hex,
                way=SignInWay.LIST if rsvp else SignInWay.DOOR,
                guests=rsvp.guests if rsvp else 0,
                first_name=person.first_name,
                last_name=person.last_name,
                email=person.email,
                address_hash=person.address_hash,
                postal_code=person.postal_code,
                at=at,
                received_at=at,
                settled_at=at,
                user_id=self.organizer_id,
            )
        )
