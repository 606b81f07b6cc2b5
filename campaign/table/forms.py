"""Forms of the table: a tag, or a list, for many people."""

from __future__ import annotations

from flask_babel import lazy_gettext as _l

from campaign.web.fields import choice, text
from campaign.web.forms import Form


class ManyTagForm(Form):
    """A tag by its name, for the selected people."""

    tag = text(_l("Tag"), required=_l("Write the name of a tag."), limit=80)


class ManyListForm(Form):
    """A list for the selected people: one of ours, or a new one by its name."""

    list_id = choice(_l("List"), choices=[], validate_choice=False)
    list_name = text(_l("or a new list"), limit=120)
