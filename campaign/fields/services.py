"""Make, change and delete fields; write down what is known of people."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from flask_babel import lazy_gettext as _l
from sqlalchemy import Table, delete, func, select

from campaign import clock
from campaign.db import Words, among, db, insert, put_many, uuid7, weighed
from campaign.errors import Conflict, Invalid
from campaign.fields import queries, rules
from campaign.fields.models import CustomField, FieldKind, FieldValue, Question
from campaign.organizations.services import record
from campaign.people.models import Person, PersonChange
from campaign.people.names import fold

MOST_FIELDS = 60
MOST_CHOICES = 100
HIDDEN = "•••"
"""What the history of a person says of a sensitive value: that it changed, and no more."""

Line = Mapping[str, str]
"""An option as it was written: language code → words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldDetails:
    """What an organizer says about a field; `kind` counts when it is made alone."""

    name: Words
    hint: Words
    kind: str
    choices: Sequence[Line] = ()
    is_sensitive: bool = False


def make_field(
    organization_id: uuid.UUID, details: FieldDetails, *, user_id: uuid.UUID | None
) -> CustomField:
    """A new field, the last in order. Raises Invalid or Conflict with the field of the form."""
    everything = select(func.count(), func.max(CustomField.position)).where(
        CustomField.organization_id == organization_id, CustomField.deleted_at.is_(None)
    )
    count, last = db.session.execute(everything).one()
    if count >= MOST_FIELDS:
        raise Conflict(_l("These are enough fields. Delete one that nobody uses."))
    field = CustomField(
        organization_id=organization_id,
        key=_free_key(organization_id, details.name),
        kind=FieldKind(details.kind).value,
        position=(last or 0) + 1,
    )
    _write(field, details)
    db.session.add(field)
    db.session.flush()
    _note("field.made", field, user_id)
    return field


def change_field(field: CustomField, details: FieldDetails, *, user_id: uuid.UUID | None) -> None:
    """Change words, choices and whether it is sensitive; key and kind stay."""
    _write(field, details)
    db.session.flush()
    _note("field.changed", field, user_id)


def _write(field: CustomField, details: FieldDetails) -> None:
    if not details.name:
        raise Invalid(_l("Give the field a name in at least one language."), field="name_en")
    field.name, field.hint = details.name, details.hint
    field.is_sensitive = details.is_sensitive
    field.choices = _choices(field, details.choices) if field.kind == FieldKind.CHOICE else []


def _choices(field: CustomField, lines: Sequence[Line]) -> list[dict[str, Any]]:
    """The options with their stable values: a line keeps the value of the option it was.

    As many lines as before are the same options, in words that may be new; otherwise a line is the
    option that had one of its words.
    """
    if not 2 <= len(lines) <= MOST_CHOICES:
        raise Invalid(
            _l("Write between 2 and %(most)s choices, one on a line.", most=MOST_CHOICES),
            field="choices_en",
        )
    before = list(field.choices or [])
    keys = {rules.key_of(words): row["value"] for row in before for words in row["words"].values()}
    taken: set[str] = set()
    found: list[dict[str, Any]] = []
    for place, line in enumerate(lines):
        value = (
            before[place]["value"]
            if len(before) == len(lines)
            else next((keys[key] for key in map(rules.key_of, line.values()) if key in keys), "")
        )
        if not value or value in taken:
            value = _unused(_slug(Words(line)) or "choice", taken | set(keys.values()))
        taken.add(value)
        found.append({"value": value, "words": dict(line)})
    said = [rules.key_of(words) for row in found for words in set(row["words"].values())]
    if len(said) != len(set(said)):
        raise Invalid(_l("Two of these choices are the same."), field="choices_en")
    return found


def _slug(words: Words) -> str:
    return re.sub(r"[^a-z0-9]+", "_", fold(words.get_for("en"))).strip("_")[:50]


def _unused(wanted: str, taken: set[str]) -> str:
    number, found = 1, wanted
    while found in taken:
        number += 1
        found = f"{wanted}_{number}"
    return found


def _free_key(organization_id: uuid.UUID, name: Words) -> str:
    """A key that no field of the organization has or had: files made before name it."""
    taken = db.session.scalars(
        select(CustomField.key).where(CustomField.organization_id == organization_id)
    )
    return _unused(_slug(name) or "field", set(taken))


def move_up(field: CustomField) -> None:
    """Let a field change places with the one before it."""
    row = queries.fields_of(field.organization_id, with_sensitive=True)
    place = row.index(field)
    if place:
        row[place - 1], row[place] = row[place], row[place - 1]
    for position, one in enumerate(row):
        one.position = position
    db.session.flush()


def delete_field(field: CustomField, *, user_id: uuid.UUID | None) -> None:
    """Take a field away; its values stay until it is brought back or purged."""
    field.deleted_at = clock.now()
    _note("field.deleted", field, user_id)


def restore_field(field: CustomField, *, user_id: uuid.UUID | None) -> None:
    """Bring a deleted field back, with its values."""
    field.deleted_at = None
    _note("field.restored", field, user_id)


def set_values(
    person: Person,
    fields: Sequence[CustomField],
    typed: Mapping[str, str],
    *,
    language: str,
    user_id: uuid.UUID | None,
) -> bool:
    """Write what was typed (by the fields' keys), a blank takes away; False: nothing differed.

    Raises Invalid with the key of the field that is wrong. The person's history keeps what it was,
    of sensitive fields only that it changed.
    """
    before = queries.values_of(person.id)
    changed: dict[str, list[str]] = {}
    for field in fields:
        if field.key not in typed:
            continue
        try:
            value = rules.read(field, typed[field.key], language)
        except Invalid as error:
            raise Invalid(error.message, field=field.key) from None
        old, new = before.get(field.id, ""), value.text if value else ""
        if old == new:
            continue
        _put(person.id, field.id, value)
        pair = [rules.shown(field, text, language) for text in (old, new)]
        name = field.name.get_for(language)
        changed[name] = [HIDDEN if text else "" for text in pair] if field.is_sensitive else pair
    if not changed:
        return False
    db.session.add(
        PersonChange(
            organization_id=person.organization_id,
            person_id=person.id,
            user_id=user_id,
            fields=changed,
            at=clock.now(),
        )
    )
    db.session.flush()
    return True


def take_answers(person: Person, answers: Mapping[str, str], language: str) -> None:
    """Write down what the owner of an address answered in a form, over what was known before.

    `answers` is what `rules.read_answers` made. What the field no longer takes (a choice that is
    gone, a deleted field) is left out.
    """
    if not answers:
        return
    typed: dict[str, str] = {}
    fields = queries.fields_of(person.organization_id, with_sensitive=True)
    for field in fields:
        text = answers.get(field.id.hex, "")
        try:
            if rules.read(field, text) is not None:
                typed[field.key] = text
        except Invalid:
            continue
    set_values(person, fields, typed, language=language, user_id=None)


Known = tuple[uuid.UUID, Question, rules.Value]
"""What is known of a person under a field."""


def put_values(
    organization_id: uuid.UUID,
    known: Sequence[Known],
    *,
    user_id: uuid.UUID | None,
    is_trial: bool = False,
) -> set[uuid.UUID]:
    """Write down values of thousands of people, over what was known; returns whose differed.

    Each person's history keeps what it was, as `set_values` does. A trial writes nothing.
    """
    if not known:
        return set()
    values = {(person_id, question.id): (question, value) for person_id, question, value in known}
    before = {
        (row.person_id, row.field_id): row.text
        for row in db.session.execute(
            select(FieldValue.person_id, FieldValue.field_id, FieldValue.text).where(
                among(FieldValue.person_id, {person_id for person_id, _field in values}),
                weighed(FieldValue.field_id).in_({field_id for _person, field_id in values}),
            )
        )
    }
    changed = {key: pair for key, pair in values.items() if before.get(key) != pair[1].text}
    if is_trial or not changed:
        return {person_id for person_id, _field in changed}
    now = clock.now()
    old: dict[uuid.UUID, list[uuid.UUID]] = {}
    for person_id, field_id in changed.keys() & before.keys():
        old.setdefault(field_id, []).append(person_id)
    for field_id, person_ids in old.items():
        db.session.execute(
            delete(FieldValue).where(
                among(FieldValue.person_id, person_ids), weighed(FieldValue.field_id) == field_id
            ),
            execution_options={"synchronize_session": False},
        )
    put_many(
        cast("Table", FieldValue.__table__),
        ("person_id", "field_id", "text", "text_key", "number", "day", "updated_at"),
        [
            (person_id, field_id, value.text, value.text_key, value.number, value.day, now)
            for (person_id, field_id), (_question, value) in sorted(
                changed.items(), key=lambda one: one[0]
            )
        ],
    )
    _keep_history(organization_id, changed, before, user_id)
    return {person_id for person_id, _field in changed}


def _keep_history(
    organization_id: uuid.UUID,
    changed: Mapping[tuple[uuid.UUID, uuid.UUID], tuple[Question, rules.Value]],
    before: Mapping[tuple[uuid.UUID, uuid.UUID], str],
    user_id: uuid.UUID | None,
) -> None:
    """A line for each person of whom something else was known before."""
    lines: dict[uuid.UUID, dict[str, list[str]]] = {}
    for key, (question, value) in changed.items():
        if key in before:
            pair = [rules.shown(question, text, "en") for text in (before[key], value.text)]
            name = question.name.get_for("en")
            lines.setdefault(key[0], {})[name] = [HIDDEN, HIDDEN] if question.is_sensitive else pair
    if lines:
        db.session.execute(
            insert(PersonChange),
            [
                {
                    "id": uuid7(),
                    "organization_id": organization_id,
                    "person_id": person_id,
                    "user_id": user_id,
                    "fields": fields,
                    "at": clock.now(),
                }
                for person_id, fields in lines.items()
            ],
        )


def check_chosen(organization_id: uuid.UUID, chosen: Sequence[str]) -> list[str]:
    """The ids of the fields a form is to ask, each once. Raises Invalid at `field_ids` for one
    that is not the organization's."""
    known = {field.id.hex for field in queries.fields_of(organization_id, with_sensitive=True)}
    if not set(chosen) <= known:
        raise Invalid(_l("One of these fields is gone. Choose again."), field="field_ids")
    return list(dict.fromkeys(chosen))


def _put(person_id: uuid.UUID, field_id: uuid.UUID, value: rules.Value | None) -> None:
    if value is None:
        mine = (FieldValue.person_id == person_id, FieldValue.field_id == field_id)
        db.session.execute(delete(FieldValue).where(*mine))
        return
    row = {
        "text": value.text,
        "text_key": value.text_key,
        "number": value.number,
        "day": value.day,
        "updated_at": clock.now(),
    }
    db.session.execute(
        insert(FieldValue)
        .values(person_id=person_id, field_id=field_id, **row)
        .on_conflict_do_update(index_elements=["person_id", "field_id"], set_=row)
    )


def note_look(person: Person, *, user_id: uuid.UUID | None) -> None:
    """Audit that somebody looked at a person's sensitive fields."""
    record(
        "person.sensitive",
        organization_id=person.organization_id,
        user_id=user_id,
        subject_kind="person",
        subject_id=person.id,
    )


def forget_person(person_id: uuid.UUID) -> None:
    """Erasure: nothing stays of what was known of somebody under any field."""
    db.session.execute(delete(FieldValue).where(FieldValue.person_id == person_id))


def _note(action: str, field: CustomField, user_id: uuid.UUID | None) -> None:
    record(
        action,
        organization_id=field.organization_id,
        user_id=user_id,
        subject_kind="custom_field",
        subject_id=field.id,
        details={"key": field.key},
    )
