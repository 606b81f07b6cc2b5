"""The calendar: list, month and feeds."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Any

from babel.dates import format_date, format_skeleton, format_time
from flask import (
    Blueprint,
    Response,
    g,
    render_template,
    request,
    stream_with_context,
    url_for,
)
from flask_babel import gettext as _
from markupsafe import Markup
from werkzeug.datastructures import MultiDict

from campaign import clock
from campaign.campaigns import queries as campaigns
from campaign.campaigns.models import SLUG
from campaign.db import db
from campaign.errors import NotFound
from campaign.events import agenda, feeds, queries, rules
from campaign.events.agenda import CalendarDate, Wish
from campaign.events.models import Access, EventKind, Occurrence
from campaign.events.words import ACCESS_NAMES, KIND_NAMES
from campaign.organizations import queries as organizations
from campaign.organizations.models import Organization
from campaign.places import queries as places
from campaign.web.access import public
from campaign.web.headers import content_policy
from campaign.web.languages import LANGUAGES, LanguageLink, chosen, language
from campaign.web.links import external
from campaign.web.page_cache import keep_answer, page_cache
from campaign.web.requests import settings

blueprint = Blueprint("calendar", __name__)

PAGE_SIZE = 30
EMBEDDED = 10
NARROWING = ("campaign", "organization", "kind", "spoken", "access", "way", "near", "km")
DISTANCES = (5, 10, 25, 50)  # km
USUAL_DISTANCE = 10
KM_PER_MILE = 1.609
WAYS = ("place", "online")
PIECE = 32 * 1024
FIRST_YEAR, LAST_YEAR = 2000, 2200
_MONTH = re.compile(r"(\d{4})-(\d\d)", re.ASCII)
_AFTER = re.compile(r"(\d{1,10})-([0-9a-f]{32})", re.ASCII)


# --- what is asked for -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The calendar's question as it came. What is of no list of ours counts as not asked; a
    postal code we do not know stays as it was typed, with a word beside it."""

    campaign: str = ""
    organization: str = ""
    kind: str = ""
    spoken: str = ""
    access: tuple[str, ...] = ()
    way: str = ""
    near: str = ""
    km: int = USUAL_DISTANCE
    month: str = ""
    since: str = ""
    after: str = ""

    @classmethod
    def of(cls, given: MultiDict[str, str]) -> Asked:
        month, since = given.get("month", ""), given.get("from", "")
        return cls(
            campaign=_one_of(given.get("campaign", ""), None),
            organization=_one_of(given.get("organization", ""), None),
            kind=_one_of(given.get("kind", ""), EventKind),
            spoken=_one_of(given.get("spoken", ""), LANGUAGES),
            access=tuple(one for one in Access if one in given.getlist("access")),
            way=_one_of(given.get("way", ""), WAYS),
            near=" ".join(given.get("near", "").replace("\0", "").split())[:20],
            km=next((km for km in DISTANCES if given.get("km") == str(km)), USUAL_DISTANCE),
            month=month if _first_of(month) else "",
            since=since if _day_of(since) else "",
            after=given.get("after", "") if _after_of(given.get("after", "")) else "",
        )

    @property
    def query(self) -> dict[str, Any]:
        """All of it, as the arguments of an address."""
        return {
            "campaign": self.campaign or None,
            "organization": self.organization or None,
            "kind": self.kind or None,
            "spoken": self.spoken or None,
            "access": list(self.access) or None,
            "way": self.way or None,
            "near": self.near or None,
            "km": self.km if self.near and self.km != USUAL_DISTANCE else None,
            "month": self.month or None,
            "from": self.since or None,
            "after": self.after or None,
        }

    def url(self, **changes: Any) -> str:
        """The calendar with this question changed; another question begins at its first page."""
        query = {**self.query, "after": None, **changes}
        return url_for(".calendar", **{name: value for name, value in query.items() if value})

    @property
    def is_narrow(self) -> bool:
        """Whether something is left out."""
        return any(
            (self.campaign, self.organization, self.kind, self.spoken, self.access, self.way,
             self.near)
        )  # fmt: skip

    def wish(self) -> Wish:
        center = places.center_of(self.near)
        return Wish(
            campaign=self.campaign,
            organization=self.organization,
            kind=self.kind,
            language=self.spoken,
            access=self.access,
            way=self.way,
            near=None if center is None else (center, float(self.km)),
        )


def _one_of(text: str, known: Iterable[str] | None) -> str:
    """`text` if it is one of these, or could be a slug where there is no list; else ""."""
    fits = SLUG.fullmatch(text) and len(text) <= 80 if known is None else text in list(known)
    return text if fits else ""


def _first_of(month: str) -> date | None:
    """The first day of "2026-12"."""
    found = _MONTH.fullmatch(month)
    if found is None or not FIRST_YEAR <= int(found[1]) <= LAST_YEAR:
        return None
    return date(int(found[1]), int(found[2]), 1) if 1 <= int(found[2]) <= 12 else None


def _day_of(text: str) -> date | None:
    try:
        day = date.fromisoformat(text) if len(text) == 10 else None
    except ValueError:
        return None
    return day if day and FIRST_YEAR <= day.year <= LAST_YEAR else None


def _after_of(text: str) -> tuple[datetime, uuid.UUID] | None:
    """The key behind which a page begins."""
    found = _AFTER.fullmatch(text)
    if found is None:
        return None
    return datetime.fromtimestamp(int(found[1]), UTC), uuid.UUID(hex=found[2])


# --- the page ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kept:
    """A page as everybody gets it who asks the same."""

    body: bytes
    etag: str
    policy: str


@blueprint.get("/e/")
@public
def calendar() -> Response:
    """What is coming up, as a list or by month; a GET form narrows it down."""
    asked = Asked.of(request.args)
    key = ("calendar", asked, language(), chosen())
    kept = page_cache().get(key, lambda: _keep(page(asked)))
    keep_answer(key)
    return _answer(kept)


@blueprint.get("/embed/e/")
@public
def embed() -> Response:
    """The next dates for a frame in another website, narrowed down as the calendar is.

    Any website may show it: there is nothing to press in it but links, and they open outside.
    """
    asked = replace(Asked.of(request.args), month="", since="", after="")
    key = ("calendar embed", asked, language(), chosen())
    return _answer(page_cache().get(key, lambda: _keep(embedded(asked), frame_ancestors="*")))


def _answer(kept: Kept) -> Response:
    response = Response(kept.body, mimetype="text/html")
    response.headers["Content-Security-Policy"] = kept.policy
    response.headers["Cache-Control"] = "public, max-age=0, s-maxage=5, stale-while-revalidate=30"
    response.headers["Vary"] = "Accept-Language"
    response.set_etag(kept.etag)
    response.make_conditional(request)
    return response


def _keep(html: str, *, frame_ancestors: str = "'none'") -> Kept:
    body = html.encode()
    etag = hashlib.sha256(body).hexdigest()[:24]
    return Kept(body, etag, content_policy(g.get("csp_nonce"), frame_ancestors=frame_ancestors))


def embedded(asked: Asked) -> str:
    """The next dates as HTML for a frame, under the name of whose they are."""
    now = clock.now()
    here = _today(asked, now)
    found = agenda.upcoming(asked.wish(), now, limit=EMBEDDED)
    choices = page_cache().get(("calendar choices",), lambda: agenda.calendar_choices(now))
    titles = {slug: title.get_for(language()) for slug, title in choices.campaigns}
    name = titles.get(asked.campaign) or dict(choices.organizations).get(asked.organization, "")
    return render_template(
        "events/embed.html",
        name=name,
        days=[
            (day, day_name(day, here), list(dates))
            for day, dates in groupby(found, key=lambda row: row.day)
        ],
        kinds=KIND_NAMES,
        access=ACCESS_NAMES,
        calendar_url=asked.url(lang=chosen()),
    )


def page(asked: Asked) -> str:
    """The calendar as HTML."""
    now, wish = clock.now(), asked.wish()
    # The same for every question, so that it is asked every two seconds at most.
    choices = page_cache().get(("calendar choices",), lambda: agenda.calendar_choices(now))
    here = _today(asked, now)
    shown = _month(asked, wish, here) if asked.month else _list(asked, wish, now, here)
    unknown = asked.near and wish.near is None
    return render_template(
        "events/month.html" if asked.month else "events/calendar.html",
        asked=asked,
        choices=choices,
        chips=_chips(asked, choices),
        subscribe=_subscribe(asked, choices),
        embed_code=_embed_code(asked),
        near_error=_("We do not know this ZIP code. Please check it.") if unknown else "",
        kinds=KIND_NAMES,
        access=ACCESS_NAMES,
        distances=[(km, _distance(km)) for km in DISTANCES],
        ways=[("place", _("In person")), ("online", _("Online"))],
        start_of=_start_of,
        language_links=lambda: _language_links(asked),
        **shown,
    )


def _list(asked: Asked, wish: Wish, now: datetime, here: date) -> dict[str, Any]:
    found = agenda.upcoming(
        wish,
        now,
        after=_after_of(asked.after),
        since=_day_of(asked.since),
        limit=PAGE_SIZE + 1,
    )
    rows, is_more = found[:PAGE_SIZE], len(found) > PAGE_SIZE
    last = rows[-1] if rows else None
    return {
        "days": [
            (day, day_name(day, here), list(dates))
            for day, dates in groupby(rows, key=lambda row: row.day)
        ],
        # The month of the first of them: the present one may be over but for its name.
        "first_month": f"{rows[0].day if rows else here:%Y-%m}",
        "next_url": (
            asked.url(after=f"{int(last.starts_at.timestamp())}-{last.id.hex}")
            if last and is_more
            else ""
        ),
    }


def _month(asked: Asked, wish: Wish, here: date) -> dict[str, Any]:
    first = _first_of(asked.month) or here.replace(day=1)
    after = (first + timedelta(days=31)).replace(day=1)
    found = agenda.month_of(wish, first, after)
    start = first - timedelta(days=(first.weekday() + 1) % 7)  # weeks begin on Sunday here
    weeks = []
    while start < after:
        weeks.append([start + timedelta(days=n) for n in range(7)])
        start += timedelta(days=7)
    last = page_cache().get(("calendar end",), lambda: (agenda.last_day(),))[0]
    before = first - timedelta(days=1)
    code = language()
    return {
        "first": first,
        "month_name": format_skeleton("yMMMM", first, locale=code),
        "weekdays": [
            (format_date(day, "ccc", code), format_date(day, "cccc", code)) for day in weeks[0]
        ],
        "weeks": weeks,
        "found": found,
        "today": here,
        "day_name": lambda day: day_name(day, here),
        "previous_url": asked.url(month=f"{before:%Y-%m}") if first > here else "",
        "next_url": asked.url(month=f"{after:%Y-%m}") if last and last >= after else "",
    }


def _today(asked: Asked, now: datetime) -> date:
    """The day where whoever the calendar is of counts it: of the campaign's lead, of the
    organization, else of the installation. Not of who looks: one page is kept for all."""
    return now.astimezone(clock.zone(_zone_of(asked))).date()


def _zone_of(asked: Asked) -> str:
    one = campaigns.campaign_by_slug(asked.campaign) if asked.campaign else None
    if one is not None:
        return db.session.get_one(Organization, one.organization_id).time_zone
    found = organizations.organization_by_slug(asked.organization) if asked.organization else None
    return settings().time_zone if found is None else found.time_zone


def day_name(day: date, here: date) -> str:
    """A day in words; with its year only when that is another one."""
    return rules.day_in_words(day, language(), with_year=day.year != here.year)


def _start_of(one: CalendarDate) -> str:
    """When it begins, as short as a month needs it."""
    if one.is_all_day:
        return str(_("All day"))
    there = one.starts_at.astimezone(clock.zone(one.zone))
    return str(format_time(there, "short", locale=language()))


def _distance(km: int) -> str:
    miles = round(km / KM_PER_MILE)
    return str(_("%(km)s km, %(miles)s mi", km=km, miles=miles))


def _chips(asked: Asked, choices: agenda.Choices) -> list[tuple[str, str]]:
    """What narrows the calendar down now, each with the address without it."""
    titles = {slug: title.get_for(language()) for slug, title in choices.campaigns}
    found = []
    if asked.campaign:
        found.append((titles.get(asked.campaign, asked.campaign), asked.url(campaign=None)))
    if asked.organization:
        name = dict(choices.organizations).get(asked.organization, asked.organization)
        found.append((name, asked.url(organization=None)))
    if asked.kind:
        found.append((str(KIND_NAMES[asked.kind]), asked.url(kind=None)))
    if asked.way:
        name = _("Online") if asked.way == "online" else _("In person")
        found.append((name, asked.url(way=None)))
    if asked.near and places.center_of(asked.near) is not None:
        name = _("Within %(km)s km of %(code)s", km=asked.km, code=asked.near)
        found.append((name, asked.url(near=None, km=None)))
    if asked.spoken:
        found.append((LANGUAGES[asked.spoken], asked.url(spoken=None)))
    for one in asked.access:
        rest = [other for other in asked.access if other != one]
        found.append((str(ACCESS_NAMES[one]), asked.url(access=rest)))
    return found


def _subscribe(asked: Asked, choices: agenda.Choices) -> dict[str, str]:
    """The feed that fits best: of the campaign, of the organization, or of all."""
    lang = chosen()
    if asked.campaign in dict(choices.campaigns):
        url = external("calendar.campaign_feed", campaign=asked.campaign, lang=lang)
    elif asked.organization in dict(choices.organizations):
        url = external("calendar.organization_feed", organization=asked.organization, lang=lang)
    else:
        url = external("calendar.all_feed", lang=lang)
    return {"https": url, "webcal": "webcal" + url[url.index(":") :]}


def _embed_code(asked: Asked) -> str:
    """What another website puts into its page to show these dates."""
    query = {name: value for name, value in asked.query.items() if name in NARROWING}
    url = external("calendar.embed", **query, lang=language())
    title = _("Next dates")
    return str(
        Markup(
            '<iframe src="{}" title="{}" width="100%" height="600" loading="lazy"></iframe>'
        ).format(url, title)
    )


def _language_links(asked: Asked) -> list[LanguageLink]:
    here = language()
    return [
        LanguageLink(code, name, asked.url(lang=code, after=asked.after))
        for code, name in LANGUAGES.items()
        if code != here
    ]


@blueprint.app_template_global("date_day")
def date_day(one: CalendarDate) -> str:
    """The day of a date, on any page that lists some."""
    return day_name(one.day, clock.now().astimezone(clock.zone(one.zone)).date())


@blueprint.app_template_global("date_hours")
def date_hours(one: CalendarDate) -> str:
    """From when to when, by the clock there."""
    if one.is_all_day:
        return str(_("All day"))
    return rules.hours_of(one.starts_at, one.ends_at, one.zone, language())


@blueprint.app_template_global("calendar_links")
def calendar_links(occurrence: Occurrence) -> dict[str, str]:
    """Where a date can be put into one's own calendar, in the language of the page."""
    return feeds.links_for(occurrence, language())


# --- feeds -------------------------------------------------------------------------------------


@blueprint.get("/e/calendar.ics")
@public
def all_feed() -> Response:
    """All dates to come, and those of the last month."""
    return _feed(_("Events near you"), Wish())


@blueprint.get("/c/<campaign>/calendar.ics")
@public
def campaign_feed(campaign: str) -> Response:
    found = campaigns.campaign_by_slug(campaign) if SLUG.fullmatch(campaign) else None
    if found is None or not found.is_public:
        raise NotFound
    return _feed(found.title.get_for(language()), Wish(campaign=campaign))


@blueprint.get("/o/<organization>/calendar.ics")
@public
def organization_feed(organization: str) -> Response:
    fits = SLUG.fullmatch(organization)
    found = organizations.organization_by_slug(organization) if fits else None
    if found is None:
        raise NotFound
    return _feed(found.name, Wish(organization=organization))


@blueprint.get("/e/<event>.ics")
@public
def event(event: str) -> Response:
    """One event with all its dates; `?on=2026-12-01` takes one of them."""
    found = queries.event_by_slug(event)
    day = request.args.get("on", "")[:16]
    one = queries.occurrence_on(found, day) if re.fullmatch(r"[\d:T-]{10,16}", day) else None
    if one is not None:
        body = feeds.single_of(one, language())
    else:
        body = feeds.calendar_of(found, agenda.dates_of(found), language())
    etag = hashlib.sha256(body).hexdigest()[:24]
    return _file(Response(body), etag, f"{found.slug}.ics", "attachment")


def _feed(name: str, wish: Wish) -> Response:
    """A feed as a stream; a program that has it already gets 304 for one statement."""
    # Dates leave the feed at midnight, so that in between the same feed is the same file.
    now = clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    found = agenda.feed_of(wish, now)
    parts = (found.version, name, language(), settings().base_url, now.isoformat())
    etag = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]
    entries = agenda.feed_entries(wish, now)
    lines = feeds.feed(name, entries, found.zones, language())
    response = Response(stream_with_context(_pieces(lines)))
    response.implicit_sequence_conversion = False  # its length is not asked for: it is a stream
    return _file(response, etag, "calendar.ics", "inline")


def _pieces(lines: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces that are worth a system call each."""
    piece = bytearray()
    for line in lines:
        piece += line
        if len(piece) >= PIECE:
            yield bytes(piece)
            piece.clear()
    if piece:
        yield bytes(piece)


def _file(response: Response, etag: str, name: str, disposition: str) -> Response:
    response.headers["Content-Type"] = "text/calendar; charset=utf-8"
    response.headers["Content-Disposition"] = f'{disposition}; filename="{name}"'
    response.headers["Cache-Control"] = "public, max-age=300"
    response.headers["Vary"] = "Accept-Language"
    # Calendars on other sites may read what everybody may read.
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    response.set_etag(etag)
    response.make_conditional(request)
    return response
