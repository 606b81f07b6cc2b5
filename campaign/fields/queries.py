"""Which fields there are, and what is known of whom."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import func, select

from campaign.db import db
from campaign.errors import NotFound
from campaign.fields.models import CustomField, FieldValue, Question
from campaign.fields.rules import in_words, shown


def fields_of(
    organization_id: uuid.UUID, *, with_sensitive: bool, is_deleted: bool = False
) -> list[CustomField]:
    """The organization's fields in their order. `with_sensitive`: as somebody who may see them."""
    statement = select(CustomField).where(
        CustomField.organization_id == organization_id,
        CustomField.deleted_at.is_not(None) if is_deleted else CustomField.deleted_at.is_(None),
    )
    if not with_sensitive:
        statement = statement.where(CustomField.is_sensitive.is_(False))
    return list(db.session.scalars(statement.order_by(CustomField.position, CustomField.id)))


def find_field(
    organization_id: uuid.UUID, field_id: uuid.UUID, *, is_deleted: bool = False
) -> CustomField:
    """A field of this organization (or one that was deleted). Raises NotFound."""
    found = db.session.scalar(
        select(CustomField).where(
            CustomField.organization_id == organization_id,
            CustomField.id == field_id,
            CustomField.deleted_at.is_not(None) if is_deleted else CustomField.deleted_at.is_(None),
        )
    )
    if found is None:
        raise NotFound
    return found


def questions(organization_id: uuid.UUID, chosen: Sequence[str]) -> tuple[Question, ...]:
    """The fields a form asks (`chosen` holds ids), in the organization's order; without those
    that are deleted or were never its own."""
    if not chosen:
        return ()
    wanted = set(chosen)
    return tuple(
        field.question
        for field in fields_of(organization_id, with_sensitive=True)
        if field.id.hex in wanted
    )


def answers_in_words(
    organization_id: uuid.UUID,
    answers: Mapping[str, str],
    language: str,
    *,
    with_sensitive: bool = False,
) -> list[tuple[str, str]]:
    """What was answered in a form and is kept with it, to be read: the field's name, the value.

    Sensitive answers are for their owner and for those who may see sensitive fields.
    """
    if not answers:
        return []
    return in_words(fields_of(organization_id, with_sensitive=with_sensitive), answers, language)


def values_of(person_id: uuid.UUID) -> dict[uuid.UUID, str]:
    """What is known of a person: field → text, as it is stored."""
    rows = db.session.execute(
        select(FieldValue.field_id, FieldValue.text).where(FieldValue.person_id == person_id)
    )
    return dict(rows.all())


def known_of(
    organization_id: uuid.UUID, person_id: uuid.UUID, language: str
) -> list[tuple[str, str]]:
    """All that is known of a person under any field, sensitive and deleted ones too: name, value."""
    values = values_of(person_id)
    fields = [
        *fields_of(organization_id, with_sensitive=True),
        *fields_of(organization_id, with_sensitive=True, is_deleted=True),
    ]
    return [
        (field.name.get_for(language), shown(field, values[field.id], language))
        for field in fields
        if field.id in values
    ]


def values_of_many(
    person_ids: Sequence[uuid.UUID], field_ids: Collection[uuid.UUID]
) -> dict[uuid.UUID, dict[uuid.UUID, str]]:
    """What is known of several people under some fields: person → field → text."""
    found: dict[uuid.UUID, dict[uuid.UUID, str]] = {}
    rows = db.session.execute(
        select(FieldValue.person_id, FieldValue.field_id, FieldValue.text).where(
            FieldValue.person_id.in_(person_ids), FieldValue.field_id.in_(field_ids)
        )
    )
    for person_id, field_id, text in rows:
        found.setdefault(person_id, {})[field_id] = text
    return found


def counts(field_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, int]:
    """Of how many people something is known under each of these fields."""
    rows = db.session.execute(
        select(FieldValue.field_id, func.count())
        .where(FieldValue.field_id.in_(field_ids))
        .group_by(FieldValue.field_id)
    )
    return dict(rows.all())
