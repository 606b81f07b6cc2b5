"""Asking for exports, fetching them, calling them back. Nothing here commits."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flask_babel import lazy_gettext as _l

from campaign import clock
from campaign.campaigns.models import Campaign
from campaign.db import db, uuid7
from campaign.errors import Forbidden, Gone, Invalid
from campaign.exports import delivery, queries, tasks
from campaign.exports.columns import FIELD, OWN_COLUMNS
from campaign.exports.models import Export, ExportKind, ExportState
from campaign.fields.queries import fields_of
from campaign.lists import rules
from campaign.lists.models import List, Segment
from campaign.organizations.models import Permission
from campaign.organizations.services import record
from campaign.table.rules import Asked
from campaign.worker import enqueue

MIN_REASON = 5


def request_partner_export(
    campaign: Campaign, *, partner_id: uuid.UUID, user_id: uuid.UUID | None, reason: str
) -> Export:
    """Ask for the people of a campaign who agreed to hear from the partner.

    Noted in the partner's audit log and in the lead's, whose people they are.
    """
    export = _request(
        partner_id,
        kind=ExportKind.PARTNER,
        lead_id=campaign.organization_id,
        campaign_id=campaign.id,
        user_id=user_id,
        reason=reason,
    )
    _note("partner.export.requested", export, user_id)
    return export


def request_people_export(
    organization_id: uuid.UUID,
    *,
    user_id: uuid.UUID | None,
    reason: str,
    format: str = "csv",
    chosen: List | Segment | Asked | Sequence[uuid.UUID] | None = None,
    columns: Sequence[str] = (),
) -> Export:
    """Ask for the organization's own people: all, those on a list, of a segment, found by the
    filters of the table, or those ticked there.

    Raises Invalid at `columns` for one that there is not, or that who asks may not see.
    """
    export = _request(
        organization_id,
        kind=ExportKind.PEOPLE,
        lead_id=organization_id,
        user_id=user_id,
        reason=reason,
        filters=filters_of(chosen),
        format=format,
        columns=list(dict.fromkeys(columns)),
    )
    check_columns(export)
    _note("people.export.requested", export, user_id)
    return export


def filters_of(chosen: List | Segment | Asked | Sequence[uuid.UUID] | None) -> dict[str, Any]:
    """What an export keeps of whom it is to hold."""
    if isinstance(chosen, List):
        return {"list_id": str(chosen.id), "name": chosen.name}
    if isinstance(chosen, Segment):
        return {"rules": rules.dump(rules.parse(chosen.rules)), "name": chosen.name}
    if isinstance(chosen, Asked):
        return {"asked": chosen.query()} if chosen.is_anything else {}
    return {} if chosen is None else {"ids": [str(key) for key in chosen]}


def check_columns(export: Export) -> None:
    """Note whether sensitive fields are among the columns. Raises Invalid at `columns` for one that
    there is not, or that who asks may not see."""
    may_see = delivery.may_see_sensitive(export)
    fields = {
        f"{FIELD}{field.key}": field for field in fields_of(export.lead_id, with_sensitive=may_see)
    }
    unknown = [name for name in export.columns if name not in OWN_COLUMNS and name not in fields]
    if unknown:
        raise Invalid(_l("There is no column “%(name)s”.", name=unknown[0]), field="columns")
    export.is_sensitive = any(
        name in fields and fields[name].is_sensitive for name in export.columns
    )


def _request(organization_id: uuid.UUID, *, reason: str, **values: Any) -> Export:
    reason = " ".join(reason.split())
    if len(reason) < MIN_REASON:
        raise Invalid(_l("Say in a few words what this is for."), field="reason")
    if values.get("format", "csv") not in delivery.FORMATS:
        raise Invalid(_l("Choose CSV, XLSX or JSON Lines."), field="format")
    export = Export(id=uuid7(), organization_id=organization_id, reason=reason[:200], **values)
    db.session.add(export)
    db.session.flush()
    enqueue(tasks.build_export, export.id)
    return export


def fetch_export(export: Export, *, user_id: uuid.UUID) -> Path:
    """The file, each time noted in the audit log. Raises Gone when its day is over, Forbidden where
    it has sensitive columns that who fetches it may not see."""
    if export.is_sensitive and Permission.SENSITIVE_VIEW not in (
        delivery.permissions(export, user_id)
    ):
        raise Forbidden
    path = Path(export.path) if export.path else None
    if not export.can_be_fetched(clock.now()) or path is None or not path.is_file():
        raise Gone(_l("This file was kept for 24 hours and is deleted. Ask for a new export."))
    export.download_count += 1
    _note(f"{export.kind}.export.downloaded", export, user_id)
    return path


def note_command_export(export: Export) -> None:
    """A command has written the file elsewhere: there is nothing here to fetch."""
    export.state = ExportState.EXPIRED
    export.ready_at = export.expires_at = clock.now()
    _note(f"{export.kind}.export.command", export, None)


def _note(action: str, export: Export, user_id: uuid.UUID | None) -> None:
    for organization_id in {export.organization_id, export.lead_id}:
        record(
            action,
            organization_id=organization_id,
            user_id=user_id,
            subject_kind="export",
            subject_id=export.id,
            details=delivery.shown(export) | {"for": export.organization_id},
        )


def forget_person(person_id: uuid.UUID) -> list[Path]:
    """Erasure: take back every file that still holds the person.

    Returns the files, to delete once the transaction is committed.
    """
    paths = [
        delivery.expire(export)
        for export in queries.exports_holding(person_id)
        if export.state == ExportState.READY
    ]
    return [path for path in paths if path is not None]
