"""Counted links of a mailing: count, and lead on to the address that is stored, nowhere else."""

from __future__ import annotations

from flask import Blueprint, redirect, request
from werkzeug.wrappers import Response

from campaign.db import db, writing
from campaign.errors import NotFound
from campaign.mailings import emails, queries, services
from campaign.web.access import link

blueprint = Blueprint("links", __name__)


@blueprint.get("/go/<token>")
@link
def go(token: str) -> Response:
    """Lead on to where a link of a message goes.

    A GET changes nothing about anybody. What is counted is the link, and only when a browser
    says that a person opens a page (`Sec-Fetch-Mode: navigate`): mail scanners, previews and
    HEAD do not say that, so they neither count nor write a row.
    """
    found = queries.link_by_id(emails.link_of_token(token))
    if found is None:
        raise NotFound
    url = found.url
    if is_person():
        with writing():
            services.count_click(found.id)
            db.session.commit()
    return redirect(url, 302)


def is_person() -> bool:
    """Whether a browser says that somebody opens this as a page (W3C Fetch Metadata)."""
    headers = request.headers
    return (
        request.method == "GET"
        and headers.get("Sec-Fetch-Mode") == "navigate"
        and headers.get("Sec-Fetch-Dest") == "document"
        and "prefetch" not in headers.get("Sec-Purpose", headers.get("Purpose", ""))
    )
