"""Which language a page speaks: `?lang=`, kept in its links and forms; else what the person
set or the browser asks for. No cookie remembers it."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

from babel import localedata
from flask import Flask, g, has_request_context, request, url_for
from flask_babel import Babel, force_locale, get_locale
from werkzeug.datastructures import LanguageAccept
from werkzeug.exceptions import HTTPException
from werkzeug.http import parse_accept_header

log = logging.getLogger(__name__)
LANGUAGES = {"en": "English", "es": "Español"}
DEFAULT = "en"


@dataclass(frozen=True, slots=True)
class LanguageLink:
    code: str
    name: str
    url: str


@lru_cache(maxsize=1024)
def known(code: str | None) -> str | None:
    """`code` as one of our languages ("es-MX" is "es"), or None."""
    base = (code or "").strip().lower().replace("_", "-").split("-")[0]
    return base if base in LANGUAGES else None


def chosen() -> str | None:
    """The language this request named by itself, in its address."""
    return known(request.args.get("lang")) if has_request_context() else None


def select() -> str:
    """The language of this request."""
    if not has_request_context():
        return DEFAULT
    return chosen() or known(g.get("user_language")) or known(_posted()) or browser_language()


def of_post(given: Mapping[str, str], query: Mapping[str, str], accepted: str) -> str:
    """`select` for the post of a visitor without an account.

    By the fields of the form, the query, and the header Accept-Language.
    """
    return known(query.get("lang")) or known(given.get("language")) or best(accepted)


def _posted() -> str | None:
    """The language a form names; None for a body that cannot be read (the error page asks, too)."""
    try:
        return request.form.get("language") if request.method == "POST" else None
    except HTTPException:
        return None


def browser_language() -> str:
    """The language the browser asks for."""
    return best(request.headers.get("Accept-Language", ""))


@lru_cache(maxsize=1024)
def best(header: str) -> str:
    """The language that a header Accept-Language asks for."""
    asked = parse_accept_header(header, LanguageAccept)
    return asked.best_match(list(LANGUAGES)) or DEFAULT


def speaking(code: str) -> AbstractContextManager[None]:
    """What is said inside is said in this language: the words of a task to somebody."""
    return cast("AbstractContextManager[None]", force_locale(code))


def language() -> str:
    """The language in force, also inside `flask_babel.force_locale`."""
    locale = get_locale()
    return locale.language if locale is not None else DEFAULT


def links() -> list[LanguageLink]:
    """This page in the other languages (query kept, GET pages only)."""
    if not has_request_context() or request.endpoint is None:
        return []
    arguments: dict[str, Any] = {**(request.view_args or {}), **request.args.to_dict()}
    here = language()
    return [
        LanguageLink(code, name, url_for(request.endpoint, **{**arguments, "lang": code}))
        for code, name in LANGUAGES.items()
        if code != here
    ]


def is_own(address: str) -> bool:
    """Whether an address that somebody typed is a path of ours."""
    return address.startswith("/") and not address.startswith("//")


def in_language(address: str, code: str | None) -> str:
    """An address that somebody typed; a path of ours keeps the language, unless it names one."""
    parts = urlsplit(address)
    if code is None or not is_own(address) or "lang" in parse_qs(parts.query):
        return address
    query = "&".join(filter(None, (parts.query, urlencode({"lang": code}))))
    return urlunsplit(parts._replace(query=query))


def compile_catalogs(folder: Path) -> list[str]:
    """Make each `messages.mo` that is missing or older than its `messages.po`; returns which.

    Only the .po files are kept in the repository. Written aside and renamed, so that processes
    that start together never read half a file.
    """
    done = []
    for source in sorted(folder.glob("*/LC_MESSAGES/messages.po")):
        target = source.with_suffix(".mo")
        if target.exists() and target.stat().st_mtime >= source.stat().st_mtime:
            continue
        from babel.messages.mofile import write_mo
        from babel.messages.pofile import read_po

        code = source.parent.parent.name
        draft = target.with_suffix(f".{os.getpid()}")
        try:
            with source.open("rb") as file, draft.open("wb") as output:
                write_mo(output, read_po(file, locale=code))
            draft.replace(target)
        except OSError as error:
            log.warning("%s cannot be written: %s", target, error.strerror)
            continue
        done.append(code)
    return done


def init_app(app: Flask) -> None:
    for code in LANGUAGES:
        localedata.load(code)  # else each request looks for its file
    compile_catalogs(Path(app.config["TRANSLATIONS"]))
    Babel(
        app,
        locale_selector=select,
        default_locale=DEFAULT,
        default_translation_directories=str(app.config["TRANSLATIONS"]),
    )
    app.jinja_env.globals["language_links"] = links
    app.jinja_env.globals["languages"] = LANGUAGES
    app.jinja_env.filters["keep_language"] = lambda address: in_language(address, chosen())

    @app.context_processor
    def locale() -> dict[str, str]:
        return {"locale": language()}

    @app.url_defaults
    def keep_language(endpoint: str, values: dict[str, Any]) -> None:
        if "lang" not in values and not endpoint.endswith("static"):
            code = chosen()
            if code is not None:
                values["lang"] = code
