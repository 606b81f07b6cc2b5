"""The form token: a signed, stateless value in every form, checked before any view runs.

On public pages it is bound to nothing about the visitor (no cookie is set), so it stops posts
that never loaded a page, and its age feeds the friction on signing. In the console it is bound
to the session *and* the organization one works for: a tab left open from before a switch of
organization is refused instead of writing into the wrong one.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from flask import Flask, abort, current_app, g, request
from flask_babel import gettext as _

from campaign import clock
from campaign.errors import CampaignError
from campaign.tokens import Signer
from campaign.web.access import access_of
from campaign.web.actor import actor_or_none

FIELD = "csrf_token"
HEADER = "X-CSRF-Token"
PUBLIC = "public"
MAX_AGE_SECONDS = 24 * 3600
TOKENS_KEPT = 1000
SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


def signer() -> Signer:
    """The application's signer."""
    found: Signer = current_app.extensions["signer"]
    return found


def _subject() -> str:
    found = actor_or_none()
    if found is not None:
        return f"{found.session_id}:{found.organization_id}"
    return str(g.get("form_subject", PUBLIC))


def form_token() -> str:
    """A token for a form on this page."""
    if "form_token" not in g:
        g.form_token = signer().sign("form", _subject())
    return str(g.form_token)


def form_age() -> float:
    """How many seconds ago the page with the posted form was made."""
    return float(g.get("form_age", 0.0))


def check() -> None:
    """Refuse an unsafe request without a valid token: 400 missing or forged, 400 outdated."""
    if request.method in SAFE or request.endpoint is None:
        return
    access = access_of(current_app.view_functions.get(request.endpoint))
    if access is not None and not access.csrf:
        return
    require_token()


def require_token() -> None:
    """The check itself, for a view that asks for the token in some cases only."""
    token = request.headers.get(HEADER) or request.form.get(FIELD, "")
    g.form_age = 0.0
    try:
        subject, made_at = _read(token)
    except CampaignError:
        abort(400, description=_stale())
    g.form_age = (clock.now() - made_at).total_seconds()
    if subject != _subject() or g.form_age > MAX_AGE_SECONDS:
        abort(400, description=_stale())


def _read(token: str) -> tuple[str, datetime]:
    """Whom a token is bound to, and when it was made; raises NotFound if forged.

    A page that is shared has one token, and hundreds post it: its seal is checked once.
    """
    kept = _kept()
    found = kept.get(token)
    if found is None:
        subject, age = signer().read_with_age("form", token)
        found = (str(subject), clock.now() - timedelta(seconds=age))
        if len(kept) >= TOKENS_KEPT:
            kept.clear()
        kept[token] = found
    return found


def kept_age(token: str) -> float | None:
    """The age in seconds of a public page's token whose seal was checked before.

    None for one that was not, or is outdated: then `check` has the word.
    """
    found: tuple[str, datetime] | None = _kept().get(token)
    if found is None or found[0] != PUBLIC:
        return None
    age = (clock.now() - found[1]).total_seconds()
    return age if age <= MAX_AGE_SECONDS else None


def _kept() -> dict[str, tuple[str, datetime]]:
    kept: dict[str, tuple[str, datetime]] = current_app.extensions["form_tokens"]
    return kept


def _stale() -> str:
    return str(_("This form is no longer valid. Go back, reload the page, and send it again."))


def init_app(app: Flask) -> None:
    """Templates can say `csrf_token()`."""
    app.extensions["form_tokens"] = {}
    app.jinja_env.globals["csrf_token"] = form_token
