"""Signed events from the provider."""

from __future__ import annotations

from flask import Blueprint, abort, request
from werkzeug.wrappers import Response

from campaign.db import db
from campaign.mail import tasks, webhook
from campaign.web.access import machine
from campaign.web.requests import settings
from campaign.worker import enqueue

blueprint = Blueprint("webhook", __name__)

BODY_LIMIT_BYTES = 5 * 1024 * 1024
INLINE_BYTES = 64 * 1024


@blueprint.post("/webhooks/sendgrid")
@machine
def sendgrid() -> Response:
    """Take a batch of events: 403 unless its signature holds, 204 once it is committed.

    Small batches are worked in at once; all others, and any that fails, by a task.
    """
    key = settings().sendgrid_webhook_public_key
    if not key:
        abort(404)
    request.max_content_length = BODY_LIMIT_BYTES
    body = request.get_data()
    given = request.headers
    try:
        webhook.verify(
            key,
            given.get(webhook.SIGNATURE_HEADER, ""),
            given.get(webhook.TIMESTAMP_HEADER, ""),
            body,
        )
    except webhook.Untrusted:
        abort(403)
    call_id = webhook.keep(body)
    enqueue(tasks.process_call, call_id)
    db.session.commit()
    if len(body) <= INLINE_BYTES:
        webhook.process(call_id)
    return Response(status=204)
