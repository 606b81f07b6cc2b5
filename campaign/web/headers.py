"""Response headers of every page: a strict content policy, no referrers, nothing sniffed."""

from __future__ import annotations

import secrets

from flask import Flask, Response, g, request

from campaign.settings import Settings
from campaign.web.access import Who, access_of

NO_STORE = "no-store"
ANYWHERE = "frame-ancestors *"


def csp_nonce() -> str:
    """The nonce of this response, for the page's own inline style or script element."""
    if "csp_nonce" not in g:
        g.csp_nonce = secrets.token_urlsafe(12)
    return str(g.csp_nonce)


def content_policy(nonce: str | None, *, frame_ancestors: str = "'none'") -> str:
    """The Content-Security-Policy: everything from here, nothing from elsewhere."""
    own = f"'self' 'nonce-{nonce}'" if nonce else "'self'"
    return (
        f"default-src 'none'; script-src {own}; style-src {own}; img-src 'self' data:; "
        "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
        f"frame-src 'self'; frame-ancestors {frame_ancestors}"
    )


def init_app(app: Flask, settings: Settings) -> None:
    app.jinja_env.globals["csp_nonce"] = csp_nonce
    personal = {Who.LINK, Who.SIGNED_IN, Who.ROLE, Who.DEVELOPMENT}

    constant = [
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("X-Frame-Options", "DENY"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Permissions-Policy", "camera=(), microphone=(), geolocation=()"),
    ]
    if settings.is_secure:
        constant.append(("Strict-Transport-Security", "max-age=63072000; includeSubDomains"))
    plain_policy = content_policy(None)

    @app.after_request
    def add_headers(response: Response) -> Response:
        headers = response.headers
        there = {name.lower() for name in headers.keys()}  # noqa: SIM118 - iterating gives pairs
        if "content-security-policy" not in there:
            nonce = g.get("csp_nonce")
            headers.add("Content-Security-Policy", content_policy(nonce) if nonce else plain_policy)
        is_for_frames = ANYWHERE in headers.get("Content-Security-Policy", "")
        for name, value in constant:
            if is_for_frames and name == "X-Frame-Options":
                continue  # it knows no "anywhere"; where the policy is understood, that counts
            if name.lower() not in there:
                headers.add(name, value)
        access = access_of(app.view_functions.get(request.endpoint or ""))
        if "cache-control" not in there and (
            access is None or access.who in personal or request.method not in {"GET", "HEAD"}
        ):
            headers.add("Cache-Control", NO_STORE)
        return response
