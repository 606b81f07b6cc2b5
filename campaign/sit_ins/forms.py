"""Forms: what somebody who risks arrest confides, and what the legal team notes."""

from __future__ import annotations

from flask_babel import lazy_gettext as _l
from wtforms import HiddenField

from campaign.sit_ins.queries import Confided
from campaign.sit_ins.services import NOTE_LIMIT
from campaign.web.fields import area, choice, text
from campaign.web.forms import Form

PLAIN = {"autocomplete": "off"}


class BriefingForm(Form):
    """ "I have read this", for the version that was shown."""

    version = HiddenField()


class RiskForm(Form):
    """What the legal team needs when somebody is arrested."""

    legal_name = text(
        _l("Name as on your ID"),
        required=_l("Please write your name. The police and the lawyers know you by it."),
        limit=200,
        render_kw=PLAIN,
        description=_l("The legal team finds you by this name at the police station."),
    )
    born_on = text(
        _l("Date of birth"),
        limit=40,
        render_kw=PLAIN,
        description=_l("Police often ask for it before they say where you are."),
    )
    emergency_contact = text(
        _l("Who should be called?"),
        limit=300,
        render_kw=PLAIN,
        description=_l("A name and a phone number."),
    )
    medical = area(
        _l("What must be known about your health?"),
        limit=1000,
        render_kw={"rows": 3},
        description=_l("Medicine you need in the next 48 hours, an allergy. Only if you want to."),
    )

    def confided(self) -> Confided:
        return Confided(
            legal_name=self.legal_name.data,
            born_on=self.born_on.data or "",
            emergency_contact=self.emergency_contact.data or "",
            medical=self.medical.data or "",
        )


class StatusForm(Form):
    """What became of somebody."""

    status = choice(
        _l("What happened"),
        [("", _l("Nothing known")), ("arrested", _l("Arrested")), ("released", _l("Released"))],
    )
    note = text(
        _l("Note"),
        limit=NOTE_LIMIT,
        render_kw=PLAIN,
        description=_l("Where, since when, who is there."),
    )
