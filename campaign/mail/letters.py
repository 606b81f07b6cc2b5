"""Letters: what an e-mail says, rendered from three files of a template folder.

`templates/email/<folder>/subject.txt`, `body.txt` and `body.html`. A letter may contain merge
fields (`merge_tag`), so that one rendered letter serves many recipients and is stored once.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import css_inline
from babel import support
from flask import current_app
from flask_babel import force_locale, get_translations
from jinja2 import pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

_inliner = css_inline.CSSInliner(load_remote_stylesheets=False)
_CACHEABLE = (str, int, bool, float, type(None))
CACHE_SIZE = 512
CALENDAR_NAME = "event.ics"


@dataclass(frozen=True, slots=True)
class Letter:
    """Subject and both bodies; any of them may contain merge fields.

    `calendar` is an iCalendar text to attach, the same for every recipient: nothing is merged
    into it, so that nobody's name can get there.
    """

    subject: str
    text: str
    html: str
    calendar: str = ""


class MergeTag(str):
    """A merge field to put into a template: as it is in text, with its fallback escaped in HTML."""

    __slots__ = ()

    def __html__(self) -> str:
        return str(escape(str(self)))


def merge_tag(name: str, fallback: str = "") -> MergeTag:
    """`{{ name|fallback }}` for the context of `render_letter`."""
    if any(mark in fallback for mark in "{}|\r\n"):
        raise ValueError("a fallback holds no braces, bars or line breaks")
    return MergeTag(f"{{{{ {name}|{fallback} }}}}" if fallback else f"{{{{ {name} }}}}")


def render_letter(folder: str, language: str, **context: Any) -> Letter:
    """The letter in `templates/email/<folder>` in `language`, its CSS inlined.

    The same plain context gives the same letter from a cache: a busy petition renders its
    confirmation once.
    """
    if all(isinstance(value, _CACHEABLE) for value in context.values()):
        key = tuple((name, _typed(context[name])) for name in sorted(context))
        cache = current_app.extensions.setdefault("letters", lru_cache(CACHE_SIZE)(_render_cached))
        letter: Letter = cache(folder, language, key)
        return letter
    return _render(folder, language, context)


def _typed(value: Hashable) -> tuple[type, Hashable]:
    return type(value), value


def _render_cached(
    folder: str, language: str, key: tuple[tuple[str, tuple[type, Any]], ...]
) -> Letter:
    return _render(folder, language, {name: value for name, (_, value) in key})


def _render(folder: str, language: str, context: dict[str, Any]) -> Letter:
    environment = current_app.jinja_env
    with force_locale(language):
        values = {**context, "locale": language, **_words(get_translations())}
        subject = environment.get_template(f"email/{folder}/subject.txt").render(values)
        values["subject"] = one_line(subject)
        text = environment.get_template(f"email/{folder}/body.txt").render(values)
        html = environment.get_template(f"email/{folder}/body.html").render(values)
    return Letter(values["subject"], tidy_text(text), inline_css(html))


def _words(translations: support.NullTranslations) -> dict[str, Any]:
    """`gettext` and `ngettext` of one catalog, for a template: flask-babel's own look for the
    request's language at every call, a third of what a letter costs."""

    find = translations.ugettext

    @pass_context
    def gettext(context: Context, text: str, **values: Any) -> str:
        return _put(context, find(text), values)

    @pass_context
    def ngettext(context: Context, one: str, many: str, num: int, **values: Any) -> str:
        found = translations.ungettext(one, many, num)
        return _put(context, found, {"num": num, **values})

    return {"gettext": gettext, "ngettext": ngettext}


def _put(context: Context, text: str, values: dict[str, Any]) -> str:
    """The values in a translated text, escaped where the template escapes."""
    if context.eval_ctx.autoescape:
        text = Markup(text)  # noqa: S704 - a text of our catalog; what is put into it is escaped
    return text % values if values or "%" in text else text


def inline_css(html: str) -> str:
    """`html` with its style element moved into style attributes, as mail readers need it."""
    return _inliner.inline(html)


def tidy_text(text: str) -> str:
    """Plain text without trailing blanks and with one empty line at most between paragraphs."""
    lines = "\n".join(line.rstrip(" \t") for line in text.splitlines())
    # "-- " with its blank is the mark of a signature (RFC 3676, section 4.3).
    return re.sub(r"(?m)^--$", "-- ", re.sub(r"\n{3,}", "\n\n", lines)).strip("\n") + "\n"


def one_line(text: str) -> str:
    """Text on one line, for a subject."""
    return " ".join(text.split())


def calendar_type(calendar: str) -> str:
    """The content type of an iCalendar text: without a charset, for it is UTF-8 by default, and
    SendGrid refuses a type with a second parameter."""
    found = re.search(r"(?m)^METHOD:([A-Z]+)\r?$", calendar)
    return f"text/calendar; method={found[1] if found else 'PUBLISH'}"
