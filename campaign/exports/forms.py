"""Forms of exports: whom, what for, in which format."""

from __future__ import annotations

from flask_babel import lazy_gettext as _l

from campaign.web.fields import choice, text
from campaign.web.forms import Form


class PartnerExportForm(Form):
    """A partner asks for those who agreed to hear from it."""

    campaign = choice(_l("Campaign"), choices=[], validate_choice=False)
    reason = text(
        _l("What is this for?"),
        required=_l("Say in a few words what this is for."),
        limit=200,
    )


class PeopleExportForm(Form):
    """An organization asks for its own people."""

    whom = choice(_l("Whom"), choices=[], validate_choice=False)
    format = choice(
        _l("Format"),
        choices=[
            ("csv", _l("CSV, for spreadsheets")),
            ("xlsx", _l("Excel workbook (XLSX)")),
            ("jsonl", _l("JSON Lines (OSDI people), for programs")),
        ],
    )
    reason = text(
        _l("What is this for?"),
        required=_l("Say in a few words what this is for."),
        limit=200,
    )
