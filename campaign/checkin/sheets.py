"""The sign-in sheet on paper: numbered sheets, numbered lines, the consent boxes in words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from babel.dates import format_date, format_time
from flask_babel import gettext as _

from campaign import clock
from campaign.campaigns.boxes import Box
from campaign.events.models import Occurrence, Rsvp
from campaign.organizations.models import Organization
from campaign.paper import Column, Paper

LINES = 15
MOST_HEIGHT, LEAST_HEIGHT = 11.0, 6.5
LETTERS = "ABCDEFGH"
SQUARE = "□"


def sign_in_sheets(
    occurrence: Occurrence,
    boxes: Sequence[Box],
    answers: Sequence[Rsvp],
    *,
    organization: Organization,
    count: int,
    language: str,
    now: datetime,
) -> bytes:
    """Sheets to sign in on. With `answers` their names stand there, and `count` blank ones follow.

    Each sheet carries its number and the words of the boxes, so that a line means something by
    itself: "sheet 2, line 14" is what the ledger says about whoever ticked there.
    """
    event = occurrence.event
    starts = occurrence.starts_at.astimezone(clock.zone(event.zone))
    day = format_date(starts, "full", locale=language)
    when = f"{day}, {format_time(starts, 'short', locale=language)}"
    paper = Paper(
        event.title.get_for(language),
        subtitle=when,
        running=_("%(name)s. We use this sheet only for what you tick.", name=organization.name),
        made_at=now,
        language=language,
    )
    names = [f"{row.first_name} {row.last_name}".strip() for row in answers]
    filled = [names[at : at + LINES] for at in range(0, len(names), LINES)]
    pages: list[list[str]] = [*filled, *([[]] * count)]
    for number, page in enumerate(pages, start=1):
        if number > 1:
            paper.next_page()
        paper.heading(_("Sign in: sheet %(number)s", number=number))
        _words(paper, boxes, language)
        _lines(paper, boxes, page)
    return paper.finish()


def _words(paper: Paper, boxes: Sequence[Box], language: str) -> None:
    """What each letter above a box means, in full: nobody ticks what they cannot read."""
    paper.text(_("Tick a box only if you agree. You need no email to sign in."), size=9)
    for letter, box in zip(LETTERS, boxes, strict=False):
        paper.text(f"{letter}: {box.wording.get_for(language)}", size=9)


def _lines(paper: Paper, boxes: Sequence[Box], names: Sequence[str]) -> None:
    letters = [letter for letter, _box in zip(LETTERS, boxes, strict=False)]
    columns = [
        Column(_("No."), 0.7, "right"),
        Column(_("Name"), 3.6),
        Column(_("Email"), 4.0),
        Column(_("ZIP code"), 1.3),
        *(Column(letter, 0.5, "center", is_tick=True) for letter in letters),
    ]
    rows = [
        [str(at + 1), names[at] if at < len(names) else "", "", "", *(SQUARE for _l in letters)]
        for at in range(LINES)
    ]
    # a sheet is one page, numbered as such
    height = paper.height_to_fit(columns, rows, least=LEAST_HEIGHT, most=MOST_HEIGHT, size=9)
    paper.table(columns, rows, row_height=height, is_ruled=True, size=9)
