"""Commands: `campaign people export`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import BinaryIO

import click
from tqdm import tqdm

from campaign.db import db, uuid7
from campaign.exports import delivery, queries, services
from campaign.exports.models import Export, ExportKind
from campaign.organizations.models import Organization
from campaign.organizations.queries import organization_by_slug
from campaign.people.cli import NewFile, people


def _find(slug: str, option: str) -> Organization:
    found = organization_by_slug(slug)
    if found is None:
        raise click.BadParameter(f"no organization is called {slug!r}", param_hint=option)
    return found


@people.command("export")
@click.option("--organization", "slug", required=True, metavar="SLUG", help="Whose people.")
@click.option(
    "--partner",
    default="",
    metavar="SLUG",
    help="Only those who agree, at this moment, to hear from this organization by e-mail.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(delivery.FORMATS),
    default="csv",
    help="csv (formulas guarded) or jsonl (OSDI people).",
)
@click.option(
    "--output",
    type=NewFile(),
    help="A file instead of the standard output; it appears when it is whole.",
)
def export_people(*, slug: str, partner: str, form: str, output: Path | None) -> None:
    """Write out people as CSV or JSON Lines, any number of them.

    \b
    Example:
      campaign people export --organization stop --partner nurses --output nurses.csv
    """
    lead = _find(slug, "--organization")
    reader = _find(partner, "--partner") if partner else lead
    export = Export(
        id=uuid7(),
        organization_id=reader.id,
        lead_id=lead.id,
        kind=ExportKind.PARTNER if partner else ExportKind.PEOPLE,
        reason="command line",
        format=form,
    )
    db.session.add(export)
    db.session.flush()
    export.expected_count = queries.count(delivery.whom(export))
    if output is None:
        _write(export, sys.stdout.buffer, is_shown=False)
    else:
        part = output.with_name(f".{output.name}.{export.id.hex}.part")
        try:
            with os.fdopen(
                os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb"
            ) as file:
                _write(export, file, is_shown=sys.stderr.isatty())
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, output)
        finally:
            part.unlink(missing_ok=True)
    services.note_command_export(export)
    db.session.commit()
    click.echo(f"{export.row_count} people exported.", err=True)


def _write(export: Export, file: BinaryIO, *, is_shown: bool) -> None:
    sealed = delivery.Sealed(file)
    with tqdm(total=export.expected_count, desc="Exporting", disable=not is_shown) as bar:
        for known in delivery.write_people(export, sealed):
            if export.kind == ExportKind.PARTNER:
                delivery.remember(export.id, known)
            export.row_count += len(known)
            bar.update(len(known))
    export.checksum = sealed.checksum
