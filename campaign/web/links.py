"""Absolute addresses for e-mails and files: always from BASE_URL, never from a request's Host."""

from __future__ import annotations

import uuid
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urlsplit

from flask import current_app
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect

from campaign.settings import Settings
from campaign.web.csrf import signer
from campaign.web.languages import in_language, is_own

PERSON = "person"
SIGNATURE = "signature"
RSVP = "rsvp"
CHECKIN = "checkin"
HOST = "host"
HERE = "HERE"


def external(endpoint: str, **values: Any) -> str:
    """The absolute address of an endpoint. Works in a task as in a request."""
    settings: Settings = current_app.extensions["settings"]
    base = urlsplit(settings.base_url)
    adapter = current_app.url_map.bind(base.netloc, url_scheme=base.scheme)
    given = {name: value for name, value in values.items() if value is not None}
    return adapter.build(endpoint, given, force_external=True)


def whole(address: str, language: str | None = None) -> str:
    """What somebody typed into a form as an address, for an e-mail: there a path of ours, which
    is enough on a page, leads nowhere."""
    if not is_own(address):
        return address
    settings: Settings = current_app.extensions["settings"]
    return settings.base_url.rstrip("/") + in_language(address, language)


def page_at(path: str) -> tuple[str, dict[str, Any]] | None:
    """The endpoint and the names in a path of ours; None where a reader would see a 404."""
    adapter = current_app.url_map.bind("here.example")
    try:
        endpoint, names = adapter.match(unquote(path) or "/", method="GET")
    except RequestRedirect as led_on:
        return page_at(urlsplit(led_on.new_url).path) if not path.endswith("/") else None
    except HTTPException:
        return None
    return endpoint, dict(names)


def preferences_url(kind: str, row_id: uuid.UUID, language: str | None = None) -> str:
    """The address of "what we hold about you" for a person, or for a signature not yet confirmed.

    `kind` is PERSON or SIGNATURE. The token is signed, stored nowhere, and carries an id only.
    """
    token = signer().sign("preferences", [kind, row_id.hex])
    settings: Settings = current_app.extensions["settings"]
    return _preferences_address(settings.base_url, language).replace(HERE, token)


def rsvp_token(rsvp_id: uuid.UUID) -> str:
    """The token of an answer to an event: its id, signed; it is stored nowhere and does not end.

    It shows, changes and cancels the answer, so it is in the e-mails of its owner alone.
    """
    return signer().sign_id(RSVP, rsvp_id)


def rsvp_of(token: str) -> uuid.UUID:
    """The id in a token of `rsvp_token`. Raises NotFound when it is forged."""
    return signer().read_id(RSVP, token)


def rsvp_url(rsvp_id: uuid.UUID) -> str:
    """The address of an answer's own pages; further ones lie below it. It speaks the answer's
    language by itself. Made by the thousand, so it is put together here."""
    settings: Settings = current_app.extensions["settings"]
    return f"{settings.base_url.rstrip('/')}/rsvp/{rsvp_token(rsvp_id)}"


def checkin_token(rsvp_id: uuid.UUID) -> str:
    """The token in the code that is shown at the door: another purpose than the answer's own, so
    that showing the code, or having it photographed, gives no power over the answer."""
    return signer().sign_id(CHECKIN, rsvp_id)


def checkin_of(token: str) -> uuid.UUID:
    """The id in a token of `checkin_token`. Raises NotFound when it is forged."""
    return signer().read_id(CHECKIN, token)


def host_token(host_id: uuid.UUID) -> str:
    """The token of somebody who was asked to host an event, or who proposes one."""
    return signer().sign_id(HOST, host_id)


def host_of(token: str) -> uuid.UUID:
    """The id in a token of `host_token`. Raises NotFound when it is forged."""
    return signer().read_id(HOST, token)


@lru_cache(maxsize=64)
def _preferences_address(_base_url: str, language: str | None) -> str:
    """The address with HERE in place of the token: made by the thousand, it differs in that."""
    return external("privacy.preferences", token=HERE, lang=language)
