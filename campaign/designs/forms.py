"""Forms of the library and of templates: what was typed, in shape."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf.file import FileField, FileRequired
from wtforms.validators import ValidationError

from campaign.designs.models import Picture, Template
from campaign.designs.services import TemplateDetails
from campaign.web.fields import area, choice, text, tick
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


def _colour(label: Any, default: Any) -> Any:
    return text(
        label,
        limit=7,
        description=default,
        render_kw={"placeholder": "#0b5d5a", "spellcheck": "false"},
    )


class TemplateForm(Form):
    """What stands around the text of a message."""

    name = text(_l("Name"), required=True, limit=120)
    picture_id = choice(_l("Logo"), choices=[], validate_choice=False)
    header = text(_l("Words at the top"), limit=200)
    footer = area(_l("Words below the text"), limit=2000)
    accent = _colour(_l("Color of links and buttons"), _l("Empty: that of your organization."))
    paper = _colour(_l("Background"), _l("Empty: a warm white."))
    accent_dark = _colour(
        _l("Color of links and buttons in dark mode"), _l("Empty: a lighter shade of the first.")
    )
    paper_dark = _colour(_l("Background in dark mode"), _l("Empty: a soft black."))
    is_default = tick(_l("Use it for every message that chooses no other"))

    def __init__(self, pictures: Sequence[Picture], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = [(picture.id.hex, picture.name) for picture in pictures]
        self.picture_id.choices = [("", _("None")), *names]
        self._own = {key for key, _name in names}

    def validate_picture_id(self, field: Any) -> None:
        if field.data and field.data not in self._own:
            raise ValidationError(_("This picture is no longer in your library."))

    def details(self) -> TemplateDetails:
        picture = self.picture_id.data or ""
        return TemplateDetails(
            name=self.name.data or "",
            header=self.header.data or "",
            picture_id=uuid.UUID(picture) if picture in self._own else None,
            footer=(self.footer.data or "").replace("\r\n", "\n"),
            accent=self.accent.data or "",
            accent_dark=self.accent_dark.data or "",
            paper=self.paper.data or "",
            paper_dark=self.paper_dark.data or "",
            is_default=bool(self.is_default.data),
        )


def values_of(template: Template) -> dict[str, Any]:
    """A template as its form shows it."""
    names = ("name", "header", "footer", "accent", "accent_dark", "paper", "paper_dark")
    return {
        **{name: getattr(template, name) for name in names},
        "picture_id": template.picture_id.hex if template.picture_id else "",
        "is_default": template.is_default,
    }
