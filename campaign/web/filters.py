"""Template filters: numbers, dates and Markdown as people read them."""

from __future__ import annotations

import hashlib
import re
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import nh3
from babel.dates import format_date, format_skeleton, format_time
from babel.dates import format_datetime as babel_datetime
from flask import Flask, g, url_for
from flask_babel import format_date as babel_date
from flask_babel import format_decimal, get_locale, ngettext
from flask_babel import gettext as _
from markdown_it import MarkdownIt
from markupsafe import Markup

from campaign import clock
from campaign.web.phones import phone_link, phone_words
from campaign.web.requests import settings

_markdown = MarkdownIt("commonmark", {"html": False, "linkify": False, "typographer": True}).enable(
    ["table", "strikethrough", "smartquotes", "replacements"]
)
_HEADING = re.compile(r"<h([1-6])>")
_HEADING_TAG = re.compile(r"(</?h)([1-6])>")
ALLOWED_TAGS = {
    "p",
    "br",
    "hr",
    "strong",
    "em",
    "s",
    "a",
    "ul",
    "ol",
    "li",
    "blockquote",
    "h2",
    "h3",
    "h4",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "code",
    "pre",
    "img",
}
ALLOWED_ATTRIBUTES = {
    "a": {"href", "title"},
    "img": {"src", "alt", "width", "height"},
    "ol": {"start"},
}


def clean_html(html: str) -> str:
    """HTML with only what a letter needs: no script, no style, no event, links that cannot spy."""
    return nh3.clean(
        html,
        tags=ALLOWED_TAGS,
        attributes=ALLOWED_ATTRIBUTES,
        url_schemes={"http", "https", "mailto", "tel"},
        link_rel="noopener noreferrer",
    )


@lru_cache(maxsize=512)
def markdown_html(source: str) -> Markup:
    """Markdown as safe HTML. Its highest heading becomes h2, whether written # or ##: the page
    has its own h1, and no level is left out."""
    html = str(_markdown.render(source))
    levels = [int(level) for level in _HEADING.findall(html)]
    shift = 2 - min(levels, default=2)
    html = _HEADING_TAG.sub(lambda tag: f"{tag[1]}{min(int(tag[2]) + shift, 4)}>", html)
    return Markup(clean_html(html))  # noqa: S704 - cleaned on the line itself


def number(value: float | None) -> str:
    """12345 as 12,345; None as a dash."""
    return "–" if value is None else str(format_decimal(value))


def zone_name() -> str:
    """The IANA zone in which this page shows times: of who is logged in, or of the organization
    the page belongs to, else the installation's."""
    return str(g.get("time_zone") or settings().time_zone)


def day(value: datetime | date | None, style: str = "long") -> str:
    """A date in words, in the page's zone and language."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        value = value.astimezone(clock.zone(zone_name())).date()
    return str(babel_date(value, style, rebase=False))


def short_day(value: date) -> str:
    """A day of this year on a chart: "Oct 29", "29 oct"."""
    return str(format_skeleton("MMMd", value, locale=get_locale() or "en"))


def moment(value: datetime | None, style: str = "medium", zone: str = "") -> str:
    """A date with its time and zone ("Jun 16, 2026, 6:00 PM CDT"; in the style "event": "Tue, Jun
    16, 6:00 PM CDT")."""
    if value is None:
        return ""
    place = clock.zone(zone or zone_name())
    language = get_locale() or "en"
    if style == "event":  # what one plans by: the weekday, and the year where it is another
        there = value.astimezone(place)
        is_now = there.year == clock.now().astimezone(place).year
        shown = format_skeleton("MMMEd" if is_now else "yMMMEd", there, locale=language)
        text = f"{shown}, {format_time(there, 'short', locale=language)}"
    elif style == "medium":  # CLDR's own has seconds, which nobody needs
        there = value.astimezone(place)
        text = (
            f"{format_date(there, style, language)}, {format_time(there, 'short', locale=language)}"
        )
    else:
        text = babel_datetime(value, style, tzinfo=place, locale=language)
    return f"{text} {value.astimezone(place).tzname()}"


def relative_day(value: datetime | date | None) -> str:
    """today, tomorrow, in 23 days, 3 days ago: counted in the page's zone."""
    if value is None:
        return ""
    place = clock.zone(zone_name())
    then = value.astimezone(place).date() if isinstance(value, datetime) else value
    days = (then - clock.now().astimezone(place).date()).days
    if days == 0:
        return str(_("today"))
    if days == 1:
        return str(_("tomorrow"))
    if days == -1:
        return str(_("yesterday"))
    if days > 0:
        return str(ngettext("in %(num)d day", "in %(num)d days", days))
    return str(ngettext("%(num)d day ago", "%(num)d days ago", -days))


def address_line(address: str) -> str:
    """A postal address of several lines on one."""
    return ", ".join(line.strip() for line in address.splitlines() if line.strip())


def init_app(app: Flask) -> None:
    versions: dict[str, str] = {}

    def static_url(name: str) -> str:
        """A static file's address with a hash of its content: it may be cached for ever."""
        if name not in versions or app.debug:
            path = Path(app.static_folder or "") / name
            versions[name] = hashlib.sha256(path.read_bytes()).hexdigest()[:10]
        return url_for("static", filename=name, v=versions[name])

    filters: dict[str, Any] = {
        "number": number,
        "date": day,
        "datetime": moment,
        "relative_day": relative_day,
        "markdown": markdown_html,
        "address_line": address_line,
        "phone": phone_words,
        "phone_link": phone_link,
    }
    app.jinja_env.filters.update(filters)
    app.jinja_env.globals.update(static_url=static_url, product_name="Campaign", now=clock.now)
