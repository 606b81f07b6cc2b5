"""The grammar of a segment: a tree of all / any / none over clauses about a person.

The JSON in `Segment.rules` is one such tree. `parse` turns it into frozen values or raises
Invalid with the path of what is wrong; `dump` turns it back; `describe` says it in words; `matching.where` makes
the condition that a database answers.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date
from enum import StrEnum
from typing import Any, ClassVar

from flask_babel import format_date, gettext, ngettext

from campaign.errors import Invalid
from campaign.events.models import EventKind
from campaign.events.words import KIND_NAMES as EVENT_KIND_NAMES
from campaign.fields.models import LONGEST
from campaign.lists.taking_part import Did
from campaign.people.models import Purpose
from campaign.web.fields import hostile

MAX_CLAUSES = 60
MAX_DEPTH = 6
MAX_CODES = 200
MAX_SEGMENT_DEPTH = 10
DISTANCES_KM = (2, 5, 10, 20, 50)
LONGEST_DRAW = 20
MOST_DAYS = 3650
MOST_TIMES = 999
_CODE = re.compile(r"[0-9A-Z][0-9A-Z -]{0,10}\*?")
_SOURCE = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,80}")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,4})?")


def _(message: str, **values: Any) -> str:
    """The message in the person's language; English where nobody asks (a task, a command)."""
    return str(gettext(message, **values))


class Match(StrEnum):
    """How the rules of a group are joined."""

    ALL = "all"
    ANY = "any"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """One sentence about a person; `is_not` turns it round."""

    kind: ClassVar[str] = ""

    is_not: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed(Clause):
    """Has a confirmed signature under a petition (None: under any), confirmed in the days given.

    Both days are included and are days in the organization's time zone; `days` is so many days
    back from today, instead of the two. `times` is under how many petitions at least.
    """

    kind: ClassVar[str] = "signed"

    petition_id: uuid.UUID | None = None
    times: int = 1
    days: int | None = None
    since: date | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tagged(Clause):
    """Carries a tag."""

    kind: ClassVar[str] = "tagged"

    tag_id: uuid.UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class OnList(Clause):
    """Is on a list."""

    kind: ClassVar[str] = "on_list"

    list_id: uuid.UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class InSegment(Clause):
    """Is found by another segment."""

    kind: ClassVar[str] = "in_segment"

    segment_id: uuid.UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class PostalCode(Clause):
    """Lives at one of these postal codes; "606*" means all that begin so."""

    kind: ClassVar[str] = "postal_code"

    codes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InDistrict(Clause):
    """Lives in one of these wards, as their postal code says."""

    kind: ClassVar[str] = "in_district"

    district_ids: tuple[uuid.UUID, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NearBy(Clause):
    """Lives within some kilometres of a postal code, as the middles of postal codes say."""

    kind: ClassVar[str] = "near"

    code: str
    km: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomShare(Clause):
    """Is among so many per cent of everybody, drawn by a hash: the same people each time. Another
    `draw` draws others; two halves of one draw are a clause and the same turned round."""

    kind: ClassVar[str] = "random"

    percent: int
    draw: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Consented(Clause):
    """Has a consent in force to an organization for a purpose: the ledger's last line grants."""

    kind: ClassVar[str] = "consented"

    grantee_id: uuid.UUID
    purpose: Purpose = Purpose.EMAIL


@dataclass(frozen=True, slots=True, kw_only=True)
class Added(Clause):
    """Became known to the organization in the days given, both included, or in the last `days`."""

    kind: ClassVar[str] = "added"

    days: int | None = None
    since: date | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaks(Clause):
    """Is written to in a language."""

    kind: ClassVar[str] = "speaks"

    language: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CameFrom(Clause):
    """First came by a source; "qr-*" means all that begin so."""

    kind: ClassVar[str] = "came_from"

    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AtEvent(Clause):
    """Said they come, came, missed, hosted or spoke: at one event, or at any of a kind, of a
    campaign, on a date that starts in the days given (days in the organization's time zone), or
    in the last `days`; on `times` different dates at least."""

    kind: ClassVar[str] = "at_event"

    did: Did = Did.COMING
    event_id: uuid.UUID | None = None
    event_kind: str = ""
    campaign_id: uuid.UUID | None = None
    times: int = 1
    days: int | None = None
    since: date | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GotMessage(Clause):
    """Got a mass e-mail (None: any): their mail service took it and did not give it back. Of any,
    `times` different ones at least, which went out in the days given or in the last `days`."""

    kind: ClassVar[str] = "got_message"

    message_id: uuid.UUID | None = None
    times: int = 1
    days: int | None = None
    since: date | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DidAsked(Clause):
    """Did what a mass e-mail asked: signed or answered what its links lead to, by whatever way."""

    kind: ClassVar[str] = "did_asked"

    message_id: uuid.UUID


class How(StrEnum):
    """How the value of a field is compared. `KNOWN`: there is one."""

    IS = "is"
    BEGINS = "begins"
    LEAST = "least"
    MOST = "most"
    KNOWN = "known"


@dataclass(frozen=True, slots=True, kw_only=True)
class HasField(Clause):
    """Has a value in a field of the organization's own. `value` is written as it is typed there;
    at least and at most are for numbers and days, and both count the value itself."""

    kind: ClassVar[str] = "has_field"

    field_id: uuid.UUID
    how: How = How.IS
    value: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Rules joined. An outermost group of `all` without rules means everybody."""

    match: Match = Match.ALL
    rules: tuple[Clause | Group, ...] = ()

    def clauses(self) -> Iterator[Clause]:
        """All clauses below, in reading order."""
        for rule in self.rules:
            if isinstance(rule, Group):
                yield from rule.clauses()
            else:
                yield rule


KINDS: dict[str, type[Clause]] = {
    kind.kind: kind
    for kind in (
        Signed,
        Tagged,
        OnList,
        InSegment,
        PostalCode,
        InDistrict,
        Consented,
        Added,
        Speaks,
        CameFrom,
        AtEvent,
        GotMessage,
        DidAsked,
        HasField,
        NearBy,
        RandomShare,
    )
}
EVERYBODY = Group()


# Reading


def parse(data: Any) -> Group:
    """The tree of a JSON value.

    Raises Invalid whose `field` is the path of what is wrong: "rules.1.rules.0.tag_id", or ""
    for the whole.
    """
    if not isinstance(data, Mapping):
        raise Invalid(_("The rules cannot be read."))
    group = _group(data, "", 1)
    if sum(1 for _clause in group.clauses()) > MAX_CLAUSES:
        raise Invalid(_("These are too many rules: %(most)s at most.", most=MAX_CLAUSES))
    return group


def _group(data: Mapping[str, Any], path: str, depth: int) -> Group:
    if depth > MAX_DEPTH:
        raise Invalid(_("These groups are nested too deeply."), field=path)
    if unknown := set(map(str, data)) - {"match", "rules"}:
        raise Invalid(_("The rules cannot be read."), field=_join(path, min(unknown)))
    try:
        match = Match(data.get("match", Match.ALL))
    except ValueError:
        raise Invalid(_("Choose all, any or none."), field=_join(path, "match")) from None
    rows = data.get("rules", [])
    if not isinstance(rows, list) or len(rows) > MAX_CLAUSES:
        raise Invalid(_("The rules cannot be read."), field=_join(path, "rules"))
    if not rows and (path or match is not Match.ALL):
        raise Invalid(_("This group is empty: add a rule or remove it."), field=path)
    return Group(
        match=match,
        rules=tuple(
            _node(row, _join(path, f"rules.{position}"), depth) for position, row in enumerate(rows)
        ),
    )


def _node(data: Any, path: str, depth: int) -> Clause | Group:
    if not isinstance(data, Mapping):
        raise Invalid(_("The rules cannot be read."), field=path)
    return parse_clause(data, path) if "kind" in data else _group(data, path, depth + 1)


def parse_clause(data: Mapping[str, Any], path: str = "") -> Clause:
    """One clause of a JSON object; raises Invalid with the path of the wrong value."""
    kind = data.get("kind")
    found = KINDS.get(kind) if isinstance(kind, str) else None
    if found is None:
        raise Invalid(_("Choose what the rule is about."), field=_join(path, "kind"))
    names = {spec.name for spec in fields(found)}
    if unknown := set(map(str, data)) - names - {"kind"}:
        raise Invalid(_("The rules cannot be read."), field=_join(path, min(unknown)))
    values: dict[str, Any] = {}
    for name in sorted(names):
        try:
            values[name] = _READERS[name](data.get(name))
        except Invalid as error:
            raise Invalid(error.message, field=_join(path, name)) from None
    clause = found(**values)
    _check_days(clause, path)
    _check_times(clause, path)
    if isinstance(clause, HasField) and clause.how is not How.KNOWN and not clause.value:
        raise Invalid(_("Write a value."), field=_join(path, "value"))
    return clause


def _check_days(clause: Clause, path: str) -> None:
    if not isinstance(clause, Signed | Added | AtEvent | GotMessage):
        return
    if clause.since and clause.until and clause.since > clause.until:
        raise Invalid(_("The first day must not be after the last."), field=_join(path, "until"))
    if clause.days and (clause.since or clause.until):
        raise Invalid(_("Give a number of days or dates, not both."), field=_join(path, "days"))
    if isinstance(clause, Added) and not (clause.days or clause.since or clause.until):
        raise Invalid(
            _("Give a number of days, a first day or a last day."), field=_join(path, "since")
        )


def _check_times(clause: Clause, path: str) -> None:
    """One petition is signed once and one message is got once."""
    if isinstance(clause, Signed) and clause.petition_id is not None and clause.times > 1:
        raise Invalid(
            _("One petition is signed once. Choose any petition, or leave the number."),
            field=_join(path, "times"),
        )
    if isinstance(clause, GotMessage) and clause.message_id is not None:
        if clause.times > 1:
            raise Invalid(
                _("One message is got once. Choose any message, or leave the number."),
                field=_join(path, "times"),
            )
        if clause.days or clause.since or clause.until:
            raise Invalid(
                _("One message went out once. Choose any message, or leave the days."),
                field=_join(path, "days"),
            )


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _read_id(value: Any) -> uuid.UUID:
    try:
        return uuid.UUID(value)
    except (ValueError, AttributeError, TypeError):
        raise Invalid(_("Choose one.")) from None


def _read_any(value: Any) -> uuid.UUID | None:
    """An id, or None for any."""
    return None if value is None or value == "" else _read_id(value)


def _read_did(value: Any) -> Did:
    try:
        return Did(value or Did.COMING)
    except (ValueError, TypeError):
        raise Invalid(_("Choose one.")) from None


def _read_event_kind(value: Any) -> str:
    try:
        return EventKind(value).value if value else ""
    except (ValueError, TypeError):
        raise Invalid(_("Choose one.")) from None


def _read_ids(value: Any) -> tuple[uuid.UUID, ...]:
    if not isinstance(value, list) or not value or len(value) > MAX_CODES:
        raise Invalid(_("Choose at least one."))
    return tuple(sorted({_read_id(part) for part in value}))


def _read_day(value: Any) -> date | None:
    if value is None or value == "":
        return None
    try:
        found = date.fromisoformat(value)
    except (ValueError, TypeError):
        raise Invalid(_("Write the day like 2026-06-30.")) from None
    if not 1900 <= found.year <= 2999:
        raise Invalid(_("Write the day like 2026-06-30."))
    return found


def _read_days(value: Any) -> int | None:
    """So many days back; None where nothing is said."""
    if value is None or value == "":
        return None
    return _read_number(
        value, MOST_DAYS, _("Write a number of days, from 1 to %(most)s.", most=MOST_DAYS)
    )


def _read_times(value: Any) -> int:
    if value is None or value == "":
        return 1
    return _read_number(
        value, MOST_TIMES, _("Write how many times, from 1 to %(most)s.", most=MOST_TIMES)
    )


def _read_number(value: Any, most: int, message: str) -> int:
    text = str(value).strip()
    if (
        isinstance(value, bool)
        or not re.fullmatch(r"[0-9]{1,5}", text)
        or not 1 <= int(text) <= most
    ):
        raise Invalid(message)
    return int(text)


def _read_codes(value: Any) -> tuple[str, ...]:
    parts = [value] if isinstance(value, str) else value
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise Invalid(_("Write postal codes like 60637, or 606* for all that begin so."))
    codes = tuple(sorted({_fold_code(part) for part in parts}))
    if not codes or len(codes) > MAX_CODES or not all(_CODE.fullmatch(code) for code in codes):
        raise Invalid(_("Write postal codes like 60637, or 606* for all that begin so."))
    return codes


def _fold_code(text: str) -> str:
    """As stored: upper case, a US code without its +4."""
    code = " ".join(text.upper().split())
    return code[:5] if re.fullmatch(r"\d{5}[ -]?\d{4}", code) else code


def _read_code(value: Any) -> str:
    code = _fold_code(value) if isinstance(value, str) else ""
    if not _CODE.fullmatch(code) or code.endswith("*"):
        raise Invalid(_("Write one postal code, like 60637."))
    return code


def _read_km(value: Any) -> int:
    if str(value) not in map(str, DISTANCES_KM):
        raise Invalid(_("Choose one."))
    return int(value)


def _read_percent(value: Any) -> int:
    text = str(value).strip().removesuffix("%").strip()
    if not re.fullmatch(r"[0-9]{1,2}", text) or int(text) == 0:
        raise Invalid(_("Write a share from 1 to 99 per cent."))
    return int(text)


def _read_draw(value: Any) -> str:
    text = value.strip() if isinstance(value, str) else ""
    if len(text) > LONGEST_DRAW or hostile(text):
        raise Invalid(_("Write a few letters, at most %(most)s.", most=LONGEST_DRAW))
    return text


def _read_purpose(value: Any) -> Purpose:
    try:
        return Purpose(value or Purpose.EMAIL)
    except (ValueError, TypeError):
        raise Invalid(_("Choose one.")) from None


def _read_language(value: Any) -> str:
    if not isinstance(value, str) or not _LANGUAGE.fullmatch(value):
        raise Invalid(_("Choose a language."))
    return value


def _read_source(value: Any) -> str:
    text = value.strip() if isinstance(value, str) else ""
    if not _SOURCE.fullmatch(text) or text == "*":
        raise Invalid(_("Write the source, at most 80 characters."))
    return text


def _read_how(value: Any) -> How:
    try:
        return How(value or How.IS)
    except (ValueError, TypeError):
        raise Invalid(_("Choose one.")) from None


def _read_value(value: Any) -> str:
    text = value.strip() if isinstance(value, str) else ""
    if len(text) > LONGEST:
        raise Invalid(_("Please keep this under %(max)d characters.", max=LONGEST))
    if message := hostile(text):
        raise Invalid(str(message))
    return text


def _read_flag(value: Any) -> bool:
    if value not in {None, True, False}:
        raise Invalid(_("The rules cannot be read."))
    return bool(value)


_READERS: dict[str, Callable[[Any], Any]] = {
    "is_not": _read_flag,
    "petition_id": _read_any,
    "did": _read_did,
    "event_id": _read_any,
    "event_kind": _read_event_kind,
    "campaign_id": _read_any,
    "tag_id": _read_id,
    "list_id": _read_id,
    "segment_id": _read_id,
    "message_id": _read_any,
    "times": _read_times,
    "days": _read_days,
    "grantee_id": _read_id,
    "district_ids": _read_ids,
    "since": _read_day,
    "until": _read_day,
    "codes": _read_codes,
    "purpose": _read_purpose,
    "language": _read_language,
    "source": _read_source,
    "field_id": _read_id,
    "how": _read_how,
    "value": _read_value,
    "code": _read_code,
    "km": _read_km,
    "percent": _read_percent,
    "draw": _read_draw,
}


# Writing


def dump(node: Group | Clause) -> dict[str, Any]:
    """The JSON value of a tree: `parse(dump(tree)) == tree`."""
    if isinstance(node, Group):
        return {"match": node.match.value, "rules": [dump(rule) for rule in node.rules]}
    data: dict[str, Any] = {"kind": node.kind}
    for spec in fields(node):
        value = getattr(node, spec.name)
        if value is None or value is False or value == "" or (spec.name == "times" and value == 1):
            continue
        data[spec.name] = _plain(value)
    return data


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, StrEnum):
        return value.value
    return value


def ids_in(clause: Clause) -> set[uuid.UUID]:
    """The ids that a clause mentions."""
    found: set[uuid.UUID] = set()
    for spec in fields(clause):
        value = getattr(clause, spec.name)
        if isinstance(value, uuid.UUID):
            found.add(value)
        elif isinstance(value, tuple):
            found |= {part for part in value if isinstance(part, uuid.UUID)}
    return found


def segment_ids(group: Group) -> set[uuid.UUID]:
    """The segments a tree asks for."""
    return {clause.segment_id for clause in group.clauses() if isinstance(clause, InSegment)}


# Saying


def describe(group: Group, names: Mapping[uuid.UUID, str]) -> str:
    """The tree as a plain sentence. `names` are those of the petitions, tags … it mentions."""
    if not group.rules:
        return _("Everybody")
    return _("People who %(rules)s", rules=_describe_group(group, names))


def _describe_group(group: Group, names: Mapping[uuid.UUID, str]) -> str:
    parts = []
    for rule in group.rules:
        if isinstance(rule, Group):
            words = _describe_group(rule, names)
            is_bare = len(rule.rules) == 1 and rule.match is not Match.NONE
            parts.append(words if is_bare or len(group.rules) == 1 else f"({words})")
        else:
            parts.append(describe_clause(rule, names))
    if group.match is Match.ANY:
        return _(" or ").join(parts)
    if group.match is Match.NONE:
        return _("match none of these: %(rules)s", rules=_("; ").join(parts))
    return _(" and ").join(parts)


def describe_clause(clause: Clause, names: Mapping[uuid.UUID, str]) -> str:
    """A clause as the predicate of a sentence that begins with "People who"."""

    def name(key: uuid.UUID | None) -> str:
        return names.get(key, _("(gone)")) if key else ""

    no = clause.is_not
    if isinstance(clause, Signed):
        if clause.times > 1:
            words = (
                _("have not signed %(times)s petitions", times=clause.times)
                if no
                else _("signed at least %(times)s petitions", times=clause.times)
            )
        elif clause.petition_id is None:
            words = _("have not signed any petition") if no else _("signed any petition")
        else:
            petition = name(clause.petition_id)
            words = (
                _("have not signed “%(petition)s”", petition=petition)
                if no
                else _("signed “%(petition)s”", petition=petition)
            )
        return f"{words} {_when(clause)}".strip()
    if isinstance(clause, Tagged):
        tag = name(clause.tag_id)
        return (
            _("do not have the tag “%(tag)s”", tag=tag)
            if no
            else _("have the tag “%(tag)s”", tag=tag)
        )
    if isinstance(clause, OnList):
        group = name(clause.list_id)
        return (
            _("are not on the list “%(list)s”", list=group)
            if no
            else _("are on the list “%(list)s”", list=group)
        )
    if isinstance(clause, InSegment):
        segment = name(clause.segment_id)
        return (
            _("are not in the segment “%(segment)s”", segment=segment)
            if no
            else _("are in the segment “%(segment)s”", segment=segment)
        )
    if isinstance(clause, AtEvent):
        return _describe_event(clause, name)
    if isinstance(clause, GotMessage | DidAsked):
        return _describe_message(clause, name(clause.message_id))
    if isinstance(clause, HasField):
        return _describe_field(clause, name(clause.field_id))
    return _describe_place(clause, name) or _describe_rest(clause, name)


def _describe_message(clause: GotMessage | DidAsked, title: str) -> str:
    if isinstance(clause, GotMessage):
        if clause.message_id is None:
            return _describe_mailed(clause)
        return (
            _("did not get the message “%(title)s”", title=title)
            if clause.is_not
            else _("got the message “%(title)s”", title=title)
        )
    return (
        _("have not done what the message “%(title)s” asked", title=title)
        if clause.is_not
        else _("did what the message “%(title)s” asked", title=title)
    )


def _describe_mailed(clause: GotMessage) -> str:
    if clause.times > 1:
        words = (
            _("did not get %(times)s messages", times=clause.times)
            if clause.is_not
            else _("got at least %(times)s messages", times=clause.times)
        )
    else:
        words = _("did not get any message") if clause.is_not else _("got any message")
    return f"{words} {_when(clause)}".strip()


def _describe_field(clause: HasField, field: str) -> str:
    values = {"field": field, "value": clause.value}
    said = {
        How.IS: _("have “%(value)s” under “%(field)s”", **values),
        How.BEGINS: _("have something under “%(field)s” that begins with “%(value)s”", **values),
        How.LEAST: _("have %(value)s or more under “%(field)s”", **values),
        How.MOST: _("have %(value)s or less under “%(field)s”", **values),
        How.KNOWN: _("have something under “%(field)s”", field=field),
    }
    not_said = {
        How.IS: _("do not have “%(value)s” under “%(field)s”", **values),
        How.BEGINS: _("have nothing under “%(field)s” that begins with “%(value)s”", **values),
        How.LEAST: _("do not have %(value)s or more under “%(field)s”", **values),
        How.MOST: _("do not have %(value)s or less under “%(field)s”", **values),
        How.KNOWN: _("have nothing under “%(field)s”", field=field),
    }
    return (not_said if clause.is_not else said)[clause.how]


def _describe_event(clause: AtEvent, name: Callable[[uuid.UUID | None], str]) -> str:
    if clause.event_id is not None:
        event = f"“{name(clause.event_id)}”"
    elif clause.event_kind:
        kind = EVENT_KIND_NAMES[clause.event_kind]
        event = _("any event of the kind “%(kind)s”", kind=kind)
    else:
        event = _("any event")
    words = [_did(clause.did, clause.is_not, event)]
    if clause.campaign_id is not None:
        words.append(_("of the campaign “%(campaign)s”", campaign=name(clause.campaign_id)))
    if clause.times > 1:
        words.append(_("on at least %(times)s dates", times=clause.times))
    words.append(_when(clause))
    return " ".join(part for part in words if part)


def _did(did: Did, no: bool, event: str) -> str:
    said = {
        Did.COMING: _("said they come to %(event)s", event=event),
        Did.MAYBE: _("may come to %(event)s", event=event),
        Did.WAITING: _("are in line for %(event)s", event=event),
        Did.CANNOT: _("said they cannot come to %(event)s", event=event),
        Did.ATTENDED: _("signed in at %(event)s", event=event),
        Did.MISSED: _("said they come to %(event)s and did not sign in", event=event),
        Did.HOSTED: _("hosted %(event)s", event=event),
        Did.SPOKE: _("spoke at %(event)s", event=event),
    }
    not_said = {
        Did.COMING: _("have not said they come to %(event)s", event=event),
        Did.MAYBE: _("did not answer “maybe” to %(event)s", event=event),
        Did.WAITING: _("are not in line for %(event)s", event=event),
        Did.CANNOT: _("have not said they cannot come to %(event)s", event=event),
        Did.ATTENDED: _("did not sign in at %(event)s", event=event),
        Did.MISSED: _("did not miss %(event)s", event=event),
        Did.HOSTED: _("did not host %(event)s", event=event),
        Did.SPOKE: _("did not speak at %(event)s", event=event),
    }
    return (not_said if no else said)[did]


def _describe_place(clause: Clause, name: Callable[[uuid.UUID | None], str]) -> str:
    no = clause.is_not
    if isinstance(clause, PostalCode):
        codes = _either(clause.codes)
        return (
            _("do not live at postal code %(codes)s", codes=codes)
            if no
            else _("live at postal code %(codes)s", codes=codes)
        )
    if isinstance(clause, InDistrict):
        wards = _either([name(key) for key in clause.district_ids])
        return (
            _("do not live in %(wards)s", wards=wards)
            if no
            else _("live in %(wards)s", wards=wards)
        )
    if isinstance(clause, NearBy):
        values = {"km": str(clause.km), "code": clause.code}
        return (
            _("do not live within %(km)s km of %(code)s", **values)
            if no
            else _("live within %(km)s km of %(code)s", **values)
        )
    return ""


def _describe_rest(clause: Clause, name: Callable[[uuid.UUID | None], str]) -> str:
    no = clause.is_not
    if isinstance(clause, Consented):
        values = {"organization": name(clause.grantee_id), "purpose": purpose_name(clause.purpose)}
        return (
            _("have not agreed to %(organization)s: %(purpose)s", **values)
            if no
            else _("agreed to %(organization)s: %(purpose)s", **values)
        )
    if isinstance(clause, Added):
        words = _("were not added") if no else _("were added")
        return f"{words} {_when(clause)}".strip()
    if isinstance(clause, Speaks):
        language = {"en": _("English"), "es": _("Spanish")}.get(clause.language, clause.language)
        return (
            _("do not read %(language)s", language=language)
            if no
            else _("read %(language)s", language=language)
        )
    if isinstance(clause, CameFrom):
        return (
            _("did not come from “%(source)s”", source=clause.source)
            if no
            else _("came from “%(source)s”", source=clause.source)
        )
    if isinstance(clause, RandomShare):
        values = {"percent": str(clause.percent), "draw": clause.draw or "–"}
        return (
            _("are not among a random %(percent)s %% (draw %(draw)s)", **values)
            if no
            else _("are among a random %(percent)s %% (draw %(draw)s)", **values)
        )
    raise TypeError(f"{type(clause).__name__} cannot be described")


def purpose_name(purpose: str) -> str:
    """A purpose in words."""
    return {
        Purpose.EMAIL: _("email"),
        Purpose.TEXT: _("text messages"),
        Purpose.PHONE: _("phone calls"),
        Purpose.POSTAL: _("letters by post"),
        Purpose.PUBLIC_NAME: _("name in public"),
        Purpose.STORY: _("story"),
    }[Purpose(purpose)]


def _either(words: Sequence[str]) -> str:
    if len(words) < 2:
        return "".join(words)
    return _("%(most)s or %(last)s", most=", ".join(words[:-1]), last=words[-1])


def _when(clause: Signed | Added | AtEvent | GotMessage) -> str:
    if clause.days:
        return str(ngettext("in the last day", "in the last %(num)d days", clause.days))
    return _days(clause.since, clause.until)


def _days(since: date | None, until: date | None) -> str:
    def day(value: date) -> str:
        return str(format_date(value, "long", rebase=False))

    if since and until:
        if since == until:
            return _("on %(day)s", day=day(since))
        return _("from %(since)s to %(until)s", since=day(since), until=day(until))
    if since:
        return _("on or after %(since)s", since=day(since))
    return _("on or before %(until)s", until=day(until)) if until else ""
