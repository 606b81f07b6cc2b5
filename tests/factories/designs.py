"""Pictures and templates of e-mails."""

from __future__ import annotations

import io
import itertools
from typing import Any

from PIL import Image

from campaign.db import db
from campaign.designs import services
from campaign.designs.models import Picture, Template
from campaign.designs.services import TemplateDetails
from campaign.organizations.models import Organization

_numbers = itertools.count(1)


def image_bytes(
    kind: str = "PNG", size: tuple[int, int] = (40, 30), color: Any = (200, 30, 30), **options: Any
) -> bytes:
    """A file with a picture of one colour."""
    mode = "RGBA" if len(color) == 4 else "RGB"
    body = io.BytesIO()
    Image.new(mode, size, color).save(body, kind, **options)
    return body.getvalue()


def make_picture(organization: Organization, **given: Any) -> Picture:
    """A picture in the library."""
    values: dict[str, Any] = {"filename": f"march-{next(_numbers)}.png", "alt": "A march"} | given
    picture, _prepared = services.add_picture(
        organization.id, values.pop("data", None) or image_bytes(), **values
    )
    db.session.flush()
    return picture


def make_template(organization: Organization, **given: Any) -> Template:
    """A template."""
    values: dict[str, Any] = {"name": f"Template {next(_numbers)}"} | given
    template = services.create_template(organization.id, TemplateDetails(**values))
    db.session.flush()
    return template
