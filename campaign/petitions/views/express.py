"""The express desk: ordinary signatures, taken before Flask does anything.

When a petition is on the evening news, nearly all posts are alike: no cookie, a form seen a
minute ago, nothing to complain about. Two thirds of what such a post costs are the frame around
it: request objects, routing, a form class, hooks for log-ins that it does not have. This desk
checks the same things in the same order by the same functions, asks the same service, and gives
the answer that Flask gave to a post like it: its headers are Flask's own, kept.

Whatever is not ordinary goes on to the view (`public.sign`) as it came, and that has the word:
other fields than the form's, a body that is large or no plain form, a cookie, an unknown token,
the honeypot, a closed petition, anything a form would say something about. An error on the way
is left in the environment and raised by the view, so that it becomes the same page and the same
report as any other (docs/decisions/0008-an-express-desk.md).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from random import getrandbits
from typing import TYPE_CHECKING, Any

from flask import Flask

from campaign import clock
from campaign.db import db
from campaign.people.door import HONEYPOT, signals_of
from campaign.petitions import queries, services
from campaign.petitions.forms import plain_details
from campaign.petitions.views.public import FAILED
from campaign.web import csrf
from campaign.web.languages import best, known
from campaign.web.posts import fields_of, take_body

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Headers = list[tuple[str, str]]
_PATH = re.compile(r"/p/([a-z0-9]+(?:-[a-z0-9]+)*)")
_QUERIES = {"": {}, "lang=en": {"lang": "en"}, "lang=es": {"lang": "es"}}
ENDPOINT = "petitions.sign"
STATUS = "303 SEE OTHER"
LOCATION, REQUEST_ID = "Location", "X-Request-Id"
MOST_HOSTS = 100
NOT_OURS = frozenset(
    {"HTTP_COOKIE", "HTTP_X_CSRF_TOKEN", "HTTP_TRANSFER_ENCODING", "HTTP_CONTENT_ENCODING"}
)
"""Headers with which a post is more than a form of a visitor."""


class Desk:
    """Stands in front of Flask, behind whoever sets the visitor's address right (ProxyFix)."""

    def __init__(self, app: Flask, inner: WSGIApplication) -> None:
        self._app, self._inner = app, inner
        self._headers: dict[tuple[str, str], Headers] = {}
        """By host and scheme, the headers of Flask's own answer: it alone decides whom to trust."""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] != "POST":
            return self._inner(environ, start_response)
        path = _PATH.fullmatch(environ["PATH_INFO"])
        query = _QUERIES.get(environ.get("QUERY_STRING", ""))
        is_ours = path is not None and query is not None and not environ.get("SCRIPT_NAME")
        body = take_body(environ) if is_ours and NOT_OURS.isdisjoint(environ) else None
        if path is None or query is None or body is None:
            return self._inner(environ, start_response)
        place = (environ.get("HTTP_HOST", ""), environ["wsgi.url_scheme"])
        headers = self._headers.get(place)
        if headers is None:
            return self._inner(environ, self._keeping(place, start_response))
        started_at = time.perf_counter()
        location = self._sign(environ, path[1], query, body)
        if location is None:
            return self._inner(environ, start_response)
        own = {LOCATION: location, REQUEST_ID: f"{getrandbits(48):012x}"}
        start_response(STATUS, [(name, own.get(name, value)) for name, value in headers])
        for observe in self._app.extensions["observers"]:
            observe(ENDPOINT, "POST", 303, time.perf_counter() - started_at)
        return (b"",)

    def _sign(
        self, environ: WSGIEnvironment, slug: str, query: dict[str, str], body: bytes
    ) -> str | None:
        """Take the signature and say where its signer goes now; None leaves it to the view."""
        given = fields_of(body)
        if given is None or given.get(HONEYPOT) or given.get("one_tap"):
            return None
        with self._app.app_context():
            try:
                return _sign(environ, slug, given, query)
            except Exception as error:  # noqa: BLE001 - the view raises it
                environ[FAILED] = error
                return None

    def _keeping(self, place: tuple[str, str], start_response: StartResponse) -> StartResponse:
        """`start_response` that keeps the headers of an answer like ours."""

        def start(status: str, headers: Headers, *more: Any) -> Callable[[bytes], object]:
            names = {name for name, _value in headers}
            if status == STATUS and {LOCATION, REQUEST_ID} <= names and "Set-Cookie" not in names:
                if len(self._headers) >= MOST_HOSTS:
                    self._headers.clear()
                self._headers[place] = list(headers)
            return start_response(status, headers, *more)

        return start


def _sign(
    environ: WSGIEnvironment, slug: str, given: dict[str, str], query: dict[str, str]
) -> str | None:
    age = csrf.kept_age(given.get(csrf.FIELD, ""))
    if age is None:
        return None
    sheet = queries.sheet(slug)
    if not sheet.is_open(clock.now()):
        return None
    accepted, ip = environ.get("HTTP_ACCEPT_LANGUAGE", ""), environ.get("REMOTE_ADDR") or ""
    details = plain_details(sheet, given, query, accepted, ip)
    if details is None:
        return None
    odd = signals_of("sign", sheet.id.hex, bait="", age=age, address=ip)
    if odd:
        details = replace(details, signals=odd)
    services.sign_petition(sheet, details)
    if db.session.registry.has():  # signing may have been one statement and no session
        db.session.commit()
    here = details.language
    is_said = known(query.get("lang")) is not None or here != best(accepted)
    return f"/p/{slug}/thanks?lang={here}" if is_said else f"/p/{slug}/thanks"


def init_app(app: Flask) -> None:
    """Put the desk in front of Flask; must come before all that goes in front of both."""
    app.extensions.setdefault("observers", [])
    app.wsgi_app = Desk(app, app.wsgi_app)  # type: ignore[method-assign]
