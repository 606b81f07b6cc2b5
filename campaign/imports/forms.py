"""Forms of imports."""

from __future__ import annotations

import re
from collections.abc import Sequence

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf.file import FileField, FileRequired

from campaign.fields.models import Question
from campaign.imports.rules import FIELD_NAMES, IGNORED, OWN, Field
from campaign.web.fields import text
from campaign.web.forms import Form
from campaign.web.languages import language


class ImportForm(Form):
    """A file of people, why they may be written to, and what holds for all of them."""

    file = FileField(
        _l("File"),
        validators=[FileRequired(_l("Choose a file."))],
        render_kw={"accept": ".csv,.tsv,.txt,.xlsx,text/csv"},
    )
    basis = text(_l("Why may you write to these people?"), required=True, limit=300)
    list_name = text(_l("Put them on a list"), limit=120, render_kw={"list": "list-names"})
    tags = text(_l("Tags for all of them"), limit=1000)
    source = text(_l("Where they came from"), limit=80)

    def tag_names(self) -> list[str]:
        """The tags, which stand between commas or semicolons."""
        return [tag for tag in re.split("[,;]", self.tags.data or "") if tag.strip()]


def field_choices(own: Sequence[Question]) -> list[tuple[str, str]]:
    """What a column can hold, for a select: the organization's own fields last."""
    return [
        (IGNORED, _("Leave out")),
        *((name.value, str(FIELD_NAMES[name])) for name in Field),
        *((OWN + one.key, one.name.get_for(language())) for one in own),
    ]
