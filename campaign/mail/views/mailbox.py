"""Development's inbox: what would have been sent, readable. Nothing leaves the machine."""

from __future__ import annotations

import uuid

from flask import Blueprint, Response, jsonify, make_response, render_template, request

from campaign.errors import Invalid, NotFound
from campaign.mail import queries
from campaign.web.access import development
from campaign.web.headers import content_policy, csp_nonce

blueprint = Blueprint("mailbox", __name__)

PAGE_SIZE = 50
JSON_DEFAULT = 100
JSON_MOST = 10_000


@blueprint.get("/mailbox/")
@development
def inbox() -> str:
    """The newest e-mails, of everybody or of one address."""
    to = request.args.get("to", "").strip()
    found = queries.mailbox(to=to, before=_id_or_none("before"), limit=PAGE_SIZE + 1)
    return render_template(
        "mail/inbox.html", messages=found[:PAGE_SIZE], has_more=len(found) > PAGE_SIZE, to=to
    )


@blueprint.get("/mailbox/<uuid:message_id>")
@development
def message(message_id: uuid.UUID) -> Response:
    """One e-mail. Its HTML is shown in a sandboxed frame, where no script runs."""
    found = queries.mailbox_message(message_id)
    if found is None:
        raise NotFound
    response = make_response(render_template("mail/message.html", message=found))
    # E-mail is styled by attributes; this one development page lets its frame show them.
    response.headers["Content-Security-Policy"] = (
        content_policy(csp_nonce())
        + "; style-src-attr 'unsafe-inline'; style-src-elem 'self' 'unsafe-inline'"
    )
    return response


@blueprint.get("/mailbox/<uuid:message_id>/event.ics")
@development
def attachment(message_id: uuid.UUID) -> Response:
    """The calendar file that travels with an e-mail."""
    found = queries.mailbox_message(message_id)
    if found is None or not found.calendar:
        raise NotFound
    (file,) = found.attachments
    response = Response(file["content"], content_type=f"{file['content_type']}; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{file["filename"]}"'
    return response


@blueprint.get("/mailbox/messages.json")
@development
def messages() -> Response:
    """The same for programs, newest first: `to` (exact), `limit` (to 10,000), `before` (an id)."""
    try:
        limit = int(request.args.get("limit", JSON_DEFAULT))
    except ValueError:
        raise Invalid("limit must be a number from 1 to 10000") from None
    if not 1 <= limit <= JSON_MOST:
        raise Invalid("limit must be a number from 1 to 10000")
    found = queries.mailbox(
        to=request.args.get("to", ""), before=_id_or_none("before"), limit=limit
    )
    return jsonify([one.as_json() for one in found])


def _id_or_none(name: str) -> uuid.UUID | None:
    raw = request.args.get(name)
    if not raw:
        return None
    try:
        return uuid.UUID(raw)
    except ValueError:
        raise Invalid(f"{name} must be the id of a message") from None
