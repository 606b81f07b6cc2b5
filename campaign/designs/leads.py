"""Where the links of a letter lead, as far as that can be seen without asking the network.

Addresses of this very installation are looked up in the database: the petition that is not public
yet, the event that is over, the page that was never there. What is another organization's and not
public is not there, as it is for its readers.
"""

from __future__ import annotations

import ipaddress
import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from urllib.parse import SplitResult, unquote, urlsplit

from email_validator import EmailNotValidError, validate_email
from flask import current_app
from sqlalchemy import select

from campaign import clock
from campaign.campaigns.models import Campaign
from campaign.db import db
from campaign.events import queries as events
from campaign.events.models import Event, EventState
from campaign.outward import is_public
from campaign.petitions.models import Petition, PetitionState
from campaign.web.access import Who, access_of
from campaign.web.links import page_at
from campaign.web.requests import settings


class Wrong(StrEnum):
    """What is wrong with an address."""

    MISSING = "missing"  # there is no such page here
    PERSONAL = "personal"  # the link of one person, with their token
    TEAM = "team"  # a page for those who log in
    DRAFT = "draft"
    CANCELLED = "cancelled"
    OVER = "over"
    CLOSED = "closed"
    HTTP = "http"  # our own without encryption
    LOCAL = "local"  # a computer that readers do not reach
    SAMPLE = "sample"  # a name that is reserved for examples (RFC 2606)
    MAILTO = "mailto"
    TEL = "tel"


class Kind(StrEnum):
    """What an address of ours names, by its first part."""

    PETITION = "p"
    EVENT = "e"
    CAMPAIGN = "c"


@dataclass(frozen=True, slots=True)
class Pages:
    """What is known about the addresses in some texts. `standing`: what is wrong with a page of
    ours, None where it is fine."""

    standing: Mapping[tuple[str, str], Wrong | None] = field(default_factory=dict)


_OWN = re.compile(r"/(p|e|c)/([A-Za-z0-9_-]{1,80})")
_ENDPOINTS = {
    "petitions.petition": (Kind.PETITION, "petition"),
    "events.event": (Kind.EVENT, "event"),
    "front.campaign": (Kind.CAMPAIGN, "campaign"),
}
PERSONAL_BUT_NOT = frozenset({"links.go"})
"""A counted address is the message's and nobody's own."""
MOST_PAGES = 500
"""How many pages of ours are looked up for one letter: a database takes only so many names."""


def look_up(organization_id: uuid.UUID, texts: Iterable[str]) -> Pages:
    """How the pages stand that these texts may lead to."""
    every = dict.fromkeys(match.groups() for text in texts for match in _OWN.finditer(text))
    named = list(islice(every, MOST_PAGES))
    found: dict[tuple[str, str], Wrong | None] = {}
    for kind, read in _READERS.items():
        slugs = {slug for which, slug in named if which == kind}
        if slugs:
            known = read(organization_id, slugs)
            found |= {(kind, slug): known.get(slug, Wrong.MISSING) for slug in slugs}
    return Pages(found)


def _petitions(organization_id: uuid.UUID, slugs: set[str]) -> dict[str, Wrong | None]:
    now = clock.now()
    found: dict[str, Wrong | None] = {}
    for petition in db.session.scalars(select(Petition).where(Petition.slug.in_(slugs))):
        if petition.state == PetitionState.DRAFT:
            found[petition.slug] = _unseen(petition.organization_id, organization_id)
        else:
            found[petition.slug] = None if petition.is_open(now) else Wrong.CLOSED
    return found


def _events(organization_id: uuid.UUID, slugs: set[str]) -> dict[str, Wrong | None]:
    now = clock.now()
    found: dict[str, Wrong | None] = {}
    for event in db.session.scalars(select(Event).where(Event.slug.in_(slugs))):
        if event.state == EventState.CANCELLED:
            found[event.slug] = Wrong.CANCELLED
        elif event.state != EventState.PUBLISHED:
            found[event.slug] = _unseen(event.organization_id, organization_id)
        else:
            found[event.slug] = None if events.open_occurrences(event, now, 1) else Wrong.OVER
    return found


def _campaigns(organization_id: uuid.UUID, slugs: set[str]) -> dict[str, Wrong | None]:
    rows = db.session.scalars(select(Campaign).where(Campaign.slug.in_(slugs)))
    return {
        row.slug: None if row.is_public else _unseen(row.organization_id, organization_id)
        for row in rows
    }


_READERS = {Kind.PETITION: _petitions, Kind.EVENT: _events, Kind.CAMPAIGN: _campaigns}


def _unseen(owner_id: uuid.UUID, organization_id: uuid.UUID) -> Wrong:
    """Nobody learns that another organization writes something."""
    return Wrong.DRAFT if owner_id == organization_id else Wrong.MISSING


# --- one address ---------------------------------------------------------------------------------


def host_of(url: str) -> str:
    """The name in an address of the web, "" where there is none."""
    parts = _split(url)
    return (parts.hostname or "") if parts is not None else ""


def is_readable(url: str) -> bool:
    """Whether an address of the web can be taken apart, and names a host that can be ("http://["
    and "https://a..b" do not)."""
    parts = _split(url)
    if parts is None or re.search(r"\s", parts.netloc):
        return False
    host = (parts.hostname or "").rstrip(".")
    return ":" in host or all(0 < len(label) < 64 for label in host.split("."))


def is_own(url: str) -> bool:
    """Whether an address is of this installation."""
    parts = _split(url)
    return parts is not None and _is_own(parts)


def wrong_with(url: str, pages: Pages) -> Wrong | None:
    """What is wrong with an address that can be opened; None where nothing is seen."""
    scheme, _, rest = url.partition(":")
    if scheme.lower() == "mailto":
        return None if _is_mail(rest) else Wrong.MAILTO
    if scheme.lower() == "tel":
        return None if _PHONE.fullmatch(unquote(rest)) else Wrong.TEL
    parts = _split(url)
    if parts is None:
        return None
    if _is_own(parts):
        return _wrong_with_own(parts, pages)
    return _wrong_with_host(parts.hostname or "")


_PHONE = re.compile(r"\+?(?:[\s().-]*\d){3,15}[\s)]*(?:(?:;ext=|,|x)\d{1,6})?", re.ASCII)


def _is_mail(rest: str) -> bool:
    """Whether all addresses behind "mailto:" are some. One without any is for whoever the reader
    wants to tell."""
    to = unquote(rest.partition("?")[0])
    try:
        for address in to.split(",") if to else ():
            validate_email(address.strip(), check_deliverability=False)
    except EmailNotValidError:
        return False
    return True


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        return parts if parts.hostname and parts.port != 0 else None
    except ValueError:
        return None


def _is_own(parts: SplitResult) -> bool:
    base = urlsplit(settings().base_url)
    plain = {"http": 80, "https": 443}
    here = (base.hostname, base.port or plain.get(base.scheme))
    if (parts.hostname, parts.port or plain.get(parts.scheme)) == here:
        return True
    return parts.hostname == base.hostname and parts.scheme != base.scheme and parts.port is None


def _wrong_with_own(parts: SplitResult, pages: Pages) -> Wrong | None:
    page = page_at(parts.path)
    if page is None:
        return Wrong.MISSING
    endpoint, names = page
    access = access_of(current_app.view_functions.get(endpoint))
    if access is not None and access.who is Who.LINK and endpoint not in PERSONAL_BUT_NOT:
        return Wrong.PERSONAL
    if access is not None and access.who not in {Who.LINK, Who.PUBLIC}:
        return Wrong.TEAM
    if endpoint in _ENDPOINTS:
        kind, name = _ENDPOINTS[endpoint]
        wrong = pages.standing.get((kind, str(names[name])))
        if wrong is not None:
            return wrong
    is_plain = parts.scheme == "http" and settings().is_secure
    return Wrong.HTTP if is_plain else None


_SAMPLES = ("example", "test", "invalid", "example.com", "example.net", "example.org")
_LOCALS = ("localhost", "local", "internal", "lan", "home.arpa")


def _wrong_with_host(host: str) -> Wrong | None:
    name = host.rstrip(".").lower()
    try:
        return None if is_public(ipaddress.ip_address(name)) else Wrong.LOCAL
    except ValueError:
        pass
    if _is_below(name, _LOCALS):
        return Wrong.LOCAL
    return Wrong.SAMPLE if _is_below(name, _SAMPLES) else None


def _is_below(name: str, ends: Iterable[str]) -> bool:
    return any(name == end or name.endswith(f".{end}") for end in ends)
