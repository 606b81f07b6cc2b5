"""Forms of lists and the segment builder."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from campaign.errors import Invalid
from campaign.lists import rules
from campaign.lists.rules import Clause, Group, How, Match
from campaign.lists.taking_part import Did
from campaign.web.fields import area, text
from campaign.web.forms import Form


class ListForm(Form):
    """Name and description of a list."""

    name = text(_l("Name"), required=True, limit=120)
    description = area(_l("What it is for"), limit=1000)


class PasteForm(Form):
    """E-mail addresses of people we know."""

    addresses = area(_l("Email addresses"), required=True, limit=200_000)


# The segment builder

KIND_NAMES = {
    "signed": _l("Signed a petition"),
    "tagged": _l("Has a tag"),
    "on_list": _l("Is on a list"),
    "in_segment": _l("Is in another segment"),
    "postal_code": _l("Lives at a postal code"),
    "in_district": _l("Lives in a ward"),
    "consented": _l("Agreed to something"),
    "added": _l("Was added on a day"),
    "speaks": _l("Reads a language"),
    "came_from": _l("Came from a source"),
    "at_event": _l("Came to an event"),
    "got_message": _l("Got a message"),
    "did_asked": _l("Did what a message asked"),
    "near": _l("Lives near a postal code"),
    "random": _l("Is in a random share"),
    "has_field": _l("Has something under a field"),
}
DID_NAMES = {
    Did.COMING: _l("said they come"),
    Did.MAYBE: _l("said maybe"),
    Did.WAITING: _l("are in line"),
    Did.CANNOT: _l("said they cannot come"),
    Did.ATTENDED: _l("signed in"),
    Did.MISSED: _l("said they come, did not sign in"),
    Did.HOSTED: _l("hosted"),
    Did.SPOKE: _l("spoke"),
}
HOW_NAMES = {
    How.IS: _l("is"),
    How.BEGINS: _l("begins with"),
    How.LEAST: _l("is at least"),
    How.MOST: _l("is at most"),
    How.KNOWN: _l("is known"),
}
MAX_ROWS = rules.MAX_CLAUSES
MAX_FIELDS = 1000


@dataclass(slots=True)
class DraftClause:
    """A clause as it stands in the form: what was typed, whether or not it makes sense yet."""

    kind: str
    values: dict[str, str] = field(default_factory=dict)
    path: str = ""
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def is_group(self) -> bool:
        return False

    @property
    def error(self) -> str:
        """All that is wrong with it."""
        return " ".join(dict.fromkeys(self.errors.values()))


@dataclass(slots=True)
class DraftGroup:
    """A group as it stands in the form. Its path is the numbers of its place: "1-0"."""

    match: str = Match.ALL.value
    rows: list[DraftClause | DraftGroup] = field(default_factory=list)
    path: str = ""
    error: str = ""

    @property
    def is_group(self) -> bool:
        return True

    @property
    def depth(self) -> int:
        return len(self.path.split("-")) if self.path else 0

    @property
    def may_nest(self) -> bool:
        return self.depth < rules.MAX_DEPTH - 1

    def everything(self) -> Iterator[DraftClause | DraftGroup]:
        """This group and all below it, in reading order."""
        yield self
        for row in self.rows:
            if isinstance(row, DraftGroup):
                yield from row.everything()
            else:
                yield row


@dataclass(slots=True)
class SegmentDraft:
    """The builder's form: a tree of typed values that works without a script.

    Every row's fields are named by its place (`r-1-0-tag_id`); the buttons that add and remove
    rows send the whole form and get it back changed. Wards are typed by number and become ids.
    """

    root: DraftGroup
    name: str = ""
    wards: Mapping[str, uuid.UUID] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, group: Group, name: str, wards: Mapping[str, uuid.UUID]) -> SegmentDraft:
        """The form of a saved segment."""
        draft = cls(_from_rules(group, wards), name, wards)
        draft.number()
        return draft

    @classmethod
    def posted(cls, form: Mapping[str, Any], wards: Mapping[str, uuid.UUID]) -> SegmentDraft:
        """What a person sent."""
        rows = {
            key.removeprefix("r-"): str(value)[:5000]
            for key, value in list(form.items())[:MAX_FIELDS]
            if key.startswith("r-")
        }
        draft = cls(_read_group(rows, "", 0), str(form.get("name", "")).strip(), wards)
        draft.number()
        return draft

    def number(self) -> None:
        """Give every row the path of its place."""
        _number(self.root, "")

    def act(self, action: str, form: Mapping[str, Any]) -> None:
        """Do what a button says: `add:<path>`, `group:<path>` or `remove:<path>`."""
        verb, _colon, path = action.partition(":")
        if verb == "remove":
            parent, place = _parent_of(self.root, path)
            if parent is not None and 0 <= place < len(parent.rows):
                del parent.rows[place]
        else:
            found = _find(self.root, path)
            if isinstance(found, DraftGroup) and self._count() < MAX_ROWS:
                if verb == "group" and found.may_nest:
                    found.rows.append(DraftGroup(match=Match.ANY.value))
                elif verb == "add":
                    kind = str(form.get(f"add-{path}", ""))
                    if kind in rules.KINDS:
                        found.rows.append(DraftClause(kind))
        self.number()

    def _count(self) -> int:
        return sum(1 for _row in self.root.everything())

    def group(self) -> Group | None:
        """The tree of rules, or None with messages at the clauses that are wrong."""
        for row in self.root.everything():
            if isinstance(row, DraftClause):
                self._check(row)
            elif row.path and not row.rows:
                row.error = _("This group is empty: add a rule or remove it.")
            else:
                row.error = ""
        if self.wrong():
            return None
        try:
            return rules.parse(self._data(self.root))
        except Invalid as error:
            self.errors.append(str(error.message))
            return None

    def wrong(self) -> list[DraftClause | DraftGroup]:
        """The rows that have a message, in reading order."""
        return [row for row in self.root.everything() if row.error]

    def _check(self, row: DraftClause) -> None:
        row.errors = {}
        try:
            rules.parse_clause(self._clause_data(row))
        except Invalid as error:
            row.errors[error.field] = str(error.message)

    def _data(self, group: DraftGroup) -> dict[str, Any]:
        is_bare_root = not group.path and not group.rows
        return {
            "match": Match.ALL.value if is_bare_root else group.match,
            "rules": [
                self._data(row) if isinstance(row, DraftGroup) else self._clause_data(row)
                for row in group.rows
            ],
        }

    def _clause_data(self, row: DraftClause) -> dict[str, Any]:
        data: dict[str, Any] = {"kind": row.kind, "is_not": row.values.get("is_not") == "1"}
        for name, typed in row.values.items():
            value = typed.strip()
            if name == "is_not":
                continue
            if name == "codes":
                data[name] = [part for part in value.replace(";", ",").split(",") if part.strip()]
            elif name == "wards":
                data["district_ids"] = self._ward_ids(value)
            elif value:
                data[name] = value
        return data

    def _ward_ids(self, typed: str) -> list[str]:
        """The ids of ward numbers; a number that is no ward raises Invalid."""
        ids = []
        for part in typed.replace(";", ",").replace(" ", ",").split(","):
            number = part.strip().lstrip("0")
            if not number:
                continue
            if number not in self.wards:
                raise Invalid(_("There is no ward %(number)s.", number=part[:20]), field="wards")
            ids.append(str(self.wards[number]))
        return ids


def _from_rules(group: Group, wards: Mapping[str, uuid.UUID]) -> DraftGroup:
    codes = {district_id: code for code, district_id in wards.items()}
    rows: list[DraftClause | DraftGroup] = []
    for rule in group.rules:
        if isinstance(rule, Group):
            rows.append(_from_rules(rule, wards))
        else:
            rows.append(DraftClause(rule.kind, _typed(rule, codes)))
    return DraftGroup(group.match.value, rows)


def _typed(clause: Clause, codes: Mapping[uuid.UUID, str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, value in rules.dump(clause).items():
        if name == "kind":
            continue
        if name == "is_not":
            values[name] = "1"
        elif name == "district_ids":
            numbers = [codes.get(uuid.UUID(part), "?") for part in value]
            values["wards"] = ", ".join(sorted(numbers, key=lambda code: (len(code), code)))
        elif isinstance(value, Sequence) and not isinstance(value, str):
            values[name] = ", ".join(value)
        else:
            values[name] = str(value)
    return values


def _read_group(rows: Mapping[str, str], path: str, depth: int) -> DraftGroup:
    prefix = f"{path}-" if path else ""
    group = DraftGroup(match=rows.get(f"{prefix}match", Match.ALL.value))
    if depth >= rules.MAX_DEPTH:
        return group
    places = sorted(
        {
            int(key[len(prefix) :].split("-", 1)[0])
            for key in rows
            if key.startswith(prefix) and key[len(prefix) :].split("-", 1)[0].isdecimal()
        }
    )
    for place in places[:MAX_ROWS]:
        at = f"{prefix}{place}"
        kind = rows.get(f"{at}-kind")
        if kind is None:
            group.rows.append(_read_group(rows, at, depth + 1))
        elif kind in rules.KINDS:
            values = {
                key[len(at) + 1 :]: value
                for key, value in rows.items()
                if key.startswith(f"{at}-") and key != f"{at}-kind"
            }
            group.rows.append(DraftClause(kind, values))
    return group


def _number(group: DraftGroup, path: str) -> None:
    group.path = path
    for place, row in enumerate(group.rows):
        at = f"{path}-{place}" if path else str(place)
        if isinstance(row, DraftGroup):
            _number(row, at)
        else:
            row.path = at


def _find(root: DraftGroup, path: str) -> DraftClause | DraftGroup | None:
    return next((row for row in root.everything() if row.path == path), None)


def _parent_of(root: DraftGroup, path: str) -> tuple[DraftGroup | None, int]:
    above, _dash, place = path.rpartition("-")
    parent = _find(root, above)
    if not isinstance(parent, DraftGroup) or not place.isdecimal():
        return None, -1
    return parent, int(place)
