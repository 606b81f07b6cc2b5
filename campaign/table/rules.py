"""What is asked of the table: the filters of the address bar, read and written again.

The same words stand in the address bar, in a change of many and in an export that were asked for
there: each finds exactly whom the page found.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Protocol

from flask_babel import gettext as _

from campaign.lists.rules import How
from campaign.web.fields import hostile

MOST_TAGS = 20
CONSENTS = ("yes", "no", "withdrawn")
LONGEST = 254


class Arguments(Protocol):
    """Where words come from several times under a name: the address bar, or a form."""

    def getlist(self, key: str) -> list[str]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Filters that must all hold. `problems`: name → what is wrong with what somebody wrote there."""

    q: str = ""
    tags: tuple[str, ...] = ()  # by their comparing form
    source: str = ""
    consent: str = ""
    wards: tuple[str, ...] = ()
    list_id: uuid.UUID | None = None
    segment_id: uuid.UUID | None = None
    since: date | None = None
    until: date | None = None
    field: str = ""
    how: How = How.IS
    value: str = ""
    problems: tuple[tuple[str, str], ...] = ()

    @property
    def is_anything(self) -> bool:
        """Whether anything at all is asked, so that not everybody is meant."""
        return bool(self.pairs())

    def pairs(self) -> list[tuple[str, str]]:
        """What is asked as it stands in an address bar."""
        found = [("q", self.q), *(("tag", tag) for tag in self.tags), ("source", self.source)]
        found += [("consent", self.consent), *(("ward", ward) for ward in self.wards)]
        found += [("list", _word(self.list_id)), ("segment", _word(self.segment_id))]
        found += [("since", _day(self.since)), ("until", _day(self.until))]
        if self.field:
            found += [("field", self.field), ("how", self.how.value), ("value", self.value)]
        return [(name, text) for name, text in found if text]

    def query(self) -> dict[str, Any]:
        """The same for `url_for`."""
        found: dict[str, list[str]] = {}
        for name, text in self.pairs():
            found.setdefault(name, []).append(text)
        return dict(found)

    def without(self, name: str, text: str = "") -> Asked:
        """What is left when one filter is taken off."""
        if name == "tag":
            return replace(self, tags=tuple(tag for tag in self.tags if tag != text))
        if name == "ward":
            return replace(self, wards=tuple(ward for ward in self.wards if ward != text))
        if name == "field":
            return replace(self, field="", how=How.IS, value="")
        attribute = {"list": "list_id", "segment": "segment_id"}.get(name, name)
        empty: dict[str, Any] = {attribute: None if attribute in _NONE else ""}
        return replace(self, **empty)


_NONE = ("list_id", "segment_id", "since", "until")


def _word(key: uuid.UUID | None) -> str:
    return str(key) if key is not None else ""


def _day(day: date | None) -> str:
    return day.isoformat() if day is not None else ""


class Stored:
    """What was asked, as an export or a change keeps it: name → texts."""

    def __init__(self, found: Mapping[str, Iterable[str]]) -> None:
        self._found = found

    def getlist(self, key: str) -> list[str]:
        return list(self._found.get(key, ()))


def read(given: Arguments) -> Asked:
    """What an address bar, a form or a stored row asks. What cannot be read is in `problems`."""
    problems: list[tuple[str, str]] = []

    def one(name: str, most: int = LONGEST) -> str:
        text = next(iter(given.getlist(name)), "").strip()
        if text and (message := hostile(text)):
            problems.append((name, str(message)))
            return ""
        return text[:most]

    def day(name: str) -> date | None:
        text = one(name)
        try:
            found = date.fromisoformat(text) if text else None
        except ValueError:
            found = None
            problems.append((name, _("Write the day like 2026-06-30.")))
        if found is not None and not 1900 <= found.year <= 2999:
            problems.append((name, _("Write the day like 2026-06-30.")))
            return None
        return found

    def key(name: str) -> uuid.UUID | None:
        text = one(name)
        try:
            return uuid.UUID(text) if text else None
        except ValueError:
            problems.append((name, _("Choose one.")))
            return None

    since, until = day("since"), day("until")
    if since and until and since > until:
        problems.append(("until", _("The first day must not be after the last.")))
    how = one("how")
    consent = one("consent")
    return Asked(
        q=one("q"),
        tags=_several(given, "tag")[:MOST_TAGS],
        source=one("source", 80),
        consent=consent if consent in CONSENTS else "",
        wards=_several(given, "ward"),
        list_id=key("list"),
        segment_id=key("segment"),
        since=since,
        until=until,
        field=one("field", 60),
        how=How(how) if how in set(How) else How.IS,
        value=one("value", 500),
        problems=tuple(problems),
    )


def _several(given: Arguments, name: str) -> tuple[str, ...]:
    texts = (text.strip()[:LONGEST] for text in given.getlist(name))
    return tuple(dict.fromkeys(text for text in texts if text and not hostile(text)))
