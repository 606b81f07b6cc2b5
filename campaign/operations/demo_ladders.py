"""The demo's ladders: one that is on, with the neighbors who signed since yesterday, and a draft."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select

from campaign.db import Words, db, insert, uuid7
from campaign.events.models import Event, EventKind
from campaign.ladders import queries, rules, services
from campaign.ladders.models import FollowUp, Ladder, LadderRun, StepKind, Trigger
from campaign.ladders.rules import Details, Otherwise
from campaign.ladders.services import LadderDetails
from campaign.lists.models import Segment
from campaign.organizations.models import Organization
from campaign.people import services as people
from campaign.petitions.models import Petition, Signature, SignatureState

THANKS = Details(
    subject=Words(en="Thank you, {{ first_name|neighbor }}", es="Gracias, {{ first_name|vecina }}"),
    preheader=Words(en="What your name does", es="Lo que hace su nombre"),
    body=Words(
        en="""Dear {{ first_name|neighbor }},

thank you for signing. Each name goes on a list that we read out at City Hall.

Two people who hear it from you count more than ten who hear it from us. Would you tell them?""",
        es="""Hola, {{ first_name|vecina }}:

Gracias por firmar. Cada nombre va en una lista que leemos en el Ayuntamiento.

Dos personas que se enteran por usted valen más que diez que se enteran por nosotros. ¿Les cuenta?""",
    ),
)
COME = Details(
    subject=Words(en="Stand with us at the clinic?", es="¿Nos acompaña en la clínica?"),
    body=Words(
        en="""Dear {{ first_name|neighbor }},

you live close by. An hour with a candle is seen by everybody who drives past. Children and dogs are welcome, and nobody has to speak.""",
        es="""Hola, {{ first_name|vecina }}:

Usted vive cerca. Una hora con una vela la ve todo el que pasa. Niños y perros son bienvenidos, y nadie tiene que hablar.""",
    ),
)

MISSED = Details(
    subject=Words(en="We missed you", es="Lo echamos de menos"),
    body=Words(
        en="""Dear {{ first_name|neighbor }},

something came up, as it does. The clinic is still there, and so are we. The next vigil is a good one to come to, and no one will ask where you were.""",
        es="""Hola, {{ first_name|vecina }}:

Algo surgió, como pasa. La clínica sigue ahí y nosotros también. La próxima vigilia es buena para venir, y nadie preguntará dónde estaba.""",
    ),
)


@dataclass(frozen=True, slots=True)
class DemoLadders:
    """One loading of the ladders."""

    organization: Organization
    petition: Petition
    organizer_id: uuid.UUID | None
    now: datetime

    def load(self) -> None:
        self._welcome()
        self._missed()

    def _welcome(self) -> None:
        ladder = services.create_ladder(
            self.organization.id,
            LadderDetails(name="Welcome", trigger=Trigger.SIGNED, trigger_id=self.petition.id),
            author_id=self.organizer_id,
        )
        near = db.session.scalars(
            select(Segment.id)
            .where(Segment.organization_id == self.organization.id)
            .order_by(Segment.name_key)
        ).first()
        tag = people.tag_named(self.organization.id, "asked to a vigil")
        for kind, details in (
            (StepKind.WAIT, Details(amount=1)),
            (StepKind.SEND, THANKS),
            (StepKind.WAIT_DAY, Details(weekday=1, hour=10)),
            (StepKind.IF, Details(segment_id=near, otherwise=Otherwise.STOP)),
            (StepKind.SEND, COME),
            (StepKind.TAG, Details(tag_id=tag.id)),
            (StepKind.WAIT, Details(amount=7)),
            (StepKind.FOLLOW_UP, Details(text="Call: would they come along with us?", amount=0)),
        ):
            services.add_step(ladder, kind, details)
        services.switch_on(ladder, user_id=self.organizer_id)
        ladder.on_at = self.now - timedelta(days=1)
        self._let_in(ladder)

    def _let_in(self, ladder: Ladder) -> None:
        """The neighbors who signed since yesterday wait for their day to be over."""
        first = queries.steps_of(ladder.id)[0]
        signed = db.session.execute(
            select(Signature.id, Signature.person_id, Signature.confirmed_at)
            .where(
                Signature.petition_id == self.petition.id,
                Signature.state == SignatureState.CONFIRMED,
                Signature.person_id.is_not(None),
                Signature.confirmed_at > self.now - timedelta(hours=23),
                Signature.confirmed_at <= self.now,
            )
            .order_by(Signature.confirmed_at)
        )
        rows = {
            row.person_id: {
                "id": uuid7(),
                "organization_id": ladder.organization_id,
                "ladder_id": ladder.id,
                "person_id": row.person_id,
                "occasion": f"signed:{row.id.hex}",
                "turn": 1,
                "entered_at": row.confirmed_at,
                "step_id": first.id,
                "arrived_at": row.confirmed_at,
                "wakes_at": self._day_after(row.confirmed_at),
                "due_at": self._day_after(row.confirmed_at),
                "state": "running",
                "reason": "",
            }
            for row in signed
        }
        if rows:
            db.session.execute(insert(LadderRun.__table__), list(rows.values()))
        ladder.entered_count = first.entered_count = len(rows)
        for person_id in list(rows)[:2]:
            db.session.add(
                FollowUp(
                    organization_id=ladder.organization_id,
                    person_id=person_id,
                    text="Offered to translate flyers. Call and say when.",
                    due_at=self.now - timedelta(hours=3),
                    created_at=self.now - timedelta(hours=3),
                )
            )

    def _day_after(self, at: datetime) -> datetime:
        return rules.after_while(at, 1, rules.Unit.DAYS, self.organization.time_zone)

    def _missed(self) -> None:
        vigil = db.session.scalars(
            select(Event.id)
            .where(Event.organization_id == self.organization.id, Event.kind == EventKind.VIGIL)
            .order_by(Event.id)
        ).first()
        ladder = services.create_ladder(
            self.organization.id,
            LadderDetails(name="We missed you", trigger=Trigger.MISSED, trigger_id=vigil),
            author_id=self.organizer_id,
        )
        services.add_step(ladder, StepKind.WAIT_DAY, Details(weekday=5, hour=10))
        services.add_step(ladder, StepKind.SEND, MISSED)
