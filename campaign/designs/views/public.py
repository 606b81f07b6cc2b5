"""Pictures of e-mails, for whoever opens one."""

from __future__ import annotations

from flask import Blueprint, make_response, request
from werkzeug.wrappers import Response

from campaign.designs import queries
from campaign.designs.pictures import TYPES
from campaign.errors import NotFound
from campaign.web.access import public

blueprint = Blueprint("pictures", __name__)
YEAR_SECONDS = 31_536_000
SMALL = "-small"


@blueprint.get("/images/<name>.<any(jpg, png, gif):kind>")
@public
def file(name: str, kind: str) -> Response:
    """A picture's bytes, which never change. Nothing is counted or noted, and no cookie is set:
    that a picture is loaded tells when somebody reads, and that is nobody's business."""
    found = queries.file_of(name.removesuffix(SMALL), "small" if name.endswith(SMALL) else "large")
    if found is None or found[0].kind != kind:
        raise NotFound
    response = make_response(found[1])
    response.content_type = TYPES[kind]
    response.headers["Cache-Control"] = f"public, max-age={YEAR_SECONDS}, immutable"
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    response.set_etag(name)
    return response.make_conditional(request)
