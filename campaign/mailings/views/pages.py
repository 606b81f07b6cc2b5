"""What all mailing pages stand on: their blueprint, the message asked for, the words they use."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Blueprint, redirect, url_for
from werkzeug.wrappers import Response

from campaign.db import db
from campaign.mailings import queries, reasons
from campaign.mailings.models import Message
from campaign.mailings.views import words
from campaign.organizations.models import Organization
from campaign.web.actor import actor

blueprint = Blueprint("mailings", __name__, url_prefix="/organize/mailings")


def found(message_id: uuid.UUID, *, lock: bool = False) -> Message:
    """A message of the organization one works for; raises NotFound."""
    return queries.message_of(actor().organization_id, message_id, lock=lock)


def own_organization() -> Organization:
    return db.session.get_one(Organization, actor().organization_id)


def to(endpoint: str, **values: Any) -> Response:
    """See another page about mailings."""
    return redirect(url_for(f"mailings.{endpoint}", **values), 303)


@blueprint.context_processor
def vocabulary() -> dict[str, Any]:
    return {
        "finding_words": words.finding_words,
        "about_sending": words.ABOUT_SENDING,
        "reason_words": reasons.reason_words,
        "reasons_in_words": reasons.reasons_in_words,
        "link_words": words.link_words,
        "language_name": words.language_name,
        "state_words": words.state_words,
        "pause_words": reasons.pause_words,
    }
