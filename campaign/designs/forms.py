"""Forms of the library and of templates: what was typed, in shape."""

from __future__ import annotations

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf.file import FileField, FileRequired

from campaign.web.fields import text
from campaign.web.forms import Form

ALT_LIMIT = 300


class PictureForm(Form):
    """A file, and what it shows."""

    file = FileField(
        _l("Picture"),
        validators=[FileRequired(_l("Choose a picture."))],
        render_kw={
            "accept": ".jpg,.jpeg,.png,.gif,.webp,image/jpeg,image/png,image/gif,image/webp"
        },
    )
    alt = text(
        _l("What does it show?"),
        required=_l("Describe it for people who do not see it."),
        limit=ALT_LIMIT,
    )


class DescriptionForm(Form):
    """What a picture shows."""

    alt = text(
        _l("What does it show?"),
        required=_l("Describe it for people who do not see it."),
        limit=ALT_LIMIT,
    )


def limit_words(megabytes: int) -> str:
    """What may be uploaded."""
    return str(_("JPEG, PNG, GIF or WebP, up to %(limit)s MB.", limit=megabytes))
