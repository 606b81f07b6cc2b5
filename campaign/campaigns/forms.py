"""The console's forms for campaigns. Texts are asked for in both languages, side by side."""

from __future__ import annotations

import re
import uuid
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms.validators import ValidationError

from campaign import clock
from campaign.campaigns.models import SLUG, CampaignState, ClinicStatus
from campaign.campaigns.services import (
    CampaignDetails,
    ClinicDetails,
    MilestoneDetails,
    PartnerDetails,
    StatusDetails,
)
from campaign.places import queries as places
from campaign.web.fields import area, choice, count, day, email, text, tick
from campaign.web.forms import Form, TwoLanguages
from campaign.web.languages import language

SUMMARY_LIMIT = 500
WORDING_LIMIT = 500


class CampaignForm(TwoLanguages):
    """A campaign's own words and dates."""

    title_en = text(_l("Title"), limit=120)
    title_es = text(_l("Title"), limit=120)
    slug = text(
        _l("Address"),
        limit=80,
        description=_l("Small letters, digits and hyphens. Leave it empty and we suggest one."),
        render_kw={"autocapitalize": "none", "spellcheck": "false"},
    )
    summary_en = area(_l("In two sentences"), limit=SUMMARY_LIMIT)
    summary_es = area(_l("In two sentences"), limit=SUMMARY_LIMIT)
    story_en = area(_l("The story"))
    story_es = area(_l("The story"))
    decision_on = day(_l("Day of the decision"))
    decision_label_en = text(_l("What happens that day"), limit=120)
    decision_label_es = text(_l("What happens that day"), limit=120)
    goal = count(_l("Goal: people who act"))
    crisis_line = text(
        _l("Someone to talk to"),
        limit=200,
        description=_l(
            "A warmline with its hours, shown at the foot of each page. Empty: your organization's."
        ),
    )

    def validate_slug(self, field: Any) -> None:
        if field.data and not SLUG.fullmatch(field.data):
            raise ValidationError(_("Use small letters, digits and hyphens, like keep-woodlawn."))

    def validate(self, extra_validators: Any = None) -> bool:
        fine = bool(super().validate(extra_validators))
        return self.require_one("title", _("Write a title in at least one language.")) and fine

    def details(self) -> CampaignDetails:
        return CampaignDetails(
            title=self.words("title"),
            slug=self.slug.data,
            summary=self.words("summary"),
            story=self.words("story"),
            decision_on=self.decision_on.data,
            decision_label=self.words("decision_label"),
            goal=self.goal.data,
            crisis_line=self.crisis_line.data,
        )


OUTCOMES: tuple[tuple[CampaignState, Any], ...] = (
    (CampaignState.WON, _l("We won")),
    (CampaignState.LOST, _l("We lost this one")),
    (CampaignState.ENDED, _l("It ended another way")),
)


class EndForm(Form):
    """How a campaign came to its end."""

    outcome = choice(_l("How did it end?"), [(state.value, label) for state, label in OUTCOMES])


STATUSES: dict[ClinicStatus, Any] = {
    ClinicStatus.OPEN: _l("Open"),
    ClinicStatus.THREATENED: _l("Under threat"),
    ClinicStatus.CLOSING: _l("Closing"),
    ClinicStatus.CLOSED: _l("Closed"),
    ClinicStatus.SAVED: _l("Saved"),
    ClinicStatus.REOPENED: _l("Open again"),
}


class StatusForm(TwoLanguages):
    """A clinic's status and since (or on) which day."""

    status = choice(
        _l("Status"),
        [(status.value, label) for status, label in STATUSES.items()],
        default=ClinicStatus.OPEN.value,
    )
    status_on = day(
        _l("Day"), description=_l("The day it closes, closed, was saved or opened again.")
    )
    note_en = text(_l("Note"), limit=300)
    note_es = text(_l("Note"), limit=300)

    def status_details(self) -> StatusDetails:
        return StatusDetails(
            status=ClinicStatus(self.status.data),
            on=self.status_on.data,
            note=self.words("note"),
        )


def ward_choices() -> list[tuple[str, str]]:
    """All districts, and the choice to let the postal code decide."""
    names = places.district_names(language())
    return [("", _("As the ZIP code says")), *((str(key), name) for key, name in names.items())]


class ClinicForm(TwoLanguages):
    """A clinic's own facts."""

    name = text(_l("Name"), required=_l("Write the clinic's name."), limit=120)
    address = text(_l("Street and number"), limit=200)
    postal_code = text(_l("ZIP code"), limit=12)
    district = choice(
        _l("Ward"),
        ward_choices,
        default="",
        description=_l("A ZIP code often lies in several wards: choose the right one."),
    )
    people_served = count(_l("People who come here"))
    services_en = text(_l("What it offers"), limit=300)
    services_es = text(_l("What it offers"), limit=300)

    def details(self) -> ClinicDetails:
        return ClinicDetails(
            name=self.name.data,
            address=self.address.data,
            postal_code=self.postal_code.data,
            district_id=uuid.UUID(self.district.data) if self.district.data else None,
            people_served=self.people_served.data,
            services=self.words("services"),
        )


class NewClinicForm(ClinicForm, StatusForm):
    """A clinic with its first status."""


class MilestoneForm(TwoLanguages):
    """What we did, and what changed."""

    on = day(_l("Day"), required=True)
    title_en = text(_l("What we did"), limit=200)
    title_es = text(_l("What we did"), limit=200)
    result_en = text(_l("What changed"), limit=300)
    result_es = text(_l("What changed"), limit=300)
    is_public = tick(_l("Show it on the public page"), default=True)

    def validate(self, extra_validators: Any = None) -> bool:
        fine = bool(super().validate(extra_validators))
        return self.require_one("title", _("Write what you did in at least one language.")) and fine

    def details(self) -> MilestoneDetails:
        return MilestoneDetails(
            on=self.on.data or clock.now().date(),
            title=self.words("title"),
            result=self.words("result"),
            is_public=self.is_public.data,
        )


class PartnerForm(TwoLanguages):
    """What a partner's consent box says, and who they are."""

    wording_en = area(_l("Text of the consent box"), limit=WORDING_LIMIT)
    wording_es = area(_l("Text of the consent box"), limit=WORDING_LIMIT)
    about_en = area(_l("Who they are"), limit=SUMMARY_LIMIT)
    about_es = area(_l("Who they are"), limit=SUMMARY_LIMIT)

    def validate(self, extra_validators: Any = None) -> bool:
        fine = bool(super().validate(extra_validators))
        return (
            self.require_one(
                "wording", _("Write what the box says: people must know what they agree to.")
            )
            and fine
        )

    def partner_details(self) -> PartnerDetails:
        return PartnerDetails(wording=self.words("wording"), about=self.words("about"))


EXISTING, NEW = "existing", "new"


class NewPartnerForm(PartnerForm):
    """Which organization joins: one that is here, or a new one."""

    kind = choice(
        _l("Which organization?"),
        [
            (EXISTING, _l("One that already uses Campaign")),
            (NEW, _l("A new one, which I add here")),
        ],
        default=EXISTING,
    )
    partner = text(
        _l("Its name"),
        required=_l("Write the organization's name."),
        limit=200,
        description=_l("For one that is here: its whole name or its short name, like nurses."),
    )
    website = text(_l("Its website"), limit=300)
    contact = email(
        _l("Email of their contact"),
        description=_l(
            "For a new one. We send an invitation: they log in and see what is shared with them."
        ),
    )

    def validate_website(self, field: Any) -> None:
        if field.data and not re.fullmatch(r"https?://[^\s/]+\.[^\s]+", field.data):
            raise ValidationError(_("A website starts with https://."))
