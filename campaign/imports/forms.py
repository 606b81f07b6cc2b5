"""Forms of imports."""

from __future__ import annotations

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf.file import FileField, FileRequired

from campaign.imports.rules import FIELD_NAMES, IGNORED, Field
from campaign.web.fields import text
from campaign.web.forms import Form


class ImportForm(Form):
    """A file of people, and why they may be written to."""

    file = FileField(
        _l("CSV file"),
        validators=[FileRequired(_l("Choose a file."))],
        render_kw={"accept": ".csv,.txt,text/csv"},
    )
    basis = text(_l("Why may you write to these people?"), required=True, limit=300)
    list_name = text(_l("Put them on a list"), limit=120, render_kw={"list": "list-names"})


def field_choices() -> list[tuple[str, str]]:
    """What a column can hold, for a select."""
    return [(IGNORED, _("Leave out"))] + [(name.value, str(FIELD_NAMES[name])) for name in Field]
