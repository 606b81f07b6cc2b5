"""What somebody wishes for the way."""

from __future__ import annotations

from flask_babel import lazy_gettext as _l
from wtforms import RadioField
from wtforms.fields.choices import SelectChoice

from campaign.events.models import Company
from campaign.events.words import COMPANY_NAMES
from campaign.web.fields import area
from campaign.web.forms import Form

WISH_LIMIT = 300


class CompanyForm(Form):
    """Ask, offer, or neither."""

    company = RadioField(
        _l("Going together"),
        choices=[SelectChoice(kind.value, COMPANY_NAMES[kind]) for kind in Company],
        default=Company.NONE.value,
    )
    wish = area(
        _l("What would help?"),
        limit=WISH_LIMIT,
        description=_l(
            "For example: by the 63rd Street bus, a woman, somebody who has been there before. "
            "The one we suggest reads this. Please write no name."
        ),
        render_kw={"rows": 3},
    )
