"""The demo's template, a picture for its library, and a message that is made of blocks."""

from __future__ import annotations

import io
import uuid
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFilter
from sqlalchemy import select

from campaign import clock
from campaign.db import db
from campaign.designs import blocks, services
from campaign.designs.blocks import Kind
from campaign.designs.services import TemplateDetails
from campaign.events.models import Event, EventKind, EventState, Occurrence
from campaign.mailings import services as mailings
from campaign.mailings.models import Audience, Choice, ChoiceKind
from campaign.mailings.services import MessageDetails
from campaign.organizations.models import Organization
from campaign.petitions.models import Petition

FOOTER = (
    "Southside Together Organizing for Power. We are neighbors, patients and nurses. "
    "The people, quotes and numbers in this demo are invented."
)
OPENING = """Dear {{ first_name|neighbor }},

every evening somebody lights a candle in front of the clinic. From across the street it looks like this."""
MIDDLE = """## What helps this week

Come for an hour, bring one person, and write two sentences to your alderperson. That is all."""
CLOSING = "With you,\n\nDenise, for all of us"


@dataclass(frozen=True, slots=True)
class DemoDesigns:
    """Loads what the lead organization's letters look like."""

    organization: Organization
    petition: Petition
    organizer_id: uuid.UUID | None

    def load(self) -> None:
        services.create_template(
            self.organization.id,
            TemplateDetails(
                name="Candlelight",
                header="Keep our clinics open",
                footer=FOOTER,
                accent="#8a3b12",
                paper="#fff9f0",
                accent_dark="#f2b38a",
                paper_dark="#1c1512",
                is_default=True,
            ),
        )
        picture, _prepared = services.add_picture(
            self.organization.id,
            _candles(),
            filename="candles.jpg",
            alt="A row of candles in the dark, in front of a lit window",
            author_id=self.organizer_id,
        )
        mailings.create_message(
            self.organization.id,
            MessageDetails(
                name="A letter of blocks",
                subject="A candle, an hour, two sentences",
                preheader="Three small things for the clinic this week.",
                body="\n\n".join(self._parts(picture.name)),
            ),
            author_id=self.organizer_id,
            audience=Audience(include=(Choice(ChoiceKind.PETITION, self.petition.id),)),
        )

    def _parts(self, picture: str) -> list[str]:
        vigil = db.session.scalars(
            select(Event)
            .join(Occurrence, Occurrence.event_id == Event.id)
            .where(
                Event.organization_id == self.organization.id,
                Event.kind == EventKind.VIGIL,
                Event.state == EventState.PUBLISHED,
                Occurrence.ends_at > clock.now(),
            )
            .order_by(Occurrence.starts_at)
        ).first()
        return [
            OPENING,
            blocks.write(Kind.IMAGE, picture, caption="Drawn for this demo."),
            blocks.write(Kind.PETITION, self.petition.slug, button="Sign, or send it on"),
            MIDDLE,
            *([blocks.write(Kind.EVENT, vigil.slug, button="I will come")] if vigil else []),
            blocks.write(
                Kind.QUOTE,
                words="They know my name here. That is why I am still here.",
                who="somebody who comes to the clinic (invented)",
            ),
            blocks.write(
                Kind.LETTER,
                title="Write to your alderperson",
                words="Two sentences in your own words count more than any form letter.",
                to="ward20@example.org",
                subject="Please keep the clinic open",
                text="I live in your ward and I ask you to vote for the clinic.",
                button="Write now",
            ),
            "---",
            CLOSING,
        ]


def _candles() -> bytes:
    """A drawing, for the demo holds no photograph of anybody."""
    image = Image.new("RGB", (1072, 536), "#1b1a2e")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 410, 1072, 536), fill="#26201f")
    draw.rectangle((380, 90, 690, 410), fill="#3a3348")
    draw.rectangle((450, 170, 620, 330), fill="#e9c37a")
    glow = Image.new("RGB", image.size, "#000000")
    lights = ImageDraw.Draw(glow)
    for number in range(9):
        x = 90 + number * 112
        lights.ellipse((x - 46, 330, x + 46, 440), fill="#6a3c12")
    glow = glow.filter(ImageFilter.GaussianBlur(26))
    image = Image.blend(image, Image.composite(glow, image, glow.convert("L")), 0.55)
    draw = ImageDraw.Draw(image)
    for number in range(9):
        x, y = 90 + number * 112, 400 + (number % 3) * 14
        draw.rectangle((x - 9, y, x + 9, y + 70), fill="#f3ead9")
        draw.ellipse((x - 8, y - 34, x + 8, y - 2), fill="#ffd27a")
        draw.ellipse((x - 4, y - 22, x + 4, y - 4), fill="#fff3cf")
    body = io.BytesIO()
    image.save(body, "JPEG", quality=88)
    return body.getvalue()
